//! The read side: look-ups, what is visible when, and the projector.

use crate::row::{Reading, Row};
use crate::sample::Quantity::{EventsPerSecond, P50Us, P99Us, PerSecond, ReadP99Us, ResidentMb};
use crate::statistics::Better::{Higher, Lower};
use crate::subject::Subject;

const ECHO: &[Reading] = &[Reading(Subject::EchoOrder, PerSecond)];
/// What no durable command can do without before anybody can read it.
const COMMIT_AND_PING: &[Reading] = &[Reading(Subject::PgbenchIdle, P50Us), Reading(Subject::RedisPing, P50Us)];

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "P5",
        metric: "GetOrder, any order ÷ gRPC echo of the same bytes",
        unit: "reads/s",
        ours: Reading(Subject::GetOrder, PerSecond),
        baseline: ECHO,
        target: 0.75,
        better: Higher,
    },
    Row {
        id: "P5b",
        metric: "GetOrder, any of 1,000 ÷ the same",
        unit: "reads/s",
        ours: Reading(Subject::GetOrderHot, PerSecond),
        baseline: ECHO,
        target: 0.9,
        better: Higher,
    },
    Row {
        id: "P6",
        metric: "acknowledged → visible, p50 at half load ÷ (pgbench commit p50 + Redis PING p50)",
        unit: "µs",
        ours: Reading(Subject::Visibility, P50Us),
        baseline: COMMIT_AND_PING,
        target: 1.5,
        better: Lower,
    },
    Row {
        id: "P6b",
        metric: "acknowledged → visible, p99 at half load ÷ the same sum",
        unit: "µs",
        ours: Reading(Subject::Visibility, P99Us),
        baseline: COMMIT_AND_PING,
        target: 5.0,
        better: Lower,
    },
    Row {
        id: "P6c",
        metric: "acknowledged → visible, p50 at 500 commands/s ÷ the same sum",
        unit: "µs",
        ours: Reading(Subject::VisibilityAtEase, P50Us),
        baseline: COMMIT_AND_PING,
        target: 1.5,
        better: Lower,
    },
    Row {
        id: "P6d",
        metric: "acknowledged → visible, p99 at 500 commands/s ÷ the same sum",
        unit: "µs",
        ours: Reading(Subject::VisibilityAtEase, P99Us),
        baseline: COMMIT_AND_PING,
        target: 5.0,
        better: Lower,
    },
    Row {
        id: "P6-limit",
        metric: "the bare exchanges of all projections, one event at a time, p50 ÷ the same sum",
        unit: "µs",
        ours: Reading(Subject::BareChain, P50Us),
        baseline: COMMIT_AND_PING,
        target: 1.5,
        better: Lower,
    },
    Row {
        id: "P7",
        metric: "GetOrder with a token that is satisfied ÷ without",
        unit: "reads/s",
        ours: Reading(Subject::GetOrderWithToken, PerSecond),
        baseline: &[Reading(Subject::GetOrder, PerSecond)],
        target: 0.97,
        better: Higher,
    },
    Row {
        id: "P7b",
        metric: "p99 of a read of one's own write ÷ (visible p99 + GetOrder p50)",
        unit: "µs",
        ours: Reading(Subject::Visibility, ReadP99Us),
        baseline: &[Reading(Subject::Visibility, P99Us), Reading(Subject::GetOrderIdle, P50Us)],
        target: 1.2,
        better: Lower,
    },
    Row {
        id: "P8",
        metric: "all projections from nothing ÷ binary COPY-out of the same events",
        unit: "events/s",
        ours: Reading(Subject::ProjectAll, EventsPerSecond),
        baseline: &[Reading(Subject::CopyOut, EventsPerSecond)],
        target: 0.4,
        better: Higher,
    },
    Row {
        id: "P8-limit",
        metric: "the same views by bare commands, nothing read or checked ÷ binary COPY-out",
        unit: "events/s",
        ours: Reading(Subject::BareWrites, EventsPerSecond),
        baseline: &[Reading(Subject::CopyOut, EventsPerSecond)],
        target: 0.4,
        better: Higher,
    },
    Row {
        id: "P9",
        metric: "all projections, catching up ÷ the highest append rate (CreateOrder)",
        unit: "events/s",
        ours: Reading(Subject::ProjectAll, EventsPerSecond),
        baseline: &[Reading(Subject::TallyOrders, EventsPerSecond)],
        target: 1.5,
        better: Higher,
    },
    Row {
        id: "P13c",
        metric: "projector's peak memory while it makes all projections",
        unit: "MB",
        ours: Reading(Subject::ProjectAll, ResidentMb),
        baseline: &[],
        target: 64.0,
        better: Lower,
    },
    Row {
        id: "P13d",
        metric: "query-service's peak memory under full load",
        unit: "MB",
        ours: Reading(Subject::GetOrder, ResidentMb),
        baseline: &[],
        target: 64.0,
        better: Lower,
    },
];
