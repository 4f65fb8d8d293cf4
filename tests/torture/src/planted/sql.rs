//! Faults of the database: the appending function as somebody might have written it, and settings that somebody might have chosen.

use anyhow::{Result, ensure};
use sqlx::{AssertSqlSafe, Executor, PgPool};

use crate::stores::Stores;

/// Where the function takes the positions, and with them the lock that orders all batches.
const TAKES_HEAD: [&str; 2] =
    ["SELECT log_head.ctid INTO head", "WHERE log_head.ctid = head RETURNING log_head.position INTO STRICT last;"];

pub(super) async fn positions_from_a_sequence(stores: &Stores, log: &str) -> Result<()> {
    let database = stores.database(log).await?;
    database.execute("CREATE SEQUENCE planted_positions MINVALUE 0 START 1").await?;
    // A block of numbers for each batch; the lock is on the numbers only. The head follows when the batch is written.
    let take = "PERFORM pg_advisory_lock(4711);
        SELECT setval('planted_positions', nextval('planted_positions') - 1 + cardinality(event_versions)) INTO last;
        PERFORM pg_advisory_unlock(4711);
        PERFORM pg_sleep(random() * 0.05);";
    change_append(&database, |body| {
        let begin = body.find(TAKES_HEAD[0])?;
        let end = begin + body[begin..].find(TAKES_HEAD[1])? + TAKES_HEAD[1].len();
        let changed = format!("{}{take}{}", &body[..begin], &body[end..]);
        let follow = "UPDATE log_head SET position = greatest(log_head.position, last); RETURN last;";
        Some(changed.replace("RETURN last;", follow))
    })
    .await
}

pub(super) async fn no_version_check(stores: &Stores, log: &str) -> Result<()> {
    let database = stores.database(log).await?;
    database.execute("ALTER TABLE events DROP CONSTRAINT events_stream_version").await?;
    database.execute("CREATE INDEX planted_stream_version ON events (stream_id, version)").await?;
    change_append(&database, |body| Some(body.replace("IF FOUND THEN", "IF false THEN"))).await
}

pub(super) async fn command_id_not_kept(stores: &Stores, log: &str) -> Result<()> {
    let database = stores.database(log).await?;
    let forget = "CREATE FUNCTION planted_forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'";
    database.execute(forget).await?;
    let trigger = "CREATE TRIGGER planted_forget BEFORE INSERT ON commands
         FOR EACH ROW EXECUTE FUNCTION planted_forget()";
    database.execute(trigger).await?;
    Ok(())
}

pub(super) async fn commit_not_durable(stores: &Stores) -> Result<()> {
    let mut connection = stores.connect().await?;
    for setting in ["synchronous_commit = off", "wal_writer_delay = '10s'", "wal_writer_flush_after = '1GB'"] {
        connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("ALTER SYSTEM SET {setting}")))).await?;
    }
    connection.execute("SELECT pg_reload_conf()").await?;
    Ok(())
}

async fn change_append(database: &PgPool, change: impl FnOnce(&str) -> Option<String>) -> Result<()> {
    let body: String =
        sqlx::query_scalar("SELECT pg_get_functiondef('append_batch'::regproc)").fetch_one(database).await?;
    let changed = change(&body).filter(|changed| *changed != body);
    ensure!(changed.is_some(), "the function is not what this fault was made for any more");
    database.execute(sqlx::raw_sql(AssertSqlSafe(changed.unwrap_or_default()))).await?;
    Ok(())
}
