//! What is just within the limits, or odd and yet right, is taken as it is.

use system_tests::Tally;
use system_tests::client::{Money, NewItem, NewOrder, OrderFilter, ReadAfter, TallyClient};
use tonic::Code;

/// A character of four bytes.
const WIDE: &str = "🪑";

#[tokio::test]
async fn what_is_at_the_limits_is_taken() {
    let tally = Tally::start().await;
    let client = tally.client();
    let longest = WIDE.repeat(128);
    client.create_batch(&longest, &longest, 1_000_000, None).await.unwrap();
    let line = client.allocate(&longest, &longest, 1_000_000).await.unwrap();
    let rows = client.get_allocations(&longest, &line.seen()).await.unwrap();
    assert_eq!((rows.allocations[0].sku.as_str(), rows.allocations[0].quantity), (longest.as_str(), 1_000_000));

    let skus: Vec<String> = (0..200).map(|number| format!("S{number}")).collect();
    for sku in &skus {
        client.create_batch(&format!("b-{sku}"), sku, 1, None).await.unwrap();
    }
    let lines: Vec<(&str, i32)> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
    let mut order = NewOrder::of(&longest, &lines);
    for item in &mut order.items {
        item.unit_price = Money::euros(i64::MAX / 200, 0);
    }
    order.shipping_address.address_lines = vec![WIDE.repeat(200); 10];
    let created = client.create_order(&order).await.unwrap();
    let view = client.get_order(&created.order_id, &created.seen()).await.unwrap();
    assert_eq!((view.items.len(), view.total.clone()), (200, Money::euros(i64::MAX / 200 * 200, 0)));
    assert_eq!(view.shipping_address, order.shipping_address);
    let reason = WIDE.repeat(500);
    let cancelled = client.cancel_order(&created.order_id, &reason).await.unwrap();
    assert_eq!(client.get_order(&created.order_id, &cancelled.seen()).await.unwrap().cancel_reason, reason);
    let filter = OrderFilter { customer_id: longest.clone(), page_size: i32::MAX, ..OrderFilter::default() };
    assert_eq!(client.list_orders(&filter, &cancelled.seen()).await.unwrap().orders.len(), 1);
}

#[tokio::test]
async fn the_most_money_that_there_is_stays_exact() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 10).await;
    let most = Money::euros(i64::MAX, 999_999_999);
    let items = vec![NewItem { sku: "LAMP".to_owned(), quantity: 1, unit_price: most.clone() }];

    let created = client.create_order(&NewOrder { items, ..NewOrder::of("c-1", &[]) }).await.unwrap();

    let view = client.get_order(&created.order_id, &created.seen()).await.unwrap();
    assert_eq!((view.total, view.items[0].unit_price.clone()), (most.clone(), most));
}

#[tokio::test]
async fn odd_names_stay_what_they_are() {
    let tally = Tally::start().await;
    let client = tally.client();
    let odd = [
        "'; DROP TABLE events; --",
        "\"quoted\" \\back\\slash",
        "{r7}",
        "{main:r0}",
        "a:b:c",
        "*?[a-z]",
        "%s %d %n",
        "../../etc",
        "order-1",
        "a/OPEN",
        "%2F",
        "null",
        "مرحبا",
        "e\u{301}",
        "\u{e9}",
        "İ",
        "-1",
        "0",
        "a  b",
        "\u{200d}",
        "${HOME}",
        "$1",
        "𝕏",
        "NaN",
    ];
    let mut last = ReadAfter::nothing();
    for (number, name) in odd.iter().enumerate() {
        let quantity = i32::try_from(number + 1).unwrap();
        client.create_batch(name, name, quantity, None).await.unwrap();
        let created = client.create_order(&NewOrder::of(name, &[(name, 1)])).await.unwrap();
        assert_eq!(created.lines[0].batch_ref, *name);
        let refused = client.allocate("o1", &format!("{name}!"), 1).await.unwrap_err();
        assert!(refused.is(Code::FailedPrecondition, "INVALID_SKU"), "{refused:?}");
        assert_eq!(refused.message, format!("Invalid sku {name}!"));
        last = created.seen();
    }
    for (number, name) in odd.iter().enumerate() {
        let stock = client.get_stock(name, &last).await.unwrap();
        assert_eq!((stock.sku.as_str(), stock.allocated, stock.batches.len()), (*name, 1, 1));
        assert_eq!(usize::try_from(stock.batch(name).quantity), Ok(number + 1));
        let filter = OrderFilter { customer_id: (*name).to_owned(), ..OrderFilter::default() };
        let listed = client.list_orders(&filter, &last).await.unwrap().orders;
        assert_eq!(listed.iter().map(|order| order.customer_id.as_str()).collect::<Vec<_>>(), [*name]);
    }
}

#[tokio::test]
async fn a_uuid_in_upper_case_is_the_same_order() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 10).await;
    let id = "0192F0C1-7E1B-7C11-8D2E-1F2A3B4C5D6E";
    let lower = id.to_lowercase();
    let created = client
        .create_order(&NewOrder { order_id: id.to_owned(), ..NewOrder::of("c-1", &[("LAMP", 1)]) })
        .await
        .unwrap();
    assert_eq!(created.order_id, lower);

    assert_eq!(client.get_order(id, &created.seen()).await.unwrap().order_id, lower);
    assert_eq!(client.get_allocations(id, &created.seen()).await.unwrap().allocations.len(), 1);
    let again = client.allocate(id, "LAMP", 1).await.unwrap();
    assert_eq!(again.line.unwrap().order_id, lower);
    client.ship_order(id).await.unwrap();
}

#[tokio::test]
async fn a_version_that_was_never_reached_is_a_mismatch_however_large() {
    let tally = Tally::start().await;
    tally.stocked("b1", "LAMP", 10).await;
    for version in [0, 2, 1_000_000, i64::MAX] {
        let refused = tally.client().expected_version(version).allocate("o1", "LAMP", 1).await.unwrap_err();
        assert!(refused.is(Code::Aborted, "VERSION_MISMATCH"), "{version}: {refused:?}");
    }
}
