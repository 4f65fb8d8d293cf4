//! Story 6: a query that names a write shows it, or says that it doesn't.

use std::time::{Duration, Instant};

use system_tests::client::{NewOrder, OrderFilter, ReadAfter, TallyClient};
use system_tests::{Tally, eventually};
use tonic::Code;

/// Short enough to wait for, long enough to be told from at once.
const SHORT: Duration = Duration::from_millis(300);
/// What an answer may take beyond the time it was given, on a busy machine.
const SLACK: Duration = Duration::from_secs(5);
/// Lines that one command moves.
const LINES: i32 = 60;
/// Never waited for to its end.
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn story_6_while_the_projector_is_stopped_a_query_says_that_it_may_be_stale() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 100).await;
    let before = client.allocate("o1", "LAMP", 1).await.unwrap();
    client.get_stock("LAMP", &before.seen()).await.unwrap();
    tally.projector.stop().await;
    let written = client.allocate("o2", "LAMP", 2).await.unwrap();
    let receipt = written.receipt();

    let waits = [
        ReadAfter::token(&receipt.token),
        ReadAfter::position(receipt.position),
        ReadAfter::stream_version(&receipt.stream_id, receipt.stream_version),
    ];
    for wait in &waits {
        let began = Instant::now();
        let stock = client.get_stock("LAMP", &wait.clone().at_most(SHORT)).await.unwrap();
        let took = began.elapsed();
        assert!((SHORT..SHORT + SLACK).contains(&took), "{wait:?} took {took:?}");
        assert!(stock.freshness.may_be_stale, "{wait:?}: {stock:?}");
        assert_eq!((stock.freshness.position, stock.allocated), (before.receipt().position, 1));

        let failed = client.get_stock("LAMP", &wait.clone().at_most(SHORT).or_fail()).await.unwrap_err();
        assert!(failed.is(Code::Unavailable, "NOT_YET_VISIBLE"), "{wait:?}: {failed:?}");
        assert!(failed.retry_after.is_some(), "{failed:?}");
        let stands = before.receipt().position.to_string();
        assert!(
            failed.metadata.values().any(|value| *value == stands),
            "it says where the projection stands: {failed:?}"
        );
    }

    // What was never written may be what is not seen yet: that is said, too.
    let absent = client.get_allocations("o2", &written.seen().at_most(SHORT)).await.unwrap_err();
    assert!(absent.is(Code::NotFound, "ALLOCATIONS_NOT_FOUND"), "{absent:?}");
    assert_eq!(absent.metadata.get("may_be_stale").map(String::as_str), Some("true"), "{absent:?}");
    // What is behind us is not waited for.
    let fresh = client.get_stock("LAMP", &before.seen().or_fail()).await.unwrap();
    assert!(!fresh.freshness.may_be_stale);

    tally.projector.start_again().await;
    for wait in waits {
        let stock = client.get_stock("LAMP", &wait.at_most(LONG)).await.unwrap();
        assert_eq!((stock.freshness.may_be_stale, stock.allocated), (false, 3));
        assert!(stock.freshness.position >= receipt.position);
    }
}

#[tokio::test]
async fn story_6_every_query_waits_and_says_so() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 100).await;
    let order = client.create_order(&NewOrder::of("c-1", &[("LAMP", 1)])).await.unwrap();
    let filters = [
        OrderFilter { customer_id: "c-1".to_owned(), ..OrderFilter::default() },
        OrderFilter { status: "ORDER_STATUS_OPEN".to_owned(), ..OrderFilter::default() },
    ];
    client.get_order(&order.order_id, &order.seen()).await.unwrap();
    client.get_allocations(&order.order_id, &order.seen()).await.unwrap();
    for filter in &filters {
        client.list_orders(filter, &order.seen()).await.unwrap();
    }
    tally.projector.stop().await;
    let cancelled = client.cancel_order(&order.order_id, "no").await.unwrap();

    let stale = cancelled.seen().at_most(SHORT);
    let failing = stale.clone().or_fail();
    let view = client.get_order(&order.order_id, &stale).await.unwrap();
    assert_eq!((view.freshness.may_be_stale, view.status.as_str()), (true, "ORDER_STATUS_OPEN"));
    let rows = client.get_allocations(&order.order_id, &stale).await.unwrap();
    assert_eq!((rows.freshness.may_be_stale, rows.allocations.len()), (true, 1));
    let mut failures = vec![
        client.get_order(&order.order_id, &failing).await.unwrap_err(),
        client.get_allocations(&order.order_id, &failing).await.unwrap_err(),
    ];
    for filter in &filters {
        let page = client.list_orders(filter, &stale).await.unwrap();
        assert_eq!((page.freshness.may_be_stale, page.orders.len()), (true, 1));
        failures.push(client.list_orders(filter, &failing).await.unwrap_err());
    }
    for failure in failures {
        assert!(failure.is(Code::Unavailable, "NOT_YET_VISIBLE"), "{failure:?}");
    }

    // A query that waits already is woken.
    let patient = cancelled.seen().at_most(LONG).or_fail();
    let waiting = client.get_order(&order.order_id, &patient);
    let (view, ()) = tokio::join!(waiting, tally.projector.start_again());
    assert_eq!(view.unwrap().status, "ORDER_STATUS_CANCELLED");
    let gone = client.get_allocations(&order.order_id, &patient).await.unwrap_err();
    assert!(gone.is(Code::NotFound, "ALLOCATIONS_NOT_FOUND"), "{gone:?}");
    assert_ne!(gone.metadata.get("may_be_stale").map(String::as_str), Some("true"), "{gone:?}");
    for (filter, expected) in filters.iter().zip([1, 0]) {
        assert_eq!(client.list_orders(filter, &patient).await.unwrap().orders.len(), expected);
    }
}

