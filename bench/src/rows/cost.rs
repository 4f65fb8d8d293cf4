//! What a command, and a replica, costs.

use crate::row::{Reading, Row};
use crate::sample::Quantity::{CpuUsEach, ResidentMb, StartMs};
use crate::statistics::Better::Lower;
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "P10",
        metric: "CPU of an Allocate, service + Postgres ÷ of a pgbench INSERT + COMMIT",
        unit: "µs",
        ours: Reading(Subject::TallySpread, CpuUsEach),
        baseline: &[Reading(Subject::PgbenchInsert, CpuUsEach)],
        target: 0.3,
        better: Lower,
    },
    Row {
        id: "P10-limit",
        metric: "CPU of a command that is committed with others, nothing decided ÷ the same",
        unit: "µs",
        ours: Reading(Subject::BareGroupCommit, CpuUsEach),
        baseline: &[Reading(Subject::PgbenchInsert, CpuUsEach)],
        target: 0.3,
        better: Lower,
    },
    Row {
        id: "P13",
        metric: "command-service's peak memory under full load",
        unit: "MB",
        ours: Reading(Subject::TallySpread, ResidentMb),
        baseline: &[],
        target: 64.0,
        better: Lower,
    },
    Row {
        id: "P13b",
        metric: "command-service from start to serving",
        unit: "ms",
        ours: Reading(Subject::TallyStart, StartMs),
        baseline: &[],
        target: 200.0,
        better: Lower,
    },
];
