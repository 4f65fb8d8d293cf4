//! A SKU, folded naively: nothing is kept that can be counted.

use std::collections::{BTreeMap, BTreeSet};

use crate::StoredEvent;
use crate::client::{Allocation, AvailableByDate, Backorder, Batch, Date, Stock};

#[derive(Debug)]
pub(super) struct Product {
    sku: String,
    version: i64,
    batches: Vec<Arrived>,
    /// By order.
    lines: BTreeMap<String, Line>,
    /// Since which position lines wait, by order.
    waiting: BTreeMap<String, i64>,
    orders_seen: BTreeSet<String>,
}

#[derive(Debug)]
struct Arrived {
    batch_ref: String,
    quantity: i32,
    eta: Option<Date>,
    position: i64,
}

#[derive(Debug, PartialEq)]
struct Line {
    quantity: i32,
    /// None while it waits.
    batch_ref: Option<String>,
}

impl Product {
    pub(super) fn new(sku: &str) -> Self {
        Self {
            sku: sku.to_owned(),
            version: 0,
            batches: Vec::new(),
            lines: BTreeMap::new(),
            waiting: BTreeMap::new(),
            orders_seen: BTreeSet::new(),
        }
    }

    pub(super) fn take(&mut self, event: &StoredEvent) {
        assert_eq!(event.text("sku"), self.sku, "an event of a SKU is in its stream: {event:?}");
        self.version = event.version;
        let order_id = event.text("order_id").to_owned();
        let batch_ref = Some(event.text("batch_ref")).filter(|batch_ref| !batch_ref.is_empty()).map(str::to_owned);
        match event.event_type.as_str() {
            "BatchCreated" => self.batches.push(Arrived {
                batch_ref: batch_ref.expect("a batch has a reference"),
                quantity: event.number("quantity"),
                eta: event.payload["eta"].as_str().map(date),
                position: event.position,
            }),
            "BatchQuantityChanged" => {
                let batch = self.batch(event);
                assert_eq!(batch.quantity, event.number("previous_quantity"), "{event:?}");
                batch.quantity = event.number("quantity");
            }
            "BatchReceived" => self.batch(event).eta = None,
            "Allocated" => {
                self.batch(event);
                let waited =
                    self.lines.insert(order_id.clone(), Line { quantity: event.number("quantity"), batch_ref });
                let was_waiting = waited.as_ref().is_some_and(|line| line.batch_ref.is_none());
                assert_eq!(was_waiting, event.payload["from_backorder"] == true, "was {waited:?}: {event:?}");
                assert!(was_waiting || waited.is_none(), "a line has stock once: {event:?}");
            }
            "OutOfStock" => {
                let before =
                    self.lines.insert(order_id.clone(), Line { quantity: event.number("quantity"), batch_ref: None });
                assert_eq!(before, None, "a line waits once: {event:?}");
            }
            "Deallocated" => {
                let freed = self.lines.remove(&order_id);
                assert_eq!(freed, Some(Line { quantity: event.number("quantity"), batch_ref }), "{event:?}");
            }
            "Shipped" => {
                let gone = self.lines.remove(&order_id);
                assert_eq!(gone, Some(Line { quantity: event.number("quantity"), batch_ref }), "{event:?}");
                let batch = self.batch(event);
                assert_eq!(batch.eta, None, "what is shipped was in the warehouse: {event:?}");
                batch.quantity -= event.number("quantity");
            }
            other => panic!("an event of no known type {other}"),
        }
        match event.event_type.as_str() {
            "OutOfStock" => _ = self.waiting.insert(order_id.clone(), event.position),
            "Allocated" | "Deallocated" => _ = self.waiting.remove(&order_id),
            _ => {}
        }
        if !order_id.is_empty() {
            self.orders_seen.insert(order_id);
        }
    }

    fn batch(&mut self, event: &StoredEvent) -> &mut Arrived {
        let found = self.batches.iter_mut().find(|batch| batch.batch_ref == event.text("batch_ref"));
        found.unwrap_or_else(|| panic!("no such batch: {event:?}"))
    }

    fn allocated(&self, batch: &Arrived) -> i32 {
        self.lines
            .values()
            .filter(|line| line.batch_ref.as_ref() == Some(&batch.batch_ref))
            .map(|line| line.quantity)
            .sum()
    }

    /// Never oversold. Only the batch that an event names can have become so by it.
    pub(super) fn check(&self, event: &StoredEvent) {
        for batch in self.batches.iter().filter(|batch| batch.batch_ref == event.text("batch_ref")) {
            let allocated = self.allocated(batch);
            assert!(allocated <= batch.quantity, "oversold: {allocated} of {batch:?} after {event:?}");
        }
    }

    pub(super) fn orders_seen(&self) -> impl Iterator<Item = &str> {
        self.orders_seen.iter().map(String::as_str)
    }

    /// The lines that wait, the longest waiting first.
    pub(super) fn backorders(&self) -> Vec<Backorder> {
        let line = |(order_id, position): (&String, &i64)| Backorder {
            order_id: order_id.clone(),
            sku: self.sku.clone(),
            quantity: self.lines[order_id].quantity,
            position: *position,
        };
        let mut waiting: Vec<Backorder> = self.waiting.iter().map(line).collect();
        waiting.sort_by_key(|line| line.position);
        waiting
    }

    pub(super) fn allocation(&self, order_id: &str) -> Option<Allocation> {
        let line = self.lines.get(order_id)?;
        Some(Allocation::new(&self.sku, line.batch_ref.as_ref()?, line.quantity))
    }

    pub(super) fn stock(&self) -> Stock {
        let mut allocated: BTreeMap<&str, i32> = BTreeMap::new();
        for line in self.lines.values() {
            if let Some(batch_ref) = &line.batch_ref {
                *allocated.entry(batch_ref).or_default() += line.quantity;
            }
        }
        let batch = |batch: &Arrived| {
            let allocated = allocated.get(batch.batch_ref.as_str()).copied().unwrap_or_default();
            Batch {
                batch_ref: batch.batch_ref.clone(),
                quantity: batch.quantity,
                allocated,
                available: batch.quantity - allocated,
                eta: batch.eta,
                arrival: batch.position,
            }
        };
        let mut batches: Vec<Batch> = self.batches.iter().map(batch).collect();
        // None stands before any date.
        batches.sort_by_key(|batch| (batch.eta, batch.arrival));
        let available_until = |last: Option<Date>| {
            batches
                .iter()
                .filter(|batch| batch.eta.is_none() || batch.eta <= last)
                .map(|batch| i64::from(batch.available))
                .sum()
        };
        let dates: BTreeSet<Date> = batches.iter().filter_map(|batch| batch.eta).collect();
        let waiting = self.lines.values().filter(|line| line.batch_ref.is_none());
        Stock {
            sku: self.sku.clone(),
            available_now: available_until(None),
            available_by_date: dates
                .iter()
                .map(|&date| AvailableByDate { date, available: available_until(Some(date)) })
                .collect(),
            allocated: batches.iter().map(|batch| i64::from(batch.allocated)).sum(),
            backordered: waiting.map(|line| i64::from(line.quantity)).sum(),
            batches,
            version: self.version,
            ..Stock::default()
        }
    }
}

/// A date such as `2011-01-02`.
fn date(text: &str) -> Date {
    let parts: Vec<i32> = text.split('-').filter_map(|part| part.parse().ok()).collect();
    let &[year, month, day] = parts.as_slice() else { panic!("{text} is no date") };
    Date::new(year, month, day)
}
