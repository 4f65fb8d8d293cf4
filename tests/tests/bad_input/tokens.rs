//! Tokens that were handed out, and given back where they don't belong.

use std::time::Duration;

use prost_reflect::prost::Message;
use system_tests::Tally;
use system_tests::client::{Error, NewOrder, OrderFilter, ReadAfter, TallyClient};
use tally_api::allocation::v1::GetStockRequest;
use tally_api::consistency::v1 as consistency;
use tonic::Code;

use super::wire::{call, methods};

fn names(error: &Error, field: &str) {
    assert!(error.is(Code::InvalidArgument, "INVALID_FIELDS"), "{error:?}");
    assert_eq!(error.bad_fields(), [field], "{error:?}");
}

#[tokio::test]
async fn a_token_of_another_log_is_refused() {
    let (tally, other) = tokio::join!(Tally::start(), Tally::start());
    tally.stocked("b1", "LAMP", 10).await;
    let order = tally.client().create_order(&NewOrder::of("c-1", &[("LAMP", 1)])).await.unwrap();
    tally.client().get_stock("LAMP", &order.seen()).await.unwrap();
    let foreign = other.client().create_batch("b1", "LAMP", 10, None).await.unwrap().seen();

    let client = tally.client();
    let filter = OrderFilter { customer_id: "c-1".to_owned(), ..OrderFilter::default() };
    let refusals = [
        client.get_stock("LAMP", &foreign).await.unwrap_err(),
        client.get_order(&order.order_id, &foreign).await.unwrap_err(),
        client.get_allocations(&order.order_id, &foreign).await.unwrap_err(),
        client.list_orders(&filter, &foreign).await.unwrap_err(),
    ];
    for error in refusals {
        names(&error, "read_after.token");
    }
}

#[tokio::test]
async fn a_damaged_token_is_refused() {
    let tally = Tally::start().await;
    let client = tally.client();
    let written = client.create_batch("b1", "LAMP", 10, None).await.unwrap();
    let token = &written.receipt().token;
    for index in 0..token.len() {
        let mut damaged = token.clone().into_bytes();
        damaged[index] = if damaged[index] == b'A' { b'B' } else { b'A' };
        let damaged = String::from_utf8(damaged).unwrap();
        // The last character has bits that mean nothing: a text that isn't the one handed out is refused all the same.
        names(&client.get_stock("LAMP", &ReadAfter::token(&damaged)).await.unwrap_err(), "read_after.token");
    }
    for damaged in [
        &token[1..],
        &token[..token.len() - 1],
        &format!("{token}A"),
        &format!("{token}="),
        &format!(" {token}"),
        &token.repeat(2),
    ] {
        names(&client.get_stock("LAMP", &ReadAfter::token(damaged)).await.unwrap_err(), "read_after.token");
    }
}

#[tokio::test]
async fn a_page_token_of_another_list_is_refused() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 10).await;
    for customer in ["c-1", "c-1", "c-2", "c-2"] {
        client.create_order(&NewOrder::of(customer, &[("LAMP", 1)])).await.unwrap();
    }
    let last = client.create_order(&NewOrder::of("c-1", &[("LAMP", 1)])).await.unwrap();
    let filter = |customer: &str, status: &str| OrderFilter {
        customer_id: customer.to_owned(),
        status: status.to_owned(),
        page_size: 1,
        page_token: String::new(),
    };
    let lists = [("c-1", ""), ("c-2", ""), ("", "ORDER_STATUS_OPEN"), ("c-1", "ORDER_STATUS_OPEN")];
    for (customer, status) in lists {
        let page = client.list_orders(&filter(customer, status), &last.seen()).await.unwrap();
        assert_ne!(page.next_page_token, "");
        for (other_customer, other_status) in lists.into_iter().filter(|other| *other != (customer, status)) {
            let elsewhere =
                OrderFilter { page_token: page.next_page_token.clone(), ..filter(other_customer, other_status) };
            names(&client.list_orders(&elsewhere, &ReadAfter::nothing()).await.unwrap_err(), "page_token");
        }
        // A receipt's token is none of a page.
        let receipt = OrderFilter { page_token: last.receipt().token.clone(), ..filter(customer, status) };
        names(&client.list_orders(&receipt, &ReadAfter::nothing()).await.unwrap_err(), "page_token");
        // And one of a page is none of a receipt.
        let page_token = ReadAfter::token(&page.next_page_token);
        names(&client.list_orders(&filter(customer, status), &page_token).await.unwrap_err(), "read_after.token");
    }
}

#[tokio::test]
async fn a_time_out_that_is_no_duration_is_refused() {
    let tally = Tally::start().await;
    tally.stocked("b1", "LAMP", 10).await;
    let channel = tally.query.channel();
    let get_stock = methods().into_iter().find(|method| method.name() == "GetStock").unwrap();
    for (seconds, nanos) in [
        (1, -1),
        (-1, 1),
        (0, 0),
        (0, -1),
        (1, 1_000_000_000),
        (1, i32::MAX),
        (i64::MAX, 0),
        (i64::MIN, i32::MIN),
        (60, 1),
    ] {
        let timeout = Some(prost_types::Duration { seconds, nanos });
        let read_after = Some(consistency::ReadAfter { timeout, ..Default::default() });
        let request = GetStockRequest { sku: "LAMP".to_owned(), read_after };
        let error = call(&channel, &get_stock, request.encode_to_vec())
            .await
            .expect_err(&format!("{seconds} s and {nanos} ns"));
        names(&error, "read_after.timeout");
    }
}

#[tokio::test]
async fn a_position_that_is_far_away_is_waited_for_and_no_longer() {
    let tally = Tally::start().await;
    let client = tally.client();
    let written = client.create_batch("b1", "LAMP", 10, None).await.unwrap();
    client.get_stock("LAMP", &written.seen()).await.unwrap();
    let far = [
        ReadAfter::position(i64::MAX),
        ReadAfter::stream_version("product-LAMP", i64::MAX),
        ReadAfter::stream_version("product-ABSENT", 1),
        ReadAfter::stream_version("order-ABSENT", 1),
    ];
    for wait in far {
        let stock = client.get_stock("LAMP", &wait.at_most(Duration::from_millis(50))).await.unwrap();
        assert!(stock.freshness.may_be_stale);
    }
}
