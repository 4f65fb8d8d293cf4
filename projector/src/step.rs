//! One step of one build: read a batch of events after its position, fold it, apply it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use tally_read_model::{
    Applied, Batch, BuildId, DigestChange, ParkedChange, Skipped, State, StoredView, Unit, shard_of,
};

use crate::alarm::Alarm;
use crate::digest::{self, range_of};
use crate::fold::{Concern, Folded};
use crate::parked::ParkedEvent;
use crate::projection::Unfoldable;
use crate::retry::Failure;
use crate::stores::{HighWater, Log, Views};
use crate::{Fold, Recorded};

/// How often a batch is tried again without what turned out to be lost.
const LOSSES_PER_STEP_MAX: usize = 100;

/// Takes steps on the builds of one unit.
#[derive(Clone)]
pub(crate) struct Stepper {
    pub(crate) unit: Unit,
    pub(crate) fold: Arc<dyn Fold>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) views: Arc<dyn Views>,
    pub(crate) high_water: Arc<dyn HighWater>,
    /// The name under which this process holds leases.
    pub(crate) member: String,
    pub(crate) observer: Observer,
}

/// Told of what is done to the live build.
#[derive(Clone, Copy)]
pub(crate) struct Observer {
    /// A batch was read that begins with this event.
    pub(crate) read: fn(Unit, &Recorded),
    /// A batch was applied that was begun then.
    pub(crate) applied: fn(Unit, SystemTime, &[Arc<Recorded>]),
}

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stepped {
    /// There are no further events.
    Nothing,
    /// The build is in this state now.
    Done(State),
    /// It was not in the state that was expected: somebody else moved it, or Redis lost something.
    Moved,
    /// The unit is somebody else's now.
    NotOwner,
}

/// What of a build is known to be lost: names as in [`Applied::Lost`], and what is stored in its place, if anything. It is left alone until it
/// has been made again.
pub(crate) type Lost = BTreeMap<String, Option<Vec<u8>>>;

/// A batch of events, by what they are about.
#[derive(Default)]
struct Sorted {
    by_view: BTreeMap<String, Vec<Arc<Recorded>>>,
    of_any_view: Vec<(Arc<Recorded>, Unfoldable)>,
    digest: u64,
    digests: Vec<DigestChange>,
}

impl Stepper {
    /// Projects the next events into a build that is in the state `from`.
    pub(crate) async fn step(
        &self,
        build: BuildId,
        from: &State,
        limit: usize,
        lost: &mut Lost,
    ) -> Result<Stepped, Failure> {
        let events = self.log.read_after((from.position, from.last_event), limit).await?;
        let began = SystemTime::now();
        if let Some(first) = events.first() {
            (self.observer.read)(self.unit, first);
        }
        let stepped = self.apply_events(build, from, &events, lost).await?;
        if let Stepped::Done(_) = stepped {
            (self.observer.applied)(self.unit, began, &events);
        }
        Ok(stepped)
    }

    /// Projects events that were read already: those after the position of `from`.
    pub(crate) async fn apply_events(
        &self,
        build: BuildId,
        from: &State,
        events: &[Arc<Recorded>],
        lost: &mut Lost,
    ) -> Result<Stepped, Failure> {
        let Some(last) = events.last() else { return Ok(Stepped::Nothing) };
        check_contiguous(from.position, events)?;
        let sorted = self.sort(from, events);
        let keys: Vec<String> = sorted.by_view.keys().cloned().collect();
        let Some(stored) = self.views.load_views(self.unit, build, from, &keys).await? else {
            return Ok(Stepped::Moved);
        };
        let is_lost = keys.iter().zip(&stored).filter(|(_, stored)| stored.is_none());
        lost.extend(is_lost.map(|(key, _)| (format!("v{key}"), None)));
        let stored: Vec<StoredView> = stored.into_iter().map(Option::unwrap_or_default).collect();
        for _ in 0..LOSSES_PER_STEP_MAX {
            let (batch, mut to) = self.fold(from, &sorted, &stored, lost);
            to.position = last.position;
            to.last_event = last.fingerprint;
            match self.views.apply(self.unit, build, Some(&self.member), (from, &to), &batch).await? {
                Applied::Done => return Ok(Stepped::Done(to)),
                Applied::Moved => return Ok(Stepped::Moved),
                Applied::NotOwner => return Ok(Stepped::NotOwner),
                Applied::Lost(names) => lost.extend(names.into_iter().map(|name| (name, None))),
            }
        }
        Err(Failure::Passing("more and more views turn out to be lost".to_owned()))
    }

