use tally_api::orders::v1::{GetOrderHistoryRequest, GetOrderHistoryResponse, OrderChange};
use tally_read_model::projections;
use tonic::Code;

use crate::system::*;

fn history(changes: impl IntoIterator<Item = i64>) -> GetOrderHistoryResponse {
    let change = |position| OrderChange { position, event_type: "Allocated".to_owned(), ..Default::default() };
    GetOrderHistoryResponse {
        changes: changes.into_iter().map(change).collect(),
        omitted_count: 3,
        ..Default::default()
    }
}

fn asked(page_size: i32, page_token: &str) -> GetOrderHistoryRequest {
    GetOrderHistoryRequest {
        order_id: ORDER_ID.to_uppercase(),
        page_size,
        page_token: page_token.to_owned(),
        read_after: None,
    }
}

async fn ask(system: &System, request: GetOrderHistoryRequest) -> Result<GetOrderHistoryResponse, tonic::Status> {
    system.orders.clone().get_order_history(request).await.map(tonic::Response::into_inner)
}

fn positions(page: &GetOrderHistoryResponse) -> Vec<i64> {
    page.changes.iter().map(|change| change.position).collect()
}

#[tokio::test]
async fn a_history_is_read_the_oldest_first_in_pages_while_it_grows() {
    let system = System::start(&[]).await;
    let positions_before: Vec<i64> = (1..=120).map(|number| number * 10).collect();
    let before = history(positions_before.clone());
    system.apply(projections::ORDER_HISTORY, 1_200, &[view(ORDER_ID, &before)]).await;

    let first = ask(&system, asked(0, "")).await.expect("a page");
    assert_eq!(positions(&first), positions_before[..50], "50 unless told");
    assert_eq!((first.omitted_count, first.freshness.expect("freshness").position), (3, 1_200));
    let second = ask(&system, asked(60, &first.next_page_token)).await.expect("a page");
    assert_eq!(positions(&second), positions_before[50..110]);

    let grown = history(positions_before.iter().copied().chain([1_300]));
    system.apply(projections::ORDER_HISTORY, 1_300, &[view(ORDER_ID, &grown)]).await;
    let last = ask(&system, asked(11, &second.next_page_token)).await.expect("a page");
    assert_eq!(positions(&last), [&positions_before[110..], &[1_300]].concat());
    assert_eq!(last.next_page_token, "", "a full last page");
}

#[tokio::test]
async fn the_history_of_an_order_that_is_not_there_is_missing_as_of_a_position() {
    let system = System::start(&[]).await;
    system.apply(projections::ORDER_HISTORY, 7, &[]).await;
    let told = told(&ask(&system, asked(0, "")).await.expect_err("missing"));
    assert_eq!((told.code, told.reason.as_str()), (Code::NotFound, "ORDER_NOT_FOUND"));
    assert_eq!(pairs(&told), [("position", "7")]);
}

#[tokio::test]
async fn a_page_token_of_another_order_is_refused() {
    let system = System::start(&[]).await;
    system.apply(projections::ORDER_HISTORY, 20, &[view(ORDER_ID, &history([10, 20]))]).await;
    let page_token = ask(&system, asked(1, "")).await.expect("a page").next_page_token;
    let other = "0192f0c1-7e1b-7c11-8d2e-000000000000".to_owned();
    let request = GetOrderHistoryRequest { order_id: other, ..asked(1, &page_token) };
    let told = told(&ask(&system, request).await.expect_err("refused"));
    assert_eq!((told.code, told.fields), (Code::InvalidArgument, vec!["page_token".to_owned()]));
}

#[tokio::test]
async fn a_history_is_waited_for_as_a_view_is() {
    let system = System::start(&[]).await;
    let request = GetOrderHistoryRequest { read_after: Some(within(SOON * 2, system.token(3))), ..asked(0, "") };
    let changes = [view(ORDER_ID, &history([3]))];
    let projector = system.apply(projections::ORDER_HISTORY, 3, &changes);
    let (page, ()) = soon(async { tokio::join!(ask(&system, request), projector) }).await;
    assert_eq!(positions(&page.expect("a page")), [3]);
}
