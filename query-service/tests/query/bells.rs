use std::time::Duration;

use futures::future::join_all;
use tally_servers::{test_redis, unique_log_name};

use crate::system::*;

const LONG: Duration = Duration::from_secs(60);
/// Far longer than a look takes.
const LOOKED_AFTER: Duration = Duration::from_millis(300);

/// A user of the shared Redis who may read everything and hear nothing.
async fn deaf_user() -> String {
    let url = test_redis().await.url();
    let client = redis::Client::open(url.clone()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("connected");
    redis::cmd("ACL")
        .arg(&["SETUSER", "deaf", "on", ">deaf", "allkeys", "+@all", "resetchannels"])
        .exec_async(&mut connection)
        .await
        .expect("a user");
    let (_, server) = url.split_once('@').expect("a password");
    format!("redis://deaf:deaf@{server}")
}

#[tokio::test]
async fn whoever_waits_is_woken_by_the_bell() {
    let system = System::start(&NO_POLLING).await;
    system.apply_order(1, 1).await;
    let mut waiting = std::pin::pin!(system.get_order(within(LONG, system.token(2))));
    // It has looked in vain by now.
    assert!(tokio::time::timeout(LOOKED_AFTER, &mut waiting).await.is_err());
    system.apply_order(2, 2).await;
    let answer = soon(waiting).await.expect("found");
    assert!(!answer.freshness.expect("freshness").may_be_stale);
}

#[tokio::test]
async fn when_the_bell_is_not_heard_polling_finds_it() {
    let log = unique_log_name();
    let url = test_redis().await.url();
    let system = System::with_log(&log, &url, &deaf_user().await, &["--wait-poll-interval-ms", "20"]).await;
    system.apply_order(1, 1).await;
    for next in 2..=5 {
        let asked = within(LONG, system.token(next));
        let both = async { tokio::join!(system.get_order(asked), system.apply_order(next, 1)) };
        // The look at the end of the wait would find it too, but not so soon.
        let (answer, ()) = soon(both).await;
        assert!(!answer.expect("found").freshness.expect("freshness").may_be_stale, "position {next}");
    }
}

#[tokio::test]
async fn the_deaf_user_really_hears_nothing() {
    let log = unique_log_name();
    let url = test_redis().await.url();
    let system = System::with_log(&log, &url, &deaf_user().await, &NO_POLLING).await;
    system.apply_order(1, 1).await;
    let mut waiting = std::pin::pin!(system.get_order(within(Duration::from_secs(1), system.token(2))));
    // Registered and looked, in vain.
    assert!(tokio::time::timeout(LOOKED_AFTER, &mut waiting).await.is_err());
    system.apply_order(2, 2).await;
    let begun = std::time::Instant::now();
    let answer = soon(waiting).await.expect("found");
    // The look at the end of the wait finds it.
    assert!(begun.elapsed() > LOOKED_AFTER, "something woke it after {:?}", begun.elapsed());
    assert_eq!(answer.order, Some(order(2)));
    assert!(!answer.freshness.expect("freshness").may_be_stale);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_callers_at_once_none_is_forgotten() {
    const POSITIONS: u64 = 300;

    let system = System::start(&NO_POLLING).await;
    let callers = (0..100).map(|caller| {
        let system = &system;
        async move {
            for wanted in (1 + caller % 7..=POSITIONS).step_by(13) {
                let answer = system.get_order(within(LONG, system.token(wanted))).await.expect("found");
                let freshness = answer.freshness.expect("freshness");
                assert!(!freshness.may_be_stale && freshness.position >= wanted as i64, "{wanted}: {freshness:?}");
            }
        }
    });
    let projector = async {
        for position in 1..=POSITIONS {
            system.apply_order(position, 1).await;
        }
    };
    let all = async { tokio::join!(join_all(callers), projector) };
    tokio::time::timeout(LONG / 2, all).await.expect("a wake-up was lost");
}
