//! A bare call: what gRPC takes by itself. The answer has the bytes of a real one, and the runtime and the transport are Tally's. With a
//! committer, a bare command.

use std::sync::LazyLock;

use bytes::BytesMut;
use prost::Message;
use tally_api::allocation::v1::allocation_command_service_server::AllocationCommandService;
use tally_api::allocation::v1::{
    AllocateRequest, AllocateResponse, ChangeBatchQuantityRequest, ChangeBatchQuantityResponse, CreateBatchRequest,
    CreateBatchResponse, DeallocateRequest, DeallocateResponse, LineOutcome, LineStatus, ReceiveBatchRequest,
    ReceiveBatchResponse,
};
use tally_api::consistency::v1::{Freshness, Receipt};
use tally_api::google::r#type::{Money, PostalAddress};
use tally_api::orders::v1::{
    GetOrderHistoryRequest, GetOrderHistoryResponse, GetOrderRequest, ItemStatus, ListOrdersRequest,
    ListOrdersResponse, Order, OrderItem, OrderStatus, WatchOrderRequest, WatchOrderResponse,
};
use tally_api::stored::GetOrderResponse;
use tally_api::stored::orders::v1::order_query_service_server::OrderQueryService;
use tonic::{Request, Response, Status};

use super::group_commit::Committer;

/// As long as one of Tally's tokens.
const TOKEN: &str = "AZKzW3Vwf1WkM3YfH0fN2wAAAAAAASNF_Qm0Yw";

#[derive(Debug, Default)]
pub(super) struct Echo {
    pub(super) committer: Option<Committer>,
}

#[tonic::async_trait]
impl AllocationCommandService for Echo {
    async fn allocate(&self, request: Request<AllocateRequest>) -> Result<Response<AllocateResponse>, Status> {
        let request = request.into_inner();
        let stream_id = format!("product-{}", request.sku);
        let position = match &self.committer {
            Some(committer) => committer.commit(&request.command_id, stream_id.clone()).await?,
            None => 123_456,
        };
        let receipt = Receipt { token: TOKEN.to_owned(), stream_id, stream_version: 12, position };
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

    /// Nothing is kept of it: nobody asks what is in stock.
    async fn create_batch(&self, _: Request<CreateBatchRequest>) -> Result<Response<CreateBatchResponse>, Status> {
        Ok(Response::new(CreateBatchResponse { receipt: Some(Receipt::default()), lines: Vec::new() }))
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

#[derive(Debug)]
pub(super) struct EchoOrder;

/// An order as Tally's log of orders has them, but for its id, which is the first field.
static ORDER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let price = Money { currency_code: "EUR".to_owned(), units: 49, nanos: 900_000_000 };
    let item = OrderItem {
        sku: "SKU-1234".to_owned(),
        quantity: 1,
        unit_price: Some(price.clone()),
        status: ItemStatus::Allocated.into(),
        batch_ref: "batch-SKU-1234".to_owned(),
    };
    let order = Order {
        customer_id: "customer-123".to_owned(),
        items: vec![item],
        shipping_address: Some(PostalAddress {
            region_code: "DE".to_owned(),
            postal_code: "10115".to_owned(),
            locality: "Berlin".to_owned(),
            address_lines: vec!["Chausseestr. 1".to_owned()],
            ..PostalAddress::default()
        }),
        status: OrderStatus::Open.into(),
        total: Some(price),
        create_time: Some(prost_types::Timestamp { seconds: 1_767_225_600, nanos: 123_456_000 }),
        version: 1,
        ..Order::default()
    };
    order.encode_to_vec()
});

#[tonic::async_trait]
impl OrderQueryService for EchoOrder {
    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<GetOrderResponse>, Status> {
        let id = Order { order_id: request.into_inner().order_id, ..Order::default() };
        let mut order = BytesMut::with_capacity(ORDER.len() + id.encoded_len());
        order.extend_from_slice(&id.encode_to_vec());
        order.extend_from_slice(&ORDER);
        let freshness =
            Freshness { position: 2_010_000, may_be_stale: false, token: TOKEN.to_owned(), parked_position: 0 };
        Ok(Response::new(GetOrderResponse { order: Some(order.freeze()), freshness: Some(freshness) }))
    }

    async fn list_orders(&self, _: Request<ListOrdersRequest>) -> Result<Response<ListOrdersResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn get_order_history(
        &self,
        _: Request<GetOrderHistoryRequest>,
    ) -> Result<Response<GetOrderHistoryResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    type WatchOrderStream = futures::stream::Empty<Result<WatchOrderResponse, Status>>;

    async fn watch_order(&self, _: Request<WatchOrderRequest>) -> Result<Response<Self::WatchOrderStream>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}
