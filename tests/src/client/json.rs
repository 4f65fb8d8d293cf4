//! A client whose transport speaks proto3's JSON.

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    Address, Allocations, Answer, BackorderPage, Date, Event, EventPage, Freshness, HistoryPage, Money, NewOrder,
    Order, OrderFilter, OrderPage, Outcome, PageOf, ReadAfter, Stock, TallyClient, WaitFor,
};

const ORDER_COMMANDS: &str = "tally.orders.v1.OrderCommandService";
const ORDER_QUERIES: &str = "tally.orders.v1.OrderQueryService";
const ALLOCATION_COMMANDS: &str = "tally.allocation.v1.AllocationCommandService";
const ALLOCATION_QUERIES: &str = "tally.allocation.v1.AllocationQueryService";
const EVENT_LOG: &str = "tally.events.v1.EventLogService";

/// Carries one call.
#[async_trait]
pub trait JsonTransport: Send + Sync {
    /// Calls `method` of `service` and returns its answer.
    async fn call(&self, service: &str, method: &str, request: Value) -> Answer<Value>;

    /// Calls a `method` that answers with a stream and returns its first `count` messages.
    async fn first_of_stream(&self, service: &str, method: &str, request: Value, count: usize) -> Answer<Vec<Value>>;
}

/// Whether query-service serves it.
pub(super) fn is_query(service: &str) -> bool {
    service.contains("Query") || service == EVENT_LOG
}

/// A client over such a transport.
#[derive(Debug)]
pub struct JsonClient<T> {
    transport: T,
}

impl<T: JsonTransport> JsonClient<T> {
    pub(super) fn new(transport: T) -> Self {
        Self { transport }
    }

    async fn call<A: DeserializeOwned>(&self, service: &str, method: &str, request: Value) -> Answer<A> {
        let answer = self.transport.call(service, method, request).await?;
        Ok(serde_json::from_value(answer.clone()).unwrap_or_else(|error| panic!("{method} answered {answer}: {error}")))
    }

    /// A query whose answer holds the view in the field `view`, beside its freshness.
    async fn view<A: DeserializeOwned>(
        &self,
        service: &str,
        method: &str,
        view: &str,
        request: Value,
    ) -> Answer<(A, Freshness)> {
        let answer: Value = self.call(service, method, request).await?;
        Ok(parts(answer, method, view))
    }

    /// As [`JsonClient::view`], of a call that answers with a stream, as it begins.
    async fn watch<A: DeserializeOwned>(
        &self,
        service: &str,
        method: &str,
        view: &str,
        request: Value,
    ) -> Answer<(A, Freshness)> {
        let mut first = self.transport.first_of_stream(service, method, request, 1).await?;
        Ok(parts(first.remove(0), method, view))
    }
}

fn parts<A: DeserializeOwned>(mut answer: Value, method: &str, view: &str) -> (A, Freshness) {
    let fails = |error| panic!("{method}: {error}");
    let freshness = serde_json::from_value(answer["freshness"].take()).unwrap_or_else(fails);
    (serde_json::from_value(answer[view].take()).unwrap_or_else(|error| panic!("{method}: {error}")), freshness)
}

#[async_trait]
impl<T: JsonTransport> TallyClient for JsonClient<T> {
    async fn create_batch(&self, batch_ref: &str, sku: &str, quantity: i32, eta: Option<Date>) -> Answer<Outcome> {
        let eta = eta.map(|date| json!({"year": date.year, "month": date.month, "day": date.day}));
        let request = json!({"batchRef": batch_ref, "sku": sku, "quantity": quantity, "eta": eta});
        self.call(ALLOCATION_COMMANDS, "CreateBatch", request).await
    }

    async fn receive_batch(&self, batch_ref: &str) -> Answer<Outcome> {
        self.call(ALLOCATION_COMMANDS, "ReceiveBatch", json!({"batchRef": batch_ref})).await
    }

    async fn change_batch_quantity(&self, batch_ref: &str, quantity: i32) -> Answer<Outcome> {
        self.call(ALLOCATION_COMMANDS, "ChangeBatchQuantity", json!({"batchRef": batch_ref, "quantity": quantity}))
            .await
    }

    async fn allocate(&self, order_id: &str, sku: &str, quantity: i32) -> Answer<Outcome> {
        self.call(ALLOCATION_COMMANDS, "Allocate", json!({"orderId": order_id, "sku": sku, "quantity": quantity})).await
    }

    async fn deallocate(&self, order_id: &str, sku: &str) -> Answer<Outcome> {
        self.call(ALLOCATION_COMMANDS, "Deallocate", json!({"orderId": order_id, "sku": sku})).await
    }

    async fn create_order(&self, order: &NewOrder) -> Answer<Outcome> {
        let items: Vec<Value> = order
            .items
            .iter()
            .map(|item| json!({"sku": item.sku, "quantity": item.quantity, "unitPrice": money(&item.unit_price)}))
            .collect();
        let request = json!({
            "orderId": order.order_id,
            "customerId": order.customer_id,
            "items": items,
            "shippingAddress": address(&order.shipping_address),
        });
        self.call(ORDER_COMMANDS, "CreateOrder", request).await
    }

