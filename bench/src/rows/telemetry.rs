//! What telemetry costs.

use crate::row::{Reading, Row};
use crate::sample::Quantity::PerSecond;
use crate::statistics::Better::Higher;
use crate::subject::Subject;

pub(super) const ROWS: &[Row] = &[Row {
    id: "P16",
    metric: "Allocate with metrics served and 1 % of traces exported ÷ without",
    unit: "commands/s",
    ours: Reading(Subject::TallyTelemetry, PerSecond),
    baseline: &[Reading(Subject::TallySpread, PerSecond)],
    target: 0.95,
    better: Higher,
}];
