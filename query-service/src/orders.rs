//! `OrderQueryService`: decodes, calls the reader, encodes.

use std::sync::Arc;

use tally_api::orders::v1::order_query_service_server::OrderQueryService;
use tally_api::orders::v1::{
    GetOrderRequest, GetOrderResponse, ListOrdersRequest, ListOrdersResponse, Order, OrderStatus, OrderSummary,
};
use tally_read_model::lists;
use tally_runtime::{Violations, limits, time_left};
use tonic::{Request, Response, Status};

use crate::page_token::{self, PageToken};
use crate::read_after::ReadAfter;
use crate::reader::{Answer, Reader};
use crate::status::{Failure, Missing};
use crate::watched::Watched;

pub(crate) struct Orders {
    pub(crate) reader: Arc<Reader>,
    pub(crate) order: Watched,
    pub(crate) orders_by_customer: Watched,
    pub(crate) orders_by_status: Watched,
}

#[tonic::async_trait]
impl OrderQueryService for Orders {
    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<GetOrderResponse>, Status> {
        let time_left = time_left(request.metadata());
        let request = request.into_inner();

        let mut violations = Violations::new();
        let order_id = own_order_id(&mut violations, &request.order_id);
        let read_after = ReadAfter::parse(&mut violations, request.read_after, self.reader.known_log_id());
        violations.into_result()?;

        let stream_id = format!("order-{order_id}");
        let of_stream = (stream_id.as_str(), (|order: &Order| order.version) as fn(&Order) -> i64);
        let Answer { value, freshness } =
            self.reader.view_of_stream(&self.order, &order_id, of_stream, &read_after, time_left).await?;
        let order = value.ok_or_else(|| Failure::not_found(Missing::Order, &freshness))?;
        Ok(Response::new(GetOrderResponse { order: Some(order), freshness: Some(freshness) }))
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Result<Response<ListOrdersResponse>, Status> {
        let time_left = time_left(request.metadata());
        let request = request.into_inner();

        let mut violations = Violations::new();
        let list = self.list(&mut violations, &request.customer_id, request.status);
        let page_size = page_size(&mut violations, request.page_size);
        let list_name = list.as_ref().map(|(_, name)| name.as_str());
        let after = after(&mut violations, list_name, &request.page_token);
        let read_after = ReadAfter::parse(&mut violations, request.read_after, self.reader.known_log_id());
        violations.into_result()?;
        let (from, list) = list.ok_or(Failure::Unreadable)?;

        // One more than asked for says whether there is another page.
        let wanted = (list.as_str(), after.as_deref(), page_size + 1);
        let Answer { value: mut entries, freshness } =
            self.reader.page::<OrderSummary>(from, wanted, &read_after, time_left).await?;
        let is_last = entries.len() <= page_size;
        entries.truncate(page_size);
        let next_page_token = match entries.last() {
            Some((member, _)) if !is_last => page_token::encode(&list, member),
            Some(_) | None => String::new(),
        };
        let orders = entries.into_iter().map(|(_, order)| order).collect();
        Ok(Response::new(ListOrdersResponse { orders, next_page_token, freshness: Some(freshness) }))
    }
}

impl Orders {
    /// Which projection has the list that was asked for, and the list's name; None when a violation was added.
    fn list(&self, violations: &mut Violations, customer_id: &str, status: i32) -> Option<(&Watched, String)> {
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
            ("", Some(status)) => Some((&self.orders_by_status, lists::status(status))),
            (customer_id, None) => Some((&self.orders_by_customer, lists::customer(customer_id))),
            (customer_id, Some(status)) => {
                Some((&self.orders_by_customer, lists::customer_with_status(customer_id, status)))
            }
        }
    }
}

/// The id of an order that Tally keeps: a UUID, in lower case as it is stored.
fn own_order_id(violations: &mut Violations, given: &str) -> String {
    if given.is_empty() {
        violations.add("order_id", "must not be empty");
    }
    violations.optional_uuid("order_id", given).map(|id| id.to_string()).unwrap_or_default()
}

fn page_size(violations: &mut Violations, given: i32) -> usize {
    match usize::try_from(given) {
        Ok(0) => limits::PAGE_SIZE_DEFAULT,
        Ok(given) => given.min(limits::PAGE_SIZE_MAX),
        Err(_) => {
            violations.add("page_size", "must not be negative");
            limits::PAGE_SIZE_DEFAULT
        }
    }
}

/// The member of `list` that the page before ended with. The token is looked at even where it isn't known for which list.
fn after(violations: &mut Violations, list: Option<&str>, page_token: &str) -> Option<String> {
    if page_token.is_empty() {
        return None;
    }
    let place = PageToken::decode(page_token).and_then(|token| list.map(|list| token.place_in(list)).transpose());
    place.map_err(|malformed| violations.add("page_token", malformed.to_string())).ok().flatten()
}
