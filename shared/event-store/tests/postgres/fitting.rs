//! Appending what fits of a batch beside others, and learning what they appended.

use anyhow::Result;
use tally_event_store::{Basis, Batch, Fitted, Outcome, append};

use crate::fixture::{Log, batch, command, ensure_contiguous, guarded, unchanged};

fn basis<const N: usize>(streams: [(&str, u64, i32); N]) -> Vec<Basis> {
    let basis =
        |(stream_id, version, group): (&str, u64, i32)| Basis { stream_id: stream_id.to_owned(), version, group };
    streams.into_iter().map(basis).collect()
}

impl Log {
    async fn fitting<const N: usize>(
        &self,
        batch: Batch,
        streams: [(&str, u64, i32); N],
        seen: u64,
    ) -> Result<Fitted, append::Error> {
        self.append.append_fitting(batch, basis(streams), seen, 100).await
    }
}

/// The streams of the log's events in their order.
async fn streams(log: &Log) -> Result<Vec<String>> {
    let events = log.events().await?;
    ensure_contiguous(&events)?;
    Ok(events.into_iter().map(|event| event.stream_id).collect())
}

#[tokio::test]
async fn what_has_moved_is_left_out_with_its_group_and_the_rest_is_appended_in_its_order() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("product-a", 1), ("product-b", 1)]).await?;
    log.given(&[("product-a", 2)]).await?;
    let commands = [
        command(&[("product-b", 2), ("order-1", 1)]),
        command(&[("product-a", 2), ("order-2", 1)]),
        command(&[("order-3", 1)]),
        command(&[("product-c", 1), ("order-2", 2)]),
        command(&[("product-b", 3)]),
    ];
    let ids: Vec<_> = commands.iter().map(|command| command.command_id).collect();
    let streams_of = [
        ("product-b", 1, 4),
        ("order-1", 0, 4),
        ("product-a", 1, 7),
        ("order-2", 0, 7),
        ("order-3", 0, 9),
        ("product-c", 0, 7),
    ];
    let fitted = log.fitting(batch(commands), streams_of, 2).await?;
    assert_eq!(fitted.left_out, [7].into());
    assert_eq!((fitted.appended.first_position, fitted.appended.last_position), (4, 7));
    assert_eq!(streams(&log).await?[3..], ["product-b", "order-1", "order-3", "product-b"]);

    let known = log.append.find_commands(&ids).await?;
    let mut places: Vec<_> = known
        .iter()
        .map(|command| match &command.outcome {
            Outcome::Appended(events) => (command.command_id, events.iter().map(|event| event.position).collect()),
            Outcome::Unchanged(_) => (command.command_id, Vec::new()),
        })
        .collect();
    places.sort_by_key(|(_, positions)| positions.clone());
    assert_eq!(places, [(ids[0], vec![4, 5]), (ids[2], vec![6]), (ids[4], vec![7])]);
    Ok(())
}

#[tokio::test]
async fn what_others_appended_comes_with_the_answer_and_ends_before_the_batch() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("product-a", 1)]).await?;
    log.given(&[("product-b", 1), ("product-a", 2)]).await?;
    let fitted = log.fitting(batch([command(&[("order-1", 1)])]), [("order-1", 0, 0)], 1).await?;
    let news: Vec<_> = fitted
        .news
        .iter()
        .map(|(id, event)| {
            (id.as_str(), event.version, event.position, event.event_type.as_str(), event.payload.as_str())
        })
        .collect();
    let payloads = [r#"{"stream":"product-b","version":1}"#, r#"{"stream":"product-a","version":2}"#];
    assert_eq!(news, [("product-b", 1, 2, "Tested", payloads[0]), ("product-a", 2, 3, "Tested", payloads[1])]);
    let fitted = log.fitting(batch([command(&[("order-1", 2)])]), [("order-1", 1, 0)], 4).await?;
    assert!(fitted.news.is_empty() && fitted.left_out.is_empty());
    assert_eq!(fitted.appended.first_position, 5);
    Ok(())
}

#[tokio::test]
async fn a_log_that_has_moved_on_too_far_takes_nothing() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("product-a", 1), ("product-a", 2), ("product-a", 3)]).await?;
    let append = |seen, news_max| {
        let batch = batch([command(&[(&format!("order-{seen}"), 1)])]);
        log.append.append_fitting(batch, basis([(&format!("order-{seen}"), 0, 0)]), seen, news_max)
    };
    assert!(matches!(append(0, 2).await, Err(append::Error::Conflict)));
    assert_eq!(log.read.head().await?, 3);
    assert_eq!(append(1, 2).await?.news.len(), 2);
    Ok(())
}

#[tokio::test]
async fn where_nothing_fits_nothing_is_written() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("order-1", 1)]).await?;
    let late = command(&[("order-1", 1)]);
    let id = late.command_id;
    let fitted = log.fitting(batch([late]), [("order-1", 0, 0)], 0).await?;
    assert_eq!((fitted.left_out.len(), fitted.news.len()), (1, 1));
    assert_eq!((fitted.appended.first_position, fitted.appended.last_position), (2, 1));
    assert!(log.append.find_commands(&[id]).await?.is_empty());
    Ok(())
}

/// Read and not written is as good a reason.
#[tokio::test]
async fn what_was_only_read_and_has_moved_leaves_out_whoever_read_it() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("product-a", 1), ("product-b", 1)]).await?;
    let late = guarded([command(&[("order-1", 1)]), command(&[("order-2", 1)])], &[("product-a", 0), ("product-b", 1)]);
    let streams_of = [("product-a", 0, 0), ("order-1", 0, 0), ("product-b", 1, 2), ("order-2", 0, 2)];
    let fitted = log.fitting(late, streams_of, 0).await?;
    assert_eq!(fitted.left_out, [0].into());
    assert_eq!(streams(&log).await?[2..], ["order-2"]);
    // A version that is not there has not moved, and is no version to rest on.
    let result = log.fitting(
        guarded([command(&[("order-3", 1)])], &[("product-a", 5)]),
        [("order-3", 0, 0), ("product-a", 5, 0)],
        3,
    );
    assert!(matches!(result.await, Err(append::Error::Conflict)));
    Ok(())
}

#[tokio::test]
async fn a_command_that_changed_nothing_is_remembered_beside_one_that_is_left_out() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("order-1", 1)]).await?;
    let idle = unchanged("order-1", 1);
    let id = idle.command_id;
    let commands = batch([command(&[("order-1", 1)]), idle, command(&[("order-2", 1)])]);
    let fitted = log.fitting(commands, [("order-1", 0, 0), ("order-2", 0, 1)], 0).await?;
    assert_eq!(fitted.left_out, [0].into());
    let known = log.append.find_commands(&[id]).await?;
    assert!(matches!(&known[0].outcome, Outcome::Unchanged(held) if held.position == 1), "{known:?}");
    assert_eq!(streams(&log).await?, ["order-1", "order-2"]);
    Ok(())
}

#[tokio::test]
async fn a_command_that_came_before_is_a_conflict_for_all() -> Result<()> {
    let log = Log::fresh().await?;
    let first = command(&[("order-1", 1)]);
    log.append.append(batch([first.clone()])).await?;
    let mut again = command(&[("order-2", 1)]);
    again.command_id = first.command_id;
    let result = log.fitting(batch([command(&[("order-3", 1)]), again]), [("order-2", 0, 0), ("order-3", 0, 1)], 1);
    assert!(matches!(result.await, Err(append::Error::Conflict)));
    assert_eq!(log.read.head().await?, 1);
    Ok(())
}
