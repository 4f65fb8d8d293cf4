//! Loading streams.

use anyhow::Result;
use sqlx::Executor;
use tally_event_store::{AppendOptions, AppendStore, NewSnapshot};

use crate::fixture::{EVENTS_MAX, Log, append_options, batch, command, known};

fn versions(stream: &tally_event_store::StoredStream) -> Vec<u64> {
    stream.events.iter().map(|event| event.version).collect()
}

fn snapshot(version: u64, position: u64, state: &str) -> NewSnapshot {
    NewSnapshot { stream_id: "product-a".to_owned(), version, position, state: state.to_owned() }
}

#[tokio::test]
async fn streams_come_from_the_version_on_that_is_known_in_the_order_asked_for() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("order-1", 1), ("product-a", 1), ("order-1", 2)]).await?;
    log.given(&[("product-b", 1), ("product-a", 2), ("order-1", 3)]).await?;

    let streams = log
        .append
        .load(known([("product-a", 0), ("order-9", 0), ("order-1", 1), ("product-a", 2)]), EVENTS_MAX)
        .await?;
    let found: Vec<_> = streams.iter().map(versions).collect();
    assert_eq!(found, [vec![1, 2], vec![], vec![2, 3], vec![]]);
    let all = log.events().await?;
    for event in streams.into_iter().flat_map(|stream| stream.events) {
        let stored = &all[usize::try_from(event.position)? - 1];
        let (version, event_type, payload) = (stored.version, &stored.event_type, &stored.payload);
        assert_eq!((event.version, &event.event_type, &event.payload), (version, event_type, payload));
    }
    assert_eq!(log.append.load(known([]), EVENTS_MAX).await?, []);
    Ok(())
}

#[tokio::test]
async fn versions_come_in_the_order_asked_for_and_zero_for_what_does_not_exist() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("order-1", 1), ("product-a", 1), ("order-1", 2)]).await?;

    let ids = ["product-a", "order-9", "order-1", "product-a"].map(str::to_owned);
    assert_eq!(log.append.versions(&ids).await?, [1, 0, 2, 1]);
    assert!(log.append.versions(&[]).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_snapshot_stands_for_the_events_before_it_for_who_knows_none_of_them() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("product-a", 1), ("product-a", 2), ("product-a", 3)]).await?;
    log.append.save_snapshots(vec![snapshot(2, 2, "two")]).await?;
    // An older one changes nothing.
    log.append.save_snapshots(vec![snapshot(1, 1, "one")]).await?;

    let streams = log.append.load(known([("product-a", 0), ("product-a", 1)]), EVENTS_MAX).await?;
    let taken = streams[0].snapshot.as_ref().expect("a snapshot");
    assert_eq!((taken.version, taken.position, taken.state.as_str()), (2, 2, "two"));
    assert_eq!(versions(&streams[0]), [3]);
    assert_eq!((&streams[1].snapshot, versions(&streams[1])), (&None, vec![2, 3]));

    log.append.save_snapshots(vec![snapshot(3, 3, "three")]).await?;
    let held = log.append.begin_exclusive(0, 0).await?.load(known([("product-a", 0)]), EVENTS_MAX).await?;
    assert_eq!(held[0].snapshot.as_ref().map(|snapshot| snapshot.version), Some(3));
    assert!(held[0].events.is_empty());
    Ok(())
}

#[tokio::test]
async fn who_is_far_behind_gets_the_snapshot_too() -> Result<()> {
    let log = Log::fresh().await?;
    let events: Vec<_> = (1..=5_000).map(|version| ("product-a", version)).collect();
    log.append.append(batch([command(&events)])).await?;
    log.append.save_snapshots(vec![snapshot(5_000, 5_000, "all")]).await?;
    let streams = log.append.load(known([("product-a", 1), ("product-a", 4_000)]), EVENTS_MAX).await?;
    assert!(streams[0].snapshot.is_some() && streams[0].events.is_empty());
    assert!(streams[1].snapshot.is_none() && streams[1].events.len() == 1_000);
    Ok(())
}

#[tokio::test]
async fn a_snapshot_of_another_format_or_another_history_is_none() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("product-a", 1), ("product-b", 1), ("product-a", 2)]).await?;
    let next = AppendOptions { snapshot_format: 1, ..append_options() };
    let next = AppendStore::connect(&log.url, &log.name, next).await?;
    log.append.save_snapshots(vec![snapshot(2, 3, "format 0")]).await?;
    assert_eq!(next.load(known([("product-a", 0)]), EVENTS_MAX).await?[0].snapshot, None);
    // Two versions of the program at once, as in a rolling upgrade, leave each other's alone.
    next.save_snapshots(vec![snapshot(1, 1, "format 1")]).await?;
    let state = |streams: Vec<tally_event_store::StoredStream>| streams[0].snapshot.as_ref().map(|s| s.state.clone());
    assert_eq!(state(log.append.load(known([("product-a", 0)]), EVENTS_MAX).await?).as_deref(), Some("format 0"));
    assert_eq!(state(next.load(known([("product-a", 0)]), EVENTS_MAX).await?).as_deref(), Some("format 1"));

    for elsewhere in ["position = 2", "version = 2, position = 9", "version = 1, position = 3"] {
        let change = format!("UPDATE snapshots SET {elsewhere} WHERE format = 0");
        log.owner().await?.execute(sqlx::AssertSqlSafe(change)).await?;
        let streams = log.append.load(known([("product-a", 0)]), EVENTS_MAX).await?;
        assert_eq!((&streams[0].snapshot, versions(&streams[0])), (&None, vec![1, 2]), "{elsewhere}");
    }

    let later = AppendOptions { snapshot_format: 2, ..append_options() };
    AppendStore::connect(&log.url, &log.name, later).await?.save_snapshots(vec![snapshot(1, 1, "format 2")]).await?;
    let formats: Vec<i32> =
        sqlx::query_scalar("SELECT format FROM snapshots ORDER BY format").fetch_all(&mut log.owner().await?).await?;
    assert_eq!(formats, [1, 2]);
    Ok(())
}

#[tokio::test]
async fn a_long_stream_comes_in_pages() -> Result<()> {
    let log = Log::fresh().await?;
    let events: Vec<_> = (1..=5).map(|version| ("product-a", version)).collect();
    log.append.append(batch([command(&events), command(&[("order-1", 1)])])).await?;
    let mut pages = Vec::new();
    let mut version = 0;
    loop {
        let streams = log.append.load(known([("product-a", version), ("order-1", 0)]), 4).await?;
        pages.push(versions(&streams[0]));
        version = streams[0].events.last().map_or(version, |event| event.version);
        assert_eq!((versions(&streams[1]), streams[1].more), (vec![1], false));
        if !streams[0].more {
            break;
        }
    }
    assert_eq!(pages, [vec![1, 2], vec![3, 4], vec![5]]);
    Ok(())
}

#[tokio::test]
async fn who_wants_no_snapshot_gets_none() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("product-a", 1), ("product-a", 2)]).await?;
    log.append.save_snapshots(vec![snapshot(2, 2, "two")]).await?;
    let mut all = known([("product-a", 0)]);
    all[0].snapshot = false;
    let streams = log.append.load(all, EVENTS_MAX).await?;
    assert_eq!((&streams[0].snapshot, versions(&streams[0])), (&None, vec![1, 2]));
    Ok(())
}