#[tokio::test]
async fn story_6_a_query_never_waits_past_the_calls_own_deadline() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 100).await;
    eventually("the stock is shown", async || client.get_stock("LAMP", &ReadAfter::nothing()).await.ok()).await;

    let hurried = client.deadline(Duration::from_millis(1_500));
    let far = ReadAfter::position(1_000_000).at_most(LONG);
    let began = Instant::now();
    // The tenth of a second that is kept for the answer's way back may be too little for a busy machine, though not every time.
    let stock = eventually("an answer in time", async || hurried.get_stock("LAMP", &far).await.ok()).await;

    assert!(stock.freshness.may_be_stale);
    assert!(began.elapsed() < LONG / 2);
}

#[tokio::test]
async fn story_6_unless_told_a_query_waits_five_seconds() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 100).await;
    eventually("the stock is shown", async || client.get_stock("LAMP", &ReadAfter::nothing()).await.ok()).await;

    let began = Instant::now();
    let stock = client.get_stock("LAMP", &ReadAfter::stream_version("product-LAMP", 50)).await.unwrap();

    assert!(stock.freshness.may_be_stale);
    let took = began.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(5) + SLACK).contains(&took), "{took:?}");
}

#[tokio::test]
async fn story_6_each_of_many_writes_is_seen_by_the_read_after_it() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 1_000_000).await;
    let mut last_token = String::new();
    for number in 1..=200 {
        let order_id = format!("o{number}");
        let written = client.allocate(&order_id, "LAMP", 1).await.unwrap();
        let rows = client.get_allocations(&order_id, &written.seen().at_most(LONG).or_fail()).await.unwrap();
        assert_eq!(rows.allocations[0].batch_ref, "b1");
        let stock = client.get_stock("LAMP", &written.seen().at_most(LONG).or_fail()).await.unwrap();
        assert_eq!(stock.allocated, number);
        last_token = rows.freshness.token;
    }
    // An answer's own token is as good as a receipt's: no later query is older than it.
    let stock = client.get_stock("LAMP", &ReadAfter::token(&last_token).or_fail()).await.unwrap();
    assert_eq!(stock.allocated, 200);
}

#[tokio::test]
async fn story_6_many_wait_at_once_and_all_are_woken() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 1_000).await;
    let written = client.allocate("o1", "LAMP", 1).await.unwrap();
    client.get_stock("LAMP", &written.seen()).await.unwrap();
    tally.projector.stop().await;
    let written = client.allocate("o2", "LAMP", 1).await.unwrap();

    let patient = written.seen().at_most(LONG).or_fail();
    let waiting = futures::future::join_all((0..200).map(|_| client.get_stock("LAMP", &patient)));
    let (answers, ()) = tokio::join!(waiting, tally.projector.start_again());

    assert!(answers.into_iter().all(|answer| answer.unwrap().allocated == 2));
}

#[tokio::test]
async fn story_6_nobody_ever_sees_half_a_command() {
    // Far fewer events at a time than a command has.
    let tally = Tally::start_with_environment(&[("PROJECTOR_BATCH_EVENTS_MAX", "16")]).await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", LINES).await;
    for number in 0..LINES {
        client.allocate(&format!("o{number}"), "LAMP", 1).await.unwrap();
    }
    let last = client.allocate("last", "LAMP", 1).await.unwrap();
    client.get_stock("LAMP", &last.seen()).await.unwrap();

    // Every line loses its stock and gets it back, again and again, and whoever looks finds each of them once.
    let change = async {
        for quantity in [0, LINES, 0, LINES, 0, LINES] {
            client.change_batch_quantity("b1", quantity).await.unwrap();
        }
        client.change_batch_quantity("b1", 0).await.unwrap().seen()
    };
    tokio::pin!(change);
    let now = ReadAfter::nothing();
    let mut looks = 0;
    let last = loop {
        tokio::select! {
            last = &mut change => break last,
            stock = client.get_stock("LAMP", &now) => {
                let stock = stock.unwrap();
                assert_eq!(stock.allocated + stock.backordered, i64::from(LINES) + 1, "{stock:?}");
                assert!(stock.batch("b1").allocated <= stock.batch("b1").quantity, "{stock:?}");
                looks += 1;
            }
        }
    };
    assert!(looks > 0);
    let stock = client.get_stock("LAMP", &last).await.unwrap();
    assert_eq!((stock.allocated, stock.backordered), (0, i64::from(LINES) + 1));
}
