//! Everything that is ever run and measured, each once a round, for all rows that need it.

use anyhow::Result;

use crate::sample::Sample;
use crate::stage::Stage;
use crate::subjects::{
    Load, baseline, cqrs_es, far, limits, overload, past, pgbench, projecting, reads, start, tally, telemetry,
    visibility,
};

/// Something that can be measured.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Subject {
    /// Allocate over many SKUs.
    TallySpread,
    /// Allocate on one SKU.
    TallyOneSku,
    /// CreateOrder with three lines.
    TallyOrders,
    /// One Allocate at a time.
    TallyIdle,
    /// Allocate at half of what `TallySpread` did, in an open loop.
    TallyHalfLoad,
    /// Allocate over many SKUs, through two replicas.
    TallyTwoReplicas,
    /// Allocate over many SKUs, with Postgres at a distance.
    TallyFar,
    /// The same through two replicas.
    TallyTwoReplicasFar,
    /// Allocate on one SKU, with Postgres at a distance.
    TallyOneSkuFar,
    /// The same through two replicas.
    TallyTwoReplicasOneSkuFar,
    /// Allocate on one SKU, through two replicas.
    TallyTwoReplicasOneSku,
    /// Allocate over many SKUs, in a log of millions of events.
    TallyLongLog,
    /// The same with random command ids.
    TallyLongLogRandomIds,
    /// Allocate on one SKU, through four replicas.
    TallyFourReplicasOneSku,
    /// Three times as many commands as it can do.
    TallyOverload,
    /// The first command on a product with a long past.
    TallyLongPast,
    /// The first command on a product with a short past.
    TallyShortPast,
    /// Allocate over many SKUs, with metrics served and some traces exported.
    TallyTelemetry,
    /// From its start until it serves.
    TallyStart,
    /// GetOrder, any of a million.
    GetOrder,
    /// GetOrder, any of a thousand.
    GetOrderHot,
    /// GetOrder, any of a million, with a token that is satisfied.
    GetOrderWithToken,
    /// GetOrder, one at a time.
    GetOrderIdle,
    /// All projections of a log of orders, from nothing.
    ProjectAll,
    /// From acknowledged to visible, at half load.
    Visibility,
    /// From acknowledged to visible, with cores to spare.
    VisibilityAtEase,
    /// pgbench: an INSERT and its commit.
    PgbenchInsert,
    /// pgbench: an order of four events.
    PgbenchOrder,
    /// pgbench: one contended row.
    PgbenchOneRow,
    /// pgbench: an INSERT and its commit, one client.
    PgbenchIdle,
    /// Nothing but gRPC, one call at a time.
    EchoIdle,
    /// Nothing but gRPC, with the bytes of GetOrder.
    EchoOrder,
    /// The log of orders, out of Postgres by binary COPY.
    CopyOut,
    /// A PING of Redis, one at a time.
    RedisPing,
    /// What all projections of that log wrote, with bare commands.
    BareWrites,
    /// The exchanges between an acknowledgement and what can be read of it, by themselves.
    BareChain,
    /// A group commit behind gRPC, with nothing decided.
    BareGroupCommit,
    /// The same through two replicas, each of which reads what the other appended.
    BareTwoReplicas,
    /// One command at a time, with nothing decided.
    BareIdle,
    /// The same at half of what `TallySpread` did, in an open loop.
    BareHalfLoad,
    /// A gRPC service with a commit for each command.
    OneCommit,
    /// A gRPC service on the crates cqrs-es and postgres-es.
    CqrsEs,
}

impl Subject {
    /// What has to be measured too, and first.
    pub(crate) fn rests_on(self) -> Option<Subject> {
        let is_half = matches!(self, Subject::TallyHalfLoad | Subject::BareHalfLoad | Subject::Visibility);
        is_half.then_some(Subject::TallySpread)
    }

