//! How many commands a second, against what else they could be done with.

use crate::row::{Reading, Row};
use crate::sample::Quantity::PerSecond;
use crate::statistics::Better::Higher;
use crate::subject::Subject;

const SPREAD: Reading = Reading(Subject::TallySpread, PerSecond);
const ONE_SKU: Reading = Reading(Subject::TallyOneSku, PerSecond);
const BARE: Reading = Reading(Subject::BareGroupCommit, PerSecond);
const UNIT: &str = "commands/s";

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "P1",
        metric: "Allocate ÷ pgbench INSERT + COMMIT",
        unit: UNIT,
        ours: SPREAD,
        baseline: &[Reading(Subject::PgbenchInsert, PerSecond)],
        target: 2.5,
        better: Higher,
    },
    Row {
        id: "P1-limit",
        metric: "a group commit behind gRPC, nothing decided ÷ pgbench INSERT + COMMIT",
        unit: UNIT,
        ours: BARE,
        baseline: &[Reading(Subject::PgbenchInsert, PerSecond)],
        target: 2.5,
        better: Higher,
    },
    Row {
        id: "P1b",
        metric: "Allocate ÷ gRPC with a commit per command",
        unit: UNIT,
        ours: SPREAD,
        baseline: &[Reading(Subject::OneCommit, PerSecond)],
        target: 3.0,
        better: Higher,
    },
    Row {
        id: "P1c",
        metric: "CreateOrder, 3 lines ÷ pgbench 4 INSERTs + COMMIT",
        unit: UNIT,
        ours: Reading(Subject::TallyOrders, PerSecond),
        baseline: &[Reading(Subject::PgbenchOrder, PerSecond)],
        target: 2.5,
        better: Higher,
    },
    Row {
        id: "P2",
        metric: "Allocate on one SKU ÷ on 10,000",
        unit: UNIT,
        ours: ONE_SKU,
        baseline: &[SPREAD],
        target: 0.9,
        better: Higher,
    },
    Row {
        id: "P3",
        metric: "Allocate on one SKU ÷ pgbench SELECT FOR UPDATE on one row",
        unit: UNIT,
        ours: ONE_SKU,
        baseline: &[Reading(Subject::PgbenchOneRow, PerSecond)],
        target: 20.0,
        better: Higher,
    },
    Row {
        id: "P12",
        metric: "Allocate ÷ gRPC on cqrs-es + postgres-es",
        unit: UNIT,
        ours: SPREAD,
        baseline: &[Reading(Subject::CqrsEs, PerSecond)],
        target: 8.0,
        better: Higher,
    },
    Row {
        id: "P12-limit",
        metric: "a group commit behind gRPC, nothing decided ÷ the same",
        unit: UNIT,
        ours: BARE,
        baseline: &[Reading(Subject::CqrsEs, PerSecond)],
        target: 8.0,
        better: Higher,
    },
];
