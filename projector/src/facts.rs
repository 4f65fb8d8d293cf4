//! How the projections are, gathered from Redis and the log: what ListProjections and ExplainLag tell.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use tally_api::projections::v1::{self as proto, ProjectionState};
use tally_event_store::ReadStore;
use tally_read_model::{Role, Unit, Writer};
use time::OffsetDateTime;

use crate::loss::Loss;
use crate::plan::{self, Building, Comparison, Plan};
use crate::proto::{number, timestamp};
use crate::replicas::unique_name;
use crate::report::{REPORT_LASTS, Report};
use crate::retry::Failure;
use crate::status::{Part, State, Status};
use crate::{Fold, Recorded};

/// An owner reports every second; after this long without a word something keeps it from its work.
const SILENT_AFTER: Duration = Duration::from_secs(3);

/// How many losses of a projection are told.
const LOSSES_TOLD_MAX: usize = 20;

/// What is known of one unit.
struct UnitFacts {
    shard: proto::ProjectionShard,
    generation: u64,
    version: u32,
    is_complete: bool,
    report: Report,
    /// Somebody else owns it and has said nothing of it for this long.
    silent_for: Option<Duration>,
    building: Option<u64>,
    building_caught_up: bool,
}

/// The end of the log.
pub(crate) struct LogFacts {
    /// Where it ends.
    pub(crate) head: u64,
    /// Why that is not known.
    pub(crate) failure: Option<Failure>,
}

impl LogFacts {
    pub(crate) async fn gather(store: &ReadStore) -> Self {
        match store.head().await {
            Ok(head) => Self { head, failure: None },
            Err(error) => Self { head: 0, failure: Some(error.into()) },
        }
    }
}

/// Gathers the facts about one projection.
pub(crate) async fn gather(
    fold: &Arc<dyn Fold>,
    store: &ReadStore,
    writer: &Writer,
    log: &LogFacts,
    status: &Status,
) -> Result<proto::Projection, Failure> {
    let name = fold.name();
    let plan = plan::read(writer, name).await?;
    let units = writer.model().units(name).map(|unit| unit_facts(writer, unit, plan.as_ref()));
    let mut units: Vec<UnitFacts> = futures::future::try_join_all(units).await?;
    for unit in &mut units {
        take_own_word(unit, name, status);
    }
    let checkpoint = units.iter().map(|unit| unit.shard.checkpoint).min().unwrap_or(0);
    let head = if log.failure.is_some() { checkpoint } else { number(log.head) };
    let losses = losses(writer, name).await?;
    let mut facts = proto::Projection {
        name: name.to_owned(),
        generation: number(units.first().map_or(0, |unit| unit.generation)),
        version: version(units.first().map_or(0, |unit| unit.version)),
        program_version: version(fold.version()),
        checkpoint,
        head,
        lag_events: (head - checkpoint).max(0),
        lag: Some(lag(store, checkpoint, head).await),
        events_per_second: slowest(units.iter().map(|unit| (unit.shard.checkpoint, unit.report.live_rate)), head),
        parked_events: units.iter().map(|unit| unit.shard.parked_events).sum(),
        rebuild: plan.as_ref().and_then(|plan| plan.building.as_ref()).map(|building| rebuild(building, &units, head)),
        kept_generation: plan
            .as_ref()
            .and_then(|plan| plan.kept.as_ref())
            .map_or(0, |kept| number(kept.generation.number)),
        kept_until_time: plan.as_ref().and_then(|plan| plan.kept.as_ref()).map(|kept| from_ms(kept.until_ms)),
        losses,
        ..proto::Projection::default()
    };
    let (state, reason) = state(&facts, plan.as_ref(), &units);
    facts.set_state(state);
    facts.reason = reason;
    facts.shards = units.into_iter().map(|unit| unit.shard).collect();
    Ok(facts)
}

