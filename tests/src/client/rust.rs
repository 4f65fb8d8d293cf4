//! The client that Rust programs use: the generated one.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use tally_api::allocation::v1::allocation_command_service_client::AllocationCommandServiceClient;
use tally_api::allocation::v1::allocation_query_service_client::AllocationQueryServiceClient;
use tally_api::allocation::v1::{self as allocation};
use tally_api::consistency::v1::{self as consistency, OnTimeout, StreamVersion, read_after::After};
use tally_api::events::v1::event_log_service_client::EventLogServiceClient;
use tally_api::events::v1::{self as events};
use tally_api::google::r#type as google;
use tally_api::orders::v1::order_command_service_client::OrderCommandServiceClient;
use tally_api::orders::v1::order_query_service_client::OrderQueryServiceClient;
use tally_api::orders::v1::{self as orders, OrderStatus};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

use super::{
    Allocations, Answer, BackorderPage, Date, Error, Event, EventPage, HistoryPage, NewOrder, Order, OrderFilter,
    OrderPage, Outcome, PageOf, ReadAfter, Stock, TallyClient, WaitFor,
};

mod convert;
mod convert_reads;

/// How long a call may take unless it is told otherwise: longer than [`Outcome::seen`] waits.
const DEADLINE: Duration = Duration::from_secs(40);

/// The generated clients of all services, over one lazily made connection to each process.
#[derive(Clone, Debug)]
pub struct RustClient {
    commands: Channel,
    queries: Channel,
    command_id: String,
    validate_only: bool,
    expected_version: Option<i64>,
    deadline: Duration,
    metadata: MetadataMap,
}

impl RustClient {
    /// A client of two processes.
    ///
    /// # Panics
    /// When called outside of a runtime.
    pub fn new(command_service: SocketAddr, query_service: SocketAddr) -> Self {
        let channel = |address| {
            Endpoint::from_shared(format!("http://{address}")).expect("an address makes a URI").connect_lazy()
        };
        Self::over(channel(command_service), channel(query_service))
    }

    /// A client over two connections.
    pub fn over(commands: Channel, queries: Channel) -> Self {
        Self {
            commands,
            queries,
            command_id: String::new(),
            validate_only: false,
            expected_version: None,
            deadline: DEADLINE,
            metadata: MetadataMap::new(),
        }
    }

    /// The same client, whose commands have this id.
    #[must_use]
    pub fn command_id(&self, command_id: impl ToString) -> Self {
        Self { command_id: command_id.to_string(), ..self.clone() }
    }

    /// The same client, whose commands do nothing.
    #[must_use]
    pub fn validate_only(&self) -> Self {
        Self { validate_only: true, ..self.clone() }
    }

    /// The same client, whose commands expect a version.
    #[must_use]
    pub fn expected_version(&self, version: i64) -> Self {
        Self { expected_version: Some(version), ..self.clone() }
    }

    /// The same client, whose calls have this deadline.
    #[must_use]
    pub fn deadline(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// The same client, whose calls carry one more header.
    ///
    /// # Panics
    /// When it isn't one.
    #[must_use]
    pub fn with_header(&self, name: &'static str, value: &str) -> Self {
        let mut client = self.clone();
        client.metadata.insert(name, value.parse().expect("a header's value"));
        client
    }

    /// The connection to command-service.
    pub fn commands(&self) -> Channel {
        self.commands.clone()
    }

    /// The connection to query-service.
    pub fn queries(&self) -> Channel {
        self.queries.clone()
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(self.deadline);
        request
    }

    fn stock_commands(&self) -> AllocationCommandServiceClient<Channel> {
        AllocationCommandServiceClient::new(self.commands())
    }

    fn order_commands(&self) -> OrderCommandServiceClient<Channel> {
        OrderCommandServiceClient::new(self.commands())
    }

    fn stock_queries(&self) -> AllocationQueryServiceClient<Channel> {
        AllocationQueryServiceClient::new(self.queries())
    }

    fn event_log(&self) -> EventLogServiceClient<Channel> {
        EventLogServiceClient::new(self.queries())
    }

    fn order_queries(&self) -> OrderQueryServiceClient<Channel> {
        OrderQueryServiceClient::new(self.queries())
    }
}

fn answer<T, A: From<T>>(response: Result<Response<T>, Status>) -> Answer<A> {
    match response {
        Ok(response) => Ok(response.into_inner().into()),
        Err(status) => Err(Error::from_status(&status)),
    }
}

#[async_trait]
impl TallyClient for RustClient {
    async fn create_batch(&self, batch_ref: &str, sku: &str, quantity: i32, eta: Option<Date>) -> Answer<Outcome> {
        let request = self.request(allocation::CreateBatchRequest {
            command_id: self.command_id.clone(),
            validate_only: self.validate_only,
            batch_ref: batch_ref.to_owned(),
            sku: sku.to_owned(),
            quantity,
            eta: eta.map(|date| google::Date { year: date.year, month: date.month, day: date.day }),
        });
        answer(self.stock_commands().create_batch(request).await)
    }

