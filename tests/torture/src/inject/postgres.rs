//! What can happen to Postgres.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::time::{Instant, sleep};

use crate::stores::Stores;

/// Between two times of ending all sessions.
const TERMINATE_EVERY: Duration = Duration::from_millis(300);

pub(super) async fn kill(stores: &Stores, hold: Duration) -> Result<()> {
    stores.postgres()?.kill().await?;
    sleep(hold).await;
    stores.postgres()?.restart().await?;
    stores.postgres_answers().await
}

pub(super) async fn stop_at_once(stores: &Stores) -> Result<()> {
    let postgres = stores.postgres()?;
    let pid = postgres.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    kill_process(pid.context("Postgres doesn't run")?, Signal::QUIT)?;
    postgres.ended().await;
    postgres.restart().await?;
    stores.postgres_answers().await
}

pub(super) async fn freeze(stores: &Stores, hold: Duration) -> Result<()> {
    stores.postgres()?.pause()?;
    sleep(hold).await;
    Ok(stores.postgres()?.resume()?)
}

pub(super) async fn fill_disk(stores: &Stores, hold: Duration) -> Result<()> {
    let disk = stores.disk()?;
    disk.fill()?;
    sleep(hold).await;
    disk.free()?;
    stores.postgres_answers().await
}

pub(super) async fn terminate_backends(stores: &Stores, hold: Duration) {
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let over = Instant::now() + hold;
    while Instant::now() < over {
        // Postgres may be away by another fault: then they are ended anyway.
        if let Ok(mut connection) = stores.connect().await {
            let _ = connection.execute(terminate).await;
        }
        sleep(TERMINATE_EVERY).await;
    }
}

/// In another database, so that nothing but the cluster's oldest transaction has to do with it.
pub(super) async fn hold_transaction(stores: &Stores, log: &str, hold: Duration) {
    let over = Instant::now() + hold;
    while Instant::now() < over {
        // Postgres may be away by another fault, and ends it; then it begins anew.
        if try_to_hold(stores, log, over).await.is_err() {
            sleep(TERMINATE_EVERY).await;
        }
    }
}

async fn try_to_hold(stores: &Stores, log: &str, over: Instant) -> Result<()> {
    let name = format!("foreign_{log}");
    let mut connection = stores.connect().await?;
    let known: Option<i32> = sqlx::query_scalar("SELECT 1 FROM pg_database WHERE datname = $1")
        .bind(&name)
        .fetch_optional(&mut connection)
        .await?;
    if known.is_none() {
        connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE \"{name}\"")))).await?;
    }
    connection.close().await?;
    let mut url = stores.database_url().clone();
    url.set_path(&name);
    let mut foreign = PgConnection::connect(url.as_str()).await?;
    foreign.execute(sqlx::raw_sql("BEGIN; SELECT pg_current_xact_id()")).await?;
    while Instant::now() < over {
        foreign.execute("SELECT 1").await?;
        sleep(TERMINATE_EVERY).await;
    }
    foreign.execute("ROLLBACK").await?;
    Ok(())
}
