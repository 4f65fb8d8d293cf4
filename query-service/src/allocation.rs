//! `AllocationQueryService`: decodes, calls the reader, encodes.

use std::sync::Arc;

use tally_api::allocation::v1::{
    Backorder, GetAllocationsRequest, GetAllocationsResponse, GetStockRequest, ListBackordersRequest,
    ListBackordersResponse, Stock, WatchStockRequest, WatchStockResponse,
};
use tally_api::orders::v1::Order;
use tally_api::stored::GetStockResponse;
use tally_api::stored::allocation::v1::allocation_query_service_server::AllocationQueryService;
use tally_read_model::lists;
use tally_runtime::{Caller, Violations, limits, not_yours, time_left};
use tonic::{Request, Response, Status};

use crate::outbox::Outgoing;
use crate::paging;
use crate::read_after::{ReadAfter, canonical_order_id};
use crate::reader::{Answer, Reader, check};
use crate::status::{Failure, Missing};
use crate::watch_call::{Kind, Watching};
use crate::watched::Watched;
use crate::watches::Watches;

pub(crate) struct Allocations {
    pub(crate) reader: Arc<Reader>,
    /// To know whose an order is.
    pub(crate) order: Arc<Watched>,
    pub(crate) allocations: Watched,
    pub(crate) stock: Watched,
    pub(crate) backorders: Watched,
    pub(crate) stock_watches: Watches,
    pub(crate) watching: Watching,
}

#[tonic::async_trait]
impl AllocationQueryService for Allocations {
    async fn get_allocations(
        &self,
        request: Request<GetAllocationsRequest>,
    ) -> Result<Response<GetAllocationsResponse>, Status> {
        let time_left = time_left(request.metadata());
        let (_, extensions, request) = request.into_parts();

        let mut violations = Violations::new();
        violations.identifier("order_id", &request.order_id);
        let order_id = canonical_order_id(&request.order_id);
        let read_after = ReadAfter::parse(&mut violations, request.read_after, self.reader.known_log_id());
        violations.into_result()?;
        if let Some(bound) = Caller::bound_customer(&extensions) {
            // An order that another system keeps is nobody's here.
            let order = self.reader.view::<Order>(&self.order, &order_id, &read_after, time_left).await?;
            if order.value.is_none_or(|order| order.customer_id != bound) {
                return Err(not_yours().into());
            }
        }

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

        let of_stream = ("product-", (|stock: &Stock| stock.version) as fn(&Stock) -> i64);
        let Answer { value, freshness } =
            self.reader.encoded_view_of_stream(&self.stock, &request.sku, of_stream, &read_after, time_left).await?;
        let stock = value.ok_or_else(|| Failure::not_found(Missing::Stock, &freshness))?;
        check(&stock)?;
        Ok(Response::new(GetStockResponse { stock: Some(stock), freshness: Some(freshness) }))
    }

    async fn list_backorders(
        &self,
        request: Request<ListBackordersRequest>,
    ) -> Result<Response<ListBackordersResponse>, Status> {
        let time_left = time_left(request.metadata());
        let request = request.into_inner();

        let mut violations = Violations::new();
        violations.optional_text("sku", &request.sku, limits::IDENTIFIER_CHARS_MAX);
        let list =
            if request.sku.is_empty() { lists::EVERY_BACKORDER.to_owned() } else { lists::backorders(&request.sku) };
        let page_size = paging::page_size(&mut violations, request.page_size);
        let after = paging::after(&mut violations, Some(&list), &request.page_token);
        let read_after = ReadAfter::parse(&mut violations, request.read_after, self.reader.known_log_id());
        violations.into_result()?;

        // One more than asked for says whether there is another page.
        let wanted = (list.as_str(), after.as_deref(), page_size + 1);
        let Answer { value: entries, freshness } =
            self.reader.page::<Backorder>(&self.backorders, wanted, &read_after, time_left).await?;
        let (backorders, next_page_token) = paging::cut(&list, entries, page_size);
        Ok(Response::new(ListBackordersResponse { backorders, next_page_token, freshness: Some(freshness) }))
    }

    type WatchStockStream = Outgoing<WatchStockResponse>;

    async fn watch_stock(
        &self,
        request: Request<WatchStockRequest>,
    ) -> Result<Response<Self::WatchStockStream>, Status> {
        let time_left = time_left(request.metadata());
        let request = request.into_inner();

        let mut violations = Violations::new();
        violations.identifier("sku", &request.sku);
        let read_after = ReadAfter::parse(&mut violations, request.read_after, self.reader.known_log_id());
        violations.into_result()?;

        let kind = Kind {
            missing: Missing::Stock,
            respond: |stock, freshness| WatchStockResponse { stock, freshness: Some(freshness) },
            stream: "product-",
            version: |stock: &Stock| stock.version,
            // It shows nothing of any customer.
            check: |_: &Stock| Ok(()),
        };
        let views = (&self.stock, &self.stock_watches);
        Ok(Response::new(self.watching.begin(views, &request.sku, &read_after, time_left, kind).await?))
    }
}
