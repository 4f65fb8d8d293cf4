use std::time::Duration;

use tally_api::allocation::v1::{GetStockRequest, Stock};
use tally_api::consistency::v1::{ReadAfter, StreamVersion, read_after};
use tally_read_model::{ViewChange, projections};
use tonic::Code;

use crate::system::*;
use crate::watches::{SILENT, next_flagged, watch_after};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);

fn stream_at(version: i64) -> ReadAfter {
    asking(read_after::After::StreamVersion(StreamVersion { stream_id: format!("order-{ORDER_ID}"), version }))
}

fn stream_head(version: u64, position: u64) -> ViewChange {
    raw(&format!("order-{ORDER_ID}"), [version.to_be_bytes(), position.to_be_bytes()].concat())
}

#[tokio::test]
async fn a_version_that_is_there_already_is_answered_at_once() {
    let system = System::start(&NO_POLLING).await;
    system.apply_order(9, 3).await;
    system.apply(projections::STREAMS, 9, &[stream_head(3, 8)]).await;
    for version in 1..=3 {
        let answer = soon(system.get_order(within(LONG, stream_at(version)))).await.expect("found");
        assert!(!answer.freshness.expect("freshness").may_be_stale);
    }
}

#[tokio::test]
async fn both_the_streams_and_the_view_are_waited_for() {
    let system = System::start(&[ONE_WAITER, NO_POLLING].concat()).await;
    system.apply_order(5, 2).await;
    let waiting = system.one_that_waits(within(LONG, stream_at(3))).await;
    // Others' events first: the position that the version will have isn't known.
    system.apply(projections::STREAMS, 6, &[]).await;
    system.apply(projections::STREAMS, 9, &[stream_head(3, 8)]).await;
    system.apply_order(7, 2).await;
    system.apply_order(8, 3).await;
    let answer = soon(waiting).await.expect("found");
    assert_eq!(answer.order, Some(order(3)));
    assert!(!answer.freshness.expect("freshness").may_be_stale);
}

#[tokio::test]
async fn a_version_that_never_comes_is_answered_with_what_there_is() {
    let system = System::start(&[]).await;
    system.apply_order(9, 2).await;
    system.apply(projections::STREAMS, 9, &[stream_head(2, 8)]).await;
    let answer = system.get_order(within(SHORT, stream_at(3))).await.expect("found");
    assert_eq!(answer.order, Some(order(2)));
    let freshness = answer.freshness.expect("freshness");
    assert_eq!((freshness.position, freshness.may_be_stale), (9, true));
}

#[tokio::test]
async fn a_watch_from_before_the_version_says_so_until_it_has_seen_it() {
    let system = System::start(&SILENT).await;
    system.apply_order(2, 2).await;
    system.apply(projections::STREAMS, 2, &[stream_head(2, 2)]).await;
    let mut stream = watch_after(&system, Some(within(SHORT, stream_at(4)))).await.expect("a stream");
    assert_eq!(next_flagged(&mut stream).await, (2, true));
    system.apply(projections::STREAMS, 4, &[stream_head(4, 4)]).await;
    system.apply_order(3, 3).await;
    assert_eq!(next_flagged(&mut stream).await, (3, true));
    // The stream has moved on, and the version that was asked for is still where it was.
    system.apply(projections::STREAMS, 9, &[stream_head(9, 9)]).await;
    system.apply_order(4, 4).await;
    assert_eq!(next_flagged(&mut stream).await, (4, false));
}

#[tokio::test]
async fn a_failure_names_the_stream_or_the_position_that_is_missing() {
    let system = System::start(&[]).await;
    system.apply_order(5, 2).await;
    system.apply(projections::STREAMS, 9, &[stream_head(3, 8)]).await;
    let fails = async |version| {
        let status = system.get_order(or_fail(within(SHORT, stream_at(version)))).await.expect_err("too old");
        let told = told(&status);
        assert_eq!((told.code, told.reason.as_str()), (Code::Unavailable, "NOT_YET_VISIBLE"));
        pairs(&told).into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
    };
    let stream = format!("wanted_stream_id=order-{ORDER_ID}");
    assert_eq!(fails(4).await, ["position=9", "projection=streams", &stream, "wanted_version=4"]);
    assert_eq!(fails(3).await, ["position=5", "projection=order", "wanted=8"]);
}

