//! One query-service, the projector's half of the read model, and clients.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use futures::FutureExt;
use futures::future::{BoxFuture, select};
use prost::Message;
use query_service::{App, ServeArgs};
use tally_api::allocation::v1::allocation_query_service_client::AllocationQueryServiceClient;
use tally_api::consistency::v1::{OnTimeout, ReadAfter, read_after};
use tally_api::events::v1::event_log_service_client::EventLogServiceClient;
use tally_api::orders::v1::order_query_service_client::OrderQueryServiceClient;
use tally_api::orders::v1::{GetOrderRequest, GetOrderResponse, Order};
use tally_read_model::{
    Applied, Batch, BuildId, Error, Options, ReadModel, State, StoredView, Unit, ViewChange, Writer, projections,
};
use tally_receipt::Token;
use tally_runtime::CommonArgs;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;
use uuid::Uuid;

/// How long anything may take that is to happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// For a Redis that never goes away: whoever waits for it waits for a busy machine.
pub(crate) const PATIENT: [&str; 2] = ["--redis-read-ms-max", "15000"];
/// Lets one call wait.
pub(crate) const ONE_WAITER: [&str; 2] = ["--waiters-max", "1"];
/// An interval that puts polling out of a test's reach.
pub(crate) const NO_POLLING: [&str; 2] = ["--wait-poll-interval-ms", "60000"];

pub(crate) const ORDER_ID: &str = "0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5d6e";

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    serve: ServeArgs,
}

pub(crate) struct System {
    pub(crate) address: SocketAddr,
    pub(crate) events: EventLogServiceClient<Channel>,
    pub(crate) log_id: Uuid,
    pub(crate) writer: Writer,
    pub(crate) orders: OrderQueryServiceClient<Channel>,
    pub(crate) allocation: AllocationQueryServiceClient<Channel>,
    pub(crate) health: HealthClient<Channel>,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<anyhow::Result<()>>,
}

