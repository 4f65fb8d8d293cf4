use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use projector::{App, State, Status};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, cmd};
use sqlx::{Connection, PgConnection};
use tally_event_store::{AppendOptions, AppendStore, Batch, LogName, ReadOptions, ReadStore, StoredEvent, migrate};
use tally_read_model::{Checkpoint, Options, ReadModel, projections};
use tally_runtime::CommonArgs;
use tally_servers::{Postgres, Redis, fresh_database, test_redis, unique_log_name};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::history::History;

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// On a busy machine an answer may take long; a server that is away is still noticed at once.
const PATIENT: Options = Options {
    connection_timeout: DEADLINE,
    read_timeout: DEADLINE,
    write_timeout: DEADLINE,
    commands_queued_max: 1024,
};
const PATIENT_ARGS: [&str; 8] = [
    "--redis-connect-ms-max=60000",
    "--redis-read-ms-max=60000",
    "--redis-write-ms-max=60000",
    "--database-acquire-ms-max=60000",
    "--database-statement-ms-max=60000",
    "--retry-ms-max=200",
    "--drain-timeout-ms=1000",
    "--log-format=text",
];
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

async fn on(database_url: String, redis_url: String) -> Fixture {
    let log = unique_log_name();
    let name: LogName = log.parse().unwrap();
    migrate(&database_url, &name).await.unwrap();
    let store = AppendStore::connect(&database_url, &name, AppendOptions::default()).await.unwrap();
    let model = ReadModel::connect(&redis_url, &log, PATIENT).unwrap();
    Fixture { log, database_url, redis_url, store, model, history: History::default(), head: 0 }
}

impl Fixture {
    pub(crate) async fn append(&mut self, batch: Batch) -> u64 {
        self.head = self.store.append(batch).await.unwrap().last_position;
        self.head
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
        let line = Serve::parse_from(line.chain(PATIENT_ARGS).chain(args.iter().copied()));
        let app = App::build(&line.common, &line.args).await.unwrap();
        let (address, status) = (app.address(), app.status());
        let (shutdown, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(app.run(async move {
            let _ = stopped.await;
        }));
        Projector { address, status, task, shutdown: Some(shutdown) }
    }

    pub(crate) fn rebuild_args(&self, projection: &str, args: &[&str]) -> (CommonArgs, projector::RebuildArgs) {
        let urls = ["--database-url", &self.database_url, "--redis-url", &self.redis_url];
        let line = ["rebuild", projection, "--log", &self.log].into_iter().chain(urls);
        let line = Rebuild::parse_from(line.chain(PATIENT_ARGS).chain(args.iter().copied()));
        (line.common, line.args)
    }

    pub(crate) async fn rebuild(&self, projection: &str) {
        let (common, args) = self.rebuild_args(projection, &[]);
        projector::rebuild(&common, &args).await.unwrap();
    }

    pub(crate) async fn checkpoint(&self, projection: &str) -> Checkpoint {
        self.model.read_checkpoint(projection).await.unwrap()
    }

    /// Until all projections have come to a position.
    pub(crate) async fn projected(&self, position: u64) {
        for projection in projections::ALL {
            eventually(&format!("{projection} at {position}"), async || {
                // Redis may be on its way back.
                let checkpoint = self.model.read_checkpoint(projection).await.ok()?;
                (checkpoint.position >= position).then_some(())
            })
            .await;
        }
    }

    pub(crate) async fn redis(&self) -> MultiplexedConnection {
        connection(&self.redis_url).await
    }

    /// The whole log as it is stored.
    pub(crate) async fn read_log(&self) -> Vec<StoredEvent> {
        let log: LogName = self.log.parse().unwrap();
        let store = ReadStore::connect(&self.database_url, &log, ReadOptions::default()).await.unwrap();
        store.read_after(0, usize::MAX).await.unwrap()
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
        views(&mut self.redis().await, &self.log, &self.model).await
    }

    /// The views that one undisturbed projector makes of the log, in another database of Redis.
    pub(crate) async fn views_by_the_book(&self) -> Views {
        let redis_url = format!("{}1", self.redis_url);
        let model = ReadModel::connect(&redis_url, &self.log, PATIENT).unwrap();
        let projector = self.projector_to(&redis_url, &[]).await;
        for projection in projections::ALL {
            eventually("the undisturbed projector at the head", async || {
                let checkpoint = model.read_checkpoint(projection).await.unwrap();
                (checkpoint.position == self.head).then_some(())
            })
            .await;
        }
        projector.stop().await;
        views(&mut connection(&redis_url).await, &self.log, &model).await
    }
}

pub(crate) type Views = BTreeMap<String, Vec<Vec<u8>>>;

async fn views(redis: &mut MultiplexedConnection, log: &str, model: &ReadModel) -> Views {
    let mut all = Views::new();
    for projection in projections::ALL {
        let generation = model.read_checkpoint(projection).await.unwrap().generation;
        let prefix = format!("tally:{log}:{{{log}:r0}}:{projection}:{generation}:");
        let keys: Vec<String> = cmd("KEYS").arg(format!("{prefix}*")).query_async(redis).await.unwrap();
        for key in keys {
            let rest = key.strip_prefix(&prefix).unwrap();
            let value = if rest.starts_with("list:") {
                cmd("ZRANGE").arg(&key).arg(0).arg(-1).query_async(redis).await.unwrap()
            } else {
                vec![cmd("GET").arg(&key).query_async(redis).await.unwrap()]
            };
            all.insert(format!("{projection}:{rest}"), value);
        }
    }
    all
}

async fn connection(url: &str) -> MultiplexedConnection {
    let patient = AsyncConnectionConfig::new().set_response_timeout(Some(DEADLINE));
    Client::open(url).unwrap().get_multiplexed_async_connection_with_config(&patient).await.unwrap()
}

#[derive(Parser)]
struct Serve {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    args: projector::ServeArgs,
}

#[derive(Parser)]
struct Rebuild {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    args: projector::RebuildArgs,
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

    pub(crate) fn state(&self, name: &str) -> State {
        self.status.watch().borrow()[name].clone()
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
    pub(crate) async fn projected_and_stopped(self, f: &Fixture) {
        f.projected(f.head).await;
        self.stop().await;
    }
}
