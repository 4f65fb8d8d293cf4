//! The Postgres and the Redis that everything measured runs on: Tally and baselines the same, with the same settings.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};
use tally_servers::{Postgres, Redis, reachable_by_server_user};

/// What an operator sets for a server of its own with a few GiB of memory. Durable: fsync, full_page_writes and synchronous_commit are on, as they are
/// by default. Checkpoints come when they are asked for, before each run, and not by chance in the middle of somebody's.
const SETTINGS: [(&str, &str); 8] = [
    ("synchronous_commit", "on"),
    ("fsync", "on"),
    ("shared_buffers", "2GB"),
    ("max_connections", "200"),
    ("max_wal_size", "8GB"),
    ("min_wal_size", "2GB"),
    ("checkpoint_timeout", "30min"),
    ("random_page_cost", "1.1"),
];

/// Folders in the bench's own. `SCRATCH` is for what is of no use after a run.
const POSTGRES: &str = "postgres";
const REDIS: &str = "redis";
const SCRATCH: &str = "scratch";
/// Only root can write there, so nobody can have put something of that name there for root to fall into.
const ROOTS_FOLDER: &str = "/var/lib/tally-bench";
const INSTALL: &str = "a bench needs Postgres and Redis (`make tools` installs what is missing)";

/// Both servers, gone with this process.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) postgres: Postgres,
    pub(crate) redis: Redis,
    folder: PathBuf,
}

impl Servers {
    /// Empty ones.
    pub(crate) async fn start(folder: &Path) -> Result<Self> {
        let folder = emptied(folder)?;
        let postgres = Postgres::start(&folder.join(POSTGRES)).await.context(INSTALL)?;
        let mut connection = connect(&postgres.url("postgres")).await?;
        for (name, value) in SETTINGS {
            execute(&mut connection, &format!("ALTER SYSTEM SET {name} = '{value}'")).await?;
        }
        drop(connection);
        postgres.restart().await?;
        let redis = Redis::start(&folder.join(REDIS)).await.context(INSTALL)?;
        Ok(Self { postgres, redis, folder })
    }

    /// For what is worth reading afterwards.
    pub(crate) fn log_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// For what isn't.
    pub(crate) fn scratch_file(&self, name: &str) -> PathBuf {
        self.folder.join(SCRATCH).join(name)
    }

    /// The URL of a database that is empty.
    pub(crate) async fn empty_database(&self, name: &str) -> Result<String> {
        let mut connection = connect(&self.postgres.url("postgres")).await?;
        execute(&mut connection, &format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await?;
        Ok(self.postgres.create_database(name).await?)
    }

    /// Writes out what earlier runs have changed, so that it is not in the way of the next one.
    pub(crate) async fn checkpoint(&self) -> Result<()> {
        execute(&mut connect(&self.postgres.url("postgres")).await?, "CHECKPOINT").await
    }

    /// Seconds of processor time of all of Postgres's processes.
    pub(crate) fn postgres_cpu_seconds(&self) -> Result<f64> {
        crate::cpu::of_family(self.postgres.pid().context("Postgres has ended")?)
    }

    pub(crate) async fn clear(&self) -> Result<()> {
        self.redis.stop().await?;
        self.postgres.stop().await?;
        for folder in [POSTGRES, REDIS, SCRATCH].map(|name| self.folder.join(name)) {
            fs::remove_dir_all(&folder).with_context(|| format!("can't remove {}", folder.display()))?;
        }
        Ok(())
    }

    pub(crate) async fn version(&self) -> Result<String> {
        let mut connection = connect(&self.postgres.url("postgres")).await?;
        Ok(sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await?)
    }
}

/// `folder`, without what an earlier bench left in it; or one that the servers' ordinary user can reach, if it can't reach that.
fn emptied(folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    let folder = folder.canonicalize()?;
    let folder = if reachable_by_server_user(&folder) { folder } else { PathBuf::from(ROOTS_FOLDER) };
    for left in [POSTGRES, REDIS, SCRATCH].map(|name| folder.join(name)).iter().filter(|left| left.exists()) {
        fs::remove_dir_all(left).with_context(|| format!("can't remove {}", left.display()))?;
    }
    fs::create_dir_all(folder.join(SCRATCH))?;
    Ok(folder)
}

pub(crate) async fn connect(url: &str) -> Result<PgConnection> {
    Ok(url.parse::<PgConnectOptions>()?.disable_statement_logging().connect().await?)
}

pub(crate) async fn execute(connection: &mut PgConnection, statements: &str) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(connection).await?;
    Ok(())
}

pub(crate) async fn count(connection: &mut PgConnection, table: &str) -> Result<u64> {
    let statement = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    let rows: i64 = sqlx::query_scalar(statement).fetch_one(connection).await?;
    Ok(u64::try_from(rows)?)
}