impl System {
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let flags: Vec<_> = PATIENT.iter().chain(flags).copied().collect();
        Self::on(&tally_servers::test_redis().await.url(), &flags).await
    }

    pub(crate) async fn on(redis_url: &str, flags: &[&str]) -> Self {
        let log = tally_servers::unique_log_name();
        Self::with_log(&log, redis_url, redis_url, flags).await
    }

    /// `reader_url` is the query-service's, so that it may be another user than the projector.
    pub(crate) async fn with_log(log: &str, writer_url: &str, reader_url: &str, flags: &[&str]) -> Self {
        let app = Self::build(log, reader_url, flags).await.expect("built");
        let address = app.address();
        let channel = connect(address);
        let stop = CancellationToken::new();
        let served = tokio::spawn(app.run(stop.clone().cancelled_owned()));
        let log_id = Uuid::new_v4();
        let read_shards = flags.iter().find_map(|flag| flag.strip_prefix("--read-shards="));
        let read_shards = read_shards.map_or(1, |shards| shards.parse().expect("a number"));
        let options = Options { read_shards, ..Options::default() };
        let model = ReadModel::connect(writer_url, log, options).expect("valid settings");
        Self {
            address,
            events: EventLogServiceClient::new(channel.clone()),
            log_id,
            writer: model.writer(log_id),
            orders: OrderQueryServiceClient::new(channel.clone()),
            allocation: AllocationQueryServiceClient::new(channel.clone()),
            health: HealthClient::new(channel),
            stop,
            served,
        }
    }

    /// The process, bound and not serving.
    pub(crate) async fn build(log: &str, reader_url: &str, flags: &[&str]) -> anyhow::Result<App> {
        let own = ["query-service", "--log", log, "--redis-url", reader_url, "--listen", "127.0.0.1:0"];
        let args = CommandLine::parse_from(own.iter().chain(flags));
        App::build(&args.common, &args.serve).await
    }

    /// A client with a connection of its own: one has room for so many calls at once.
    pub(crate) fn another_client(&self) -> OrderQueryServiceClient<Channel> {
        OrderQueryServiceClient::new(connect(self.address))
    }

    /// With views that can be read, though nothing is in them yet.
    pub(crate) async fn begun(self) -> Self {
        for projection in projections::ALL {
            self.apply(projection, 0, &[]).await;
        }
        self
    }

    /// Moves a projection to `position`, as the projector does: for as long as Redis is away, again.
    pub(crate) async fn apply(&self, projection: &'static str, position: u64, changes: &[ViewChange]) {
        for unit in self.writer.model().units(projection) {
            self.apply_shard(unit, position, changes).await;
        }
    }

    /// The same with one shard of it.
    pub(crate) async fn apply_shard(&self, unit: Unit, position: u64, changes: &[ViewChange]) {
        let applied = async {
            loop {
                match self.try_apply(unit, position, changes).await {
                    Ok(applied) => return applied,
                    Err(Error::Unavailable(_)) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        assert_eq!(tokio::time::timeout(SOON, applied).await.expect("Redis stays away"), Applied::Done);
    }

    async fn try_apply(&self, unit: Unit, position: u64, changes: &[ViewChange]) -> Result<Applied, Error> {
        let (build, from) = self.begun_at(unit).await?;
        let is_own = |change: &&ViewChange| self.writer.model().unit_of(unit.projection, &change.key) == unit;
        let batch = Batch { views: changes.iter().filter(is_own).cloned().collect(), ..Batch::default() };
        let to = State { position, ..from };
        self.writer.apply(unit, build, None, (&from, &to), &batch).await
    }

    /// The live build, begun where there is none.
    async fn begun_at(&self, unit: Unit) -> Result<(BuildId, State), Error> {
        loop {
            if let Some(live) = self.writer.look(unit).await?.live_state() {
                return Ok(live);
            }
            self.writer.start_build(unit, None, BuildId::first(1), &State::new(1), None, None).await?;
        }
    }

    /// Loses the order projection's views, and begins to make them again: they can be read from `complete_from` on.
    pub(crate) async fn lose_orders(&self, complete_from: u64) {
        let unit = Unit { projection: projections::ORDER, shard: 0 };
        let (before, _) = self.begun_at(unit).await.expect("begun");
        let build = BuildId { repair: before.repair + 1, ..before };
        let state = State { complete_from, ..State::new(1) };
        self.writer.start_build(unit, Some(before), build, &state, None, None).await.expect("begun anew");
    }

    /// Sets the order projection back, views and all, as Redis does when it loses writes.
    pub(crate) async fn go_back(&self, position: u64) {
        let unit = Unit { projection: projections::ORDER, shard: 0 };
        let (build, from) = self.begun_at(unit).await.expect("begun");
        let to = State { position, ..from };
        let applied = self.writer.apply(unit, build, None, (&from, &to), &Batch::default()).await;
        assert_eq!(applied, Ok(Applied::Done));
    }

    /// As a projector does before the first event.
    pub(crate) async fn begin(&self) {
        self.writer.claim().await.expect("claimed");
        for projection in projections::ALL {
            for unit in self.writer.model().units(projection) {
                self.begun_at(unit).await.expect("begun");
            }
        }
    }

    /// Moves the order projection to `position`, with this as what it says of [`ORDER_ID`].
    pub(crate) async fn apply_order(&self, position: u64, version: i64) {
        self.apply(projections::ORDER, position, &[view(ORDER_ID, &order(version))]).await;
    }

    pub(crate) fn token(&self, position: u64) -> ReadAfter {
        asking(read_after::After::Token(Token { log_id: self.log_id, position }.encode()))
    }

    pub(crate) async fn get_order(&self, read_after: impl Into<Option<ReadAfter>>) -> Result<GetOrderResponse, Status> {
        let request = GetOrderRequest { order_id: ORDER_ID.to_owned(), read_after: read_after.into() };
        self.orders.clone().get_order(request).await.map(tonic::Response::into_inner)
    }

    /// Two such calls where one may wait: the one that is not refused, and so is waiting.
    pub(crate) async fn one_that_waits(
        &self,
        read_after: ReadAfter,
    ) -> BoxFuture<'_, Result<GetOrderResponse, Status>> {
        let calls = [read_after.clone(), read_after].map(|read_after| self.get_order(read_after).boxed());
        let [one, other] = calls;
        let (refused, waiting) = select(one, other).await.factor_first();
        let told = told(&refused.expect_err("refused"));
        assert_eq!((told.code, told.reason.as_str()), (Code::ResourceExhausted, "OVERLOADED"));
        assert_eq!(pairs(&told), [("limit", "waiters_max")]);
        assert!(told.retry.is_some());
        waiting.into_inner()
    }

    pub(crate) async fn health_of(&self, service: &str) -> ServingStatus {
        let request = HealthCheckRequest { service: service.to_owned() };
        self.health.clone().check(request).await.expect("an answer").into_inner().status()
    }

    /// Waits until the health of `service` is `status`.
    pub(crate) async fn becomes(&self, service: &str, status: ServingStatus) {
        let request = HealthCheckRequest { service: service.to_owned() };
        let mut changes = self.health.clone().watch(request).await.expect("an answer").into_inner();
        let becomes =
            async { while changes.message().await.expect("an answer").expect("it goes on").status() != status {} };
        tokio::time::timeout(SOON, becomes).await.unwrap_or_else(|_| panic!("{service} doesn't become {status:?}"));
    }
}

fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy()
}

