//! A second opinion on what a log means: a naive fold, written from the design and not from the code, to hold the views against.

mod order;
mod product;

use std::collections::BTreeMap;

use order::PlacedOrder;
use product::Product;

use crate::client::{Allocation, Backorder, Order, OrderSummary, Stock};
use crate::{Log, StoredEvent};

/// Everything that a log says.
#[derive(Debug, Default)]
pub struct Fold {
    products: BTreeMap<String, Product>,
    orders: BTreeMap<String, PlacedOrder>,
    /// The ids of placed orders, the oldest first.
    placed: Vec<String>,
    /// The same, by customer.
    placed_by_customer: BTreeMap<String, Vec<String>>,
}

impl Fold {
    /// The fold of a whole log. At every position on the way, no batch has more allocated than is in it.
    ///
    /// # Panics
    /// When one has, or an event doesn't fit what came before it.
    pub fn of(log: &Log) -> Self {
        let mut fold = Self::default();
        for event in &log.events {
            fold.take(event);
        }
        fold
    }

    /// Takes in the next event.
    ///
    /// # Panics
    /// When it doesn't fit what came before it, or a batch has more allocated than is in it.
    pub fn take(&mut self, event: &StoredEvent) {
        let (kind, id) = event.stream_id.split_once('-').unwrap_or_else(|| panic!("a stream has a kind: {event:?}"));
        match kind {
            "product" => {
                let product = self.products.entry(id.to_owned()).or_insert_with(|| Product::new(id));
                product.take(event);
                product.check(event);
                if let Some(order) = self.orders.get_mut(event.text("order_id")) {
                    order.take_line(event);
                }
            }
            "order" if event.event_type == "OrderCreated" => {
                let before = self.orders.insert(id.to_owned(), PlacedOrder::new(event));
                assert!(before.is_none(), "an order is created once: {event:?}");
                self.placed.push(id.to_owned());
                self.placed_by_customer.entry(event.text("customer_id").to_owned()).or_default().push(id.to_owned());
            }
            "order" => {
                if let Some(order) = self.orders.get_mut(id) {
                    order.take(event);
                }
            }
            "batch" => assert_eq!(event.event_type, "BatchRefClaimed"),
            _ => panic!("a stream of no known kind: {event:?}"),
        }
    }

    /// All SKUs.
    pub fn skus(&self) -> impl Iterator<Item = &str> {
        self.products.keys().map(String::as_str)
    }

    /// All orders that Tally keeps, the newest first.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.placed.iter().rev().map(|id| &self.orders[id].view)
    }

    /// An order that Tally keeps.
    pub fn order(&self, order_id: &str) -> Option<&Order> {
        Some(&self.orders.get(order_id)?.view)
    }

    /// Whether there is any stock of a SKU, or was.
    pub fn has_sku(&self, sku: &str) -> bool {
        self.products.contains_key(sku)
    }

    /// All orders that have or had a line, here or elsewhere.
    pub fn orders_with_lines(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.products.values().flat_map(Product::orders_seen).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// A SKU's stock, without its freshness.
    ///
    /// # Panics
    /// When there is no such SKU.
    pub fn stock(&self, sku: &str) -> Stock {
        self.products[sku].stock()
    }

    /// What happened to an order that Tally keeps, and to its lines: positions and types, the oldest first.
    pub fn changes(&self, order_id: &str) -> Option<&[(i64, String)]> {
        Some(&self.orders.get(order_id)?.changes)
    }

    /// A SKU's lines that wait, the longest waiting first.
    pub fn backorders(&self, sku: &str) -> Vec<Backorder> {
        self.products.get(sku).map(Product::backorders).unwrap_or_default()
    }

    /// What is allocated to an order, by SKU.
    pub fn allocations(&self, order_id: &str) -> Vec<Allocation> {
        self.products.values().filter_map(|product| product.allocation(order_id)).collect()
    }

    /// The orders that `wanted` picks, the newest first, as a list shows them.
    pub fn summaries(&self, wanted: impl Fn(&Order) -> bool) -> impl Iterator<Item = OrderSummary> {
        self.orders().filter(move |order| wanted(order)).map(summary)
    }

    /// A customer's orders, the newest first, as a list shows them: at the cost of that customer's alone.
    pub fn summaries_of_customer(&self, customer_id: &str) -> Vec<OrderSummary> {
        let ids = self.placed_by_customer.get(customer_id).map_or(&[][..], Vec::as_slice);
        ids.iter().rev().filter_map(|id| self.order(id)).map(summary).collect()
    }
}

fn summary(order: &Order) -> OrderSummary {
    OrderSummary {
        order_id: order.order_id.clone(),
        customer_id: order.customer_id.clone(),
        status: order.status.clone(),
        total: order.total.clone(),
        item_count: i32::try_from(order.items.len()).expect("an order is small"),
        create_time: order.create_time.clone(),
        version: order.version,
    }
}
