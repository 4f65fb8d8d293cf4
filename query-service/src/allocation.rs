//! `AllocationQueryService`: decodes, calls the reader, encodes.

use std::sync::Arc;

use tally_api::allocation::v1::allocation_query_service_server::AllocationQueryService;
use tally_api::allocation::v1::{
    GetAllocationsRequest, GetAllocationsResponse, GetStockRequest, GetStockResponse, Stock,
};
use tally_runtime::{Violations, time_left};
use tonic::{Request, Response, Status};

use crate::read_after::{ReadAfter, canonical_order_id};
use crate::reader::{Answer, Reader};
use crate::status::{Failure, Missing};
use crate::watched::Watched;

pub(crate) struct Allocations {
    pub(crate) reader: Arc<Reader>,
    pub(crate) allocations: Watched,
    pub(crate) stock: Watched,
}

#[tonic::async_trait]
impl AllocationQueryService for Allocations {
    async fn get_allocations(
        &self,
        request: Request<GetAllocationsRequest>,
    ) -> Result<Response<GetAllocationsResponse>, Status> {
        let time_left = time_left(request.metadata());
        let request = request.into_inner();

        let mut violations = Violations::new();
        violations.identifier("order_id", &request.order_id);
        let order_id = canonical_order_id(&request.order_id);
        let read_after = ReadAfter::parse(&mut violations, request.read_after, self.reader.known_log_id());
        violations.into_result()?;

        let Answer { value, freshness } =
            self.reader.view::<GetAllocationsResponse>(&self.allocations, &order_id, &read_after, time_left).await?;
        let view = value.ok_or_else(|| Failure::not_found(Missing::Allocations, &freshness))?;
        Ok(Response::new(GetAllocationsResponse { freshness: Some(freshness), ..view }))
    }

    async fn get_stock(&self, request: Request<GetStockRequest>) -> Result<Response<GetStockResponse>, Status> {
        let time_left = time_left(request.metadata());
        let request = request.into_inner();

        let mut violations = Violations::new();
        violations.identifier("sku", &request.sku);
        let read_after = ReadAfter::parse(&mut violations, request.read_after, self.reader.known_log_id());
        violations.into_result()?;

        let stream_id = format!("product-{}", request.sku);
        let of_stream = (stream_id.as_str(), (|stock: &Stock| stock.version) as fn(&Stock) -> i64);
        let Answer { value, freshness } =
            self.reader.view_of_stream(&self.stock, &request.sku, of_stream, &read_after, time_left).await?;
        let stock = value.ok_or_else(|| Failure::not_found(Missing::Stock, &freshness))?;
        Ok(Response::new(GetStockResponse { stock: Some(stock), freshness: Some(freshness) }))
    }
}
