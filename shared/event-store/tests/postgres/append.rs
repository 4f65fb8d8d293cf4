//! What one batch may do.

use anyhow::Result;
use sqlx::Executor;
use tally_event_store::{Batch, append};

use crate::fixture::{Log, batch, command, guarded, unchanged};

/// Expects a conflict, and that it left nothing behind.
async fn ensure_conflict(log: &Log, refused: Batch) -> Result<()> {
    let before = log.events().await?;
    let result = log.append.append(refused).await;
    assert!(matches!(result, Err(append::Error::Conflict)), "{result:?}");
    assert_eq!(log.events().await?, before);
    assert_eq!(log.read.head().await?, before.len() as u64);
    Ok(())
}

#[tokio::test]
async fn a_batch_takes_the_next_positions_in_its_own_order() -> Result<()> {
    let log = Log::fresh().await?;
    let first = log.given(&[("order-1", 1), ("product-a", 1)]).await?;
    assert_eq!((first.first_position, first.last_position), (1, 2));

    let (one, other) = (command(&[("product-a", 2), ("product-b", 1)]), command(&[("order-2", 1), ("product-a", 3)]));
    let ids = [one.command_id, one.command_id, other.command_id, other.command_id];
    let second = log.append.append(batch([one, other])).await?;
    assert_eq!((second.first_position, second.last_position), (3, 6));

    let events = log.events().await?;
    let places: Vec<_> = events[2..].iter().map(|e| (e.position, e.stream_id.as_str(), e.version)).collect();
    assert_eq!(places, [(3, "product-a", 2), (4, "product-b", 1), (5, "order-2", 1), (6, "product-a", 3)]);
    let command_ids: Vec<_> = events[2..].iter().map(|e| e.command_id).collect();
    assert_eq!(command_ids, ids);
    let times: Vec<_> = events.iter().map(|e| e.recorded_at).collect();
    assert!(times[1] <= times[2] && times[2..].iter().all(|time| *time == times[2]), "one commit has one time");
    assert_eq!(log.read.head().await?, 6);
    Ok(())
}

#[tokio::test]
async fn an_event_comes_back_as_it_was_appended() -> Result<()> {
    let log = Log::fresh().await?;
    let mut command = command(&[("order-1", 1)]);
    command.events[0].payload =
        r#"{"text": "ä \"quoted\" \\ 😀 \u0000", "number": 9007199254740993.10, "number": null}"#.to_owned();
    command.metadata.correlation_id = Some("c".to_owned());
    command.metadata.causation_id = Some("d".to_owned());
    command.metadata.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    log.append.append(batch([command.clone()])).await?;

    let events = log.events().await?;
    let new = &command.events[0];
    let stored = &events[0];
    assert_eq!((&stored.stream_id, stored.version), (&new.stream_id, 1));
    assert_eq!((stored.event_type.as_str(), &stored.payload), (new.event_type, &new.payload));
    assert_eq!((stored.command_id, &stored.metadata), (command.command_id, &command.metadata));
    Ok(())
}

#[tokio::test]
async fn a_gap_before_a_version_is_a_conflict() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("order-1", 1), ("order-1", 2)]).await?;
    ensure_conflict(&log, batch([command(&[("order-2", 2)])])).await?;
    ensure_conflict(&log, batch([command(&[("order-1", 4)])])).await?;
    ensure_conflict(&log, batch([command(&[("order-1", 3), ("order-1", 5)])])).await?;
    ensure_conflict(&log, batch([command(&[("order-1", 3)]), command(&[("order-2", 2)])])).await
}

#[tokio::test]
async fn a_version_that_is_taken_is_a_conflict() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("order-1", 1), ("order-1", 2)]).await?;
    for taken in [1, 2] {
        ensure_conflict(&log, batch([command(&[("order-1", taken)])])).await?;
    }
    ensure_conflict(&log, batch([command(&[("order-1", 3)]), command(&[("order-1", 3)])])).await?;
    // As many as from first to last, with one twice and one missing.
    ensure_conflict(&log, batch([command(&[("order-1", 3), ("order-1", 3), ("order-1", 5)])])).await
}