    async fn receive_batch(&self, batch_ref: &str) -> Answer<Outcome> {
        let request = self.request(allocation::ReceiveBatchRequest {
            command_id: self.command_id.clone(),
            validate_only: self.validate_only,
            expected_version: self.expected_version,
            batch_ref: batch_ref.to_owned(),
        });
        answer(self.stock_commands().receive_batch(request).await)
    }

    async fn change_batch_quantity(&self, batch_ref: &str, quantity: i32) -> Answer<Outcome> {
        let request = self.request(allocation::ChangeBatchQuantityRequest {
            command_id: self.command_id.clone(),
            validate_only: self.validate_only,
            expected_version: self.expected_version,
            batch_ref: batch_ref.to_owned(),
            quantity,
        });
        answer(self.stock_commands().change_batch_quantity(request).await)
    }

    async fn allocate(&self, order_id: &str, sku: &str, quantity: i32) -> Answer<Outcome> {
        let request = self.request(allocation::AllocateRequest {
            command_id: self.command_id.clone(),
            validate_only: self.validate_only,
            expected_version: self.expected_version,
            order_id: order_id.to_owned(),
            sku: sku.to_owned(),
            quantity,
        });
        answer(self.stock_commands().allocate(request).await)
    }

    async fn deallocate(&self, order_id: &str, sku: &str) -> Answer<Outcome> {
        let request = self.request(allocation::DeallocateRequest {
            command_id: self.command_id.clone(),
            validate_only: self.validate_only,
            expected_version: self.expected_version,
            order_id: order_id.to_owned(),
            sku: sku.to_owned(),
        });
        answer(self.stock_commands().deallocate(request).await)
    }

    async fn create_order(&self, order: &NewOrder) -> Answer<Outcome> {
        let request = self.request(orders::CreateOrderRequest {
            command_id: self.command_id.clone(),
            validate_only: self.validate_only,
            ..convert::create_order(order)
        });
        answer(self.order_commands().create_order(request).await)
    }

    async fn cancel_order(&self, order_id: &str, reason: &str) -> Answer<Outcome> {
        let request = self.request(orders::CancelOrderRequest {
            command_id: self.command_id.clone(),
            validate_only: self.validate_only,
            expected_version: self.expected_version,
            order_id: order_id.to_owned(),
            reason: reason.to_owned(),
        });
        answer(self.order_commands().cancel_order(request).await)
    }

    async fn ship_order(&self, order_id: &str) -> Answer<Outcome> {
        let request = self.request(orders::ShipOrderRequest {
            command_id: self.command_id.clone(),
            validate_only: self.validate_only,
            expected_version: self.expected_version,
            order_id: order_id.to_owned(),
        });
        answer(self.order_commands().ship_order(request).await)
    }

    async fn get_allocations(&self, order_id: &str, read_after: &ReadAfter) -> Answer<Allocations> {
        let message = allocation::GetAllocationsRequest {
            order_id: order_id.to_owned(),
            read_after: self::read_after(read_after),
        };
        answer(self.stock_queries().get_allocations(self.request(message)).await)
    }

    async fn get_stock(&self, sku: &str, read_after: &ReadAfter) -> Answer<Stock> {
        let message = allocation::GetStockRequest { sku: sku.to_owned(), read_after: self::read_after(read_after) };
        answer(self.stock_queries().get_stock(self.request(message)).await)
    }

    async fn get_order(&self, order_id: &str, read_after: &ReadAfter) -> Answer<Order> {
        let message =
            orders::GetOrderRequest { order_id: order_id.to_owned(), read_after: self::read_after(read_after) };
        answer(self.order_queries().get_order(self.request(message)).await)
    }

