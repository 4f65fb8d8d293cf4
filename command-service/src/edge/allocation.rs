//! AllocationCommandService.

use tally_api::allocation::v1::allocation_command_service_server::AllocationCommandService;
use tally_api::allocation::v1::{
    AllocateRequest, AllocateResponse, ChangeBatchQuantityRequest, ChangeBatchQuantityResponse, CreateBatchRequest,
    CreateBatchResponse, DeallocateRequest, DeallocateResponse, ReceiveBatchRequest, ReceiveBatchResponse,
};
use tonic::{Request, Response, Status};

use super::Edge;
use crate::convert::{line_outcome, line_outcomes, receipt};

#[tonic::async_trait]
impl AllocationCommandService for Edge {
    async fn create_batch(
        &self,
        request: Request<CreateBatchRequest>,
    ) -> Result<Response<CreateBatchResponse>, Status> {
        let outcome = self.execute(request).await?;
        Ok(Response::new(CreateBatchResponse {
            receipt: outcome.receipt.as_ref().map(receipt),
            lines: line_outcomes(&outcome.events),
        }))
    }

    async fn receive_batch(
        &self,
        request: Request<ReceiveBatchRequest>,
    ) -> Result<Response<ReceiveBatchResponse>, Status> {
        let outcome = self.execute(request).await?;
        Ok(Response::new(ReceiveBatchResponse { receipt: outcome.receipt.as_ref().map(receipt) }))
    }

    async fn change_batch_quantity(
        &self,
        request: Request<ChangeBatchQuantityRequest>,
    ) -> Result<Response<ChangeBatchQuantityResponse>, Status> {
        let outcome = self.execute(request).await?;
        Ok(Response::new(ChangeBatchQuantityResponse {
            receipt: outcome.receipt.as_ref().map(receipt),
            lines: line_outcomes(&outcome.events),
        }))
    }

    async fn allocate(&self, request: Request<AllocateRequest>) -> Result<Response<AllocateResponse>, Status> {
        let outcome = self.execute(request).await?;
        Ok(Response::new(AllocateResponse {
            receipt: outcome.receipt.as_ref().map(receipt),
            line: line_outcome(&outcome.events),
        }))
    }

    async fn deallocate(&self, request: Request<DeallocateRequest>) -> Result<Response<DeallocateResponse>, Status> {
        let outcome = self.execute(request).await?;
        Ok(Response::new(DeallocateResponse {
            receipt: outcome.receipt.as_ref().map(receipt),
            lines: line_outcomes(&outcome.events),
        }))
    }
}