async fn unit_facts(writer: &Writer, unit: Unit, plan: Option<&Plan>) -> Result<UnitFacts, Failure> {
    let look = writer.look(unit).await?;
    let told = writer.read_report(unit).await?;
    let age = told.as_ref().map_or(REPORT_LASTS, |(_, left)| REPORT_LASTS.saturating_sub(*left));
    let report: Report = told.and_then(|(text, _)| serde_json::from_str(&text).ok()).unwrap_or_default();
    let Some((build, state)) = look.live_state() else {
        let shard = proto::ProjectionShard { shard: i32::from(unit.shard), ..proto::ProjectionShard::default() };
        return Ok(UnitFacts {
            shard,
            generation: 0,
            version: 0,
            is_complete: false,
            report,
            silent_for: None,
            building: None,
            building_caught_up: false,
        });
    };
    let owner = writer.owner(unit, state.version).await?;
    let building = look.in_role(Role::Building).filter(|(build, _)| {
        plan.and_then(|plan| plan.building.as_ref()).is_some_and(|it| it.generation.number == build.generation)
    });
    let shard = proto::ProjectionShard {
        shard: i32::from(unit.shard),
        owner: owner.as_deref().map(unique_name).unwrap_or_default().to_owned(),
        build: build.to_string(),
        checkpoint: number(state.position),
        complete_from: if state.is_complete() { 0 } else { number(state.complete_from) },
        parked_events: number(writer.parked_count(unit, build).await?),
        views: number(state.views),
        repaired_to: look.in_role(Role::Repair).map_or(0, |(_, state)| number(state.position)),
    };
    let is_silent = owner.is_some_and(|owner| owner != report.member) || age > SILENT_AFTER;
    Ok(UnitFacts {
        shard,
        generation: build.generation,
        version: state.version,
        is_complete: state.is_complete(),
        report,
        silent_for: is_silent.then_some(age),
        building: building.map(|(_, state)| state.position),
        building_caught_up: building.is_some_and(|(_, new)| new.position >= state.position),
    })
}

/// What this process owns it knows itself, also when Redis takes no reports.
fn take_own_word(facts: &mut UnitFacts, projection: &'static str, status: &Status) {
    let shard = u16::try_from(facts.shard.shard).unwrap_or_default();
    let Some(state) = status.of(Part::Unit(Unit { projection, shard })) else { return };
    facts.silent_for = None;
    let (reason, halted) = match state {
        State::Waiting(reason) => (reason, false),
        State::Halted(reason) => (reason, true),
        State::Starting | State::Following | State::Paused | State::Recovering => return,
    };
    facts.report.reason = reason;
    facts.report.halted = halted;
}

/// One word for all, and why.
fn state(facts: &proto::Projection, plan: Option<&Plan>, units: &[UnitFacts]) -> (ProjectionState, String) {
    let reason = |found: Option<&UnitFacts>| found.map(|unit| unit.report.reason.clone()).unwrap_or_default();
    let halted = units.iter().find(|unit| unit.report.halted);
    let waiting = units.iter().find(|unit| !unit.report.reason.is_empty());
    let unowned = units.iter().any(|unit| unit.shard.owner.is_empty());
    let silent = units.iter().filter(|_| facts.lag_events > 0).find_map(|unit| {
        let seconds = unit.silent_for?.as_secs();
        Some(format!("another owner, {}, has said nothing for {seconds} s", unit.shard.owner))
    });
    let state = match plan {
        _ if halted.is_some() => return (ProjectionState::Halted, reason(halted)),
        Some(plan) if plan.paused => ProjectionState::Paused,
        _ if unowned => return (ProjectionState::Unowned, "no projector works at it".to_owned()),
        _ if waiting.is_some() => return (ProjectionState::Waiting, reason(waiting)),
        _ if silent.is_some() => return (ProjectionState::Waiting, silent.unwrap_or_default()),
        _ if units.iter().any(|unit| !unit.is_complete) => ProjectionState::Recovering,
        _ if facts.rebuild.is_some() => ProjectionState::Rebuilding,
        _ if facts.lag_events > 0 => ProjectionState::CatchingUp,
        _ => ProjectionState::CaughtUp,
    };
    (state, String::new())
}

