//! What is stored: the golden files pin it. A difference here is a change of what the log holds, and needs an upcast.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::scenario::given;
use super::vocabulary::*;
use crate::{
    Command, Date, Event, Item, Money, PostalAddress, SNAPSHOT_FORMAT, StoredEventError, StreamId, batch, order,
    product,
};

/// One event of each type, with every field filled.
fn examples() -> Vec<Event> {
    let address = PostalAddress {
        region_code: "DE".to_owned(),
        language_code: "de".to_owned(),
        postal_code: "10115".to_owned(),
        sorting_code: "S".to_owned(),
        administrative_area: "BE".to_owned(),
        locality: "Berlin".to_owned(),
        sublocality: "Mitte".to_owned(),
        address_lines: vec!["Chausseestr. 1".to_owned(), "Hinterhaus".to_owned()],
        recipients: vec!["A. Muster".to_owned()],
        organization: "Muster GmbH".to_owned(),
    };
    let created = order::Event::OrderCreated {
        order_id: OWN.to_owned(),
        customer_id: "c-17".to_owned(),
        items: items([(TABLE, 2), (LAMP, 1)]),
        total: euros(30, 0),
        shipping_address: Box::new(address),
    };
    let others = [
        order_cancelled(OWN),
        order_shipped(OWN),
        registered(OWN),
        TABLE.claimed("b1"),
        TABLE.created_due("b1", 10, "2011-01-02"),
        TABLE.quantity_changed("b1", 10, 7),
        TABLE.received("b1"),
        TABLE.served("o1", "b1", 3),
        TABLE.deallocated("o1", "b1", 3),
        TABLE.out_of_stock("o1", 3),
        TABLE.shipped(OWN, "b1", 3),
    ];
    [Event::Order(created)].into_iter().chain(others.map(|(_, event)| event)).collect()
}

/// A new event type does not compile here until it has a number, and has no golden file until it has an example.
fn number(event: &Event) -> usize {
    match event {
        Event::Order(order::Event::OrderCreated { .. }) => 0,
        Event::Order(order::Event::OrderCancelled { .. }) => 1,
        Event::Order(order::Event::OrderShipped { .. }) => 2,
        Event::Order(order::Event::ExternalOrderRegistered { .. }) => 3,
        Event::Batch(batch::Event::BatchRefClaimed { .. }) => 4,
        Event::Product(product::Event::BatchCreated { .. }) => 5,
        Event::Product(product::Event::BatchQuantityChanged { .. }) => 6,
        Event::Product(product::Event::BatchReceived { .. }) => 7,
        Event::Product(product::Event::Allocated { .. }) => 8,
        Event::Product(product::Event::Deallocated { .. }) => 9,
        Event::Product(product::Event::OutOfStock { .. }) => 10,
        Event::Product(product::Event::Shipped { .. }) => 11,
    }
}

fn payload(event: &Event) -> Value {
    serde_json::from_str(&event.payload()).expect("json")
}

#[test]
fn every_event_is_stored_as_its_golden_file_says_and_read_back() {
    assert!(examples().iter().map(number).eq(0..12));
    insta::with_settings!({ omit_expression => true }, {
        for event in examples() {
            insta::assert_json_snapshot!(event.event_type(), payload(&event));
            assert_eq!(Event::from_stored(event.event_type(), &event.payload()), Ok(event));
        }
    });
}

#[test]
fn fields_that_are_empty_are_not_stored() {
    assert_eq!(payload(&TABLE.created("b1", 10).1), json!({"batch_ref": "b1", "sku": "TABLE", "quantity": 10}));
    assert_eq!(payload(&TABLE.left_queue("o1", 3).1), json!({"order_id": "o1", "sku": "TABLE", "quantity": 3}));
    assert_eq!(serde_json::to_value(PostalAddress::default()).expect("json"), json!({}));
}

/// A command that is sent again is told from another by the hash of this text, which is stored.
#[test]
fn every_command_has_the_content_that_its_golden_file_says() {
    let commands = [
        TABLE.create_batch("b1", 10),
        TABLE.create_batch_due("b1", 10, "2011-01-02"),
        receive("b1"),
        change_quantity("b1", 7),
        TABLE.allocate("o1", 3),
        TABLE.deallocate("o1"),
        create_order(OWN, [(TABLE, 2)]),
        cancel(OWN),
        ship(OWN),
    ];
    let text = |command: &Command| serde_json::to_string(command).expect("json");
    let texts: Vec<String> = commands.iter().map(text).collect();
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!("commands", texts.join("\n"));
    });
}

#[test]
fn an_unknown_event_type_is_named() {
    let unknown = Event::from_stored("OrderTeleported", "{}");
    assert_eq!(unknown, Err(StoredEventError::UnknownType("OrderTeleported".to_owned())));
}

