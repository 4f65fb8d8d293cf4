//! The least that a service on gRPC and Postgres can do to acknowledge with a group commit: one statement for all commands that wait, which takes
//! their positions from a row that all replicas share, and stores an event of each. Who finds that another replica appended reads what it
//! appended, as whoever decides on the newest state has to.
//!
//! It is what Tally rests on, with nothing of Tally in it: nothing is decided, looked up or checked, no stream has a version of its own, a command
//! that comes again is refused by an index, and what was read is thrown away. It shows what is out of reach.

use anyhow::{Context, Result, anyhow};
use futures::TryStreamExt;
use sqlx::postgres::PgBindIterExt;
use sqlx::{Connection, Executor, PgConnection, Row};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;
use uuid::Uuid;

/// More than ever wait.
const WAITING_MAX: usize = 4_096;
const TABLES: &str = include_str!("group_commit.sql");
const PAYLOAD: &str =
    r#"{"sku":"SKU-1234","order_id":"web-123456","quantity":1,"batch_ref":"batch-SKU-1234","from_backorder":false}"#;

/// The position takes the place of a version: unique, and as long.
const APPEND: &str = "WITH head AS (UPDATE head SET position = position + cardinality($1) RETURNING position),
    appended AS (
        INSERT INTO recorded (position, stream_id, version, command_id, event_type, payload, metadata)
        SELECT generate_series(position - cardinality($1) + 1, position), unnest($1),
            generate_series(position - cardinality($1) + 1, position), unnest($2), 'Allocated', unnest($3), '{}' FROM head
    )
    SELECT position FROM head";
const READ: &str = "SELECT position, version, command_id, stream_id, event_type, payload, metadata FROM recorded
    WHERE position > $1 AND position <= $2 ORDER BY position";

/// Hands commands to who commits them.
#[derive(Clone, Debug)]
pub(super) struct Committer {
    waiting: mpsc::Sender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    command_id: Uuid,
    stream_id: String,
    committed: oneshot::Sender<i64>,
}

impl Committer {
    /// Makes the tables, if they aren't there yet.
    pub(super) async fn start(database_url: &str) -> Result<Self> {
        let mut connection = PgConnection::connect(database_url).await?;
        connection.execute(TABLES).await?;
        let (waiting, received) = mpsc::channel(WAITING_MAX);
        tokio::spawn(async move {
            if let Err(error) = commit_for_ever(connection, received).await {
                tracing::error!(%error, "committing ended");
            }
        });
        Ok(Self { waiting })
    }

    /// The position of the command's event, once it is committed.
    pub(super) async fn commit(&self, command_id: &str, stream_id: String) -> Result<i64, Status> {
        let command_id = Uuid::parse_str(command_id).map_err(|_| Status::invalid_argument("command_id is no UUID"))?;
        let (committed, answer) = oneshot::channel();
        let waiting = Waiting { command_id, stream_id, committed };
        self.waiting.send(waiting).await.map_err(|_| Status::unavailable("nobody commits"))?;
        answer.await.map_err(|_| Status::unavailable("not committed"))
    }
}

async fn commit_for_ever(mut connection: PgConnection, mut received: mpsc::Receiver<Waiting>) -> Result<()> {
    let (mut batch, mut seen) = (Vec::with_capacity(WAITING_MAX), 0);
    while received.recv_many(&mut batch, WAITING_MAX).await > 0 {
        let last = append(&mut connection, &batch).await?;
        let before = last - i64::try_from(batch.len())?;
        if before > seen {
            read(&mut connection, seen, before).await?;
        }
        seen = last;
        for (position, waiting) in (before + 1..).zip(batch.drain(..)) {
            let _ = waiting.committed.send(position);
        }
    }
    Err(anyhow!("nobody is left to ask"))
}

async fn append(connection: &mut PgConnection, batch: &[Waiting]) -> Result<i64> {
    let statement = sqlx::query(APPEND)
        .bind(batch.iter().map(|waiting| waiting.stream_id.as_str()).bind_iter())
        .bind(batch.iter().map(|waiting| waiting.command_id).bind_iter())
        .bind(batch.iter().map(|_| PAYLOAD).bind_iter());
    Ok(statement.fetch_one(connection).await.context("appending")?.try_get(0)?)
}

async fn read(connection: &mut PgConnection, after: i64, up_to: i64) -> Result<()> {
    let mut events = sqlx::query(READ).bind(after).bind(up_to).fetch(connection);
    while let Some(event) = events.try_next().await? {
        std::hint::black_box((event.try_get::<&str, _>(3)?, event.try_get::<&str, _>(5)?));
    }
    Ok(())
}
