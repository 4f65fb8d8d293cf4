use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use projector::{App, Part, State, Status};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use sqlx::{Connection, PgConnection};
use tally_api::projections::v1::projection_admin_service_client::ProjectionAdminServiceClient;
use tally_event_store::{AppendOptions, AppendStore, Batch, LogName, ReadOptions, ReadStore, StoredEvent, migrate};
use tally_read_model::{BUCKETS, Options, ReadModel, Unit, Writer, projections};
use tally_runtime::CommonArgs;
use tally_servers::{Postgres, Redis, fresh_database, test_redis, unique_log_name};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::history::History;

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
const PATIENT_ARGS: [&str; 5] = [
    "--database-acquire-ms-max=60000",
    "--database-statement-ms-max=60000",
    "--retry-ms-max=200",
    "--drain-timeout-ms=1000",
    "--log-format=text",
];
/// Where a projection stands, over all of its shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stands {
    pub(crate) generation: u64,
    pub(crate) position: u64,
}

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `condition` gives something.
pub(crate) async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        sleep(LOOK_EVERY).await;
    }
}

/// A log of its own, in a database of its own.
pub(crate) struct Fixture {
    pub(crate) log: String,
    pub(crate) database_url: String,
    pub(crate) redis_url: String,
    pub(crate) store: AppendStore,
    pub(crate) model: ReadModel,
    pub(crate) history: History,
    /// The position of the last event.
    pub(crate) head: u64,
    pub(crate) read_shards: u16,
    pub(crate) redis_patience: Duration,
}

/// On the servers that all tests share.
pub(crate) async fn fixture() -> Fixture {
    on(fresh_database().await, test_redis().await.url()).await
}

/// On servers of its own, which the test may stop.
pub(crate) async fn with_servers() -> (Fixture, Postgres, Redis) {
    let (postgres, redis) = tokio::join!(Postgres::temporary(), Redis::temporary());
    let (postgres, redis) = (postgres.unwrap(), redis.unwrap());
    let database_url = postgres.create_database("test").await.unwrap();
    (on(database_url, redis.url()).await, postgres, redis)
}

pub(crate) async fn on(database_url: String, redis_url: String) -> Fixture {
    sharded(database_url, redis_url, 1).await
}

/// On a busy machine an answer may take long; a server that is away is still noticed at once.
pub(crate) async fn sharded(database_url: String, redis_url: String, read_shards: u16) -> Fixture {
    patient(database_url, redis_url, read_shards, DEADLINE).await
}

/// Where Redis may take so long to answer.
pub(crate) async fn patient(
    database_url: String,
    redis_url: String,
    read_shards: u16,
    redis_patience: Duration,
) -> Fixture {
    let log = unique_log_name();
    let name: LogName = log.parse().unwrap();
    migrate(&database_url, &name).await.unwrap();
    let patient = AppendOptions { acquire_timeout: DEADLINE, statement_timeout: DEADLINE, ..AppendOptions::default() };
    let store = AppendStore::connect(&database_url, &name, patient).await.unwrap();
    let model = ReadModel::connect(&redis_url, &log, options(read_shards, redis_patience)).unwrap();
    Fixture {
        log,
        database_url,
        redis_url,
        store,
        model,
        history: History::default(),
        head: 0,
        read_shards,
        redis_patience,
    }
}

fn options(read_shards: u16, patience: Duration) -> Options {
    Options {
        connection_timeout: patience,
        read_timeout: patience,
        write_timeout: patience,
        read_shards,
        ..Options::default()
    }
}

impl Fixture {
    pub(crate) async fn append(&mut self, batch: Batch) -> u64 {
        self.head = self.store.append(batch).await.unwrap().last_position;
        self.head
    }

    /// The whole log as it is stored.
    pub(crate) async fn read_log(&self) -> Vec<StoredEvent> {
        let log: LogName = self.log.parse().unwrap();
        let store = ReadStore::connect(&self.database_url, &log, ReadOptions::default()).await.unwrap();
        store.read_after(0, usize::MAX).await.unwrap()
    }

    pub(crate) async fn append_random(&mut self, commands: usize) -> u64 {
        let batch = self.history.random_commands(commands);
        self.append(batch).await
    }

    /// Starts a projector with these further arguments.
    pub(crate) async fn projector(&self, args: &[&str]) -> Projector {
        self.projector_to(&self.redis_url, args).await
    }