#[test]
fn a_payload_of_another_shape_is_refused_and_nothing_of_it_is_shown() {
    for payload in [r#"{"order_id":"secret"}"#, r#"{"order_id":["secret"]}"#, r#""secret""#, "null", "secret", ""] {
        let error = Event::from_stored("OrderCancelled", payload).expect_err("not the shape");
        assert_eq!(error, StoredEventError::BadShape("OrderCancelled".to_owned()));
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}

#[test]
fn a_field_that_a_later_version_added_is_passed_over() {
    let mut payload = payload(&order_shipped(OWN).1);
    payload["carrier"] = json!("later");
    assert_eq!(Event::from_stored("OrderShipped", &payload.to_string()), Ok(order_shipped(OWN).1));
}

fn dates() -> impl Strategy<Value = Date> {
    (1..=9999_i32, 1..=12_u32, 1..=28_u32).prop_map(|(year, month, day)| Date::new(year, month, day).expect("a date"))
}

fn amounts() -> impl Strategy<Value = Money> {
    (".*", any::<i64>(), any::<i32>()).prop_map(|(currency_code, units, nanos)| Money { currency_code, units, nanos })
}

fn addresses() -> impl Strategy<Value = Box<PostalAddress>> {
    (vec(".*", 8), vec(".*", 0..3), vec(".*", 0..3)).prop_map(|(mut texts, address_lines, recipients)| {
        let mut text = || texts.pop().unwrap_or_default();
        Box::new(PostalAddress {
            region_code: text(),
            language_code: text(),
            postal_code: text(),
            sorting_code: text(),
            administrative_area: text(),
            locality: text(),
            sublocality: text(),
            address_lines,
            recipients,
            organization: text(),
        })
    })
}

fn events() -> impl Strategy<Value = Event> {
    let item =
        (".*", any::<u32>(), amounts()).prop_map(|(sku, quantity, unit_price)| Item { sku, quantity, unit_price });
    let created = (".*", ".*", vec(item, 0..4), amounts(), addresses());
    let order_events = prop_oneof![
        created.prop_map(|(order_id, customer_id, items, total, shipping_address)| order::Event::OrderCreated {
            order_id,
            customer_id,
            items,
            total,
            shipping_address
        }),
        (".*", ".*", ".*").prop_map(|(order_id, customer_id, reason)| order::Event::OrderCancelled {
            order_id,
            customer_id,
            reason
        }),
        (".*", ".*").prop_map(|(order_id, customer_id)| order::Event::OrderShipped { order_id, customer_id }),
        ".*".prop_map(|order_id| order::Event::ExternalOrderRegistered { order_id }),
    ];
    let claimed = (".*", ".*").prop_map(|(batch_ref, sku)| batch::Event::BatchRefClaimed { batch_ref, sku });
    prop_oneof![
        order_events.prop_map(Event::Order),
        claimed.prop_map(Event::Batch),
        product_events().prop_map(Event::Product)
    ]
}

fn product_events() -> impl Strategy<Value = product::Event> {
    prop_oneof![
        (".*", ".*", any::<u32>(), option::of(dates())).prop_map(|(batch_ref, sku, quantity, eta)| {
            product::Event::BatchCreated { batch_ref, sku, quantity, eta }
        }),
        (".*", ".*", any::<u32>(), any::<u32>()).prop_map(|(batch_ref, sku, quantity, previous_quantity)| {
            product::Event::BatchQuantityChanged { batch_ref, sku, quantity, previous_quantity }
        }),
        (".*", ".*").prop_map(|(batch_ref, sku)| product::Event::BatchReceived { batch_ref, sku }),
        (".*", ".*", ".*", any::<u32>(), any::<bool>()).prop_map(
            |(order_id, sku, batch_ref, quantity, from_backorder)| {
                product::Event::Allocated { order_id, sku, batch_ref, quantity, from_backorder }
            }
        ),
        (".*", ".*", any::<u32>(), option::of(".*")).prop_map(|(order_id, sku, quantity, batch_ref)| {
            product::Event::Deallocated { order_id, sku, quantity, batch_ref }
        }),
        (".*", ".*", any::<u32>()).prop_map(|(order_id, sku, quantity)| product::Event::OutOfStock {
            order_id,
            sku,
            quantity
        }),
        (".*", ".*", ".*", any::<u32>()).prop_map(|(order_id, sku, batch_ref, quantity)| {
            product::Event::Shipped { order_id, sku, batch_ref, quantity }
        }),
    ]
}

proptest! {
    #[test]
    fn every_event_survives_a_json_round_trip(event in events()) {
        prop_assert_eq!(Event::from_stored(event.event_type(), &event.payload()), Ok(event));
    }

    #[test]
    fn every_stream_id_survives_being_written(id in ".+") {
        for stream in [StreamId::Order(id.clone()), StreamId::Product(id.clone()), StreamId::Batch(id)] {
            prop_assert_eq!(stream.to_string().parse(), Ok(stream));
        }
    }
}

#[test]
fn a_snapshot_is_stored_like_this_and_its_format_has_a_number() {
    let state = given([
        TABLE.created("b1", 10),
        TABLE.created_due("b2", 5, "2011-01-02"),
        TABLE.allocated("o1", "b2", 3),
        TABLE.out_of_stock("o2", 11),
    ]);
    let mut snapshot = serde_json::to_value(state.0[&TABLE.stream()].to_snapshot()).expect("JSON");
    snapshot["lines"].as_array_mut().expect("lines").sort_by_key(|line| line[2].as_u64());
    let lines = json!([["o1", 3, 1, 1], ["o2", 11, 2, null]]);
    let batches = json!([["b1", 10, null], ["b2", 5, "2011-01-02"]]);
    assert_eq!(snapshot, json!({ "sku": "TABLE", "batches": batches, "lines": lines, "last_sequence": 2 }));
    let with_another_line = given([
        TABLE.created("b1", 10),
        TABLE.created("b2", 10),
        TABLE.allocated("o1", "b1", 3),
        TABLE.allocated("o2", "b1", 3),
        TABLE.allocated("o3", "b1", 3),
    ]);
    assert_eq!(with_another_line.0[&TABLE.stream()].snapshot_weight(), 5, "two batches and three lines");
    assert_eq!(SNAPSHOT_FORMAT, 1, "with another shape, or another meaning, goes another number");
}
