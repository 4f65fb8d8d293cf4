//! How the projections are: what readiness follows, and where an error is logged, once.

use std::collections::BTreeMap;

use tally_runtime::Readiness;
use tokio::sync::watch;

use crate::metrics::METRICS;

/// The name of the tail among the projections.
pub(crate) const LOG: &str = "log";

/// How a projection is, or the reading of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing has been heard of it yet.
    Starting,
    /// It does its work.
    Following,
    /// It tries again and again, for this reason.
    Waiting(String),
    /// It stopped for good, for this reason. A person has to look.
    Halted(String),
}

/// How all of them are. All clones are one.
#[derive(Clone)]
pub struct Status {
    states: watch::Sender<BTreeMap<&'static str, State>>,
    readiness: Readiness,
}

impl Status {
    pub(crate) fn new(projections: impl IntoIterator<Item = &'static str>, readiness: Readiness) -> Self {
        let states: BTreeMap<_, _> = projections.into_iter().chain([LOG]).map(|name| (name, State::Starting)).collect();
        for (name, state) in &states {
            METRICS.state(name, state);
        }
        Self { states: watch::Sender::new(states), readiness }
    }

    /// Tells of every change.
    pub fn watch(&self) -> watch::Receiver<BTreeMap<&'static str, State>> {
        self.states.subscribe()
    }

    /// A projection that halted stays so.
    pub(crate) fn set(&self, name: &'static str, state: State) {
        self.states.send_if_modified(|states| {
            let before = states.insert(name, state.clone());
            if let Some(halted @ State::Halted(_)) = before {
                states.insert(name, halted);
                return false;
            }
            if before.as_ref() == Some(&state) {
                return false;
            }
            log(name, &state);
            METRICS.state(name, &state);
            self.readiness.set(states.values().all(|state| *state == State::Following));
            true
        });
    }
}

fn log(projection: &'static str, state: &State) {
    match state {
        State::Starting => {}
        State::Following => tracing::info!(projection, "following"),
        State::Waiting(reason) => tracing::warn!(projection, reason, "waiting"),
        State::Halted(reason) => tracing::error!(projection, reason, "halted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> (Status, Readiness) {
        let readiness = Readiness::default();
        (Status::new(["p"], readiness.clone()), readiness)
    }

    #[test]
    fn ready_is_when_all_follow() {
        let (status, readiness) = status();
        assert!(!readiness.is_ready());
        status.set("p", State::Following);
        assert!(!readiness.is_ready());
        status.set(LOG, State::Following);
        assert!(readiness.is_ready());
        status.set("p", State::Waiting("away".into()));
        assert!(!readiness.is_ready());
        status.set("p", State::Following);
        assert!(readiness.is_ready());
    }

    #[test]
    fn a_halted_projection_stays_halted() {
        let (status, readiness) = status();
        status.set(LOG, State::Following);
        status.set("p", State::Halted("a hole".into()));
        status.set("p", State::Following);
        assert_eq!(status.watch().borrow()["p"], State::Halted("a hole".into()));
        assert!(!readiness.is_ready());
    }
}
