//! A whole Tally for one test: its own database, log name and three processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use redis::AsyncConnectionConfig;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tally_servers::unique_log_name;

use crate::client::{Grpcurl, JsonClient, Python, RustClient, TallyClient};
use crate::eventually::PATIENCE;
use crate::health::until_ready;
use crate::process::{Launch, Process, log_tail};
use crate::servers::Servers;
use crate::service::Service;
use crate::target_dir;

/// How long a program that ends by itself may take.
const RUN_TIMEOUT: Duration = Duration::from_secs(60);
/// Time-outs that only tests of outages leave as they are.
const PATIENT: [&str; 12] = [
    "COMMAND_WAIT_MS_MAX",
    "DATABASE_ACQUIRE_MS_MAX",
    "DATABASE_STATEMENT_MS_MAX",
    "EVENT_LOG_ACQUIRE_MS_MAX",
    "EVENT_LOG_STATEMENT_MS_MAX",
    "PROJECTOR_DATABASE_ACQUIRE_MS_MAX",
    "PROJECTOR_DATABASE_STATEMENT_MS_MAX",
    "PROJECTOR_REDIS_CONNECT_MS_MAX",
    "PROJECTOR_REDIS_READ_MS_MAX",
    "PROJECTOR_REDIS_WRITE_MS_MAX",
    "REDIS_CONNECT_MS_MAX",
    "REDIS_READ_MS_MAX",
];
const PATIENT_MS: &str = "20000";
/// Any free port of this machine, and nobody else's.
const FREE_PORT: &str = "127.0.0.1:0";

/// The processes of one test, and what they run on. All of it ends when this is dropped.
#[derive(Debug)]
pub struct Tally {
    /// The name of its log.
    pub log: String,
    /// The write side.
    pub command: Service,
    /// What keeps the read model.
    pub projector: Service,
    /// The read side.
    pub query: Service,
    servers: Servers,
    database_url: String,
    folder: Folder,
}

/// The folder that the processes log to; it is kept when the test failed.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

impl Tally {
    /// Starts one on the servers that all tests share.
    ///
    /// # Panics
    /// When it doesn't start.
    pub async fn start() -> Self {
        Self::start_with(Servers::shared().await, &[]).await
    }

    /// Starts one on servers of its own, which the test may stop and kill.
    ///
    /// # Panics
    /// When it doesn't start.
    pub async fn start_on_own_servers() -> Self {
        Self::start_on_own_servers_with_environment(&[]).await
    }