#[tokio::test]
async fn a_batch_is_appended_whole_or_not_at_all() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("order-1", 1)]).await?;
    let good = [command(&[("order-2", 1)]), unchanged("order-1", 1), command(&[("order-3", 1)])];
    let ids: Vec<_> = good.iter().map(|command| command.command_id).collect();
    let [a, b, c] = good;
    ensure_conflict(&log, batch([a, b, c, command(&[("order-1", 1)])])).await?;
    assert_eq!(log.append.find_commands(&ids).await?, []);
    Ok(())
}

#[tokio::test]
async fn positions_of_a_failed_batch_are_given_to_the_next() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("order-1", 1)]).await?;
    ensure_conflict(&log, batch([command(&[("order-2", 1), ("order-1", 1)])])).await?;
    assert_eq!(log.given(&[("order-1", 2)]).await?.first_position, 2);
    Ok(())
}

#[tokio::test]
async fn a_guard_holds_a_stream_that_is_only_read_at_its_version() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("order-1", 1), ("order-1", 2)]).await?;
    for moved in [("order-1", 0), ("order-1", 1), ("order-1", 3), ("order-9", 1)] {
        ensure_conflict(&log, guarded([command(&[("product-a", 1)])], &[("order-9", 0), moved])).await?;
        ensure_conflict(&log, guarded([unchanged("product-a", 0)], &[moved])).await?;
        ensure_conflict(&log, guarded([], &[moved])).await?;
    }
    let good = guarded([command(&[("product-a", 1)])], &[("order-1", 2), ("order-9", 0)]);
    assert_eq!(log.append.append(good).await?.first_position, 3);
    Ok(())
}

#[tokio::test]
async fn a_guard_on_a_stream_of_the_batch_may_be_any_version_it_passes() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("order-1", 1)]).await?;
    let writes = || command(&[("order-1", 2), ("order-1", 3)]);
    for beside in [0, 4] {
        ensure_conflict(&log, guarded([writes()], &[("order-1", beside)])).await?;
    }
    log.append.append(guarded([writes()], &[("order-1", 1), ("order-1", 2), ("order-1", 3)])).await?;
    Ok(())
}

#[tokio::test]
async fn a_batch_without_events_moves_no_position() -> Result<()> {
    let log = Log::fresh().await?;
    let none = log.append.append(Batch::default()).await?;
    assert_eq!((none.first_position, none.last_position), (1, 0));
    log.given(&[("order-1", 1), ("order-1", 2)]).await?;
    let none = log.append.append(batch([unchanged("order-1", 2), command(&[])])).await?;
    assert_eq!((none.first_position, none.last_position), (3, 2));
    assert_eq!(log.given(&[("order-1", 3)]).await?.first_position, 3);
    Ok(())
}

#[tokio::test]
async fn what_the_log_cannot_hold_is_refused() -> Result<()> {
    let log = Log::fresh().await?;
    let mut both = command(&[("order-1", 1)]);
    both.unchanged = unchanged("order-1", 1).unchanged;
    let mut nul = command(&[("order-1", 1)]);
    nul.events[0].payload = "{\"text\":\"\0\"}".to_owned();
    let disordered = command(&[("order-1", 2), ("order-1", 1)]);
    for bug in [both, nul, disordered, command(&[("order-1", 0)]), command(&[("order-1", u64::MAX)])] {
        let result = log.append.append(batch([bug])).await;
        assert!(matches!(result, Err(append::Error::Refused(_))), "{result:?}");
    }
    assert_eq!(log.read.head().await?, 0);
    Ok(())
}

/// Postgres sends the row first and commits then; who takes the row for the end acknowledges what is lost.
#[tokio::test]
async fn a_commit_that_fails_after_the_answer_is_no_success() -> Result<()> {
    let log = Log::fresh().await?;
    let full = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
        CREATE CONSTRAINT TRIGGER full_disk AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION full_disk()";
    log.owner().await?.execute(full).await?;
    for _ in 0..3 {
        let result = log.append.append(batch([command(&[("order-1", 1)])])).await;
        assert!(matches!(result, Err(append::Error::Unavailable(_))), "{result:?}");
        let exclusive = log.append.begin_exclusive(0, 0).await?;
        let result = exclusive.append(batch([command(&[("order-1", 1)])])).await;
        assert!(matches!(result, Err(append::Error::Unavailable(_))), "{result:?}");
        assert_eq!(log.read.head().await?, 0);
    }
    Ok(())
}
