//! Given these events in these streams, when this command comes, then …

use std::collections::HashMap;

use crate::{Command, Decision, Event, Rejection, StreamId, StreamState, decide, missing_streams};

pub(super) type Entry = (StreamId, Event);

/// The loaded streams of a log.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Log(pub(super) HashMap<StreamId, StreamState>);

impl Log {
    pub(super) fn append(&mut self, (stream, event): &Entry) {
        self.0.entry(stream.clone()).or_insert_with(|| StreamState::empty(stream)).evolve(event);
    }

    /// As the write side does it: loads until nothing is missing, then decides.
    pub(super) fn decide(&mut self, command: &Command) -> Result<Decision, Rejection> {
        loop {
            let missing = missing_streams(command, &self.0);
            if missing.is_empty() {
                return decide(command, &self.0);
            }
            self.0.extend(missing.into_iter().map(|id| (id.clone(), StreamState::empty(&id))));
        }
    }
}

pub(super) fn given(events: impl IntoIterator<Item = Entry>) -> Log {
    let mut log = Log::default();
    for entry in events {
        log.append(&entry);
    }
    log
}

pub(super) struct Outcome(Result<Decision, Rejection>);

impl Log {
    pub(super) fn when(mut self, command: Command) -> Outcome {
        Outcome(self.decide(&command))
    }
}

impl Outcome {
    #[track_caller]
    pub(super) fn decision(self) -> Decision {
        self.0.expect("accepted")
    }

    #[track_caller]
    pub(super) fn then<const N: usize>(self, events: [Entry; N]) -> Decision {
        let decision = self.decision();
        assert_eq!(decision.events, events);
        assert_eq!(decision.standing, []);
        decision
    }

    #[track_caller]
    pub(super) fn then_nothing(self) -> Decision {
        self.then([])
    }

    #[track_caller]
    pub(super) fn then_standing(self, entry: Entry) -> Decision {
        let decision = self.decision();
        assert_eq!(decision.events, []);
        assert_eq!(decision.standing, [entry.1]);
        decision
    }

    #[track_caller]
    pub(super) fn then_rejected(self, rejection: Rejection) {
        assert_eq!(self.0, Err(rejection));
    }
}