    /// Starts one on servers of its own, with more variables for its processes.
    ///
    /// # Panics
    /// When it doesn't start.
    pub async fn start_on_own_servers_with_environment(environment: &[(&'static str, &str)]) -> Self {
        let servers = Servers::own().await.unwrap_or_else(|error| panic!("the test's own servers: {error:#}"));
        Self::start_with(servers, environment).await
    }

    /// Starts one on servers of its own, with this program as its Redis.
    ///
    /// # Panics
    /// When it doesn't start.
    pub async fn start_on_own_servers_with_redis_of(program: &Path) -> Self {
        let servers = Servers::own_with_redis_of(program).await;
        Self::start_with(servers.unwrap_or_else(|error| panic!("the test's own servers: {error:#}")), &[]).await
    }

    /// Starts one on the shared servers, with more variables for its processes.
    ///
    /// # Panics
    /// When it doesn't start.
    pub async fn start_with_environment(environment: &[(&'static str, &str)]) -> Self {
        Self::start_with(Servers::shared().await, environment).await
    }

    async fn start_with(servers: Servers, environment: &[(&'static str, &str)]) -> Self {
        let tally = Self::try_start(servers, environment).await;
        let tally = tally.unwrap_or_else(|error| panic!("Tally doesn't start: {error:#}"));
        // Until it projects, nobody can be told that something is not there. (Who has certificates is not asked here.)
        if !environment.iter().any(|(name, _)| name.contains("TLS")) {
            until_ready(&tally.projector, true).await;
        }
        tally
    }

    async fn try_start(servers: Servers, environment: &[(&'static str, &str)]) -> Result<Self> {
        let log = unique_log_name();
        let database_url = servers.postgres().create_database(&log).await?;
        let folder = Folder(target_dir().join("system-tests").join(&log));
        fs::create_dir_all(&folder.0)?;

        let mut common = vec![
            ("TALLY_LOG", log.clone()),
            ("TALLY_LOG_FORMAT", "text".to_owned()),
            ("RUST_LOG", "info".to_owned()),
            ("DATABASE_URL", database_url.clone()),
            ("REDIS_URL", servers.redis().url()),
            ("COMMAND_LISTEN", FREE_PORT.to_owned()),
            ("PROJECTOR_LISTEN", FREE_PORT.to_owned()),
            ("QUERY_LISTEN", FREE_PORT.to_owned()),
        ];
        if let Servers::Shared { .. } = servers {
            // These never go away, so whoever waits for them waits for a busy machine.
            common.extend(PATIENT.map(|name| (name, PATIENT_MS.to_owned())));
        }
        common.extend(environment.iter().map(|&(name, value)| (name, value.to_owned())));
        let launch = |program| Launch { program, arguments: vec!["serve".to_owned()], environment: common.clone() };

        let migrate = Launch { arguments: vec!["migrate".to_owned()], ..launch("command-service") };
        let (status, output) = run_to_end(&migrate, &folder.0.join("migrate.log")).await?;
        ensure!(status.success(), "migrate failed:\n{output}");

        let start =
            |program: &'static str| Service::start(launch(program), folder.0.join(program).with_extension("log"));
        let (command, projector, query) =
            tokio::try_join!(start("command-service"), start("projector"), start("query-service"))?;
        Ok(Self { log, command, projector, query, servers, database_url, folder })
    }

    /// The client that the Rust tests use, of the processes that run now.
    pub fn client(&self) -> RustClient {
        RustClient::new(self.command.address(), self.query.address())
    }

    /// A client in Python.
    pub fn python(&self) -> JsonClient<Python> {
        Python::client(self.command.address(), self.query.address())
    }

    /// A client that runs grpcurl.
    pub fn grpcurl(&self) -> JsonClient<Grpcurl> {
        Grpcurl::client(self.command.address(), self.query.address())
    }

    /// All three processes.
    pub fn services(&self) -> [&Service; 3] {
        [&self.command, &self.projector, &self.query]
    }

    /// What it runs on.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// The folder of its logs.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// Starts one more process like `service`, beside it.
    ///
    /// # Panics
    /// When it doesn't start.
    pub async fn another(&self, service: &Service) -> Service {
        let log = self.folder().join(format!("another-{}.log", service.name()));
        Service::start(service.launched().clone(), log)
            .await
            .unwrap_or_else(|error| panic!("another {}: {error:#}", service.name()))
    }

    /// Runs `command-service restored` and returns how it ended and what it printed on standard error.
    ///
    /// # Panics
    /// When it can't be run.
    pub async fn restored(&self) -> (ExitStatus, String) {
        let launch = Launch { arguments: vec!["restored".to_owned()], ..self.command.launched().clone() };
        let log = self.folder().join("restored.log");
        run_to_end(&launch, &log).await.unwrap_or_else(|error| panic!("restored: {error:#}"))
    }

    /// The URL of its database, as the owner.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Runs `projector rebuild NAME` and returns how it ended and what it printed on standard error.
    ///
    /// # Panics
    /// When it can't be run.
    pub async fn rebuild(&self, projection: &str) -> (ExitStatus, String) {
        let arguments = vec!["rebuild".to_owned(), projection.to_owned()];
        let launch = Launch { arguments, ..self.projector.launched().clone() };
        let log = self.folder().join(format!("rebuild-{}.log", uuid::Uuid::new_v4().simple()));
        run_to_end(&launch, &log).await.unwrap_or_else(|error| panic!("rebuild {projection}: {error:#}"))
    }

    /// Connections to its database as the owner, names looked up in its log's schema.
    ///
    /// # Panics
    /// When the database is away.
    pub async fn database(&self) -> PgPool {
        let options: PgConnectOptions = self.database_url.parse().expect("a URL of a test's server");
        let options = options.options([("search_path", format!("tally_{}", self.log))]);
        PgPoolOptions::new().max_connections(2).connect_with(options).await.expect("the database is there")
    }

    /// A connection to its Redis, for somebody who has time: a busy machine answers late.
    ///
    /// # Panics
    /// When Redis is away.
    pub async fn redis(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.servers.redis().url()).expect("a URL of a test's server");
        let patient =
            AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        client.get_multiplexed_async_connection_with_config(&patient).await.expect("Redis is there")
    }

    /// Stock for tests that need some: a batch in the warehouse.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn stocked(&self, batch_ref: &str, sku: &str, quantity: i32) {
        self.client()
            .create_batch(batch_ref, sku, quantity, None)
            .await
            .unwrap_or_else(|error| panic!("no stock: {error:?}"));
    }
}

/// Runs a program that ends by itself, and returns how it ended and what it printed on standard error last.
///
/// # Errors
/// When it can't be started.
pub async fn run_to_end(launch: &Launch, log: &Path) -> Result<(ExitStatus, String)> {
    let process = Process::spawn(launch, log).with_context(|| format!("{:?}", launch.arguments))?;
    let status = process.ended(RUN_TIMEOUT).await;
    Ok((status, log_tail(log)))
}