    async fn list_orders(&self, filter: &OrderFilter, read_after: &ReadAfter) -> Answer<OrderPage> {
        let message = orders::ListOrdersRequest {
            customer_id: filter.customer_id.clone(),
            status: OrderStatus::from_str_name(&filter.status).unwrap_or_default().into(),
            page_size: filter.page_size,
            page_token: filter.page_token.clone(),
            read_after: self::read_after(read_after),
        };
        answer(self.order_queries().list_orders(self.request(message)).await)
    }

    async fn get_order_history(&self, order: PageOf<'_>, read_after: &ReadAfter) -> Answer<HistoryPage> {
        let message = orders::GetOrderHistoryRequest {
            order_id: order.id.to_owned(),
            page_size: order.page_size,
            page_token: order.page_token.to_owned(),
            read_after: self::read_after(read_after),
        };
        answer(self.order_queries().get_order_history(self.request(message)).await)
    }

    async fn list_backorders(&self, sku: PageOf<'_>, read_after: &ReadAfter) -> Answer<BackorderPage> {
        let message = allocation::ListBackordersRequest {
            sku: sku.id.to_owned(),
            page_size: sku.page_size,
            page_token: sku.page_token.to_owned(),
            read_after: self::read_after(read_after),
        };
        answer(self.stock_queries().list_backorders(self.request(message)).await)
    }

    async fn watch_order(&self, order_id: &str, read_after: &ReadAfter) -> Answer<Order> {
        let message =
            orders::WatchOrderRequest { order_id: order_id.to_owned(), read_after: self::read_after(read_after) };
        let first = first(self.order_queries().watch_order(self.request(message)).await).await?;
        Ok(orders::GetOrderResponse { order: first.order, freshness: first.freshness }.into())
    }

    async fn watch_stock(&self, sku: &str, read_after: &ReadAfter) -> Answer<Stock> {
        let message = allocation::WatchStockRequest { sku: sku.to_owned(), read_after: self::read_after(read_after) };
        let first = first(self.stock_queries().watch_stock(self.request(message)).await).await?;
        Ok(allocation::GetStockResponse { stock: first.stock, freshness: first.freshness }.into())
    }

    async fn read_stream_backwards(&self, stream_id: &str, page_size: i32) -> Answer<EventPage> {
        let message = events::ReadStreamRequest {
            stream_id: stream_id.to_owned(),
            direction: events::Direction::Backwards.into(),
            from_version: 0,
            page_size,
        };
        answer(self.event_log().read_stream(self.request(message)).await)
    }

    async fn subscribe(&self, after_position: i64, count: usize) -> Answer<Vec<Event>> {
        let start = Some(events::subscribe_request::Start::AfterPosition(after_position));
        let message = events::SubscribeRequest { start, ..Default::default() };
        let response = self.event_log().subscribe(self.request(message)).await;
        let mut stream = response.map_err(|status| Error::from_status(&status))?.into_inner();
        let mut found = Vec::new();
        while found.len() < count {
            let message = stream.message().await.map_err(|status| Error::from_status(&status))?;
            found.extend(message.expect("it goes on").events.into_iter().map(Event::from));
        }
        found.truncate(count);
        Ok(found)
    }
}

/// The first message of a stream.
async fn first<T>(response: Result<Response<Streaming<T>>, Status>) -> Answer<T> {
    let of = |status: Status| Error::from_status(&status);
    let mut stream = response.map_err(of)?.into_inner();
    Ok(stream.message().await.map_err(of)?.expect("a first message"))
}

/// The message for `read_after`.
pub fn read_after(read_after: &ReadAfter) -> Option<consistency::ReadAfter> {
    let after = match &read_after.wait_for {
        WaitFor::Nothing => None,
        WaitFor::Token(token) => Some(After::Token(token.clone())),
        WaitFor::Position(position) => Some(After::Position(*position)),
        WaitFor::StreamVersion(stream_id, version) => {
            Some(After::StreamVersion(StreamVersion { stream_id: stream_id.clone(), version: *version }))
        }
    };
    Some(consistency::ReadAfter {
        after,
        timeout: read_after.timeout.map(|timeout| timeout.try_into().expect("a time-out of a test fits")),
        on_timeout: if read_after.or_fail { OnTimeout::Fail.into() } else { OnTimeout::Unspecified.into() },
    })
}
