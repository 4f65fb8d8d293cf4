//! Holds what was applied against the log for as long as the process runs: one range of positions at each interval, for the units that are
//! this process's. By turns it is the newest range, where a fault of now shows within two intervals, and the next one on an endless way through
//! all, where one of long ago does.
//!
//! `projector verify` does the same for all ranges at once; this one is cheap enough to go on for ever: a range is read once for all units, from
//! the log itself and not from memory, since what is in memory is what was applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tally_event_store::ReadStore;
use tally_read_model::{BuildId, State, Unit, Writer, shard_of};
use tokio::time::sleep;

use crate::digest::{self, RANGE, range_of};
use crate::fold::Concern;
use crate::metrics::METRICS;
use crate::retry::Failure;
use crate::status::Status;
use crate::{Fold, Recorded};

/// How many units are checked at a time; of more the next ones follow the next time.
const UNITS_PER_CHECK_MAX: usize = 256;
/// Units that are far apart are in different ranges: so many of these are read for one check.
const RANGES_PER_CHECK_MAX: usize = 2;
/// How many events are read at once.
const EVENTS_PER_READ: usize = 512;
/// Redis tells all digests of a build at once, so some of them are kept for the next steps of the way.
const RANGES_REMEMBERED: u64 = 64;

/// The check, and what it has found so far.
pub(crate) struct Audit {
    store: ReadStore,
    writer: Writer,
    projections: Vec<Arc<dyn Fold>>,
    status: Status,
    /// The next range of the way through all.
    next_range: u64,
    /// The first unit of the next check.
    next_unit: usize,
    remembered: BTreeMap<Unit, Remembered>,
    found: BTreeMap<Unit, (BuildId, BTreeSet<u64>)>,
}

/// Digests of ranges that are complete, and stay as they are for as long as the build does.
struct Remembered {
    build: BuildId,
    from: u64,
    until: u64,
    digests: BTreeMap<u64, u64>,
}

/// What a unit says that it applied of a range.
#[derive(Debug, Clone, Copy)]
struct Claim {
    unit: Unit,
    build: BuildId,
    /// The last position that it is about.
    until: u64,
    /// None: the unit says nothing of this range, although it is past it.
    digest: Option<u64>,
}

impl Audit {
    pub(crate) fn new(store: ReadStore, writer: Writer, projections: Vec<Arc<dyn Fold>>, status: Status) -> Self {
        Self {
            store,
            writer,
            projections,
            status,
            next_range: 0,
            next_unit: 0,
            remembered: BTreeMap::new(),
            found: BTreeMap::new(),
        }
    }

    /// Checks for ever.
    pub(crate) async fn run(mut self, every: Duration) {
        loop {
            for newest in [true, false] {
                sleep(every).await;
                if let Err(failure) = self.check(newest).await {
                    // A store that is away is told of by those who work with it.
                    tracing::debug!(%failure, "what was applied can't be held against the log now");
                }
            }
        }
    }

    async fn check(&mut self, newest: bool) -> Result<(), Failure> {
        let units = self.units();
        self.found.retain(|unit, _| units.contains(unit));
        self.remembered.retain(|unit, _| units.contains(unit));
        let mut states = Vec::new();
        for unit in self.next_units(units) {
            states.extend(self.look(unit).await?.map(|(build, state)| (unit, build, state)));
        }
        let claims = if newest { newest_claims(&states) } else { self.old_claims(&states).await? };
        for (range, claims) in claims.into_iter().take(RANGES_PER_CHECK_MAX) {
            let digests = self.digests_of_log(range, &claims).await?;
            for claim in claims {
                let is_right = claim.digest == Some(digests.get(&claim.unit).copied().unwrap_or(0));
                self.note(claim, range, is_right).await?;
            }
        }
        Ok(())
    }

    fn units(&self) -> BTreeSet<Unit> {
        self.status.units().into_iter().collect()
    }

    fn next_units(&mut self, units: BTreeSet<Unit>) -> Vec<Unit> {
        let all: Vec<Unit> = units.into_iter().collect();
        if all.is_empty() {
            return all;
        }
        let first = self.next_unit % all.len();
        let count = all.len().min(UNITS_PER_CHECK_MAX);
        self.next_unit = first + count;
        all.iter().cycle().skip(first).take(count).copied().collect()
    }

    /// The live build, where it is of this program's version: another one may be concerned by other events.
    async fn look(&self, unit: Unit) -> Result<Option<(BuildId, State)>, Failure> {
        let version = self.projections.iter().find(|fold| fold.name() == unit.projection).map(|fold| fold.version());
        let live = self.writer.look(unit).await?.live_state();
        Ok(live.filter(|(_, state)| Some(state.version) == version && state.position > 0))
    }

