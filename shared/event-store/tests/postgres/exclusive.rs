//! Appending with the head held.

use std::time::Duration;

use anyhow::Result;
use futures::future::try_join_all;
use sqlx::PgConnection;
use tally_event_store::{AppendOptions, AppendStore, Outcome, append};
use tokio::time::timeout;

use crate::fixture::{EVENTS_MAX, Log, append_options, batch, command, ensure_contiguous, eventually, known};

/// How many sessions wait for a lock, as the server sees it.
async fn waiting(owner: &mut PgConnection) -> Result<i64> {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    Ok(sqlx::query_scalar(count).fetch_one(owner).await?)
}

async fn eventually_waiting(log: &Log, expected: i64) -> Result<()> {
    eventually("sessions wait for the head", || async { Ok(waiting(&mut log.owner().await?).await? == expected) }).await
}

#[tokio::test]
async fn what_is_read_with_the_head_held_is_still_true_at_the_append() -> Result<()> {
    let log = Log::fresh().await?;
    let earlier = command(&[("order-1", 1)]);
    log.append.append(batch([earlier.clone()])).await?;

    let mut exclusive = log.append.begin_exclusive(0, 0).await?;
    let store = log.append.clone();
    let rival = tokio::spawn(async move { store.append(batch([command(&[("order-1", 2)])])).await });
    eventually_waiting(&log, 1).await?;

    assert_eq!(exclusive.load(known([("order-1", 0)]), EVENTS_MAX).await?[0].events.len(), 1);
    let found = exclusive.find_commands(&[earlier.command_id]).await?;
    assert!(matches!(&found[0].outcome, Outcome::Appended(events) if events.len() == 1));
    let appended = exclusive.append(batch([command(&[("order-1", 2)])])).await?;
    assert_eq!(appended.first_position, 2);
    assert!(matches!(rival.await?, Err(append::Error::Conflict)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_who_takes_the_head_gets_through_among_others_who_do_not() -> Result<()> {
    let log = Log::fresh().await?;
    let store = AppendStore::connect(&log.url, &log.name, append_options()).await?;
    let noise = tokio::spawn({
        let store = log.append.clone();
        async move {
            let mut version = 0;
            loop {
                version += 1;
                if store.append(batch([command(&[("order-noise", version)])])).await.is_err() {
                    return;
                }
            }
        }
    });
    let get_through = |_| async {
        for _ in 0..8 {
            let mut exclusive = store.begin_exclusive(0, 0).await?;
            let version = exclusive.load(known([("product-hot", 0)]), EVENTS_MAX).await?[0].events.len() as u64;
            exclusive.append(batch([command(&[("product-hot", version + 1)])])).await?;
        }
        anyhow::Ok(())
    };
    try_join_all((0..4).map(get_through)).await?;
    noise.abort();
    assert_eq!(log.append.load(known([("product-hot", 0)]), EVENTS_MAX).await?[0].events.len(), 32);
    ensure_contiguous(&log.events().await?)
}

#[tokio::test]
async fn a_conflict_under_the_head_leaves_nothing_and_lets_go_of_it() -> Result<()> {
    let log = Log::fresh().await?;
    let exclusive = log.append.begin_exclusive(0, 0).await?;
    let result = exclusive.append(batch([command(&[("order-1", 1), ("order-2", 2)])])).await;
    assert!(matches!(result, Err(append::Error::Conflict)), "{result:?}");
    assert_eq!(log.given(&[("order-1", 1)]).await?.first_position, 1);
    Ok(())
}

#[tokio::test]
async fn who_is_dropped_lets_go_of_the_head() -> Result<()> {
    let log = Log::fresh().await?;
    for version in 1..=10 {
        let mut exclusive = log.append.begin_exclusive(0, 0).await?;
        exclusive.load(known([("order-1", 0)]), EVENTS_MAX).await?;
        drop(exclusive);
        assert_eq!(log.given(&[("order-1", version)]).await?.first_position, version);
    }
    Ok(())
}

/// Also who is dropped while it waits: the head must not be taken for somebody who is gone.
#[tokio::test]
async fn who_is_dropped_in_the_queue_does_not_take_the_head() -> Result<()> {
    let log = Log::fresh().await?;
    let holder = log.append.begin_exclusive(0, 0).await?;
    let mut queued = Box::pin(log.append.begin_exclusive(0, 0));
    tokio::select! {
        waits = eventually_waiting(&log, 1) => waits?,
        result = &mut queued => panic!("it had to wait: {result:?}"),
    }
    drop(queued);
    drop(holder);
    assert_eq!(log.given(&[("order-1", 1)]).await?.first_position, 1);
    Ok(())
}

/// A client that stops between the reading and the append, without closing its connection.
#[tokio::test]
async fn who_holds_the_head_and_does_nothing_loses_it_in_time() -> Result<()> {
    let log = Log::fresh().await?;
    let options = AppendOptions { statement_timeout: Duration::from_millis(200), ..append_options() };
    let store = AppendStore::connect(&log.url, &log.name, options).await?;
    let stalled = store.begin_exclusive(0, 0).await?;
    // This store's own statements may wait for a minute.
    timeout(Duration::from_secs(20), log.given(&[("order-1", 1)])).await??;
    let result = stalled.append(batch([command(&[("order-1", 2)])])).await;
    assert!(matches!(result, Err(append::Error::Unavailable(_))), "{result:?}");
    assert_eq!(log.read.head().await?, 1);
    Ok(())
}

#[tokio::test]
async fn who_holds_the_head_sees_all_that_came_before_and_where_it_ends() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("order-1", 1), ("product-a", 1)]).await?;
    log.given(&[("product-a", 2)]).await?;
    let mut exclusive = log.append.begin_exclusive(1, 2).await?;
    assert_eq!(exclusive.head(), 3);
    let news = exclusive.take_news().expect("no more than asked for");
    let places: Vec<_> = news.iter().map(|(id, event)| (id.as_str(), event.version, event.position)).collect();
    assert_eq!(places, [("product-a", 1, 2), ("product-a", 2, 3)]);
    let (_, event) = &news[0];
    assert_eq!(
        (event.event_type.as_str(), event.payload.as_str()),
        ("Tested", r#"{"stream":"product-a","version":1}"#)
    );
    drop(exclusive);
    assert_eq!(log.append.begin_exclusive(3, 2).await?.take_news(), Some(Vec::new()));
    assert_eq!(log.append.begin_exclusive(0, 2).await?.take_news(), None, "three are too many");
    Ok(())
}

/// Contended replicas take the head for every batch: a new connection for each would cost more than the batch.
#[tokio::test]
async fn a_session_that_committed_is_used_again_and_one_that_did_not_is_closed() -> Result<()> {
    let log = Log::fresh().await?;
    let sessions = async || -> Result<i64> {
        let count =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        Ok(sqlx::query_scalar(count).fetch_one(&mut log.owner().await?).await?)
    };
    for version in 1..=10 {
        log.append.begin_exclusive(0, 0).await?.append(batch([command(&[("order-1", version)])])).await?;
    }
    assert_eq!(sessions().await?, 1);
    drop(log.append.begin_exclusive(0, 0).await?);
    eventually("the session is closed", || async { Ok(sessions().await? == 0) }).await
}
