//! Why a projection is behind the log, in one sentence.

use tally_api::projections::v1::{Projection, ProjectionState};

use crate::retry::Failure;

/// A sentence for people, and a word for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Explanation {
    pub(crate) sentence: String,
    pub(crate) reason: &'static str,
}

impl Explanation {
    fn new(reason: &'static str, sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), reason }
    }
}

/// When Redis itself can't be asked.
pub(crate) fn without_facts(failure: &Failure) -> Explanation {
    let (reason, _) = of_store(&failure.to_string()).unwrap_or(("REDIS_AWAY", ""));
    Explanation::new(reason, format!("Redis can't be asked: {failure}."))
}

/// From the facts; `log_failure` where the log can't be read from here.
pub(crate) fn explain(facts: &Projection, log_failure: Option<&Failure>) -> Explanation {
    let name = &facts.name;
    if let Some(failure) = log_failure {
        return Explanation::new(
            "POSTGRES_AWAY",
            format!("Postgres is away, so {name} stays at position {}: {failure}.", facts.checkpoint),
        );
    }
    let behind = format!("{} events", facts.lag_events);
    match facts.state() {
        ProjectionState::Halted => {
            Explanation::new("HALTED", format!("{name} stopped for good, and a person has to look: {}.", facts.reason))
        }
        ProjectionState::Paused => {
            Explanation::new("PAUSED", format!("{name} is paused, {behind} behind; ResumeProjection lets it go on."))
        }
        ProjectionState::Unowned => Explanation::new(
            "NO_OWNER",
            format!("No projector works at {name}, {behind} behind; one takes over within seconds if any runs."),
        ),
        ProjectionState::Waiting => waiting(facts),
        ProjectionState::Recovering => {
            let until = facts.shards.iter().map(|shard| shard.complete_from).max().unwrap_or(0);
            let loss =
                facts.losses.first().map(|loss| format!(" after a loss ({})", loss.description)).unwrap_or_default();
            Explanation::new(
                "RECOVERING",
                format!(
                    "The views of {name} are made again{loss}: position {} of {until}{}.",
                    facts.checkpoint,
                    at_rate(facts)
                ),
            )
        }
        _ if facts.parked_events > 0 => {
            let count = facts.parked_events;
            let also = if facts.lag_events > 0 {
                format!(" It is {behind} behind besides{}.", at_rate(facts))
            } else {
                String::new()
            };
            Explanation::new(
                "PARKED_EVENT",
                format!(
                    "{count} event(s) of {name} are parked, and the views that they are about wait for RetryParkedEvent; everything else is up to date.{also}"
                ),
            )
        }
        ProjectionState::Rebuilding if facts.lag_events == 0 => {
            let (done, total) =
                facts.rebuild.as_ref().map_or((0, 0), |rebuild| (rebuild.done_events, rebuild.total_events));
            Explanation::new(
                "REBUILDING",
                format!("{name} is caught up; a rebuild beside it is at {done} of {total} events."),
            )
        }
        _ if facts.lag_events == 0 => {
            Explanation::new("CAUGHT_UP", format!("{name} is caught up with the log at position {}.", facts.head))
        }
        ProjectionState::Rebuilding => {
            Explanation::new("REBUILDING", format!("{name} is {behind} behind, beside a rebuild{}.", at_rate(facts)))
        }
        _ => Explanation::new("BEHIND", format!("{name} is {behind} behind{}.", at_rate(facts))),
    }
}

fn at_rate(facts: &Projection) -> String {
    let rate = facts.events_per_second;
    if rate <= 0.0 {
        return " and has projected nothing in the last seconds".to_owned();
    }
    format!(" at {rate:.0} events/s, so about {:.0} s", (facts.lag_events as f64 / rate).ceil())
}

/// What keeps its owner from its work.
fn waiting(facts: &Projection) -> Explanation {
    let (name, why) = (&facts.name, &facts.reason);
    let (reason, what) = of_store(why).unwrap_or((WAITING, "Its projector waits"));
    Explanation::new(reason, format!("{what}, so {name} stays at position {}: {why}.", facts.checkpoint))
}