/// A connection on which the service can send next to nothing that is not read.
pub(crate) fn connect_with_small_buffers(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535).connect_lazy()
}

pub(crate) fn order(version: i64) -> Order {
    Order { order_id: ORDER_ID.to_owned(), customer_id: "c1".to_owned(), version, ..Default::default() }
}

pub(crate) fn view(key: &str, message: &impl Message) -> ViewChange {
    raw(key, message.encode_to_vec())
}

pub(crate) fn raw(key: &str, view: Vec<u8>) -> ViewChange {
    let now = StoredView { view: Some(view.into()), parked: None };
    ViewChange { key: key.to_owned(), now, ..ViewChange::default() }
}

pub(crate) fn asking(after: read_after::After) -> ReadAfter {
    ReadAfter { after: Some(after), ..Default::default() }
}

pub(crate) fn position(position: i64) -> ReadAfter {
    asking(read_after::After::Position(position))
}

pub(crate) fn within(timeout: Duration, read_after: ReadAfter) -> ReadAfter {
    ReadAfter { timeout: Some(timeout.try_into().expect("a duration")), ..read_after }
}

pub(crate) fn or_fail(read_after: ReadAfter) -> ReadAfter {
    ReadAfter { on_timeout: OnTimeout::Fail.into(), ..read_after }
}

/// What an error says to programs.
pub(crate) struct Told {
    pub(crate) code: Code,
    pub(crate) reason: String,
    pub(crate) metadata: std::collections::HashMap<String, String>,
    pub(crate) retry: Option<Duration>,
    pub(crate) fields: Vec<String>,
}

pub(crate) fn told(status: &Status) -> Told {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "tally");
    let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    Told {
        code: status.code(),
        reason: info.reason.clone(),
        metadata: info.metadata.clone(),
        retry: details.retry_info().and_then(|info| info.retry_delay),
        fields: violations.into_iter().map(|violation| violation.field).collect(),
    }
}

pub(crate) fn pairs(told: &Told) -> Vec<(&str, &str)> {
    let mut pairs: Vec<_> = told.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    pairs.sort_unstable();
    pairs
}

/// What comes of something that is to happen soon. A wait that nobody ends ends too, but later than this.
pub(crate) async fn soon<F: Future>(happens: F) -> F::Output {
    tokio::time::timeout(SOON, happens).await.expect("it takes too long")
}

/// For calls that must be answered some milliseconds before their deadline: a busy machine may lose those once, or twice.
pub(crate) async fn in_one_of_three<T>(call: impl AsyncFn() -> Result<T, Status>) -> Result<T, Status> {
    for _ in 0..2 {
        match call().await {
            Err(status) if matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded) => {}
            outcome => return outcome,
        }
    }
    call().await
}
