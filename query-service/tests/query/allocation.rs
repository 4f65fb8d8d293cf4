use tally_api::allocation::v1::{
    Allocation, Batch, GetAllocationsRequest, GetAllocationsResponse, GetStockRequest, Stock,
};
use tally_read_model::{StoredView, ViewChange, projections};
use tonic::Code;

use crate::system::*;

fn allocations_of(order_id: &str) -> GetAllocationsRequest {
    GetAllocationsRequest { order_id: order_id.to_owned(), read_after: None }
}

fn row() -> GetAllocationsResponse {
    let row = Allocation { sku: "SMALL-TABLE".to_owned(), batch_ref: "B-1".to_owned(), quantity: 3 };
    GetAllocationsResponse { allocations: vec![row], freshness: None }
}

#[tokio::test]
async fn what_is_allocated_to_an_order_is_answered_with_its_freshness() {
    let system = System::start(&[]).await;
    system.apply(projections::ALLOCATIONS, 9, &[view("o1", &row())]).await;
    let answer = system.allocation.clone().get_allocations(allocations_of("o1")).await.expect("found").into_inner();
    assert_eq!(answer.allocations, row().allocations);
    assert_eq!(answer.freshness.expect("freshness").position, 9);
}

#[tokio::test]
async fn an_order_id_that_is_a_uuid_is_found_in_either_case_and_any_other_only_as_it_is_written() {
    let system = System::start(&[]).await;
    system.apply(projections::ALLOCATIONS, 1, &[view(ORDER_ID, &row()), view("O1", &row())]).await;
    let mut client = system.allocation.clone();
    assert!(client.get_allocations(allocations_of(&ORDER_ID.to_uppercase())).await.is_ok());
    assert!(client.get_allocations(allocations_of("O1")).await.is_ok());
    assert_eq!(client.get_allocations(allocations_of("o1")).await.expect_err("missing").code(), Code::NotFound);
}

#[tokio::test]
async fn an_order_with_no_allocations_any_more_is_missing_as_of_a_position() {
    let system = System::start(&[]).await;
    system.apply(projections::ALLOCATIONS, 1, &[view("o1", &row())]).await;
    system.apply(projections::ALLOCATIONS, 2, &[ViewChange { now: StoredView::default(), ..view("o1", &row()) }]).await;
    let told = told(&system.allocation.clone().get_allocations(allocations_of("o1")).await.expect_err("missing"));
    assert_eq!((told.code, told.reason.as_str()), (Code::NotFound, "ALLOCATIONS_NOT_FOUND"));
    assert_eq!(pairs(&told), [("position", "2")]);
}

#[tokio::test]
async fn stock_is_answered_or_missing_as_of_a_position() {
    let system = System::start(&[]).await;
    let batch = Batch { batch_ref: "B-1".to_owned(), quantity: 5, available: 5, ..Default::default() };
    let stock = Stock { sku: "SMALL-TABLE".to_owned(), batches: vec![batch], available_now: 5, ..Default::default() };
    system.apply(projections::STOCK, 4, &[view("SMALL-TABLE", &stock)]).await;
    let stock_of = |sku: &str| GetStockRequest { sku: sku.to_owned(), read_after: Some(system.token(4)) };

    let answer = system.allocation.clone().get_stock(stock_of("SMALL-TABLE")).await.expect("found").into_inner();
    assert_eq!(answer.stock, Some(stock));
    assert_eq!(answer.freshness.expect("freshness").position, 4);

    let told = told(&system.allocation.clone().get_stock(stock_of("LARGE-TABLE")).await.expect_err("missing"));
    assert_eq!((told.code, told.reason.as_str()), (Code::NotFound, "STOCK_NOT_FOUND"));
    assert_eq!(pairs(&told), [("position", "4")]);
}