    /// The next range of those that are complete.
    async fn old_claims(&mut self, states: &[(Unit, BuildId, State)]) -> Result<BTreeMap<u64, Vec<Claim>>, Failure> {
        let complete = states.iter().map(|(.., state)| range_of(state.position)).max().unwrap_or(0);
        let range = if self.next_range < complete { self.next_range } else { 0 };
        self.next_range = range + 1;
        let mut claims = Vec::new();
        for (unit, build, state) in states.iter().filter(|(.., state)| range < range_of(state.position)) {
            let Some(digest) = self.stored_digest(*unit, *build, range, range_of(state.position)).await? else {
                continue;
            };
            claims.push(Claim { unit: *unit, build: *build, until: (range + 1) * RANGE, digest });
        }
        Ok(BTreeMap::from([(range, claims)]))
    }

    /// Outer None: the build is being replaced.
    async fn stored_digest(
        &mut self,
        unit: Unit,
        build: BuildId,
        range: u64,
        complete: u64,
    ) -> Result<Option<Option<u64>>, Failure> {
        let known = self.remembered.get(&unit);
        let is_known = known.is_some_and(|it| it.build == build && (it.from..it.until).contains(&range));
        if !is_known {
            let mut digests = self.writer.digests(unit, build).await?;
            // What is being removed tells half of it.
            if self.look(unit).await?.is_none_or(|(live, _)| live != build) {
                return Ok(None);
            }
            let until = complete.min(range + RANGES_REMEMBERED);
            digests.retain(|it, _| (range..until).contains(it));
            self.remembered.insert(unit, Remembered { build, from: range, until, digests });
        }
        Ok(Some(self.remembered.get(&unit).and_then(|it| it.digests.get(&range)).copied()))
    }

    /// What the units of the claims should have applied of a range.
    async fn digests_of_log(&self, range: u64, claims: &[Claim]) -> Result<BTreeMap<Unit, u64>, Failure> {
        let shards = self.writer.model().shards();
        let until: BTreeMap<Unit, u64> = claims.iter().map(|claim| (claim.unit, claim.until)).collect();
        let end = until.values().copied().max().unwrap_or(0);
        let folds = self.projections.iter().filter(|fold| claims.iter().any(|it| it.unit.projection == fold.name()));
        let folds: Vec<_> = folds.collect();
        let (mut digests, mut position) = (BTreeMap::new(), range * RANGE);
        while position < end {
            let limit = usize::try_from(end - position).unwrap_or(EVENTS_PER_READ).min(EVENTS_PER_READ);
            let events = self.store.read_after(position, limit).await?;
            let Some(last) = events.last().map(|event| event.position) else { break };
            for event in events.into_iter().map(Recorded::from) {
                for fold in &folds {
                    let concerned = match fold.concern(&event) {
                        Concern::Nothing => continue,
                        Concern::View(key) => Some(shard_of(&key, shards)),
                        Concern::AnyView(_) => None,
                    };
                    let of_projection =
                        Unit { projection: fold.name(), shard: 0 }..=Unit { projection: fold.name(), shard: u16::MAX };
                    for (unit, until) in until.range(of_projection) {
                        if event.position <= *until && concerned.is_none_or(|shard| shard == unit.shard) {
                            let digest = digests.entry(*unit).or_insert(0);
                            *digest = digest::chained(*digest, &event);
                        }
                    }
                }
            }
            position = last;
        }
        Ok(digests)
    }

    /// Keeps what was found, tells of it, and once each puts it into the log.
    async fn note(&mut self, claim: Claim, range: u64, is_right: bool) -> Result<(), Failure> {
        let unit = claim.unit;
        // What differs because the views are being replaced right now is nothing to be woken for.
        if !is_right && self.look(unit).await?.is_none_or(|(live, _)| live != claim.build) {
            return Ok(());
        }
        let (build, differing) = self.found.entry(unit).or_insert_with(|| (claim.build, BTreeSet::new()));
        if *build != claim.build {
            (*build, *differing) = (claim.build, BTreeSet::new());
        }
        if is_right {
            differing.remove(&range);
        } else if differing.insert(range) {
            let (from, to) = (range * RANGE + 1, claim.until);
            tracing::error!(
                projection = unit.projection,
                shard = unit.shard,
                from,
                to,
                "what was applied is not what the log holds"
            );
        }
        METRICS.digest_checked(unit, differing.len());
        Ok(())
    }
}

/// What units say of the range that they are in.
fn newest_claims(states: &[(Unit, BuildId, State)]) -> BTreeMap<u64, Vec<Claim>> {
    let mut claims: BTreeMap<u64, Vec<Claim>> = BTreeMap::new();
    for &(unit, build, state) in states {
        let claim = Claim { unit, build, until: state.position, digest: Some(state.digest) };
        claims.entry(range_of(state.position)).or_default().push(claim);
    }
    claims
}
