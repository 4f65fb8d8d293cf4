//! Appending so that no race can be lost: take the head row, so that nobody appends meanwhile, learn what came since, decide, append, commit.
//! All inside one transaction of tasks that no caller can cancel.

use std::collections::{HashMap, VecDeque};

use tally_domain::StreamId;
use tally_event_store::{AppendStore, Error, ExclusiveAppend, News, StoredCommand, append};
use uuid::Uuid;

use super::Failure;
use super::decide::Decided;
use super::fold::{self, LoadedStreams};
use super::settle::{Checked, Settled, said_only, to_batch};
use super::ticket::Ticket;
use crate::metrics::METRICS;

/// Events of other processes that are read at a time. With more, every stream is asked for what it lacks when it is needed.
pub(super) const CATCH_UP_EVENTS_MAX: u64 = 8_192;
/// Rounds of loading for the commands of one hold; a batch names its product, an order its products.
pub(super) const ROUNDS_MAX: usize = 8;

/// The head is held.
pub(super) struct Held {
    pub(super) exclusive: ExclusiveAppend,
    /// What came into the log since it was looked at last; none: too much.
    pub(super) news: Option<News>,
    /// Those of the commands asked about that came before.
    pub(super) known: HashMap<Uuid, StoredCommand>,
}

/// Commands that are decided while the head is held.
#[derive(Default)]
pub(super) struct Holding {
    /// Not decided yet.
    pub(super) rest: VecDeque<Ticket>,
    pub(super) decided: Vec<Decided>,
    pub(super) known: HashMap<Uuid, StoredCommand>,
    pub(super) rounds: usize,
    /// So many of them are about streams that others appended to that they are better not decided ahead.
    pub(super) contended: bool,
}

/// Streams that were loaded with the head held.
pub(super) struct LoadedHeld {
    pub(super) exclusive: ExclusiveAppend,
    pub(super) streams: LoadedStreams,
}

/// Takes the head, and asks what became of commands.
pub(super) async fn take(store: AppendStore, seen: u64, ids: Vec<Uuid>) -> Result<Held, Failure> {
    let begun = store.begin_exclusive(seen, CATCH_UP_EVENTS_MAX).await;
    let mut exclusive = begun.map_err(|error| failure(&error))?;
    let news = exclusive.take_news();
    let known = known(&mut exclusive, &ids).await.map_err(|error| failure(&error))?;
    Ok(Held { exclusive, news, known })
}

/// Loads what the commands lack.
pub(super) async fn load(mut exclusive: ExclusiveAppend, known: Vec<(StreamId, u64)>) -> Result<LoadedHeld, Failure> {
    let streams = fold::load(&mut exclusive, known).await?;
    Ok(LoadedHeld { exclusive, streams })
}

/// Appends what was decided and lets go of the head. What was only said was true while the head was held, unless the command came before.
pub(super) async fn settle(exclusive: ExclusiveAppend, decided: Vec<Decided>) -> Settled {
    let result = append_and_check(exclusive, &decided).await;
    Settled { decided, result }
}

async fn append_and_check(mut exclusive: ExclusiveAppend, decided: &[Decided]) -> Result<Checked, append::Error> {
    let known = known(&mut exclusive, &said_only(decided).1).await?;
    let batch = to_batch(decided);
    METRICS.batch(&batch);
    let commit = METRICS.commit_seconds.start_timer();
    let appended = Some(exclusive.append(batch).await?);
    commit.observe_duration();
    Ok(Checked { appended, known, ..Checked::default() })
}

async fn known(exclusive: &mut ExclusiveAppend, ids: &[Uuid]) -> Result<HashMap<Uuid, StoredCommand>, Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found = exclusive.find_commands(ids).await?;
    Ok(found.into_iter().map(|command| (command.command_id, command)).collect())
}

/// What callers are told when the store fails.
pub(super) fn failure(error: &Error) -> Failure {
    match error {
        Error::Unavailable(cause) => {
            tracing::warn!(%cause, "the event store is unavailable");
            Failure::Unavailable
        }
        Error::Refused(cause) => {
            tracing::error!(%cause, "the event store refused");
            Failure::Internal
        }
    }
}

/// What callers are told when an append fails other than by a lost race.
pub(super) fn append_failure(error: &append::Error) -> Failure {
    match error {
        append::Error::Unavailable(cause) => {
            tracing::warn!(%cause, "the event store is unavailable");
            Failure::Unavailable
        }
        append::Error::Conflict => {
            tracing::error!("a conflict while the head of the log was held");
            Failure::Internal
        }
        append::Error::Refused(cause) => {
            tracing::error!(%cause, "the event store refused a batch");
            Failure::Internal
        }
    }
}
