//! `OrderQueryService`: decodes, calls the reader, encodes.

use std::sync::Arc;

use tally_api::orders::v1::{
    GetOrderHistoryRequest, GetOrderHistoryResponse, GetOrderRequest, ListOrdersRequest, ListOrdersResponse, Order,
    OrderChange, OrderStatus, OrderSummary, WatchOrderRequest, WatchOrderResponse,
};
use tally_api::stored::GetOrderResponse;
use tally_api::stored::orders::v1::order_query_service_server::OrderQueryService;
use tally_read_model::lists;
use tally_runtime::{Caller, Violations, check_customer, limits, time_left};
use tonic::{Request, Response, Status};

use crate::outbox::Outgoing;
use crate::paging;
use crate::read_after::ReadAfter;
use crate::reader::{Answer, Reader, check, decode};
use crate::status::{Failure, Missing};
use crate::watch_call::{Kind, Watching};
use crate::watched::Watched;
use crate::watches::Watches;

pub(crate) struct Orders {
    pub(crate) reader: Arc<Reader>,
    pub(crate) order: Arc<Watched>,
    pub(crate) order_summaries: Watched,
    pub(crate) order_history: Watched,
    pub(crate) order_watches: Watches,
    pub(crate) watching: Watching,
}

#[tonic::async_trait]
impl OrderQueryService for Orders {
    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<GetOrderResponse>, Status> {
        let time_left = time_left(request.metadata());
        let (_, extensions, request) = request.into_parts();

        let mut violations = Violations::new();
        let order_id = own_order_id(&mut violations, &request.order_id);
        let read_after = ReadAfter::parse(&mut violations, request.read_after, self.reader.known_log_id());
        violations.into_result()?;

        let of_stream = ("order-", (|order: &Order| order.version) as fn(&Order) -> i64);
        let Answer { value, freshness } =
            self.reader.encoded_view_of_stream(&self.order, &order_id, of_stream, &read_after, time_left).await?;
        let order = value.ok_or_else(|| Failure::not_found(Missing::Order, &freshness))?;
        match Caller::bound_customer(&extensions) {
            None => check(&order)?,
            Some(_) => check_customer(&extensions, &decode::<Order>(order.clone())?.customer_id)?,
        }
        Ok(Response::new(GetOrderResponse { order: Some(order), freshness: Some(freshness) }))
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Result<Response<ListOrdersResponse>, Status> {
        // The list is of one customer, or of all.
        check_customer(request.extensions(), &request.get_ref().customer_id)?;
        let time_left = time_left(request.metadata());
        let request = request.into_inner();

        let mut violations = Violations::new();
        let list = list(&mut violations, &request.customer_id, request.status);
        let page_size = paging::page_size(&mut violations, request.page_size);
        let after = paging::after(&mut violations, list.as_deref(), &request.page_token);
        let read_after = ReadAfter::parse(&mut violations, request.read_after, self.reader.known_log_id());
        violations.into_result()?;
        let list = list.ok_or(Failure::Unreadable)?;

        // One more than asked for says whether there is another page.
        let wanted = (list.as_str(), after.as_deref(), page_size + 1);
        let Answer { value: entries, freshness } =
            self.reader.page::<OrderSummary>(&self.order_summaries, wanted, &read_after, time_left).await?;
        let (orders, next_page_token) = paging::cut(&list, entries, page_size);
        Ok(Response::new(ListOrdersResponse { orders, next_page_token, freshness: Some(freshness) }))
    }

    async fn get_order_history(
        &self,
        request: Request<GetOrderHistoryRequest>,
    ) -> Result<Response<GetOrderHistoryResponse>, Status> {
        let time_left = time_left(request.metadata());
        let (_, extensions, request) = request.into_parts();

        let mut violations = Violations::new();
        let order_id = own_order_id(&mut violations, &request.order_id);
        let page_size = paging::page_size(&mut violations, request.page_size);
        let list = format!("{}/{order_id}", self.order_history.projection);
        let after = paging::after(&mut violations, Some(&list), &request.page_token);
        let read_after = ReadAfter::parse(&mut violations, request.read_after, self.reader.known_log_id());
        violations.into_result()?;

        let Answer { value, freshness } =
            self.reader.view::<GetOrderHistoryResponse>(&self.order_history, &order_id, &read_after, time_left).await?;
        let mut history = value.ok_or_else(|| Failure::not_found(Missing::Order, &freshness))?;
        check_customer(&extensions, &history.customer_id)?;
        let entries =
            changes_after(std::mem::take(&mut history.changes), after.as_deref()).take(page_size + 1).collect();
        let (changes, next_page_token) = paging::cut(&list, entries, page_size);
        Ok(Response::new(GetOrderHistoryResponse { changes, next_page_token, freshness: Some(freshness), ..history }))
    }

    type WatchOrderStream = Outgoing<WatchOrderResponse>;

    async fn watch_order(
        &self,
        request: Request<WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        let time_left = time_left(request.metadata());
        let (_, extensions, request) = request.into_parts();

        let mut violations = Violations::new();
        let order_id = own_order_id(&mut violations, &request.order_id);
        let read_after = ReadAfter::parse(&mut violations, request.read_after, self.reader.known_log_id());
        violations.into_result()?;

        let kind = Kind {
            missing: Missing::Order,
            respond: |order, freshness| WatchOrderResponse { order, freshness: Some(freshness) },
            stream: "order-",
            version: |order: &Order| order.version,
            check: move |order: &Order| check_customer(&extensions, &order.customer_id),
        };
        let views = (self.order.as_ref(), &self.order_watches);
        Ok(Response::new(self.watching.begin(views, &order_id, &read_after, time_left, kind).await?))
    }
}

/// The name of the list that was asked for; None when a violation was added.
fn list(violations: &mut Violations, customer_id: &str, status: i32) -> Option<String> {
    violations.optional_text("customer_id", customer_id, limits::IDENTIFIER_CHARS_MAX);
    let status = match OrderStatus::try_from(status) {
        Ok(OrderStatus::Unspecified) => None,
        Ok(OrderStatus::Open) => Some("OPEN"),
        Ok(OrderStatus::Shipped) => Some("SHIPPED"),
        Ok(OrderStatus::Cancelled) => Some("CANCELLED"),
        Err(_) => {
            violations.add("status", "is none of the values that there are");
            return None;
        }
    };
    match (customer_id, status) {
        ("", None) => {
            violations.add("customer_id", "customer_id or status must be given");
            None
        }
        ("", Some(status)) => Some(lists::status(status)),
        (customer_id, None) => Some(lists::customer(customer_id)),
        (customer_id, Some(status)) => Some(lists::customer_with_status(customer_id, status)),
    }
}

/// The id of an order that Tally keeps: a UUID, in lower case as it is stored.
fn own_order_id(violations: &mut Violations, given: &str) -> String {
    if given.is_empty() {
        violations.add("order_id", "must not be empty");
    }
    violations.optional_uuid("order_id", given).map(|id| id.to_string()).unwrap_or_default()
}

/// The changes that the page is about, and where each stands.
fn changes_after(history: Vec<OrderChange>, after: Option<&str>) -> impl Iterator<Item = (String, OrderChange)> {
    // A token of ours that holds no position would begin at the beginning.
    let after = after.and_then(|position| position.parse::<i64>().ok()).unwrap_or_default();
    history
        .into_iter()
        .filter(move |change| change.position > after)
        .map(|change| (change.position.to_string(), change))
}