    fn sort(&self, from: &State, events: &[Arc<Recorded>]) -> Sorted {
        let mut sorted = Sorted { digest: from.digest, ..Sorted::default() };
        let mut range = range_of(from.position);
        for event in events {
            if range_of(event.position) != range {
                sorted.digests.push(DigestChange { range, digest: sorted.digest });
                (range, sorted.digest) = (range_of(event.position), 0);
            }
            match self.concern(event) {
                Concern::Nothing => continue,
                Concern::View(key) => sorted.by_view.entry(key).or_default().push(Arc::clone(event)),
                Concern::AnyView(reason) => sorted.of_any_view.push((Arc::clone(event), reason)),
            }
            sorted.digest = digest::chained(sorted.digest, event);
        }
        sorted
    }

    /// What an event is about in this unit's shard.
    pub(crate) fn concern(&self, event: &Recorded) -> Concern {
        match self.fold.concern(event) {
            Concern::View(key) if shard_of(&key, self.views.shards()) != self.unit.shard => Concern::Nothing,
            concern => concern,
        }
    }

    fn fold(&self, from: &State, sorted: &Sorted, stored: &[StoredView], lost: &mut Lost) -> (Batch, State) {
        let mut batch = Batch { digests: sorted.digests.clone(), ..Batch::default() };
        let mut to = State { digest: sorted.digest, ..*from };
        let mut skipped = BTreeSet::new();
        for ((key, events), stored) in sorted.by_view.iter().zip(stored) {
            let name = format!("v{key}");
            if !lost.contains_key(&name) {
                match self.fold.fold(key, stored, events) {
                    Ok(folded) => {
                        take_up(&mut batch, &mut to, key, events, stored, folded);
                        continue;
                    }
                    // As good as lost: it is made again from the log.
                    Err(_) => _ = lost.insert(name.clone(), stored.to_bytes()),
                }
            }
            skipped.insert(name);
        }
        for change in &mut batch.views {
            let mut is_there = |(list, _): &(String, String)| {
                let name = format!("l{list}");
                let is_lost = lost.contains_key(&name);
                if is_lost {
                    skipped.insert(name);
                }
                !is_lost
            };
            change.lists_added.retain(&mut is_there);
            change.lists_removed.retain(is_there);
        }
        let as_stored = |name: String| Skipped { stored: lost.get(&name).cloned().flatten(), name };
        batch.skipped = skipped.into_iter().map(as_stored).collect();
        for (event, reason) in &sorted.of_any_view {
            let record = ParkedEvent::new(event, None, reason, false).to_record();
            batch.parked.push(ParkedChange { position: event.position, record: Some(record) });
            if to.parked_from == 0 {
                to.parked_from = event.position;
            }
        }
        (batch, to)
    }
}

/// Puts what became of one view into the batch.
pub(crate) fn take_up(
    batch: &mut Batch,
    to: &mut State,
    key: &str,
    events: &[Arc<Recorded>],
    stored: &StoredView,
    folded: Folded,
) {
    if let Some((place, reason)) = &folded.parked {
        for (number, event) in events.iter().enumerate().skip(*place) {
            let behind = number > *place || stored.parked.is_some();
            let record = ParkedEvent::new(event, Some(key), reason, behind).to_record();
            batch.parked.push(ParkedChange { position: event.position, record: Some(record) });
        }
    }
    if let Some(change) = folded.change {
        digest::count(to, &change, stored);
        batch.views.push(change);
    }
}

fn check_contiguous(after: u64, events: &[Arc<Recorded>]) -> Result<(), Alarm> {
    for (expected, event) in (after + 1..).zip(events) {
        if event.position != expected {
            return Err(Alarm::Hole { expected });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::testing::external;

    fn check(after: u64, positions: &[u64]) -> Result<(), Alarm> {
        let events: Vec<_> = positions.iter().map(|at| Arc::new(external("o").at(*at).recorded())).collect();
        check_contiguous(after, &events)
    }

    #[test]
    fn a_hole_is_found_at_the_beginning_and_in_the_middle() {
        assert_eq!(check(3, &[]), Ok(()));
        assert_eq!(check(3, &[4, 5, 6]), Ok(()));
        assert_eq!(check(3, &[5, 6]), Err(Alarm::Hole { expected: 4 }));
        assert_eq!(check(3, &[4, 6]), Err(Alarm::Hole { expected: 5 }));
        assert_eq!(check(3, &[4, 4]), Err(Alarm::Hole { expected: 5 }));
    }
}
