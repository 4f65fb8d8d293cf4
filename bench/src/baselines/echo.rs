//! A bare call: what gRPC takes by itself. The answer has the bytes of a real one, and the runtime and the transport are Tally's.

use tally_api::allocation::v1::allocation_command_service_server::AllocationCommandService;
use tally_api::allocation::v1::{
    AllocateRequest, AllocateResponse, ChangeBatchQuantityRequest, ChangeBatchQuantityResponse, CreateBatchRequest,
    CreateBatchResponse, DeallocateRequest, DeallocateResponse, LineOutcome, LineStatus, ReceiveBatchRequest,
    ReceiveBatchResponse,
};
use tally_api::consistency::v1::Receipt;
use tonic::{Request, Response, Status};

/// As long as one of Tally's tokens.
const TOKEN: &str = "AZKzW3Vwf1WkM3YfH0fN2wAAAAAAASNF_Qm0Yw";

#[derive(Debug)]
pub(super) struct Echo;

#[tonic::async_trait]
impl AllocationCommandService for Echo {
    async fn allocate(&self, request: Request<AllocateRequest>) -> Result<Response<AllocateResponse>, Status> {
        let request = request.into_inner();
        let receipt = Receipt {
            token: TOKEN.to_owned(),
            stream_id: format!("product-{}", request.sku),
            stream_version: 12,
            position: 123_456,
        };
        let line = LineOutcome {
            batch_ref: format!("batch-{}", request.sku),
            order_id: request.order_id,
            sku: request.sku,
            quantity: request.quantity,
            status: LineStatus::Allocated.into(),
            previous_batch_ref: String::new(),
        };
        Ok(Response::new(AllocateResponse { receipt: Some(receipt), line: Some(line) }))
    }

    async fn create_batch(&self, _: Request<CreateBatchRequest>) -> Result<Response<CreateBatchResponse>, Status> {
        Err(Status::unimplemented("not measured"))
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