fn rebuild(building: &Building, units: &[UnitFacts], head: i64) -> proto::Rebuild {
    let done = units.iter().map(|unit| unit.building.unwrap_or(0)).min().unwrap_or(0);
    let (done, total) = (number(done), head.max(number(building.head_at_start)));
    let rates = units.iter().map(|unit| (number(unit.building.unwrap_or(0)), unit.report.building_rate));
    let rate = slowest(rates, total);
    let left = (total - done).max(0) as f64;
    let time_left = (rate > 0.0).then(|| Duration::from_secs_f64(left / rate));
    proto::Rebuild {
        generation: number(building.generation.number),
        version: version(building.generation.version),
        done_events: done,
        total_events: total,
        events_per_second: rate,
        time_left: time_left.and_then(|left| left.try_into().ok()),
        waits_for_promotion: !building.promotes_itself,
        caught_up: units.iter().all(|unit| unit.building_caught_up),
        comparison: building.compared.as_ref().map(comparison),
    }
}

fn comparison(compared: &Comparison) -> proto::Comparison {
    let difference = |it: &plan::Difference| proto::Difference { view: it.view.clone(), description: it.how.clone() };
    proto::Comparison {
        views: number(compared.views),
        differing_views: number(compared.differing),
        sample: compared.sample.iter().map(difference).collect(),
    }
}

/// The last losses of all shards.
async fn losses(writer: &Writer, projection: &'static str) -> Result<Vec<proto::Loss>, Failure> {
    let of_units = writer.model().units(projection).map(|unit| writer.losses(unit));
    let texts = futures::future::try_join_all(of_units).await?.into_iter().flatten();
    let mut losses: Vec<Loss> = texts.filter_map(|text| serde_json::from_str(&text).ok()).collect();
    losses.sort_by_key(|loss| Reverse(loss.noticed_at_ms));
    losses.truncate(LOSSES_TOLD_MAX);
    let told = losses.into_iter().map(|loss| proto::Loss {
        kind: loss.kind.name().to_owned(),
        description: loss.kind.to_string(),
        shard: i32::from(loss.shard),
        position: number(loss.position),
        notice_time: Some(from_ms(loss.noticed_at_ms)),
    });
    Ok(told.collect())
}

/// How long ago the first event was recorded that has not been projected.
async fn lag(store: &ReadStore, checkpoint: i64, head: i64) -> prost_types::Duration {
    if head <= checkpoint {
        return prost_types::Duration::default();
    }
    let next = store.read_after(u64::try_from(checkpoint).unwrap_or(0), 1).await;
    let next: Option<Recorded> = next.ok().and_then(|events| events.into_iter().next()).map(Recorded::from);
    let lag = next.map(|event| OffsetDateTime::now_utc() - event.recorded_at).unwrap_or_default();
    Duration::try_from(lag).ok().and_then(|lag| lag.try_into().ok()).unwrap_or_default()
}

/// Of shards with where they stand: the rate of the slowest that is behind, or, where none is, of the slowest.
fn slowest(shards: impl Iterator<Item = (i64, f64)> + Clone, end: i64) -> f64 {
    let least = |rates: &mut dyn Iterator<Item = f64>| rates.reduce(f64::min);
    let behind = least(&mut shards.clone().filter(|(position, _)| *position < end).map(|(_, rate)| rate));
    behind.or_else(|| least(&mut shards.map(|(_, rate)| rate))).unwrap_or(0.0)
}

fn version(version: u32) -> i32 {
    version.try_into().unwrap_or(i32::MAX)
}

fn from_ms(milliseconds: u64) -> prost_types::Timestamp {
    let nanoseconds = i128::from(milliseconds) * 1_000_000;
    timestamp(OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_has_caught_up_does_not_hide_how_fast_another_one_is() {
        let rate = |shards: &[(i64, f64)]| slowest(shards.iter().copied(), 100);
        assert_eq!(rate(&[(100, 0.0), (40, 7.0), (60, 9.0)]), 7.0);
        assert_eq!(rate(&[(40, 0.0), (60, 9.0)]), 0.0);
        assert_eq!(rate(&[(100, 3.0), (100, 2.0)]), 2.0);
        assert_eq!(rate(&[]), 0.0);
    }
}
