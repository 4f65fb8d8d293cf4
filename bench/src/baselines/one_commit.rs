//! A good, straightforward service without group commit: 32 connections, and each command one prepared statement, which is its own
//! transaction. It takes the stock with a conditional UPDATE and notes the event, in one round trip.
//!
//! It is fair, and more than that: no BEGIN and COMMIT of their own (three round trips fewer than most such services), rows with room for updates in
//! place, the connections not checked before each use, the same edge, runtime and settings as Tally's. It does less, too: a repeated command
//! is refused instead of answered, the order of positions is not that of commits, and its streams' versions belong to batches.

use anyhow::{Context, Result};
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Row};
use tally_api::allocation::v1::allocation_command_service_server::AllocationCommandService;
use tally_api::allocation::v1::{
    AllocateRequest, AllocateResponse, ChangeBatchQuantityRequest, ChangeBatchQuantityResponse, CreateBatchRequest,
    CreateBatchResponse, DeallocateRequest, DeallocateResponse, LineOutcome, LineStatus, ReceiveBatchRequest,
    ReceiveBatchResponse,
};
use tally_api::consistency::v1::Receipt;
use tonic::{Request, Response, Status};
use uuid::Uuid;

const CONNECTIONS: u32 = 32;
const TABLES: &str = include_str!("one_commit.sql");

const CREATE_BATCH: &str = "INSERT INTO batches (batch_ref, sku, quantity) VALUES ($1, $2, $3)";

/// The batch is chosen as Tally chooses: in stock first, then the earliest due, ties by arrival. The condition is checked again on the locked
/// row, so that nothing is ever oversold.
const ALLOCATE: &str = "WITH taken AS (
        UPDATE batches SET allocated = allocated + $3, version = version + 1
        WHERE batch_ref = (
            SELECT batch_ref FROM batches WHERE sku = $2 AND quantity - allocated >= $3
            ORDER BY eta NULLS FIRST, arrival LIMIT 1
        ) AND quantity - allocated >= $3
        RETURNING batch_ref, version
    )
    INSERT INTO recorded (stream_id, version, command_id, event_type, payload, metadata)
    SELECT 'batch-' || batch_ref, version, $1, 'Allocated', left($4, -1) || ',\"batch_ref\":' || to_json(batch_ref) || '}', '{}' FROM taken
    RETURNING position, version, stream_id, substr(stream_id, length('batch-') + 1)";

#[derive(Debug)]
pub(super) struct OneCommit {
    pool: PgPool,
}

impl OneCommit {
    /// Makes its tables.
    pub(super) async fn connect(database_url: &str) -> Result<Self> {
        let options = database_url.parse::<PgConnectOptions>().context("the database URL")?.disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .min_connections(CONNECTIONS)
            .test_before_acquire(false)
            .connect_with(options)
            .await?;
        sqlx::raw_sql(TABLES).execute(&pool).await?;
        Ok(Self { pool })
    }

    async fn take(&self, request: AllocateRequest) -> Result<AllocateResponse, Status> {
        let command_id =
            Uuid::parse_str(&request.command_id).map_err(|_| Status::invalid_argument("command_id is no UUID"))?;
        let payload = json!({"order_id": request.order_id, "sku": request.sku, "quantity": request.quantity});
        let statement = sqlx::query(ALLOCATE).bind(command_id).bind(&request.sku).bind(i64::from(request.quantity));
        let row = statement.bind(payload.to_string()).fetch_optional(&self.pool).await.map_err(status)?;
        let row = row.ok_or_else(|| Status::failed_precondition("out of stock"))?;
        let receipt =
            Receipt { token: String::new(), stream_id: row.get(2), stream_version: row.get(1), position: row.get(0) };
        let line = LineOutcome {
            order_id: request.order_id,
            sku: request.sku,
            quantity: request.quantity,
            status: LineStatus::Allocated.into(),
            batch_ref: row.get(3),
            previous_batch_ref: String::new(),
        };
        Ok(AllocateResponse { receipt: Some(receipt), line: Some(line) })
    }
}

fn status(error: sqlx::Error) -> Status {
    Status::unavailable(error.to_string())
}

#[tonic::async_trait]
impl AllocationCommandService for OneCommit {
    async fn create_batch(
        &self,
        request: Request<CreateBatchRequest>,
    ) -> Result<Response<CreateBatchResponse>, Status> {
        let request = request.into_inner();
        let statement = sqlx::query(CREATE_BATCH).bind(&request.batch_ref).bind(&request.sku);
        statement.bind(i64::from(request.quantity)).execute(&self.pool).await.map_err(status)?;
        Ok(Response::new(CreateBatchResponse { receipt: Some(Receipt::default()), lines: Vec::new() }))
    }

    async fn allocate(&self, request: Request<AllocateRequest>) -> Result<Response<AllocateResponse>, Status> {
        self.take(request.into_inner()).await.map(Response::new)
    }

    async fn receive_batch(&self, _: Request<ReceiveBatchRequest>) -> Result<Response<ReceiveBatchResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn change_batch_quantity(
        &self,
        _: Request<ChangeBatchQuantityRequest>,
    ) -> Result<Response<ChangeBatchQuantityResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn deallocate(&self, _: Request<DeallocateRequest>) -> Result<Response<DeallocateResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}
