//! The API of Tally's commands, as far as it is measured.

use cqrs_es::AggregateError;
use postgres_es::{PostgresCqrs, postgres_cqrs, postgres_snapshot_cqrs};
use sqlx::postgres::PgPoolOptions;
use tally_api::allocation::v1::allocation_command_service_server::AllocationCommandService;
use tally_api::allocation::v1::{
    AllocateRequest, AllocateResponse, ChangeBatchQuantityRequest, ChangeBatchQuantityResponse, CreateBatchRequest,
    CreateBatchResponse, DeallocateRequest, DeallocateResponse, LineOutcome, LineStatus, ReceiveBatchRequest,
    ReceiveBatchResponse,
};
use tally_api::consistency::v1::Receipt;
use tonic::{Request, Response, Status};

use crate::product::{Command, Outcome, Product, Rejection};

const CONNECTIONS: u32 = 32;
const ATTEMPTS_MAX: u32 = 100;
const TABLES: &str = include_str!("tables.sql");

pub(crate) struct Service {
    products: PostgresCqrs<Product>,
}

impl Service {
    /// Makes its tables.
    pub(crate) async fn connect(database_url: &str, snapshot_every: Option<usize>) -> anyhow::Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .min_connections(CONNECTIONS)
            .test_before_acquire(false)
            .connect(database_url)
            .await?;
        sqlx::raw_sql(TABLES).execute(&pool).await?;
        let products = match snapshot_every {
            Some(events) => postgres_snapshot_cqrs(pool, Vec::new(), events, ()),
            None => postgres_cqrs(pool, Vec::new(), ()),
        };
        Ok(Self { products })
    }

    /// Decides again as often as another command on the same SKU was faster.
    async fn execute(&self, sku: &str, command: impl Fn() -> Command) -> Result<(), Status> {
        for _ in 0..ATTEMPTS_MAX {
            match self.products.execute(sku, command()).await {
                Err(AggregateError::AggregateConflict) => {}
                result => return result.map_err(status),
            }
        }
        Err(Status::aborted("others were faster each time"))
    }
}

fn status(error: AggregateError<Rejection>) -> Status {
    match error {
        AggregateError::UserError(rejection) => Status::failed_precondition(rejection.to_string()),
        other => Status::unavailable(other.to_string()),
    }
}

#[tonic::async_trait]
impl AllocationCommandService for Service {
    async fn create_batch(
        &self,
        request: Request<CreateBatchRequest>,
    ) -> Result<Response<CreateBatchResponse>, Status> {
        let CreateBatchRequest { batch_ref, sku, quantity, .. } = request.into_inner();
        let quantity = quantity.into();
        self.execute(&sku, || Command::CreateBatch { batch_ref: batch_ref.clone(), quantity }).await?;
        Ok(Response::new(CreateBatchResponse { receipt: Some(Receipt::default()), lines: Vec::new() }))
    }

    async fn allocate(&self, request: Request<AllocateRequest>) -> Result<Response<AllocateResponse>, Status> {
        let AllocateRequest { order_id, sku, quantity, .. } = request.into_inner();
        let outcome = Outcome::default();
        let command = || {
            let (order_id, outcome) = (order_id.clone(), outcome.clone());
            Command::Allocate { order_id, quantity: quantity.into(), outcome }
        };
        self.execute(&sku, command).await?;
        let batch_ref = outcome.take();
        let receipt = Receipt { stream_id: format!("product-{sku}"), ..Receipt::default() };
        let status = LineStatus::Allocated.into();
        let line = LineOutcome { order_id, sku, quantity, status, batch_ref, ..LineOutcome::default() };
        Ok(Response::new(AllocateResponse { receipt: Some(receipt), line: Some(line) }))
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