    /// Runs and measures it, once.
    pub(crate) async fn measure(self, stage: &Stage) -> Result<Sample> {
        let allocate = || Load::of("allocate");
        match self {
            Subject::TallySpread => tally::spread(stage).await,
            Subject::TallyOneSku => tally::on_empty_log(stage, 1, allocate().on_one_sku()).await,
            Subject::TallyOrders => tally::on_empty_log(stage, 1, Load::of("create-order")).await,
            Subject::TallyIdle => tally::on_empty_log(stage, 1, allocate().idle()).await,
            Subject::TallyHalfLoad => tally::on_empty_log(stage, 1, allocate().at_rate(stage.half_load()?)).await,
            Subject::TallyTwoReplicas => tally::on_empty_log(stage, 2, allocate()).await,
            Subject::TallyFar => far::on_empty_log(stage, 1, allocate()).await,
            Subject::TallyTwoReplicasFar => far::on_empty_log(stage, 2, allocate()).await,
            Subject::TallyOneSkuFar => far::on_empty_log(stage, 1, allocate().on_one_sku()).await,
            Subject::TallyTwoReplicasOneSkuFar => far::on_empty_log(stage, 2, allocate().on_one_sku()).await,
            Subject::TallyTwoReplicasOneSku => tally::on_empty_log(stage, 2, allocate().on_one_sku()).await,
            Subject::TallyLongLog => tally::on_long_log(stage, allocate()).await,
            Subject::TallyLongLogRandomIds => tally::on_long_log(stage, allocate().with_random_ids()).await,
            Subject::TallyFourReplicasOneSku => tally::on_empty_log(stage, 4, allocate().on_one_sku()).await,
            Subject::TallyOverload => overload::measure(stage).await,
            Subject::TallyLongPast => past::long(stage).await,
            Subject::TallyShortPast => past::short(stage).await,
            Subject::TallyTelemetry => telemetry::measure(stage).await,
            Subject::TallyStart => start::measure(stage).await,
            Subject::GetOrder => reads::get_order(stage, Load::of("get-order").over_orders(stage.args.orders)).await,
            Subject::GetOrderHot => reads::get_order(stage, Load::of("get-order").over_orders(reads::HOT_ORDERS)).await,
            Subject::GetOrderWithToken => {
                reads::get_order_with_token(stage, Load::of("get-order").over_orders(stage.args.orders)).await
            }
            Subject::GetOrderIdle => {
                reads::get_order(stage, Load::of("get-order").over_orders(stage.args.orders).idle()).await
            }
            Subject::ProjectAll => projecting::all(stage).await,
            Subject::Visibility => visibility::measure(stage, stage.half_load()?).await,
            Subject::VisibilityAtEase => visibility::measure(stage, visibility::AT_EASE_PER_SECOND).await,
            Subject::EchoOrder => baseline::echo(stage, Load::of("get-order").over_orders(stage.args.orders)).await,
            Subject::CopyOut => projecting::copy_out(stage).await,
            Subject::RedisPing => visibility::redis_ping(stage).await,
            Subject::BareWrites => limits::bare_writes(stage).await,
            Subject::BareChain => limits::bare_chain(stage).await,
            Subject::PgbenchInsert => pgbench::insert(stage).await,
            Subject::PgbenchOrder => pgbench::order(stage).await,
            Subject::PgbenchOneRow => pgbench::one_row(stage).await,
            Subject::PgbenchIdle => pgbench::idle(stage).await,
            Subject::EchoIdle => baseline::echo(stage, allocate().idle()).await,
            Subject::BareGroupCommit => baseline::group_commit(stage, 1, allocate()).await,
            Subject::BareTwoReplicas => baseline::group_commit(stage, 2, allocate()).await,
            Subject::BareIdle => baseline::group_commit(stage, 1, allocate().idle()).await,
            Subject::BareHalfLoad => baseline::group_commit(stage, 1, allocate().at_rate(stage.half_load()?)).await,
            Subject::OneCommit => baseline::one_commit(stage, allocate()).await,
            Subject::CqrsEs => cqrs_es::measure(stage, allocate()).await,
        }
    }
}
