use tally_api::allocation::v1::{GetAllocationsRequest, GetStockRequest};
use tally_api::consistency::v1::ReadAfter;
use tally_api::orders::v1::{GetOrderRequest, ListOrdersRequest};
use tonic::{Code, Response, Status};

use crate::system::*;

fn refused<T>(answer: Result<Response<T>, Status>) -> Vec<String> {
    let Err(status) = answer else { panic!("it was answered") };
    let told = told(&status);
    assert_eq!((told.code, told.reason.as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
    told.fields
}

fn bad_read_after() -> Option<ReadAfter> {
    Some(ReadAfter { timeout: Some(prost_types::Duration { seconds: -1, nanos: 0 }), on_timeout: 9, ..position(-1) })
}

const BAD_READ_AFTER: [&str; 3] = ["read_after.position", "read_after.timeout", "read_after.on_timeout"];

#[tokio::test]
async fn every_bad_field_of_every_query_is_named_at_once() {
    let system = System::start(&[]).await;
    let (mut orders, mut allocation) = (system.orders.clone(), system.allocation.clone());
    let too_long = "x".repeat(129);

    for order_id in ["", "o1", "0192f0c17e1b7c118d2e1f2a3b4c5d6e", "a\0b", &too_long] {
        let request = GetOrderRequest { order_id: order_id.to_owned(), read_after: bad_read_after() };
        assert_eq!(refused(orders.get_order(request).await), [&["order_id"][..], &BAD_READ_AFTER].concat());
    }
    for id in ["", " o1", "a\nb", "a\0b", &too_long] {
        let request = GetAllocationsRequest { order_id: id.to_owned(), read_after: bad_read_after() };
        assert_eq!(refused(allocation.get_allocations(request).await), [&["order_id"][..], &BAD_READ_AFTER].concat());
        let request = GetStockRequest { sku: id.to_owned(), read_after: bad_read_after() };
        assert_eq!(refused(allocation.get_stock(request).await), [&["sku"][..], &BAD_READ_AFTER].concat());
    }
    for customer_id in ["a\0b", " c1", &too_long] {
        let request = ListOrdersRequest {
            customer_id: customer_id.to_owned(),
            status: 9,
            page_size: -1,
            page_token: "nonsense".to_owned(),
            read_after: bad_read_after(),
        };
        let expected = [&["customer_id", "status", "page_size", "page_token"][..], &BAD_READ_AFTER].concat();
        assert_eq!(refused(orders.list_orders(request).await), expected);
    }
}

#[tokio::test]
async fn a_list_needs_a_customer_or_a_status() {
    let system = System::start(&[]).await;
    assert_eq!(refused(system.orders.clone().list_orders(ListOrdersRequest::default()).await), ["customer_id"]);
}

#[tokio::test]
async fn bad_input_is_told_even_while_the_store_is_away() {
    let system = System::on("redis://127.0.0.1:1/", &[]).await;
    assert_eq!(refused(system.orders.clone().list_orders(ListOrdersRequest::default()).await), ["customer_id"]);
}