/// What a store says, why a projection waits then, and the same for people.
const OF_STORES: [(&str, (&str, &str)); 6] = [
    ("the event store", ("POSTGRES_AWAY", "Postgres is away")),
    ("READONLY", ("REDIS_READ_ONLY", "Redis is read-only")),
    ("OOM", ("REDIS_OUT_OF_MEMORY", "Redis is out of memory")),
    ("noeviction", ("REDIS_MAY_EVICT", "Redis may evict what it is given")),
    ("another owner", ("OTHER_OWNER", "Another projector works at it")),
    ("the read model is unavailable", ("REDIS_AWAY", "Redis is away")),
];
/// For another reason than these.
const WAITING: &str = "WAITING";

/// Why a projection waits, for programs.
pub(crate) fn reason_to_wait(why: &str) -> &'static str {
    of_store(why).map_or(WAITING, |(reason, _)| reason)
}

/// All that [`reason_to_wait`] says.
pub(crate) fn reasons_to_wait() -> impl Iterator<Item = &'static str> {
    OF_STORES.into_iter().map(|(_, (reason, _))| reason).chain([WAITING])
}

fn of_store(why: &str) -> Option<(&'static str, &'static str)> {
    OF_STORES.into_iter().find(|(mark, _)| why.contains(mark)).map(|(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(state: ProjectionState, lag_events: i64) -> Projection {
        Projection {
            name: "stock".into(),
            state: state.into(),
            checkpoint: 10,
            head: 10 + lag_events,
            lag_events,
            events_per_second: 50.0,
            ..Projection::default()
        }
    }

    #[test]
    fn each_state_has_its_reason_and_one_sentence() {
        let cases = [
            (ProjectionState::Halted, 5, "HALTED"),
            (ProjectionState::Paused, 5, "PAUSED"),
            (ProjectionState::Unowned, 5, "NO_OWNER"),
            (ProjectionState::Recovering, 5, "RECOVERING"),
            (ProjectionState::Rebuilding, 0, "REBUILDING"),
            (ProjectionState::CatchingUp, 500, "BEHIND"),
            (ProjectionState::CaughtUp, 0, "CAUGHT_UP"),
        ];
        for (state, lag, reason) in cases {
            let explanation = explain(&facts(state, lag), None);
            assert_eq!(explanation.reason, reason);
            assert!(explanation.sentence.ends_with('.') && explanation.sentence.contains("stock"), "{explanation:?}");
        }
    }

    #[test]
    fn a_rate_tells_when_it_will_be_over() {
        let sentence = explain(&facts(ProjectionState::CatchingUp, 500), None).sentence;
        assert_eq!(sentence, "stock is 500 events behind at 50 events/s, so about 10 s.");
    }

    #[test]
    fn what_keeps_the_owner_waiting_is_named() {
        for (why, reason) in [
            ("the event store is unavailable: x", "POSTGRES_AWAY"),
            ("the read model is unavailable (READONLY)", "REDIS_READ_ONLY"),
            ("the read model is unavailable (OOM)", "REDIS_OUT_OF_MEMORY"),
            ("the read model is unavailable (connection refused)", "REDIS_AWAY"),
            ("the read model's settings are wrong: … noeviction", "REDIS_MAY_EVICT"),
            ("another owner, a1b2, has said nothing for 4 s", "OTHER_OWNER"),
            ("the plan keeps changing", "WAITING"),
        ] {
            let facts = Projection { reason: why.into(), ..facts(ProjectionState::Waiting, 5) };
            assert_eq!(explain(&facts, None).reason, reason, "{why}");
        }
    }

    #[test]
    fn parked_events_are_told_of_when_all_else_is_well() {
        let facts = Projection { parked_events: 2, ..facts(ProjectionState::CaughtUp, 0) };
        assert_eq!(explain(&facts, None).reason, "PARKED_EVENT");
    }
}
