//! One stream, page by page.

use anyhow::Result;
use tally_event_store::Direction::{Backwards, Forwards};

use crate::fixture::Log;

/// Versions of the page.
async fn versions(log: &Log, page: (tally_event_store::Direction, Option<u64>, usize)) -> Result<Vec<u64>> {
    let (direction, from, limit) = page;
    let page = log.read.read_stream("order-1", direction, from, limit).await?;
    assert!(page.exists);
    assert_eq!(page.head, 10);
    assert!(page.events.iter().all(|event| event.stream_id == "order-1"));
    Ok(page.events.iter().map(|event| event.version).collect())
}

#[tokio::test]
async fn a_stream_is_read_both_ways_in_pages() -> Result<()> {
    let log = Log::fresh().await?;
    for version in 1..=5 {
        log.given(&[("order-1", version), ("order-2", version)]).await?;
    }
    assert_eq!(versions(&log, (Forwards, None, 3)).await?, [1, 2, 3]);
    assert_eq!(versions(&log, (Forwards, Some(4), 3)).await?, [4, 5]);
    assert_eq!(versions(&log, (Forwards, Some(6), 3)).await?, [0; 0]);
    assert_eq!(versions(&log, (Backwards, None, 3)).await?, [5, 4, 3]);
    assert_eq!(versions(&log, (Backwards, Some(2), 3)).await?, [2, 1]);
    assert_eq!(versions(&log, (Backwards, Some(99), 1)).await?, [5]);

    let all = log.events().await?;
    let first = log.read.read_stream("order-1", Forwards, None, 1).await?;
    assert_eq!(first.events, all[..1], "whole events, with their metadata");
    Ok(())
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_told_from_one_that_has_no_more() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("order-1", 1)]).await?;
    for direction in [Forwards, Backwards] {
        let absent = log.read.read_stream("order-2", direction, None, 9).await?;
        assert_eq!((absent.events.len(), absent.exists, absent.head), (0, false, 1));
    }
    assert!(log.read.read_stream("order-1", Forwards, Some(2), 9).await?.exists);
    Ok(())
}
