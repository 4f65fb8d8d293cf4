//! What three times too much load does.

use crate::row::{Reading, Row};
use crate::sample::Quantity::{AfterPerSecond, AroundPerSecond, BeforePerSecond, PerSecond, RefusedP99Ms, ResidentMb};
use crate::statistics::Better::{Higher, Lower};
use crate::subject::Subject;

const BEFORE: Reading = Reading(Subject::TallyOverload, BeforePerSecond);
const AROUND: Reading = Reading(Subject::TallyOverload, AroundPerSecond);
const UNIT: &str = "commands/s";

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "P15",
        metric: "done under three times too much load ÷ at its peak, in turns",
        unit: UNIT,
        ours: Reading(Subject::TallyOverload, PerSecond),
        baseline: &[AROUND],
        target: 0.9,
        better: Higher,
    },
    Row {
        id: "P15b",
        metric: "p99 until a refusal under that load",
        unit: "ms",
        ours: Reading(Subject::TallyOverload, RefusedP99Ms),
        baseline: &[],
        target: 20.0,
        better: Lower,
    },
    Row {
        id: "P15c",
        metric: "done from one second after it on ÷ before it",
        unit: UNIT,
        ours: Reading(Subject::TallyOverload, AfterPerSecond),
        baseline: &[BEFORE],
        target: 0.9,
        better: Higher,
    },
    Row {
        id: "P15d",
        metric: "command-service's peak memory after all that",
        unit: "MB",
        ours: Reading(Subject::TallyOverload, ResidentMb),
        baseline: &[],
        target: 64.0,
        better: Lower,
    },
];