#[tokio::test]
async fn one_timeout_covers_both_waits() {
    let system = System::start(&[]).await;
    let timeout = Duration::from_millis(400);
    let begun = std::time::Instant::now();
    system.get_order(within(timeout, stream_at(1))).await.expect_err("missing");
    assert!(begun.elapsed() < timeout * 2, "{:?}", begun.elapsed());
}

/// The streams projection knows of nothing: who waited for it would wait in vain.
#[tokio::test]
async fn a_view_that_has_the_version_itself_is_answered_whatever_else_is_still_to_come() {
    let system = System::start(&NO_POLLING).await;
    system.apply_order(9, 3).await;
    let answer = soon(system.get_order(or_fail(stream_at(3)))).await.expect("it is there");
    assert_eq!(answer.order, Some(order(3)));
    let told = told(&system.get_order(or_fail(within(SHORT, stream_at(4)))).await.expect_err("not yet"));
    assert_eq!(told.reason, "VIEWS_RECOVERING");
}

/// And a watch begins with it.
#[tokio::test]
async fn a_watch_of_a_view_that_has_the_version_itself_begins_whatever_else_is_still_to_come() {
    let system = System::start(&SILENT).await;
    system.apply_order(9, 3).await;
    let mut stream = soon(watch_after(&system, Some(or_fail(stream_at(3))))).await.expect("a stream");
    assert_eq!(next_flagged(&mut stream).await, (3, false));
}

/// And so is a product's stock.
#[tokio::test]
async fn stock_that_has_its_products_version_is_answered_whatever_else_is_still_to_come() {
    let system = System::start(&NO_POLLING).await;
    let stock = Stock { sku: "LAMP".to_owned(), version: 3, ..Stock::default() };
    system.apply(projections::STOCK, 9, &[view("LAMP", &stock)]).await;
    let asked = async |version| {
        let stream = StreamVersion { stream_id: "product-LAMP".to_owned(), version };
        let read_after = or_fail(within(SHORT, asking(read_after::After::StreamVersion(stream))));
        let request = GetStockRequest { sku: "LAMP".to_owned(), read_after: Some(read_after) };
        system.allocation.clone().get_stock(request).await
    };
    let answer = soon(asked(3)).await.expect("it is there").into_inner();
    assert_eq!(answer.stock, Some(stock.clone()));
    let told = told(&asked(4).await.expect_err("not yet"));
    assert_eq!(told.reason, "VIEWS_RECOVERING");
}

/// What was written to the same streams in between.
#[tokio::test]
async fn a_view_that_reaches_the_version_during_the_wait_is_answered_though_the_streams_stand_still() {
    let system = System::start(&[ONE_WAITER, NO_POLLING].concat()).await;
    system.apply_order(5, 2).await;
    system.apply(projections::STREAMS, 5, &[stream_head(2, 5)]).await;
    let waiting = system.one_that_waits(or_fail(within(LONG, stream_at(3)))).await;
    system.apply_order(7, 2).await;
    system.apply_order(8, 3).await;
    let answer = soon(waiting).await.expect("it is there");
    assert_eq!(answer.order, Some(order(3)));
    let freshness = answer.freshness.expect("freshness");
    assert_eq!((freshness.position, freshness.may_be_stale), (8, false));
}

/// Of an order that is kept elsewhere there is a stream and no view: that there is none can be waited for.
#[tokio::test]
async fn a_version_of_a_stream_without_a_view_is_waited_for_with_the_streams() {
    let system = System::start(&[ONE_WAITER, NO_POLLING].concat()).await;
    system.apply(projections::ORDER, 5, &[]).await;
    system.apply(projections::STREAMS, 5, &[]).await;
    let waiting = system.one_that_waits(or_fail(within(LONG, stream_at(1)))).await;
    system.apply(projections::STREAMS, 7, &[stream_head(1, 6)]).await;
    system.apply(projections::ORDER, 7, &[]).await;
    let missing = told(&soon(waiting).await.expect_err("there is none"));
    assert_eq!(missing.code, Code::NotFound);
    assert_eq!(pairs(&missing), [("position", "7")]);
}
