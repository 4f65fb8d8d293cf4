use tally_api::orders::v1::GetOrderRequest;
use tally_receipt::Token;
use tonic::Code;

use crate::system::*;

#[tokio::test]
async fn an_order_is_answered_with_the_position_that_it_holds_as_of() {
    let system = System::start(&[]).await;
    system.apply_order(7, 1).await;
    let answer = system.get_order(None).await.expect("found");
    assert_eq!(answer.order, Some(order(1)));
    let freshness = answer.freshness.expect("freshness");
    assert_eq!((freshness.position, freshness.may_be_stale), (7, false));
    assert_eq!(Token::decode(&freshness.token), Ok(Token { log_id: system.log_id, position: 7 }));
}

#[tokio::test]
async fn an_order_is_found_in_whichever_case_its_id_is_written() {
    let system = System::start(&[]).await;
    system.apply_order(1, 1).await;
    let request = GetOrderRequest { order_id: ORDER_ID.to_uppercase(), read_after: None };
    let answer = system.orders.clone().get_order(request).await.expect("found").into_inner();
    assert_eq!(answer.order, Some(order(1)));
}

#[tokio::test]
async fn an_order_that_is_not_there_is_missing_as_of_a_position() {
    let system = System::start(&[]).await;
    system.apply(tally_read_model::projections::ORDER, 7, &[]).await;
    let told = told(&system.get_order(None).await.expect_err("missing"));
    assert_eq!((told.code, told.reason.as_str()), (Code::NotFound, "ORDER_NOT_FOUND"));
    assert_eq!(pairs(&told), [("position", "7")]);
}

#[tokio::test]
async fn a_view_that_cannot_be_read_says_so_and_the_others_go_on() {
    let system = System::start(&[]).await;
    let other = "0192f0c1-7e1b-7c11-8d2e-000000000000";
    let mut broken = view(other, &order(1));
    broken.now.view = Some(vec![0xff; 3].into());
    system.apply(tally_read_model::projections::ORDER, 1, &[broken, view(ORDER_ID, &order(1))]).await;
    let request = GetOrderRequest { order_id: other.to_owned(), read_after: None };
    let told = told(&system.orders.clone().get_order(request).await.expect_err("broken"));
    assert_eq!((told.code, told.reason.as_str()), (Code::DataLoss, "VIEW_UNREADABLE"));
    assert!(system.get_order(None).await.is_ok());
}