    async fn projector_to(&self, redis_url: &str, args: &[&str]) -> Projector {
        let urls = ["--database-url", &self.database_url, "--redis-url", redis_url];
        let line = ["serve", "--log", &self.log, "--listen", "127.0.0.1:0"].into_iter().chain(urls);
        let shards = format!("--read-shards={}", self.read_shards);
        let line = line.chain([shards.as_str()]);
        let ms = self.redis_patience.as_millis();
        let patient = ["connect", "read", "write"].map(|what| format!("--redis-{what}-ms-max={ms}"));
        let line = line.chain(patient.iter().map(String::as_str));
        let line = Serve::parse_from(line.chain(PATIENT_ARGS).chain(args.iter().copied()));
        let app = App::build(&line.common, &line.args).await.unwrap();
        let (address, status) = (app.address(), app.status());
        let (shutdown, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(app.run(async move {
            let _ = stopped.await;
        }));
        Projector { address, status, task, shutdown: Some(shutdown) }
    }

    /// Runs a command of the program to its end; what it wrote, and where it failed also on standard error.
    pub(crate) async fn run(&self, args: &[&str]) -> Result<String, String> {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_projector"))
            .args(args)
            .env_clear()
            .env("TALLY_LOG", &self.log)
            .env("DATABASE_URL", &self.database_url)
            .env("REDIS_URL", &self.redis_url)
            .env("READ_SHARDS", self.read_shards.to_string())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(DEADLINE, output).await.expect("it ends").unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told = text(&output.stdout);
        if output.status.success() { Ok(told) } else { Err(told + &text(&output.stderr)) }
    }

    pub(crate) async fn rebuild(&self, projection: &str) {
        self.run(&["rebuild", projection]).await.unwrap();
    }

    /// Where a projection stands; at 0 where it was never projected.
    pub(crate) async fn checkpoint(&self, projection: &'static str) -> Stands {
        let mut stands = Stands { generation: 1, position: u64::MAX };
        for unit in self.model.units(projection) {
            match self.model.read_checkpoint(unit).await {
                Ok(checkpoint) => {
                    stands.generation = checkpoint.build.generation;
                    stands.position = stands.position.min(checkpoint.state.position);
                }
                Err(_) => stands.position = 0,
            }
        }
        stands
    }

    /// How far the live build of a projection of one shard has come, be it fit to be read or not yet.
    pub(crate) async fn built_to(&self, projection: &'static str) -> u64 {
        let look = self.writer().await.look(Unit { projection, shard: 0 }).await.unwrap();
        look.live_state().map_or(0, |(_, state)| state.position)
    }

    pub(crate) async fn writer(&self) -> Writer {
        self.model.writer(self.store.log_id().await.unwrap())
    }

    /// The key of something of a projection's live build.
    pub(crate) async fn key(&self, projection: &'static str, shard: u16, rest: &str) -> String {
        let build = self.model.read_checkpoint(Unit { projection, shard }).await.unwrap().build;
        format!("tally:{log}:{{{log}:r{shard}}}:{projection}:{build}:{rest}", log = self.log)
    }

    /// Until all projections have come to a position.
    pub(crate) async fn projected(&self, position: u64) {
        for projection in projections::ALL {
            eventually(&format!("{projection} at {position}"), async || {
                (self.checkpoint(projection).await.position >= position).then_some(())
            })
            .await;
        }
    }

    pub(crate) async fn redis(&self) -> MultiplexedConnection {
        connection(&self.redis_url).await
    }

    /// Takes all keys of a shard away, at once: what goes in steps meets what the projector makes again meanwhile.
    pub(crate) async fn empty(&self, shard: u16) {
        const REMOVE_ALL: &str = "return redis.call('UNLINK', unpack(redis.call('KEYS', ARGV[1])))";
        let mut call = redis::cmd("EVAL");
        call.arg(REMOVE_ALL).arg(0).arg(format!("tally:{log}:{{{log}:r{shard}}}*", log = self.log));
        let removed: u64 = call.query_async(&mut self.redis().await).await.unwrap();
        assert_ne!(removed, 0);
    }

    /// As the owner of the database, who can do what no role of Tally's may.
    pub(crate) async fn as_owner(&self, statement: &str) {
        let mut connection = PgConnection::connect(&self.database_url).await.unwrap();
        let statement = statement.replace("events", &format!("tally_{}.events", self.log));
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// All live views and lists, by key without the generation.
    pub(crate) async fn views(&self) -> Views {
        let writer = self.writer().await;
        eventually("nothing of the views is missing", async || views(&writer).await).await
    }

    /// Until the views are those of the whole log. For where what is lost is still being made again.
    pub(crate) async fn is_by_the_book(&self) {
        let expected = self.views_by_the_book().await;
        self.projected(self.head).await;
        eventually("every view is right", async || (self.views().await == expected).then_some(())).await;
    }

    async fn writer_of(&self, model: &ReadModel) -> Writer {
        model.writer(self.store.log_id().await.unwrap())
    }

    /// The views that one undisturbed projector makes of the log, in another database of Redis.
    pub(crate) async fn views_by_the_book(&self) -> Views {
        let redis_url = format!("{}1", test_redis().await.url());
        let model = ReadModel::connect(&redis_url, &self.log, options(self.read_shards, self.redis_patience)).unwrap();
        let projector = self.projector_to(&redis_url, &[]).await;
        for projection in projections::ALL {
            for unit in model.units(projection) {
                eventually("the undisturbed projector at the head", async || {
                    let checkpoint = model.read_checkpoint(unit).await.ok()?;
                    (checkpoint.state.position == self.head).then_some(())
                })
                .await;
            }
        }
        projector.stop().await;
        views(&self.writer_of(&model).await).await.expect("nobody disturbs it")
    }
}

pub(crate) type Views = BTreeMap<String, Vec<u8>>;

/// Every view of every live build, by projection and key, and the orders that the lists name; None where something of it is missing: it is
/// lost, or another build took the place of the one that was being read.
async fn views(writer: &Writer) -> Option<Views> {
    let mut all = Views::new();
    for projection in projections::ALL {
        for unit in writer.model().units(projection) {
            let (build, _) = writer.look(unit).await.unwrap().live_state()?;
            for bucket in 0..BUCKETS {
                let scanned = writer.scan(unit, build, bucket).await.unwrap();
                if scanned.is_lost {
                    return None;
                }
                for (key, stored) in scanned.views {
                    all.insert(format!("{projection}:{key}"), stored.to_bytes().unwrap());
                }
            }
        }
    }
    let lists = ["OPEN", "SHIPPED", "CANCELLED"].map(tally_read_model::lists::status);
    for list in lists {
        let page = writer.model().page(projections::ORDER_SUMMARIES, &list, None, 1_000).await.ok()?;
        let members: Vec<String> = page.entries.into_iter().map(|(member, _)| member).collect();
        all.insert(list, members.join("\n").into_bytes());
    }
    Some(all)
}

async fn connection(url: &str) -> MultiplexedConnection {
    let patient =
        AsyncConnectionConfig::new().set_connection_timeout(Some(DEADLINE)).set_response_timeout(Some(DEADLINE));
    Client::open(url).unwrap().get_multiplexed_async_connection_with_config(&patient).await.unwrap()
}

#[derive(Parser)]
struct Serve {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    args: projector::ServeArgs,
}

/// A projector that runs.
pub(crate) struct Projector {
    pub(crate) address: SocketAddr,
    status: Status,
    task: JoinHandle<anyhow::Result<()>>,
    shutdown: Option<oneshot::Sender<()>>,
}

impl Drop for Projector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Projector {
    /// Cuts it off wherever it is.
    pub(crate) async fn crash(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    pub(crate) async fn stop(mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
        (&mut self.task).await.unwrap().unwrap();
    }

    /// How its part of a projection is, or `log`: the worst of its units.
    pub(crate) fn state(&self, name: &str) -> State {
        let states = self.status.watch();
        let states = states.borrow();
        let of_name = |part: &Part| match part {
            Part::Log => name == "log",
            Part::Leases => name == "leases",
            Part::LineEvents => name == "line_events",
            Part::Unit(unit) => unit.projection == name,
        };
        let rank = |state: &State| match state {
            State::Halted(_) => 0,
            State::Waiting(_) => 1,
            State::Recovering => 2,
            State::Starting => 3,
            State::Paused => 4,
            State::Following => 5,
        };
        let of_name = states.iter().filter(|(part, _)| of_name(part)).map(|(_, state)| state.clone());
        of_name.min_by_key(rank).unwrap_or(State::Starting)
    }

    /// The units that it works at.
    pub(crate) fn units(&self) -> Vec<Unit> {
        let states = self.status.watch();
        let states = states.borrow();
        states.keys().filter_map(|part| if let Part::Unit(unit) = part { Some(*unit) } else { None }).collect()
    }

    /// Until the projection halts; why it did.
    pub(crate) async fn halted(&self, name: &str) -> String {
        eventually(&format!("{name} halts"), async || match self.state(name) {
            State::Halted(reason) => Some(reason),
            _ => None,
        })
        .await
    }

    /// Until the projection waits for something; for what.
    pub(crate) async fn waiting(&self, name: &str) -> String {
        eventually(&format!("{name} waits"), async || match self.state(name) {
            State::Waiting(reason) => Some(reason),
            _ => None,
        })
        .await
    }

    pub(crate) async fn health(&self, service: &str) -> Option<ServingStatus> {
        let channel = Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.ok()?;
        let request = HealthCheckRequest { service: service.to_owned() };
        Some(HealthClient::new(channel).check(request).await.ok()?.into_inner().status())
    }

    /// Until its readiness is so; liveness is never in doubt.
    pub(crate) async fn ready(&self, ready: bool) {
        let expected = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        eventually(&format!("ready: {ready}"), async || (self.health("").await == Some(expected)).then_some(())).await;
        assert_eq!(self.health("liveness").await, Some(ServingStatus::Serving));
    }
}

impl Projector {
    pub(crate) async fn admin(&self) -> ProjectionAdminServiceClient<Channel> {
        let channel = Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap();
        ProjectionAdminServiceClient::new(channel)
    }

    pub(crate) async fn projected_and_stopped(self, f: &Fixture) {
        f.projected(f.head).await;
        self.stop().await;
    }
}
