use std::time::{Duration, Instant};

use tally_api::consistency::v1::read_after;
use tally_api::orders::v1::{GetOrderRequest, ListOrdersRequest};
use tally_read_model::{bucket_of_view, projections};
use tally_receipt::Token;
use tonic::{Code, Request, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use uuid::Uuid;

use crate::system::*;

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn what_is_there_already_is_answered_at_once() {
    let system = System::start(&NO_POLLING).await;
    system.apply_order(7, 1).await;
    for read_after in [system.token(7), system.token(1), position(7), position(0)] {
        let answer = soon(system.get_order(within(LONG, read_after))).await.expect("found");
        assert!(!answer.freshness.expect("freshness").may_be_stale);
    }
}

#[tokio::test]
async fn a_read_waits_for_its_token() {
    let system = System::start(&ONE_WAITER).await;
    system.apply_order(6, 1).await;
    let waiting = system.one_that_waits(within(LONG, system.token(7))).await;
    system.apply_order(7, 2).await;
    let answer = soon(waiting).await.expect("found");
    assert_eq!(answer.order, Some(order(2)));
    let freshness = answer.freshness.expect("freshness");
    assert_eq!((freshness.position, freshness.may_be_stale), (7, false));
}

#[tokio::test]
async fn the_token_of_an_answer_can_be_waited_for_too() {
    let system = System::start(&[]).await.begun().await;
    system.apply_order(7, 1).await;
    let freshness = system.get_order(None).await.expect("found").freshness.expect("freshness");
    // Another projection is further back than the one that answered.
    let request = ListOrdersRequest {
        customer_id: "c1".to_owned(),
        read_after: Some(within(SHORT, asking(read_after::After::Token(freshness.token)))),
        ..Default::default()
    };
    let answer = system.orders.clone().list_orders(request).await.expect("an answer").into_inner();
    assert!(answer.freshness.expect("freshness").may_be_stale);
}

#[tokio::test]
async fn after_the_wait_there_is_what_there_is_and_it_says_so() {
    let system = System::start(&[]).await;
    system.apply_order(6, 1).await;
    let begun = Instant::now();
    let answer = system.get_order(within(SHORT, system.token(7))).await.expect("found");
    assert!(begun.elapsed() >= SHORT, "{:?}", begun.elapsed());
    assert_eq!(answer.order, Some(order(1)));
    let freshness = answer.freshness.expect("freshness");
    assert_eq!((freshness.position, freshness.may_be_stale), (6, true));
    // Its token is of what was seen, not of what was asked for.
    assert_eq!(Token::decode(&freshness.token).expect("a token").position, 6);
}

#[tokio::test]
async fn after_the_wait_what_is_not_there_may_yet_come() {
    let system = System::start(&[]).await;
    system.apply(projections::ORDER, 6, &[]).await;
    let told = told(&system.get_order(within(SHORT, system.token(7))).await.expect_err("missing"));
    assert_eq!(told.code, Code::NotFound);
    assert_eq!(pairs(&told), [("may_be_stale", "true"), ("position", "6")]);
}

#[tokio::test]
async fn after_the_wait_it_fails_if_so_asked() {
    let system = System::start(&[]).await;
    system.apply_order(6, 1).await;
    let told = told(&system.get_order(or_fail(within(SHORT, system.token(7)))).await.expect_err("too old"));
    assert_eq!((told.code, told.reason.as_str()), (Code::Unavailable, "NOT_YET_VISIBLE"));
    assert_eq!(pairs(&told), [("position", "6"), ("projection", "order"), ("wanted", "7")]);
    assert!(told.retry.is_some());
}

#[tokio::test]
async fn a_read_that_may_fail_succeeds_when_the_projection_gets_there() {
    let system = System::start(&ONE_WAITER).await;
    let waiting = system.one_that_waits(or_fail(within(LONG, system.token(7)))).await;
    system.apply_order(7, 1).await;
    assert!(!soon(waiting).await.expect("found").freshness.expect("freshness").may_be_stale);
}

#[tokio::test]
async fn the_answer_comes_before_the_callers_deadline() {
    let system = System::start(&[]).await;
    system.apply_order(6, 1).await;
    let deadline = Duration::from_secs(1);
    let call = async || {
        let read_after = Some(within(LONG, system.token(7)));
        let mut request = Request::new(GetOrderRequest { order_id: ORDER_ID.to_owned(), read_after });
        request.set_timeout(deadline);
        let begun = Instant::now();
        let answer = system.orders.clone().get_order(request).await?.into_inner();
        assert!(begun.elapsed() >= deadline / 2, "it gave up after {:?}", begun.elapsed());
        Ok::<_, Status>(answer)
    };
    let answer = in_one_of_three(call).await.expect("an answer in time");
    assert!(answer.freshness.expect("freshness").may_be_stale);
}

#[tokio::test]
async fn views_that_are_lost_and_made_again_during_the_wait_are_waited_for() {
    let system = System::start(&[ONE_WAITER, NO_POLLING].concat()).await;
    system.apply_order(6, 1).await;
    let waiting = system.one_that_waits(within(LONG, system.token(7))).await;
    system.lose_orders(5).await;
    system.apply(projections::ORDER, 3, &[]).await;
    system.apply_order(7, 2).await;
    let answer = soon(waiting).await.expect("found");
    assert_eq!(answer.order, Some(order(2)));
    assert!(!answer.freshness.expect("freshness").may_be_stale);
}

#[tokio::test]
async fn until_lost_views_are_made_again_nobody_is_answered_from_them() {
    let system = System::start(&[]).await;
    system.apply_order(7, 1).await;
    assert!(system.get_order(system.token(7)).await.is_ok());
    system.lose_orders(7).await;
    system.apply_order(6, 1).await;
    for asked in [None, Some(within(SHORT, system.token(6))), Some(or_fail(within(SHORT, system.token(7))))] {
        let told = told(&system.get_order(asked).await.expect_err("not all there"));
        assert_eq!((told.code, told.reason.as_str()), (Code::Unavailable, "VIEWS_RECOVERING"));
        assert!(told.retry.is_some());
    }
    system.apply_order(7, 1).await;
    assert!(!system.get_order(None).await.expect("there").freshness.expect("freshness").may_be_stale);
}

#[tokio::test]
async fn an_order_whose_view_redis_has_evicted_is_not_said_not_to_be_there() {
    let (log, url) = (tally_servers::unique_log_name(), tally_servers::test_redis().await.url());
    let system = System::with_log(&log, &url, &url, &PATIENT).await;
    system.apply_order(7, 1).await;
    assert!(system.get_order(None).await.is_ok());
    let bucket = format!("tally:{log}:{{{log}:r0}}:order:1:views:{}", bucket_of_view(ORDER_ID));
    let mut redis = redis::Client::open(url).expect("a URL").get_multiplexed_async_connection().await.expect("a Redis");
    let removed: u64 = redis::cmd("DEL").arg(bucket).query_async(&mut redis).await.expect("removed");
    assert_eq!(removed, 1);
    let told = told(&system.get_order(None).await.expect_err("it is lost"));
    assert_eq!((told.code, told.reason.as_str()), (Code::Unavailable, "VIEWS_RECOVERING"));
    assert!(told.retry.is_some());
}

#[tokio::test]
async fn another_number_of_shards_than_the_stored_one_is_refused_at_the_start() {
    let (log, url) = (tally_servers::unique_log_name(), tally_servers::test_redis().await.url());
    let system = System::with_log(&log, &url, &url, &PATIENT).await;
    system.writer.claim().await.expect("nothing is said yet");
    let refused = System::build(&log, &url, &["--read-shards=4"]).await.err().expect("refused").to_string();
    assert!(refused.contains("1 read shards") && refused.contains("READ_SHARDS is 4"), "{refused}");
    assert!(System::build(&log, &url, &["--read-shards=1"]).await.is_ok());
}

#[tokio::test]
async fn one_that_runs_while_the_read_model_is_divided_anew_answers_nothing_any_more() {
    let (log, url) = (tally_servers::unique_log_name(), tally_servers::test_redis().await.url());
    let system = System::with_log(&log, &url, &url, &PATIENT).await;
    system.writer.claim().await.expect("nothing is said yet");
    system.apply_order(7, 1).await;
    assert!(system.get_order(None).await.is_ok());
    let key = format!("tally:{log}:{{{log}:r0}}:read_shards");
    let mut redis = redis::Client::open(url).expect("a URL").get_multiplexed_async_connection().await.expect("a Redis");
    redis::cmd("SET").arg(key).arg(4).exec_async(&mut redis).await.expect("set");
    let refused = async {
        loop {
            if let Err(status) = system.get_order(None).await {
                return told(&status).code;
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(soon(refused).await, Code::Unavailable);
    system.becomes("", ServingStatus::NotServing).await;
    assert!(system.get_order(None).await.is_err());
}

#[tokio::test]
async fn who_was_answered_from_a_later_position_is_told_when_an_answer_is_from_before() {
    let system = System::start(&[]).await;
    system.apply_order(7, 2).await;
    assert!(!system.get_order(None).await.expect("there").freshness.expect("freshness").may_be_stale);
    // As after a failover to a replica that lagged.
    system.go_back(5).await;
    let freshness = system.get_order(None).await.expect("there").freshness.expect("freshness");
    assert_eq!((freshness.position, freshness.may_be_stale), (5, true));
    system.apply_order(7, 2).await;
    assert!(!system.get_order(None).await.expect("there").freshness.expect("freshness").may_be_stale);
}

#[tokio::test]
async fn a_view_that_lacks_an_event_says_so_and_fails_where_that_was_asked_for() {
    let system = System::start(&[]).await;
    let mut marked = view(ORDER_ID, &order(1));
    marked.now.parked = Some(4);
    system.apply(projections::ORDER, 9, &[marked]).await;
    let freshness = system.get_order(None).await.expect("there").freshness.expect("freshness");
    assert_eq!((freshness.position, freshness.may_be_stale, freshness.parked_position), (9, true, 4));
    assert!(system.get_order(or_fail(system.token(3))).await.is_ok(), "the event is not asked for");
    let told = told(&system.get_order(or_fail(system.token(4))).await.expect_err("it lacks the event"));
    assert_eq!((told.code, told.reason.as_str()), (Code::Unavailable, "VIEW_INCOMPLETE"));
    assert_eq!(pairs(&told), [("parked_position", "4"), ("projection", "order")]);
}

#[tokio::test]
async fn an_order_whose_first_event_is_parked_is_not_said_to_be_missing() {
    let system = System::start(&[]).await;
    let mut marked = view(ORDER_ID, &order(1));
    marked.now = tally_read_model::StoredView { view: None, parked: Some(4) };
    system.apply(projections::ORDER, 9, &[marked]).await;
    let told = told(&system.get_order(None).await.expect_err("there is nothing to answer"));
    assert_eq!((told.code, told.reason.as_str()), (Code::Unavailable, "VIEW_INCOMPLETE"));
}

#[tokio::test]
async fn where_nobody_has_projected_yet_nothing_is_said_to_be_missing() {
    let system = System::start(&[]).await;
    let told = told(&system.get_order(None).await.expect_err("nothing is known"));
    assert_eq!((told.code, told.reason.as_str()), (Code::Unavailable, "VIEWS_RECOVERING"));
}

#[tokio::test]
async fn an_empty_read_model_is_empty_as_of_position_0() {
    let system = System::start(&[]).await;
    system.begin().await;
    let missing = told(&system.get_order(None).await.expect_err("missing"));
    assert_eq!(missing.code, Code::NotFound);
    assert_eq!(pairs(&missing), [("position", "0")]);

    let request = ListOrdersRequest { customer_id: "c1".to_owned(), ..Default::default() };
    let answer = system.orders.clone().list_orders(request).await.expect("empty").into_inner();
    assert!(answer.orders.is_empty() && answer.next_page_token.is_empty());
    let freshness = answer.freshness.expect("freshness");
    assert_eq!((freshness.position, freshness.may_be_stale), (0, false));

    // With a token there is something to wait for.
    let missing = told(&system.get_order(within(SHORT, system.token(1))).await.expect_err("missing"));
    assert_eq!(pairs(&missing), [("may_be_stale", "true"), ("position", "0")]);

    // And the token of that empty answer is good for whichever log comes.
    system.apply_order(1, 1).await;
    let read_after = within(LONG, asking(read_after::After::Token(freshness.token)));
    assert!(!system.get_order(read_after).await.expect("found").freshness.expect("freshness").may_be_stale);
}

#[tokio::test]
async fn a_wait_that_began_before_there_was_anything_ends_when_it_comes() {
    let system = System::start(&ONE_WAITER).await;
    let waiting = system.one_that_waits(within(LONG, system.token(1))).await;
    system.apply_order(1, 1).await;
    assert!(!soon(waiting).await.expect("found").freshness.expect("freshness").may_be_stale);
}

#[tokio::test]
async fn a_token_of_another_log_is_refused() {
    let system = System::start(&ONE_WAITER).await;
    let of_another_log = || asking(read_after::After::Token(Token { log_id: Uuid::new_v4(), position: 1 }.encode()));
    // Which log it is isn't known yet: this is found out when it is.
    let waiting = system.one_that_waits(within(LONG, of_another_log())).await;
    system.apply_order(1, 1).await;
    for status in
        [soon(waiting).await.expect_err("refused"), system.get_order(of_another_log()).await.expect_err("refused")]
    {
        let told = told(&status);
        assert_eq!((told.code, told.reason.as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
        assert_eq!(told.fields, ["read_after.token"]);
    }
}
