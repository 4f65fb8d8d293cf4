//! Folds a parked event after all, with those that wait behind it, once the cause is mended.

use std::sync::Arc;

use tally_read_model::{Applied, Batch, ParkedChange, State, StoredView, Unit, ViewChange};

use crate::digest;
use crate::parked::ParkedEvent;
use crate::projection::Unfoldable;
use crate::retry::Failure;
use crate::stores::{Log, Views};
use crate::{Fold, Recorded};

/// How often it is tried again because the unit's owner was faster.
const TRIES_MAX: usize = 100;

/// How many events were folded, and how many still wait behind one that could not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retried {
    pub(crate) folded: usize,
    pub(crate) waiting: usize,
}

/// Why nothing was folded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Failed(#[from] Failure),
    #[error("no event at this position is parked")]
    NotParked,
    #[error("the event may be about any view; rebuild the projection once this program can read it")]
    NoSingleView,
    #[error("the event still can't be folded: {0}")]
    StillUnfoldable(Unfoldable),
}

impl From<tally_read_model::Error> for Error {
    fn from(error: tally_read_model::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Folds the event at `position` and those before and behind it about the same view.
pub(crate) async fn retry_parked(
    fold: &dyn Fold,
    log: &dyn Log,
    views: &dyn Views,
    position: u64,
) -> Result<Retried, Error> {
    let projection = fold.name();
    for unit in (0..views.shards()).map(|shard| Unit { projection, shard }) {
        for _ in 0..TRIES_MAX {
            match try_retry(fold, log, views, unit, position).await? {
                Outcome::Done(retried) => return Ok(retried),
                Outcome::NotHere => break,
                Outcome::Moved => {}
            }
        }
    }
    Err(Error::NotParked)
}

enum Outcome {
    Done(Retried),
    NotHere,
    Moved,
}

async fn try_retry(
    fold: &dyn Fold,
    log: &dyn Log,
    views: &dyn Views,
    unit: Unit,
    position: u64,
) -> Result<Outcome, Error> {
    let Some((build, state)) = views.look(unit).await?.live_state() else { return Ok(Outcome::NotHere) };
    let parked = views.parked(unit, build).await?;
    let Some(record) = parked.get(&position) else { return Ok(Outcome::NotHere) };
    let view_of = |record: &str| ParkedEvent::from_record(record).and_then(|event| event.view);
    let key = view_of(record).ok_or(Error::NoSingleView)?;
    let mut events: Vec<Arc<Recorded>> = Vec::new();
    for (&position, _) in parked.iter().filter(|(_, record)| view_of(record).as_deref() == Some(&key)) {
        events.extend(log.event_at(position).await?);
    }
    let stored = views.load_views(unit, build, &state, std::slice::from_ref(&key)).await?;
    let Some(stored) = stored.and_then(|mut views| views.pop()) else { return Ok(Outcome::Moved) };
    let lost = || Failure::Passing("the view is lost, and is made again before anything can be retried".to_owned());
    let stored = stored.ok_or_else(lost)?;
    let unmarked = StoredView { parked: None, ..stored.clone() };
    let folded = fold.fold(&key, &unmarked, &events).map_err(Error::StillUnfoldable)?;
    let done = folded.parked.as_ref().map_or(events.len(), |(place, _)| *place);
    if let (0, Some((_, reason))) = (done, folded.parked) {
        return Err(Error::StillUnfoldable(reason));
    }
    let change =
        folded.change.unwrap_or_else(|| ViewChange { key: key.clone(), now: unmarked, ..ViewChange::default() });
    let to = counted(&state, &change, &stored);
    let removed = events.iter().take(done).map(|event| ParkedChange { position: event.position, record: None });
    let batch = Batch { parked: removed.collect(), views: vec![change], ..Batch::default() };
    match views.apply(unit, build, None, (&state, &to), &batch).await? {
        Applied::Done => Ok(Outcome::Done(Retried { folded: done, waiting: events.len() - done })),
        Applied::Moved | Applied::NotOwner => Ok(Outcome::Moved),
        Applied::Lost(_) => Err(lost().into()),
    }
}

/// The state after the change; another one even if all else is as before, so that whoever began from the one before notices.
fn counted(from: &State, change: &ViewChange, before: &StoredView) -> State {
    let mut to = State { edits: from.edits + 1, ..*from };
    digest::count(&mut to, change, before);
    to
}
