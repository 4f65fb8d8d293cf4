//! Dates, money, names, addresses and what a refusal says.

use proptest::prelude::*;

use super::vocabulary::*;
use crate::{Date, Event, Money, ParseDateError, ParseStreamIdError, Rejection, StreamId, is_own_order_id};

#[test]
fn a_date_is_one_that_the_calendar_has() {
    for (year, month, day) in [(1, 1, 1), (2011, 1, 2), (2000, 2, 29), (2024, 2, 29), (2023, 4, 30), (9999, 12, 31)] {
        let date = Date::new(year, month, day).expect("a date");
        assert_eq!((date.year(), date.month(), date.day()), (year, month, day));
    }
    for (year, month, day) in [
        (0, 1, 1),
        (-1, 1, 1),
        (10_000, 1, 1),
        (2011, 0, 1),
        (2011, 13, 1),
        (2011, 1, 0),
        (2011, 1, 32),
        (2011, 4, 31),
        (1900, 2, 29),
        (2023, 2, 29),
        (i32::MAX, u32::MAX, u32::MAX),
        (2011, 1, 256 + 1),
        (65_536 + 1, 1, 1),
    ] {
        assert_eq!(Date::new(year, month, day), None, "{year}-{month}-{day}");
    }
}

#[test]
fn a_date_is_read_in_one_form_only() {
    assert_eq!("2011-01-02".parse(), Ok(Date::new(2011, 1, 2).expect("a date")));
    for text in
        ["", "2011", "2011-01", "2011-1-2", "11-01-02", "2011-01-02-", "2011-01-02 ", "+011-01-02", "2011-02-30"]
    {
        assert_eq!(text.parse::<Date>(), Err(ParseDateError), "{text}");
    }
}

#[test]
fn amounts_of_two_currencies_have_no_sum() {
    let dollar = Money { currency_code: "USD".to_owned(), units: 1, nanos: 0 };
    assert_eq!(euros(1, 0).checked_add(&dollar), None);
}

#[test]
fn a_stream_id_has_a_known_kind_and_a_name() {
    assert_eq!(StreamId::Order("a-b".to_owned()).to_string(), "order-a-b");
    assert_eq!("order-a-b".parse(), Ok(StreamId::Order("a-b".to_owned())));
    assert_eq!("product-x".parse(), Ok(StreamId::Product("x".to_owned())));
    assert_eq!("batch-x".parse(), Ok(StreamId::Batch("x".to_owned())));
    for text in ["", "-", "order", "order-", "orders-1", "Order-1", "-1"] {
        assert_eq!(text.parse::<StreamId>(), Err(ParseStreamIdError), "{text}");
    }
}

#[test]
fn an_own_order_id_is_a_hyphenated_uuid() {
    assert!(is_own_order_id(OWN));
    assert!(is_own_order_id(&OWN.to_uppercase()));
    for other in [
        "",
        "o1",
        "0192f0c17e1b7c118d2e1f2a3b4c5d6e",
        "{0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5d6e}",
        "0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5d6g",
        "0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5d6",
        "0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5d6ee",
        "0192f0c17-e1b-7c11-8d2e-1f2a3b4c5d6e",
        "0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5dé",
    ] {
        assert!(!is_own_order_id(other), "{other}");
    }
}

#[test]
fn an_address_is_never_shown() {
    let (stream, created) = order_created(OWN, [(TABLE, 1)]);
    let command = create_order(OWN, [(TABLE, 1)]);
    assert!(matches!(created, Event::Order(_)));
    let decision = super::scenario::given([TABLE.created("b1", 1)]).when(command.clone()).decision();
    for shown in [format!("{command:?}"), format!("{stream:?} {created:#?}"), format!("{decision:?}")] {
        assert!(shown.contains("PostalAddress(..)"), "{shown}");
        for part in ["Berlin", "10115", "Chausseestr", "DE"] {
            assert!(!shown.contains(part), "{part} in {shown}");
        }
    }
}

#[test]
fn a_refusal_has_a_reason_for_machines_and_a_text_for_people() {
    let rejections = [
        invalid_sku(Sku("NAME")),
        batch_exists("b1"),
        batch_not_found("b1"),
        Rejection::TooManyBatches { sku: "TABLE".to_owned() },
        line_differs("o1", TABLE, 3),
        allocation_not_found("o1", TABLE),
        not_in_order("o1", TABLE),
        order_exists("o1"),
        order_not_found("o1"),
        order_is_cancelled("o1"),
        order_is_shipped("o1"),
        items_not_in_stock("o1", TABLE),
        Rejection::TotalOverflow,
        Rejection::CommandTooLarge,
    ];
    let texts: Vec<String> =
        rejections.iter().map(|rejection| format!("{}: {rejection}", rejection.reason())).collect();
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("rejections", texts.join("\n")) });
}

proptest! {
    #[test]
    fn dates_are_ordered_as_the_calendar_orders_them_and_survive_being_written(
        one in (1..=9999_i32, 1..=12_u32, 1..=28_u32),
        other in (1..=9999_i32, 1..=12_u32, 1..=28_u32),
    ) {
        let date = |(year, month, day)| Date::new(year, month, day).expect("a date");
        prop_assert_eq!(date(one).cmp(&date(other)), one.cmp(&other));
        prop_assert_eq!(date(one).to_string().parse(), Ok(date(one)));
    }
}
