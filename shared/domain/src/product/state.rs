use std::collections::HashMap;
use std::sync::Arc;

use super::Event;
use super::backorders::Backorders;
use super::open_batches::{OpenBatches, Rank};
use super::undo::{ChangedBatch, MovedLine, Undo};
use crate::Date;

/// All that is known of a SKU, kept so that a decision takes O(log n) and copies nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    pub(super) sku: String,
    /// In order of arrival. None ever goes, so an index here is a batch's arrival.
    pub(super) batches: Vec<Batch>,
    pub(super) arrivals: HashMap<Arc<str>, usize>,
    pub(super) open: OpenBatches,
    /// By order id.
    pub(super) lines: HashMap<Arc<str>, Line>,
    pub(super) backorders: Backorders,
    /// How many lines have come or moved.
    pub(super) last_sequence: u64,
    /// The length of all ids above.
    pub(super) text_bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) batch_ref: Arc<str>,
    pub(super) quantity: u32,
    /// Never more than `quantity`.
    pub(super) allocated: u32,
    /// None: it is in the warehouse.
    pub(super) eta: Option<Date>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) quantity: u32,
    pub(super) place: Place,
    /// Orders the lines of a batch, and those that wait: the latest has the highest.
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

    /// Takes in the next event. Gives what [`Product::undo`] takes it back with.
    pub fn evolve(&mut self, event: &Event) -> Undo {
        match event {
            Event::BatchCreated { batch_ref, quantity, eta, sku: _ } => self.add_batch(batch_ref, *quantity, *eta),
            Event::BatchQuantityChanged { batch_ref, quantity, previous_quantity: _, sku: _ } => {
                Undo::of_batch(self.change_batch(self.arrival(batch_ref), |batch| batch.quantity = *quantity))
            }
            Event::BatchReceived { batch_ref, sku: _ } => {
                Undo::of_batch(self.change_batch(self.arrival(batch_ref), |batch| batch.eta = None))
            }
            Event::Allocated { order_id, batch_ref, quantity, from_backorder: _, sku: _ } => {
                let arrival = self.arrival(batch_ref);
                self.move_line(order_id, arrival.map(|arrival| (*quantity, Place::InBatch { arrival })))
            }
            Event::Deallocated { order_id, quantity: _, batch_ref: _, sku: _ } => self.move_line(order_id, None),
            Event::OutOfStock { order_id, quantity, sku: _ } => {
                self.move_line(order_id, Some((*quantity, Place::Waiting)))
            }
            Event::Shipped { order_id, batch_ref, quantity, sku: _ } => {
                let gone = self.move_line(order_id, None);
                let shrunk = self.change_batch(self.arrival(batch_ref), |batch| {
                    batch.quantity = batch.quantity.saturating_sub(*quantity);
                });
                Undo { batch: shrunk, ..gone }
            }
        }
    }

    pub(super) fn arrival(&self, batch_ref: &str) -> Option<usize> {
        self.arrivals.get(batch_ref).copied()
    }

    pub(crate) fn footprint(&self) -> usize {
        // An id is a block of its own with two counters and the allocator's share. A tree's nodes are about half to three quarters full.
        let id = 4 * size_of::<usize>();
        let batch = id + size_of::<Batch>() + 2 * size_of::<(Rank, u32)>();
        self.text_bytes
            + self.lines.capacity() * size_of::<(Arc<str>, Line)>()
            + self.lines.len() * id
            + self.backorders.len() * 2 * size_of::<(u64, Arc<str>)>()
            + self.batches.len() * batch
            + self.arrivals.capacity() * size_of::<(Arc<str>, usize)>()
    }

    pub(super) fn add_batch(&mut self, batch_ref: &str, quantity: u32, eta: Option<Date>) -> Undo {
        if self.arrivals.contains_key(batch_ref) {
            return Undo::default();
        }
        let arrival = self.batches.len();
        let batch_ref: Arc<str> = batch_ref.into();
        self.text_bytes += batch_ref.len();
        self.arrivals.insert(Arc::clone(&batch_ref), arrival);
        self.batches.push(Batch { batch_ref, quantity, allocated: 0, eta });
        self.open.set_free(Rank { eta, arrival }, quantity);
        Undo { added_batch: true, ..Undo::default() }
    }

    /// The one way in which a batch changes: its place among the open ones follows. Gives how it was.
    pub(super) fn change_batch(
        &mut self,
        arrival: Option<usize>,
        change: impl FnOnce(&mut Batch),
    ) -> Option<ChangedBatch> {
        let arrival = arrival?;
        let batch = self.batches.get_mut(arrival)?;
        let before = ChangedBatch { arrival, quantity: batch.quantity, eta: batch.eta };
        change(batch);
        if batch.eta != before.eta {
            self.open.set_free(Rank { eta: before.eta, arrival }, 0);
        }
        self.open.set_free(Rank { eta: batch.eta, arrival }, batch.free());
        Some(before)
    }

    /// Takes the order's line from wherever it is, and puts it where it is now, behind all that came before.
    fn move_line(&mut self, order_id: &str, to: Option<(u32, Place)>) -> Undo {
        let last_sequence = self.last_sequence;
        let (order_id, before) = match self.take_out(order_id) {
            Some((order_id, line)) => (order_id, Some(line)),
            None => (order_id.into(), None),
        };
        if let Some((quantity, place)) = to {
            self.last_sequence += 1;
            self.put_in(Arc::clone(&order_id), Line { quantity, place, sequence: self.last_sequence });
        }
        Undo { line: Some(MovedLine { order_id, before, last_sequence }), ..Undo::default() }
    }

    pub(super) fn put_in(&mut self, order_id: Arc<str>, line: Line) {
        self.text_bytes += order_id.len();
        match line.place {
            Place::InBatch { arrival } => {
                self.change_batch(Some(arrival), |batch| {
                    batch.allocated = batch.allocated.saturating_add(line.quantity);
                });
            }
            Place::Waiting => self.backorders.insert(line.quantity, line.sequence, Arc::clone(&order_id)),
        }
        self.lines.insert(order_id, line);
    }

    pub(super) fn take_out(&mut self, order_id: &str) -> Option<(Arc<str>, Line)> {
        let (order_id, line) = self.lines.remove_entry(order_id)?;
        self.text_bytes -= order_id.len();
        match line.place {
            Place::InBatch { arrival } => {
                self.change_batch(Some(arrival), |batch| {
                    batch.allocated = batch.allocated.saturating_sub(line.quantity);
                });
            }
            Place::Waiting => self.backorders.remove(line.quantity, line.sequence),
        }
        Some((order_id, line))
    }
}
