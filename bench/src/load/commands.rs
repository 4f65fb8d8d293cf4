//! The commands, made so that making them costs the machine as little as can be: it has the servers to run, too.

use std::time::{SystemTime, UNIX_EPOCH};

use tally_api::allocation::v1::{AllocateRequest, CreateBatchRequest, DeallocateRequest, GetAllocationsRequest};
use tally_api::consistency::v1::{OnTimeout, ReadAfter, read_after};
use tally_api::google::r#type::{Money, PostalAddress};
use tally_api::orders::v1::{CreateOrderRequest, GetOrderRequest, Item};
use uuid::{Builder, Uuid};

use super::args::LoadArgs;
use crate::orders_log::order_id;

/// Pieces in each batch: more than a run can take, so that no line is ever backordered.
const BATCH_QUANTITY: i32 = 1_000_000;
const LINES_PER_ORDER: u64 = 3;
const CUSTOMERS: u64 = 1_000;

/// Makes commands over some SKUs.
#[derive(Clone, Debug)]
pub(super) struct Commands {
    skus: u64,
    sku_prefix: String,
    random_ids: bool,
    orders: u64,
    read_after: Option<ReadAfter>,
}

impl Commands {
    pub(super) fn new(args: &LoadArgs) -> Self {
        Self {
            skus: args.skus.max(1),
            sku_prefix: args.sku_prefix.clone(),
            random_ids: args.random_ids,
            orders: args.orders.max(1),
            read_after: args.token.clone().map(after_token),
        }
    }

    fn sku(&self, number: u64) -> String {
        format!("{}{}", self.sku_prefix, number % self.skus)
    }

    pub(super) fn create_batch(&self, number: u64) -> CreateBatchRequest {
        let sku = self.sku(number);
        CreateBatchRequest {
            command_id: command_id(),
            batch_ref: format!("batch-{sku}"),
            sku,
            quantity: BATCH_QUANTITY,
            ..CreateBatchRequest::default()
        }
    }

    /// A line of its own each time, on any of the SKUs.
    pub(super) fn allocate(&self, number: u64) -> AllocateRequest {
        AllocateRequest {
            command_id: if self.random_ids {
                Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().to_string()
            } else {
                command_id()
            },
            order_id: format!("web-{number}"),
            sku: self.sku(fastrand::u64(..)),
            quantity: 1,
            ..AllocateRequest::default()
        }
    }

    /// Has the SKUs loaded.
    pub(super) fn ask(&self, number: u64) -> AllocateRequest {
        AllocateRequest { sku: self.sku(number), validate_only: true, ..self.allocate(number) }
    }

    /// Takes back what an allocation allocated.
    pub(super) fn deallocate(&self, allocated: AllocateRequest) -> DeallocateRequest {
        let AllocateRequest { order_id, sku, .. } = allocated;
        DeallocateRequest { command_id: command_id(), order_id, sku, ..DeallocateRequest::default() }
    }

    /// Any of the orders.
    pub(super) fn get_order(&self) -> GetOrderRequest {
        GetOrderRequest { order_id: order_id(fastrand::u64(..self.orders)), read_after: self.read_after.clone() }
    }

    /// What command `number` left, once it is visible.
    pub(super) fn get_allocations(&self, number: u64, token: String) -> GetAllocationsRequest {
        GetAllocationsRequest { order_id: format!("web-{number}"), read_after: Some(after_token(token)) }
    }

    /// Three SKUs that follow each other from any of them on: an order has each SKU once.
    pub(super) fn create_order(&self, number: u64) -> CreateOrderRequest {
        let first = fastrand::u64(..self.skus);
        CreateOrderRequest {
            command_id: command_id(),
            customer_id: format!("customer-{}", number % CUSTOMERS),
            items: (0..LINES_PER_ORDER).map(|line| item(self.sku(first + line))).collect(),
            shipping_address: Some(address()),
            ..CreateOrderRequest::default()
        }
    }
}

fn after_token(token: String) -> ReadAfter {
    ReadAfter {
        after: Some(read_after::After::Token(token)),
        on_timeout: OnTimeout::Fail.into(),
        ..ReadAfter::default()
    }
}

fn item(sku: String) -> Item {
    let unit_price = Money { currency_code: "EUR".to_owned(), units: 49, nanos: 900_000_000 };
    Item { sku, quantity: 1, unit_price: Some(unit_price) }
}

fn address() -> PostalAddress {
    PostalAddress {
        region_code: "DE".to_owned(),
        postal_code: "10115".to_owned(),
        locality: "Berlin".to_owned(),
        address_lines: vec!["Chausseestr. 1".to_owned()],
        ..PostalAddress::default()
    }
}

/// A version 7 UUID, as a client makes one, without asking the system for randomness each time.
fn command_id() -> String {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut random = [0; 10];
    fastrand::fill(&mut random);
    let id: Uuid = Builder::from_unix_timestamp_millis(u64::try_from(now_ms).unwrap_or(u64::MAX), &random).into_uuid();
    id.to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn commands(skus: u64) -> Commands {
        Commands { skus, sku_prefix: "SKU-".to_owned(), random_ids: false, orders: 1, read_after: None }
    }

    #[test]
    fn command_ids_are_different_and_of_version_7() {
        let ids: HashSet<String> = (0..1_000).map(|_| command_id()).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| Uuid::parse_str(id).is_ok_and(|id| id.get_version_num() == 7)));
    }

    #[test]
    fn batches_cover_each_sku_once() {
        let commands = commands(50);
        let skus: HashSet<String> = (0..50).map(|number| commands.create_batch(number).sku).collect();
        assert_eq!(skus.len(), 50);
        let allocated = (0..1_000).map(|number| commands.allocate(number).sku);
        assert!(allocated.into_iter().all(|sku| skus.contains(&sku)));
    }

    #[test]
    fn an_order_has_each_sku_once() {
        let commands = commands(3);
        for number in 0..100 {
            let skus: HashSet<String> = commands.create_order(number).items.into_iter().map(|item| item.sku).collect();
            assert_eq!(skus.len(), 3);
        }
    }
}
