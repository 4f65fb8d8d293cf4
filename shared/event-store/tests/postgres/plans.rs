//! What Postgres does for a statement: probes of indexes, however small or large the tables are.
//!
//! A plan is cached for as long as its session lives. One that reads a table from end to end is cheap while the table is
//! empty, and is then kept while it grows.

use anyhow::Result;
use sqlx::{Executor, PgConnection};
use tally_event_store::Basis;

use crate::fixture::{EVENTS_MAX, Log, batch, command, eventually, guarded, known, unchanged};

const APPENDS: u64 = 500;

/// How often tables were read from end to end, and how many entries were read from the head's index.
async fn scans(owner: &mut PgConnection) -> Result<(i64, i64)> {
    let scans =
        "SELECT sum(seq_scan)::bigint, (SELECT idx_tup_read FROM pg_stat_user_indexes WHERE relname = 'log_head')
        FROM pg_stat_user_tables WHERE relname IN ('events', 'log_head', 'commands', 'snapshots')";
    Ok(sqlx::query_as(scans).fetch_one(owner).await?)
}

/// A backup keeps old versions of the head row from being cleaned away, and no append may look at all of them.
#[tokio::test]
async fn no_statement_reads_a_table_to_its_end_even_while_a_backup_runs() -> Result<()> {
    let log = Log::fresh().await?;
    let mut owner = log.owner().await?;
    let mut backup = log.owner().await?;
    backup.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM log_head").await?;
    let (full_before, head_before) = scans(&mut owner).await?;

    let mut command_ids = Vec::new();
    for version in 1..=APPENDS {
        let acts = command(&[("order-1", version), (&format!("order-1-{version}"), 1)]);
        command_ids.push(acts.command_id);
        let batch_of_both = guarded([acts, unchanged("order-1", version)], &[("order-2", 0)]);
        if version % 2 == 0 {
            let rests_on = |stream_id: &str, version| Basis { stream_id: stream_id.to_owned(), version, group: 0 };
            let streams = [("order-1", version - 1), (&format!("order-1-{version}"), 0), ("order-2", 0)];
            let streams = streams.map(|(stream_id, version)| rests_on(stream_id, version)).to_vec();
            let fitted = log.append.append_fitting(batch_of_both, streams, log.read.head().await? - 2, 9).await?;
            assert_eq!((fitted.left_out.len(), fitted.news.len()), (0, 2));
        } else {
            log.append.append(batch_of_both).await?;
        }
        if version % 100 == 0 {
            let after = log.read.head().await? - 10;
            assert_eq!(log.read.read_after(after, 100).await?.len(), 10);
            assert_eq!(log.append.find_commands(&command_ids[command_ids.len() - 3..]).await?.len(), 3);
            assert_eq!(
                log.append.load(known([(&format!("order-1-{version}"), 0)]), EVENTS_MAX).await?[0].events.len(),
                1
            );
            log.append.ping().await?;
            log.append.begin_exclusive(0, 0).await?.append(batch([])).await?;
        }
    }

    // A session tells its figures when it has nothing to do for a while.
    let appends = APPENDS as i64;
    eventually("the figures of all appends are in", || async {
        Ok(scans(&mut log.owner().await?).await?.1 - head_before >= appends)
    })
    .await?;
    let (full_after, head_after) = scans(&mut owner).await?;
    let (full, head) = (full_after - full_before, head_after - head_before);
    assert_eq!(full, 0);
    // One each time that the head is taken, twice by every second append, and a few for the others; without care there would be as many as
    // pages, which by then are three.
    let taken = appends + appends / 2;
    assert!(head < taken + appends / 10, "{head} entries read for {appends} appends");
    Ok(())
}
