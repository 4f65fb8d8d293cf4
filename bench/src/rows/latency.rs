//! How long a command takes, against a bare commit and a bare call together.

use crate::row::{Reading, Row};
use crate::sample::Quantity::{P50Us, P99Us};
use crate::statistics::Better::Lower;
use crate::subject::Subject;

/// What no durable command over gRPC can do without.
const COMMIT_AND_CALL: &[Reading] = &[Reading(Subject::PgbenchIdle, P50Us), Reading(Subject::EchoIdle, P50Us)];
const UNIT: &str = "µs";

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "P4",
        metric: "idle Allocate p50 ÷ (pgbench commit p50 + gRPC echo p50)",
        unit: UNIT,
        ours: Reading(Subject::TallyIdle, P50Us),
        baseline: COMMIT_AND_CALL,
        target: 1.15,
        better: Lower,
    },
    Row {
        id: "P4-limit",
        metric: "idle p50 of a group commit behind gRPC, nothing decided ÷ the same sum",
        unit: UNIT,
        ours: Reading(Subject::BareIdle, P50Us),
        baseline: COMMIT_AND_CALL,
        target: 1.15,
        better: Lower,
    },
    Row {
        id: "P4b",
        metric: "Allocate p99 at half load, open loop ÷ the same sum",
        unit: UNIT,
        ours: Reading(Subject::TallyHalfLoad, P99Us),
        baseline: COMMIT_AND_CALL,
        target: 4.0,
        better: Lower,
    },
    Row {
        id: "P4b-limit",
        metric: "p99 of the same at as many commands as P4b's, open loop ÷ the same sum",
        unit: UNIT,
        ours: Reading(Subject::BareHalfLoad, P99Us),
        baseline: COMMIT_AND_CALL,
        target: 4.0,
        better: Lower,
    },
];
