//! Postgres goes away and comes back. Each test has a server of its own.

use std::time::{Duration, Instant};

use anyhow::Result;
use tally_event_store::{AppendOptions, AppendStore, Error, LogName, ReadOptions, ReadStore, append};
use tally_servers::Postgres;

use crate::fixture::{EVENTS_MAX, Log, batch, command, ensure_contiguous, eventually, known};

/// Longer than anything takes on a server that works, on a busy machine too.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(3);
/// Where the server hangs: both of them, the wait for the server's word on the second, and room.
const HANGING_ANSWER_WITHIN: Duration = Duration::from_secs(15);

async fn impatient(url: &str) -> Result<(AppendStore, ReadStore)> {
    let append = AppendOptions {
        connections_max: 4,
        acquire_timeout: ACQUIRE_TIMEOUT,
        statement_timeout: STATEMENT_TIMEOUT,
        ..Default::default()
    };
    let read = ReadOptions {
        acquire_timeout: ACQUIRE_TIMEOUT,
        statement_timeout: STATEMENT_TIMEOUT,
        ..ReadOptions::default()
    };
    let log = LogName::default();
    Ok((AppendStore::connect(url, &log, append).await?, ReadStore::connect(url, &log, read).await?))
}

async fn log_on(postgres: &Postgres) -> Result<Log> {
    Log::at(postgres.create_database("outage").await?, LogName::default()).await
}

/// Everything says that the store is away, within the deadline.
async fn ensure_unavailable(append: &AppendStore, read: &ReadStore, within: Duration) {
    let began = Instant::now();
    let calls = tokio::join!(
        append.append(batch([command(&[("order-1", 1)])])),
        append.begin_exclusive(0, 0),
        append.load(known([]), EVENTS_MAX),
        append.find_commands(&[]),
        append.ping(),
        append.log_id(),
        read.read_after(0, 1),
        read.head(),
        read.ping(),
    );
    assert!(matches!(calls.0, Err(append::Error::Unavailable(_))), "{:?}", calls.0);
    assert!(matches!(calls.1, Err(Error::Unavailable(_))), "{:?}", calls.1);
    assert!(matches!(calls.2, Err(Error::Unavailable(_))), "{:?}", calls.2);
    assert!(matches!(calls.3, Err(Error::Unavailable(_))), "{:?}", calls.3);
    assert!(matches!(calls.4, Err(Error::Unavailable(_))), "{:?}", calls.4);
    assert!(matches!(calls.5, Err(Error::Unavailable(_))), "{:?}", calls.5);
    assert!(matches!(calls.6, Err(Error::Unavailable(_))), "{:?}", calls.6);
    assert!(matches!(calls.7, Err(Error::Unavailable(_))), "{:?}", calls.7);
    assert!(matches!(calls.8, Err(Error::Unavailable(_))), "{:?}", calls.8);
    assert!(began.elapsed() < within, "{:?}", began.elapsed());
}

async fn ensure_recovery(append: &AppendStore, read: &ReadStore) -> Result<()> {
    eventually("the store is back", || async { Ok(append.ping().await.is_ok() && read.ping().await.is_ok()) }).await?;
    // From here on it is back for good, on every session.
    for _ in 0..10 {
        let version = append.load(known([("order-1", 0)]), EVENTS_MAX).await?[0].events.len() as u64;
        append.append(batch([command(&[("order-1", version + 1)])])).await?;
        assert_eq!(read.head().await?, version + 1);
    }
    ensure_contiguous(&read.read_after(0, 1000).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_is_unavailable_at_once_and_back_by_itself() -> Result<()> {
    let postgres = Postgres::temporary().await?;
    let log = log_on(&postgres).await?;
    let (append, read) = impatient(&log.url).await?;
    tokio::try_join!(append.ping(), append.ping(), read.ping(), read.ping())?;
    for kill in [false, true] {
        if kill {
            postgres.kill().await?
        } else {
            postgres.stop().await?
        }
        // Not even the time for a connection is waited out.
        ensure_unavailable(&append, &read, ACQUIRE_TIMEOUT).await;
        postgres.restart().await?;
        ensure_recovery(&append, &read).await?;
    }
    Ok(())
}

/// The sockets stay open and nobody answers: only the stores' own clocks tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_unavailable_in_time_and_back_by_itself() -> Result<()> {
    let postgres = Postgres::temporary().await?;
    let log = log_on(&postgres).await?;
    let (append, read) = impatient(&log.url).await?;
    log.given(&[("order-1", 1)]).await?;
    tokio::try_join!(append.ping(), append.ping(), read.ping())?;
    postgres.pause()?;
    ensure_unavailable(&append, &read, HANGING_ANSWER_WITHIN).await;
    ensure_unavailable(&append, &read, HANGING_ANSWER_WITHIN).await;
    postgres.resume()?;
    ensure_recovery(&append, &read).await
}

#[tokio::test]
async fn a_store_may_be_made_while_the_server_is_away() -> Result<()> {
    let postgres = Postgres::temporary().await?;
    let log = log_on(&postgres).await?;
    postgres.stop().await?;
    let (append, read) = impatient(&log.url).await?;
    ensure_unavailable(&append, &read, ACQUIRE_TIMEOUT).await;
    postgres.restart().await?;
    ensure_recovery(&append, &read).await
}

/// As in a fail-over: the server is there and no longer (or not yet) takes writes.
#[tokio::test]
async fn a_read_only_server_is_unavailable_for_appends() -> Result<()> {
    let postgres = Postgres::temporary().await?;
    let log = log_on(&postgres).await?;
    let mut owner = log.owner().await?;
    sqlx::raw_sql("ALTER DATABASE outage SET default_transaction_read_only = on").execute(&mut owner).await?;
    let (append, read) = impatient(&log.url).await?;
    let result = append.append(batch([command(&[("order-1", 1)])])).await;
    assert!(matches!(result, Err(append::Error::Unavailable(_))), "{result:?}");
    assert!(matches!(append.begin_exclusive(0, 0).await, Err(Error::Unavailable(_))));
    assert_eq!(read.head().await?, 0);
    Ok(())
}

/// What was acknowledged before a kill −9 is there after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_has_what_it_acknowledged() -> Result<()> {
    let postgres = Postgres::temporary().await?;
    let log = log_on(&postgres).await?;
    let (append, read) = impatient(&log.url).await?;
    let writer = tokio::spawn(async move {
        let mut acknowledged = 0;
        loop {
            match append.append(batch([command(&[("order-1", acknowledged + 1)])])).await {
                Ok(_) => acknowledged += 1,
                Err(_) => return acknowledged,
            }
        }
    });
    eventually("some are in the log", || async { Ok(read.head().await? > 200) }).await?;
    postgres.kill().await?;
    let acknowledged = writer.await?;
    postgres.restart().await?;
    eventually("the store is back", || async { Ok(read.ping().await.is_ok()) }).await?;
    let head = read.head().await?;
    // The last one may have been committed without its answer.
    assert!(head == acknowledged || head == acknowledged + 1, "{head} {acknowledged}");
    Ok(())
}
