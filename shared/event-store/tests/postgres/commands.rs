//! Command ids: taken once, and what became of them found again.

use std::time::Duration;

use anyhow::Result;
use sqlx::Executor;
use tally_event_store::{NewCommand, Outcome, append};
use uuid::Uuid;

use crate::fixture::{Log, batch, command, unchanged};

#[tokio::test]
async fn a_command_id_is_taken_once_whatever_its_outcome() -> Result<()> {
    let log = Log::fresh().await?;
    let (acted, idle) = (command(&[("order-1", 1)]), unchanged("order-1", 1));
    log.append.append(batch([acted.clone()])).await?;
    log.append.append(batch([idle.clone()])).await?;

    for taken in [acted.command_id, idle.command_id] {
        for again in [command(&[("order-2", 1)]), unchanged("order-1", 1)] {
            let again = NewCommand { command_id: taken, ..again };
            let result = log.append.append(batch([command(&[("order-3", 1)]), again])).await;
            assert!(matches!(result, Err(append::Error::Conflict)), "{result:?}");
        }
    }
    assert_eq!(log.read.head().await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_command_id_is_taken_once_within_a_batch_too() -> Result<()> {
    let log = Log::fresh().await?;
    let id = Uuid::new_v4();
    let with_id = |command| NewCommand { command_id: id, ..command };
    let (one, other) = (with_id(command(&[("order-1", 1)])), with_id(command(&[("order-2", 1)])));
    let idle = with_id(unchanged("order-1", 0));
    for twice in [batch([one.clone(), other]), batch([one, idle.clone()]), batch([idle.clone(), idle])] {
        let result = log.append.append(twice).await;
        assert!(matches!(result, Err(append::Error::Conflict)), "{result:?}");
    }
    assert_eq!(log.append.find_commands(&[id]).await?, []);
    Ok(())
}

#[tokio::test]
async fn commands_are_found_with_the_events_they_appended() -> Result<()> {
    let log = Log::fresh().await?;
    let one = NewCommand { content_hash: [1; 32], ..command(&[("order-1", 1), ("product-a", 1), ("order-1", 2)]) };
    let two = NewCommand { content_hash: [2; 32], ..command(&[("order-2", 1)]) };
    log.append.append(batch([one.clone(), two.clone(), command(&[("order-3", 1)])])).await?;
    log.given(&[("order-1", 3)]).await?;

    let mut found = log.append.find_commands(&[two.command_id, Uuid::new_v4(), one.command_id, one.command_id]).await?;
    found.sort_by_key(|command| command.content_hash);
    let all = log.events().await?;
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].command_id, found[0].content_hash), (one.command_id, [1; 32]));
    assert_eq!(found[0].outcome, Outcome::Appended(all[..3].to_vec()));
    assert_eq!((found[1].command_id, found[1].content_hash), (two.command_id, [2; 32]));
    assert_eq!(found[1].outcome, Outcome::Appended(all[3..4].to_vec()));
    Ok(())
}

#[tokio::test]
async fn commands_that_changed_nothing_are_found_with_what_was_said() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("order-1", 1), ("product-a", 1)]).await?;
    let idle = NewCommand { content_hash: [3; 32], ..unchanged("product-a", 1) };
    log.append.append(batch([idle.clone()])).await?;

    let found = log.append.find_commands(&[idle.command_id]).await?;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].command_id, found[0].content_hash), (idle.command_id, [3; 32]));
    let mut said = idle.unchanged.expect("made so above");
    said.position = 2;
    assert_eq!(found[0].outcome, Outcome::Unchanged(said));
    Ok(())
}

/// Who decides on what is not committed yet cannot know its position: the store finds it.
#[tokio::test]
async fn a_command_that_changed_nothing_has_the_position_of_what_it_found() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("order-1", 1)]).await?;
    let mut late = unchanged("order-1", 1);
    if let Some(unchanged) = &mut late.unchanged {
        unchanged.position = 40;
    }
    let (same_batch, nothing) = (unchanged("order-2", 1), unchanged("order-9", 0));
    let ids = [same_batch.command_id, nothing.command_id, late.command_id];
    let acts = command(&[("order-1", 2), ("order-2", 1), ("order-2", 2)]);
    log.append.append(batch([same_batch, nothing, late, acts])).await?;

    let mut positions = Vec::new();
    for id in ids {
        match &log.append.find_commands(&[id]).await?[0].outcome {
            Outcome::Unchanged(unchanged) => positions.push(unchanged.position),
            Outcome::Appended(events) => panic!("{events:?}"),
        }
    }
    assert_eq!(positions, [3, 0, 40]);
    Ok(())
}

#[tokio::test]
async fn commands_older_than_the_window_are_forgotten_bit_by_bit() -> Result<()> {
    let log = Log::fresh().await?;
    let acts = [command(&[("order-1", 1), ("order-1", 2)]), command(&[("order-1", 3)]), command(&[("order-1", 4)])];
    let ids: Vec<Uuid> = acts.iter().map(|command| command.command_id).collect();
    let idle = unchanged("order-1", 3);
    for command in acts {
        log.append.append(batch([command])).await?;
    }
    log.append.append(batch([idle.clone()])).await?;
    let age = "UPDATE events SET recorded_at = recorded_at - interval '1 day' WHERE version < 4;
        UPDATE commands SET recorded_at = recorded_at - interval '1 day' WHERE version = 3";
    log.owner().await?.execute(age).await?;

    let known = async || -> Result<Vec<bool>> {
        let mut known = Vec::new();
        for id in ids.iter().chain([&idle.command_id]) {
            known.push(!log.append.find_commands(&[*id]).await?.is_empty());
        }
        Ok(known)
    };
    let hour = Duration::from_secs(3600);
    assert_eq!(log.append.prune_commands(hour * 48, 100).await?, 0);
    assert_eq!(known().await?, [true; 4]);
    // The first position is not all of the first command.
    assert_eq!(log.append.prune_commands(hour, 1).await?, 1);
    assert_eq!(known().await?, [true, true, true, false]);
    assert_eq!(log.append.prune_commands(hour, 1).await?, 1);
    assert_eq!(known().await?, [false, true, true, false]);
    assert_eq!(log.append.prune_commands(hour, 100).await?, 1);
    assert_eq!(known().await?, [false, false, true, false]);
    assert_eq!(log.append.prune_commands(hour, 100).await?, 0);
    assert_eq!(log.read.head().await?, 4);
    Ok(())
}

/// Another replica that prunes, or one that does nothing in the middle of it, holds up neither appends nor the pruning of others.
#[tokio::test]
async fn pruning_never_waits_and_no_append_waits_for_it() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("order-1", 1)]).await?;
    let mut elsewhere = log.owner().await?;
    elsewhere.execute("BEGIN; SELECT prune_commands(clock_timestamp(), 100)").await?;
    assert_eq!(log.append.prune_commands(Duration::ZERO, 100).await?, 0);
    log.given(&[("order-1", 2)]).await?;
    elsewhere.execute("COMMIT").await?;
    assert_eq!(log.append.prune_commands(Duration::ZERO, 100).await?, 1);
    Ok(())
}
