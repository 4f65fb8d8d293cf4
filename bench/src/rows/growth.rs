//! What more replicas and a longer log do to the rate.

use crate::row::{Reading, Row};
use crate::sample::Quantity::{MaxMs, P50Us, PerSecond};
use crate::statistics::Better::{Higher, Lower};
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
        id: "P11-limit",
        metric: "a group commit behind gRPC, nothing decided, through two replicas ÷ through one",
        unit: UNIT,
        ours: Reading(Subject::BareTwoReplicas, PerSecond),
        baseline: &[Reading(Subject::BareGroupCommit, PerSecond)],
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
    Row {
        id: "P11d",
        metric: "Allocate in a log of 5 M events, command ids of version 4 ÷ 7",
        unit: UNIT,
        ours: Reading(Subject::TallyLongLogRandomIds, PerSecond),
        baseline: &[Reading(Subject::TallyLongLog, PerSecond)],
        target: 0.8,
        better: Higher,
    },
    Row {
        id: "P11e",
        metric: "slowest Allocate on one SKU through four replicas",
        unit: "ms",
        ours: Reading(Subject::TallyFourReplicasOneSku, MaxMs),
        baseline: &[],
        target: 2_000.0,
        better: Lower,
    },
    Row {
        id: "P11f",
        metric: "Allocate through two replicas ÷ through one, each 1 ms from Postgres",
        unit: UNIT,
        ours: Reading(Subject::TallyTwoReplicasFar, PerSecond),
        baseline: &[Reading(Subject::TallyFar, PerSecond)],
        target: 0.95,
        better: Higher,
    },
    Row {
        id: "P11g",
        metric: "Allocate on one SKU through two replicas ÷ through one, each 1 ms from Postgres",
        unit: UNIT,
        ours: Reading(Subject::TallyTwoReplicasOneSkuFar, PerSecond),
        baseline: &[Reading(Subject::TallyOneSkuFar, PerSecond)],
        target: 0.8,
        better: Higher,
    },
    Row {
        id: "P14",
        metric: "first command on a SKU, 1 M past allocations ÷ 100",
        unit: "µs",
        ours: Reading(Subject::TallyLongPast, P50Us),
        baseline: &[Reading(Subject::TallyShortPast, P50Us)],
        target: 2.0,
        better: Lower,
    },
];
