//! Faults that are planted on purpose, for the crash kit to find: only with the feature, and only the one that the variable names.

use std::env;
use std::sync::LazyLock;
use std::time::Duration;

use tally_event_store::{AppendStore, Appended, Batch, append};
use uuid::Uuid;

use crate::sequencer::{Failure, Outcome, Sequencer, Submission};

static PLANTED: LazyLock<String> = LazyLock::new(|| env::var("TALLY_PLANTED_FAULT").unwrap_or_default());
/// How long after the answer the commit comes.
const LATE: Duration = Duration::from_millis(50);

pub(crate) fn is(name: &str) -> bool {
    *PLANTED == name
}

/// The caller's id replaced by one of our own; a failed command tried again under a new id.
pub(crate) async fn submit(sequencer: &Sequencer, mut submission: Submission) -> Result<Outcome, Failure> {
    if is("command-id-replaced") {
        submission.command_id = Uuid::now_v7();
    }
    let again = is("retry-with-a-new-id").then(|| Submission { command_id: Uuid::now_v7(), ..submission.clone() });
    match (sequencer.submit(submission).await, again) {
        (Err(Failure::Unavailable), Some(again)) => sequencer.submit(again).await,
        (outcome, _) => outcome,
    }
}

/// The batch said to be where it will probably go, and appended later.
pub(crate) async fn append(store: &AppendStore, batch: Batch) -> Result<Appended, append::Error> {
    if !is("answer-before-the-commit") {
        return store.append(batch).await;
    }
    let count: usize = batch.commands.iter().map(|command| command.events.len()).sum();
    let head = store.head().await?;
    let store = store.clone();
    tokio::spawn(async move {
        tokio::time::sleep(LATE).await;
        store.append(batch).await
    });
    Ok(Appended { first_position: head + 1, last_position: head + count as u64 })
}
