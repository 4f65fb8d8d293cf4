//! Many at once: the order of positions is the order of commits, and there is no hole.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use tally_event_store::{ReadStore, StoredEvent, append};

use crate::fixture::{EVENTS_MAX, Log, batch, command, ensure_contiguous, known};

const APPENDERS: usize = 16;
const BATCHES: u64 = 40;

/// Tails as the projector does: what it has read once it never reads again, so an event that shows up behind it is lost.
async fn tail(read: ReadStore, until: impl Fn(&[StoredEvent]) -> bool) -> Result<Vec<StoredEvent>> {
    let mut seen: Vec<StoredEvent> = Vec::new();
    while !until(&seen) {
        let after = seen.last().map_or(0, |event| event.position);
        let next = read.read_after(after, 100).await?;
        ensure!(next.first().is_none_or(|event| event.position == after + 1), "a hole after {after}");
        seen.extend(next);
    }
    Ok(seen)
}

/// Batches of its own streams; in between, batches that fail after they took positions.
async fn append_many(log: &Log, appender: usize) -> Result<u64> {
    let stream = format!("order-{appender}");
    let mut appended = 0;
    for version in 1..=BATCHES {
        let good = log.append.append(batch([
            command(&[(&stream, version)]),
            command(&[(&format!("{stream}-{version}"), 1), (&format!("{stream}-{version}"), 2)]),
        ]));
        let taken = format!("taken-{appender}");
        let bad = log.append.append(batch([command(&[(&format!("{stream}-bad"), 1), (&taken, 1)])]));
        let (good, bad) = tokio::join!(good, bad);
        let good = good?;
        ensure!(good.last_position - good.first_position == 2);
        ensure!(matches!(bad, Err(append::Error::Conflict)), "{bad:?}");
        appended += 3;
    }
    Ok(appended)
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_have_no_hole_and_a_tail_misses_nothing() -> Result<()> {
    let log = Log::fresh().await?;
    for appender in 0..APPENDERS {
        log.given(&[(&format!("taken-{appender}"), 1)]).await?;
    }
    let total = APPENDERS + APPENDERS * BATCHES as usize * 3;
    let tail = tokio::spawn(tail(log.read.clone(), move |seen| seen.len() >= total));
    let appended = try_join_all((0..APPENDERS).map(|appender| append_many(&log, appender))).await?;
    assert_eq!(appended.iter().sum::<u64>() as usize + APPENDERS, total);

    let seen = tail.await??;
    ensure_contiguous(&seen)?;
    assert_eq!(seen, log.events().await?);
    assert_eq!(log.read.head().await?, total as u64);
    assert!(seen.is_sorted_by_key(|event| event.recorded_at));
    Ok(())
}

/// All want the same next version of one stream, and whoever loses reads again.
#[tokio::test(flavor = "multi_thread")]
async fn a_contended_stream_has_one_winner_for_each_version() -> Result<()> {
    let log = Log::fresh().await?;
    let compete = |_| async {
        let mut conflicts = 0;
        let mut version = 0;
        for _ in 0..10 {
            loop {
                match log.append.append(batch([command(&[("product-hot", version + 1)])])).await {
                    Ok(_) => break,
                    Err(append::Error::Conflict) => conflicts += 1,
                    Err(error) => return Err(anyhow::Error::from(error)),
                }
                version = log.append.load(known([("product-hot", 0)]), EVENTS_MAX).await?[0].events.len() as u64;
            }
            version += 1;
        }
        Ok(conflicts)
    };
    let conflicts: u32 = try_join_all((0..8).map(compete)).await?.into_iter().sum();
    let events = log.events().await?;
    ensure_contiguous(&events)?;
    assert_eq!(events.len(), 80);
    assert!(conflicts > 0, "nobody ever competed");
    Ok(())
}
