use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Event;
use super::backorders::Backorders;
use super::open_batches::{OpenBatches, Rank};
use crate::Date;

/// All that is known of a SKU, kept so that a decision takes O(log n) and copies nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    pub(super) sku: String,
    /// In order of arrival. None ever goes, so an index here is a batch's arrival.
    pub(super) batches: Vec<Batch>,
    arrivals: HashMap<Arc<str>, usize>,
    pub(super) open: OpenBatches,
    /// By order id.
    pub(super) lines: HashMap<Arc<str>, Line>,
    pub(super) backorders: Backorders,
    /// How many lines have come or moved.
    last_sequence: u64,
    /// The length of all ids above.
    text_bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) batch_ref: Arc<str>,
    pub(super) quantity: u32,
    /// Never more than `quantity`.
    pub(super) allocated: u32,
    /// None: it is in the warehouse.
    pub(super) eta: Option<Date>,
    /// What is allocated, by sequence: the last is the latest.
    pub(super) allocations: BTreeMap<u64, Allocation>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Allocation {
    pub(super) order_id: Arc<str>,
    pub(super) quantity: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) quantity: u32,
    pub(super) place: Place,
    /// Orders the lines of a batch, and those that wait.
    pub(super) sequence: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    InBatch { arrival: usize },
    Waiting,
}

impl Batch {
    pub(super) fn free(&self) -> u32 {
        self.quantity.saturating_sub(self.allocated)
    }
}

impl Product {
    /// A SKU of which nothing is known.
    pub fn new(sku: &str) -> Product {
        Product {
            sku: sku.to_owned(),
            batches: Vec::new(),
            arrivals: HashMap::new(),
            open: OpenBatches::default(),
            lines: HashMap::new(),
            backorders: Backorders::default(),
            last_sequence: 0,
            text_bytes: sku.len(),
        }
    }

    /// Takes in the next event.
    pub fn evolve(&mut self, event: &Event) {
        match event {
            Event::BatchCreated { batch_ref, quantity, eta, sku: _ } => self.add_batch(batch_ref, *quantity, *eta),
            Event::BatchQuantityChanged { batch_ref, quantity, previous_quantity: _, sku: _ } => {
                self.change_batch(self.arrival(batch_ref), |batch| batch.quantity = *quantity);
            }
            Event::BatchReceived { batch_ref, sku: _ } => {
                self.change_batch(self.arrival(batch_ref), |batch| batch.eta = None);
            }
            Event::Allocated { order_id, batch_ref, quantity, from_backorder: _, sku: _ } => {
                let order_id = self.release(order_id).unwrap_or_else(|| order_id.as_str().into());
                self.put_in_batch(order_id, batch_ref, *quantity);
            }
            Event::Deallocated { order_id, quantity: _, batch_ref: _, sku: _ } => {
                self.release(order_id);
            }
            Event::OutOfStock { order_id, quantity, sku: _ } => {
                let order_id = self.release(order_id).unwrap_or_else(|| order_id.as_str().into());
                self.put_in_queue(order_id, *quantity);
            }
            Event::Shipped { order_id, batch_ref, quantity, sku: _ } => {
                self.release(order_id);
                self.change_batch(self.arrival(batch_ref), |batch| {
                    batch.quantity = batch.quantity.saturating_sub(*quantity);
                });
            }
        }
    }

    pub(super) fn arrival(&self, batch_ref: &str) -> Option<usize> {
        self.arrivals.get(batch_ref).copied()
    }

    pub(crate) fn footprint(&self) -> usize {
        // An id is a block of its own with two counters and the allocator's share. A tree's nodes are about half to three quarters
        // full, and every line has an entry in one.
        let id = 4 * size_of::<usize>();
        let line = id + 2 * size_of::<(u64, Allocation)>();
        let batch = id + size_of::<Batch>() + 2 * size_of::<(Rank, u32)>();
        self.text_bytes
            + self.lines.capacity() * size_of::<(Arc<str>, Line)>()
            + self.lines.len() * line
            + self.batches.len() * batch
            + self.arrivals.capacity() * size_of::<(Arc<str>, usize)>()
    }

    fn add_batch(&mut self, batch_ref: &str, quantity: u32, eta: Option<Date>) {
        if self.arrivals.contains_key(batch_ref) {
            return;
        }
        let arrival = self.batches.len();
        let batch_ref: Arc<str> = batch_ref.into();
        self.text_bytes += batch_ref.len();
        self.arrivals.insert(Arc::clone(&batch_ref), arrival);
        self.batches.push(Batch { batch_ref, quantity, allocated: 0, eta, allocations: BTreeMap::new() });
        self.open.set_free(Rank { eta, arrival }, quantity);
    }

    /// The one way in which a batch changes: its place among the open ones follows.
    fn change_batch(&mut self, arrival: Option<usize>, change: impl FnOnce(&mut Batch)) {
        let Some((arrival, batch)) = arrival.and_then(|arrival| Some((arrival, self.batches.get_mut(arrival)?))) else {
            return;
        };
        let previous_eta = batch.eta;
        change(batch);
        if batch.eta != previous_eta {
            self.open.set_free(Rank { eta: previous_eta, arrival }, 0);
        }
        self.open.set_free(Rank { eta: batch.eta, arrival }, batch.free());
    }

    fn put_in_batch(&mut self, order_id: Arc<str>, batch_ref: &str, quantity: u32) {
        let Some(arrival) = self.arrival(batch_ref) else { return };
        let sequence = self.add_line(&order_id, quantity, Place::InBatch { arrival });
        self.change_batch(Some(arrival), |batch| {
            batch.allocated = batch.allocated.saturating_add(quantity);
            batch.allocations.insert(sequence, Allocation { order_id, quantity });
        });
    }

    fn put_in_queue(&mut self, order_id: Arc<str>, quantity: u32) {
        let sequence = self.add_line(&order_id, quantity, Place::Waiting);
        self.backorders.insert(quantity, sequence, order_id);
    }

    fn add_line(&mut self, order_id: &Arc<str>, quantity: u32, place: Place) -> u64 {
        self.last_sequence += 1;
        self.text_bytes += order_id.len();
        self.lines.insert(Arc::clone(order_id), Line { quantity, place, sequence: self.last_sequence });
        self.last_sequence
    }

    /// Takes the order's line out, wherever it is; gives its id back.
    fn release(&mut self, order_id: &str) -> Option<Arc<str>> {
        let (order_id, Line { quantity, place, sequence }) = self.lines.remove_entry(order_id)?;
        self.text_bytes -= order_id.len();
        match place {
            Place::InBatch { arrival } => self.change_batch(Some(arrival), |batch| {
                batch.allocated = batch.allocated.saturating_sub(quantity);
                batch.allocations.remove(&sequence);
            }),
            Place::Waiting => self.backorders.remove(quantity, sequence),
        }
        Some(order_id)
    }
}