    async fn cancel_order(&self, order_id: &str, reason: &str) -> Answer<Outcome> {
        self.call(ORDER_COMMANDS, "CancelOrder", json!({"orderId": order_id, "reason": reason})).await
    }

    async fn ship_order(&self, order_id: &str) -> Answer<Outcome> {
        self.call(ORDER_COMMANDS, "ShipOrder", json!({"orderId": order_id})).await
    }

    async fn get_allocations(&self, order_id: &str, read_after: &ReadAfter) -> Answer<Allocations> {
        self.call(ALLOCATION_QUERIES, "GetAllocations", json!({"orderId": order_id, "readAfter": wait(read_after)}))
            .await
    }

    async fn get_stock(&self, sku: &str, read_after: &ReadAfter) -> Answer<Stock> {
        let request = json!({"sku": sku, "readAfter": wait(read_after)});
        let (stock, freshness) = self.view(ALLOCATION_QUERIES, "GetStock", "stock", request).await?;
        Ok(Stock { freshness, ..stock })
    }

    async fn get_order(&self, order_id: &str, read_after: &ReadAfter) -> Answer<Order> {
        let request = json!({"orderId": order_id, "readAfter": wait(read_after)});
        let (order, freshness) = self.view(ORDER_QUERIES, "GetOrder", "order", request).await?;
        Ok(Order { freshness, ..order })
    }

    async fn list_orders(&self, filter: &OrderFilter, read_after: &ReadAfter) -> Answer<OrderPage> {
        let mut request = json!({
            "customerId": filter.customer_id,
            "pageSize": filter.page_size,
            "pageToken": filter.page_token,
            "readAfter": wait(read_after),
        });
        if !filter.status.is_empty() {
            request["status"] = json!(filter.status);
        }
        self.call(ORDER_QUERIES, "ListOrders", request).await
    }

    async fn get_order_history(&self, order: PageOf<'_>, read_after: &ReadAfter) -> Answer<HistoryPage> {
        let PageOf { id, page_size, page_token } = order;
        let request =
            json!({"orderId": id, "pageSize": page_size, "pageToken": page_token, "readAfter": wait(read_after)});
        self.call(ORDER_QUERIES, "GetOrderHistory", request).await
    }

    async fn list_backorders(&self, sku: PageOf<'_>, read_after: &ReadAfter) -> Answer<BackorderPage> {
        let PageOf { id, page_size, page_token } = sku;
        let request = json!({"sku": id, "pageSize": page_size, "pageToken": page_token, "readAfter": wait(read_after)});
        self.call(ALLOCATION_QUERIES, "ListBackorders", request).await
    }

    async fn watch_order(&self, order_id: &str, read_after: &ReadAfter) -> Answer<Order> {
        let request = json!({"orderId": order_id, "readAfter": wait(read_after)});
        let (order, freshness) = self.watch(ORDER_QUERIES, "WatchOrder", "order", request).await?;
        Ok(Order { freshness, ..order })
    }

    async fn watch_stock(&self, sku: &str, read_after: &ReadAfter) -> Answer<Stock> {
        let request = json!({"sku": sku, "readAfter": wait(read_after)});
        let (stock, freshness) = self.watch(ALLOCATION_QUERIES, "WatchStock", "stock", request).await?;
        Ok(Stock { freshness, ..stock })
    }

    async fn read_stream_backwards(&self, stream_id: &str, page_size: i32) -> Answer<EventPage> {
        let request = json!({"streamId": stream_id, "direction": "DIRECTION_BACKWARDS", "pageSize": page_size});
        self.call(EVENT_LOG, "ReadStream", request).await
    }

    async fn subscribe(&self, after_position: i64, count: usize) -> Answer<Vec<Event>> {
        let request = json!({"afterPosition": after_position.to_string()});
        // The first message only says where it begins; the second has all that fit into one.
        let messages = self.transport.first_of_stream(EVENT_LOG, "Subscribe", request, 2).await?;
        let events =
            messages.into_iter().map(|mut message| message["events"].take()).filter(|events| !events.is_null());
        let events = events.flat_map(|events| serde_json::from_value::<Vec<Event>>(events).expect("events"));
        Ok(events.take(count).collect())
    }
}

fn money(money: &Money) -> Value {
    json!({"currencyCode": money.currency_code, "units": money.units.to_string(), "nanos": money.nanos})
}

fn address(address: &Address) -> Value {
    json!({
        "regionCode": address.region_code,
        "postalCode": address.postal_code,
        "locality": address.locality,
        "addressLines": address.address_lines,
        "recipients": address.recipients,
        "organization": address.organization,
    })
}

fn wait(read_after: &ReadAfter) -> Value {
    let mut value = match &read_after.wait_for {
        WaitFor::Nothing => json!({}),
        WaitFor::Token(token) => json!({"token": token}),
        WaitFor::Position(position) => json!({"position": position.to_string()}),
        WaitFor::StreamVersion(stream_id, version) => {
            json!({"streamVersion": {"streamId": stream_id, "version": version.to_string()}})
        }
    };
    if let Some(timeout) = read_after.timeout {
        value["timeout"] = json!(format!("{}s", timeout.as_secs_f64()));
    }
    if read_after.or_fail {
        value["onTimeout"] = json!("ON_TIMEOUT_FAIL");
    }
    value
}
