//! What more replicas and a longer log do to the rate.

use crate::row::{Reading, Row};
use crate::sample::Quantity::PerSecond;
use crate::statistics::Better::Higher;
use crate::subject::Subject;

const SPREAD: Reading = Reading(Subject::TallySpread, PerSecond);
const UNIT: &str = "commands/s";

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "P11",
        metric: "Allocate through two replicas ÷ through one, same cores",
        unit: UNIT,
        ours: Reading(Subject::TallyTwoReplicas, PerSecond),
        baseline: &[SPREAD],
        target: 0.95,
        better: Higher,
    },
    Row {
        id: "P11b",
        metric: "Allocate on one SKU through two replicas ÷ through one",
        unit: UNIT,
        ours: Reading(Subject::TallyTwoReplicasOneSku, PerSecond),
        baseline: &[Reading(Subject::TallyOneSku, PerSecond)],
        target: 0.8,
        better: Higher,
    },
    Row {
        id: "P11c",
        metric: "Allocate in a log of 5 M events ÷ in an empty one",
        unit: UNIT,
        ours: Reading(Subject::TallyLongLog, PerSecond),
        baseline: &[SPREAD],
        target: 0.9,
        better: Higher,
    },
];
