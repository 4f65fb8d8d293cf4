//! How the parts of the process are: what readiness follows, and where an error is logged, once.

use std::collections::BTreeMap;
use std::fmt;

use tally_read_model::Unit;
use tally_runtime::Readiness;
use tokio::sync::watch;

use crate::metrics::METRICS;

/// A part of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The reading of the log.
    Log,
    /// What is published to others.
    LineEvents,
    /// The sharing of the work with other projectors.
    Leases,
    /// The work at a unit that this process owns.
    Unit(Unit),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log => f.write_str("log"),
            Self::LineEvents => f.write_str("line_events"),
            Self::Leases => f.write_str("leases"),
            // Where there is one shard nobody need know of shards.
            Self::Unit(Unit { projection, shard: 0 }) => f.write_str(projection),
            Self::Unit(Unit { projection, shard }) => write!(f, "{projection}/{shard}"),
        }
    }
}

/// How a part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing has been heard of it yet.
    Starting,
    /// It does its work.
    Following,
    /// It was told to do nothing.
    Paused,
    /// It makes views again that were lost; they can't be read.
    Recovering,
    /// It tries again and again, for this reason.
    Waiting(String),
    /// It stopped for good, for this reason. A person has to look.
    Halted(String),
}

/// How all of them are. All clones are one.
#[derive(Clone)]
pub struct Status {
    states: watch::Sender<BTreeMap<Part, State>>,
    readiness: Readiness,
}

impl Status {
    pub(crate) fn new(readiness: Readiness) -> Self {
        let states = [Part::Log, Part::LineEvents, Part::Leases].map(|part| (part, State::Starting));
        for (part, state) in &states {
            METRICS.state(*part, state);
        }
        Self { states: watch::Sender::new(states.into()), readiness }
    }

    /// Tells of every change.
    pub fn watch(&self) -> watch::Receiver<BTreeMap<Part, State>> {
        self.states.subscribe()
    }

    /// How a part is; none for a unit that is another projector's.
    pub fn of(&self, part: Part) -> Option<State> {
        self.states.borrow().get(&part).cloned()
    }

    /// The units that this process owns.
    pub(crate) fn units(&self) -> Vec<Unit> {
        let unit = |part: &Part| match part {
            Part::Unit(unit) => Some(*unit),
            Part::Log | Part::LineEvents | Part::Leases => None,
        };
        self.states.borrow().keys().filter_map(unit).collect()
    }

    /// Why a part halted, if one did.
    pub(crate) fn halted(&self) -> Option<String> {
        self.states.borrow().values().find_map(|state| match state {
            State::Halted(reason) => Some(reason.clone()),
            _ => None,
        })
    }

    /// A part that halted stays so.
    pub(crate) fn set(&self, part: Part, state: State) {
        self.states.send_if_modified(|states| {
            let before = states.insert(part, state.clone());
            if let Some(halted @ State::Halted(_)) = before {
                states.insert(part, halted);
                return false;
            }
            if before.as_ref() == Some(&state) {
                return false;
            }
            log(part, &state);
            METRICS.state(part, &state);
            self.follow(states);
            true
        });
    }

    /// A unit is another projector's from now on.
    pub(crate) fn forget(&self, unit: Unit) {
        self.states.send_if_modified(|states| {
            let was_known = states.remove(&Part::Unit(unit)).is_some();
            METRICS.given_up(unit);
            self.follow(states);
            was_known
        });
    }

    fn follow(&self, states: &BTreeMap<Part, State>) {
        self.readiness.set(states.values().all(|state| matches!(state, State::Following | State::Paused)));
    }
}

fn log(part: Part, state: &State) {
    match state {
        State::Starting => {}
        State::Following => tracing::info!(%part, "following"),
        State::Paused => tracing::info!(%part, "paused"),
        State::Recovering => tracing::warn!(%part, "making views anew"),
        State::Waiting(reason) => tracing::warn!(%part, reason, "waiting"),
        State::Halted(reason) => tracing::error!(%part, reason, "halted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Part = Part::Unit(Unit { projection: "p", shard: 0 });

    fn status() -> (Status, Readiness) {
        let readiness = Readiness::default();
        (Status::new(readiness.clone()), readiness)
    }

    #[test]
    fn ready_is_when_all_follow() {
        let (status, readiness) = status();
        assert!(!readiness.is_ready());
        status.set(Part::Leases, State::Following);
        status.set(Part::LineEvents, State::Following);
        assert!(!readiness.is_ready());
        status.set(Part::Log, State::Following);
        assert!(readiness.is_ready(), "without a unit of its own too");
        status.set(UNIT, State::Waiting("away".into()));
        assert!(!readiness.is_ready());
        status.set(UNIT, State::Following);
        assert!(readiness.is_ready());
        status.set(UNIT, State::Recovering);
        status.forget(Unit { projection: "p", shard: 0 });
        assert!(readiness.is_ready(), "it is another's now");
    }

    #[test]
    fn a_unit_that_halted_stays_halted() {
        let (status, readiness) = status();
        status.set(UNIT, State::Halted("a hole".into()));
        status.set(UNIT, State::Following);
        assert_eq!(status.of(UNIT), Some(State::Halted("a hole".into())));
        assert!(!readiness.is_ready());
    }
}
