//! Callers that go away. tonic drops a handler when its client cancels or its deadline passes.

use std::future::Future;
use std::time::Duration;

use anyhow::Result;
use sqlx::PgConnection;
use tally_event_store::{AppendOptions, AppendStore};
use tokio::time::timeout;

use crate::fixture::{EVENTS_MAX, Log, append_options, batch, command, ensure_contiguous, eventually, known};

const APPENDS: u64 = 300;
/// Fewer: most of them open a connection.
const ROUNDS: u64 = 100;

/// Polls, and drops after a time that is another one in each round: before, while and after it is done.
async fn abandon<F: Future>(round: u64, future: F) {
    let _ = timeout(Duration::from_micros(round * 37 % 2_000), future).await;
}

async fn open_transactions(owner: &mut PgConnection) -> Result<i64> {
    let count = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL";
    Ok(sqlx::query_scalar(count).fetch_one(owner).await?)
}

async fn few_sessions(log: &Log) -> Result<AppendStore> {
    let options = AppendOptions { connections_max: 2, ..append_options() };
    Ok(AppendStore::connect(&log.url, &log.name, options).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_whose_caller_is_gone_commits_and_leaves_no_transaction_open() -> Result<()> {
    let log = Log::fresh().await?;
    let store = few_sessions(&log).await?;
    for round in 1..=APPENDS {
        abandon(round, store.append(batch([command(&[(&format!("order-{round}"), 1)])]))).await;
    }
    eventually("all are in the log", || async { Ok(log.read.head().await? == APPENDS) }).await?;
    ensure_contiguous(&log.events().await?)?;
    assert_eq!(open_transactions(&mut log.owner().await?).await?, 0);
    Ok(())
}

/// Whatever is abandoned on the way, what is acknowledged stays.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_abandoned_takes_an_acknowledged_append_with_it() -> Result<()> {
    let log = Log::fresh().await?;
    let store = few_sessions(&log).await?;
    let stream = "order-acknowledged";
    for round in 1..=ROUNDS {
        match round % 5 {
            0 => abandon(round, store.begin_exclusive(0, 0)).await,
            1 => abandon(round, store.load(known([(stream, 0)]), EVENTS_MAX)).await,
            2 => abandon(round, store.find_commands(&[uuid::Uuid::new_v4()])).await,
            3 => {
                let mut exclusive = store.begin_exclusive(0, 0).await?;
                abandon(round, exclusive.load(known([(stream, 0)]), EVENTS_MAX)).await;
            }
            _ => {
                let exclusive = store.begin_exclusive(0, 0).await?;
                abandon(round, exclusive.append(batch([command(&[(&format!("order-{round}"), 1)])]))).await;
            }
        }
        store.append(batch([command(&[(stream, round)])])).await?;
    }
    let mut owner = log.owner().await?;
    let loaded = log.append.load(known([(stream, 0)]), EVENTS_MAX).await?;
    assert_eq!(loaded[0].events.len() as u64, ROUNDS);
    ensure_contiguous(&log.events().await?)?;
    // Abandoned exclusive appends commit too; those that were dropped before leave when the server notices.
    let began = tokio::time::Instant::now();
    while open_transactions(&mut owner).await? > 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "a transaction stays open");
        tokio::task::yield_now().await;
    }
    let exclusives = log.events().await?.len() as u64 - ROUNDS;
    assert_eq!(exclusives, ROUNDS / 5);
    Ok(())
}
