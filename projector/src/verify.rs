//! Compares what every unit says that it applied with the log, range by range of positions: what was skipped, doubled or reordered is found,
//! and where. And each unit's views with the sum that is kept of them: what was changed or lost is found.

use std::collections::BTreeMap;
use std::sync::Arc;

use tally_read_model::{BuildId, Scanned, State, Unit, Walk, shard_of};

use crate::Fold;
use crate::digest::{self, RANGE, range_of};
use crate::fold::Concern;
use crate::retry::Failure;
use crate::stores::{Log, Views};

/// How many events are read at once.
const EVENTS_PER_READ: usize = 4096;
/// How often the views are summed up anew because they moved meanwhile.
const SUMS_TRIED_MAX: usize = 5;

/// What was found of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) unit: Unit,
    /// Up to here it was compared.
    pub(crate) position: u64,
    /// Positions, from and to, in which something other was applied than the log holds.
    pub(crate) differing: Vec<(u64, u64)>,
    pub(crate) views: Sum,
}

/// Whether the views add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sum {
    /// They do.
    Right,
    /// Some were changed by somebody else, or are lost.
    Wrong,
    /// They moved all the time.
    Unknown,
}

impl Verified {
    pub(crate) fn is_right(&self) -> bool {
        self.differing.is_empty() && self.views != Sum::Wrong
    }
}

/// One unit, as far as the log was read.
struct Checked {
    unit: Unit,
    fold: Arc<dyn Fold>,
    build: BuildId,
    state: State,
    stored: BTreeMap<u64, u64>,
    range: u64,
    digest: u64,
    differing: Vec<u64>,
}

/// What the digests of a build are read from.
#[tonic::async_trait]
pub(crate) trait Digests: Send + Sync {
    async fn digests(&self, unit: Unit, build: BuildId) -> Result<BTreeMap<u64, u64>, tally_read_model::Error>;
}

#[tonic::async_trait]
impl Digests for tally_read_model::Writer {
    async fn digests(&self, unit: Unit, build: BuildId) -> Result<BTreeMap<u64, u64>, tally_read_model::Error> {
        self.digests(unit, build).await
    }
}

/// Checks the live builds of these projections. `progress` is told of positions.
pub(crate) async fn verify<V: Views + Digests>(
    projections: &[Arc<dyn Fold>],
    log: &dyn Log,
    views: &V,
    mut progress: impl FnMut(u64, u64),
) -> Result<Vec<Verified>, Failure> {
    let mut checked = Vec::new();
    for fold in projections {
        for unit in (0..views.shards()).map(|shard| Unit { projection: fold.name(), shard }) {
            let Some((build, state)) = views.look(unit).await?.live_state() else { continue };
            let stored = views.digests(unit, build).await?;
            let fold = Arc::clone(fold);
            checked.push(Checked { unit, fold, build, state, stored, range: 0, digest: 0, differing: Vec::new() });
        }
    }
    let end = checked.iter().map(|unit| unit.state.position).max().unwrap_or(0);
    let mut at = (0, 0);
    while at.0 < end {
        let events = log.read_after(at, EVENTS_PER_READ).await?;
        let Some(last) = events.last().map(|event| (event.position, event.fingerprint)) else { break };
        for unit in &mut checked {
            let end = unit.state.position;
            for event in events.iter().filter(|event| event.position <= end) {
                unit.take(event, views.shards());
            }
        }
        at = last;
        progress(at.0.min(end), end);
    }
    let mut verified = Vec::new();
    for unit in checked {
        let views = sum(views, unit.unit, unit.build).await?;
        verified.push(unit.end(at.0, views));
    }
    Ok(verified)
}

impl Checked {
    fn take(&mut self, event: &crate::Recorded, shards: u16) {
        while range_of(event.position) != self.range {
            if self.stored.get(&self.range) != Some(&self.digest) {
                self.differing.push(self.range);
            }
            (self.range, self.digest) = (self.range + 1, 0);
        }
        let concerned = match self.fold.concern(event) {
            Concern::Nothing => false,
            Concern::View(key) => shard_of(&key, shards) == self.unit.shard,
            Concern::AnyView(_) => true,
        };
        if concerned {
            self.digest = digest::chained(self.digest, event);
        }
    }

    fn end(mut self, log_end: u64, views: Sum) -> Verified {
        let position = self.state.position;
        if position > 0 && (self.digest != self.state.digest || position > log_end) {
            self.differing.push(self.range);
        }
        let positions = |range: u64| (range * RANGE + 1, ((range + 1) * RANGE).min(position));
        Verified { unit: self.unit, position, differing: self.differing.into_iter().map(positions).collect(), views }
    }
}

/// Adds up the views of a build and compares the sum with the one that is kept.
async fn sum(views: &dyn Views, unit: Unit, build: BuildId) -> Result<Sum, Failure> {
    for _ in 0..SUMS_TRIED_MAX {
        let (mut count, mut content, mut is_any_lost) = (0, 0_u64, false);
        let mut states: Vec<Option<State>> = Vec::new();
        for bucket in 0..views.buckets() {
            let Scanned { state, views, is_lost } = views.scan(unit, build, bucket).await?;
            states.push(state);
            is_any_lost |= is_lost;
            for (key, stored) in &views {
                let bytes = stored.to_bytes().unwrap_or_default();
                (count, content) = (count + 1, content.wrapping_add(digest::view(key, &bytes)));
            }
        }
        let mut walk = Some(Walk::default());
        while let Some(from) = walk {
            let found = views.find_losses(unit, build, from).await?;
            is_any_lost |= !found.lost.is_empty();
            walk = found.next;
        }
        let state = match states.first().copied().flatten() {
            Some(state) if states.iter().all(|it| *it == Some(state)) => state,
            _ => continue,
        };
        let is_right = !is_any_lost && (count, content) == (state.views, state.content);
        return Ok(if is_right { Sum::Right } else { Sum::Wrong });
    }
    Ok(Sum::Unknown)
}
