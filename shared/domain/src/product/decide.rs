use std::cmp::Reverse;
use std::iter::once;
use std::sync::Arc;

use super::Event;
use super::open_batches::Rank;
use super::state::{Batch, Line, Place, Product};
use crate::{BATCHES_PER_SKU_MAX, Date, EVENTS_PER_COMMAND_MAX, Rejection};

/// What asking stock for a line comes to.
pub(crate) enum Placement {
    New(Event),
    /// The line is there already; the event says how it stands.
    Standing(Event),
}

// After every command no line waits that some batch could hold. So when a batch gets something free, that batch alone can serve the
// backorders.
impl Product {
    /// A SKU is known from its first batch on.
    pub(crate) fn check_known(&self) -> Result<(), Rejection> {
        if self.batches.is_empty() { Err(Rejection::InvalidSku { sku: self.sku.clone() }) } else { Ok(()) }
    }

    pub(crate) fn create_batch(
        &self,
        batch_ref: &str,
        quantity: u32,
        eta: Option<Date>,
    ) -> Result<Vec<Event>, Rejection> {
        if self.batches.len() >= BATCHES_PER_SKU_MAX {
            return Err(Rejection::TooManyBatches { sku: self.sku.clone() });
        }
        let created = Event::BatchCreated { batch_ref: batch_ref.to_owned(), sku: self.sku.clone(), quantity, eta };
        Ok(once(created).chain(self.serve(batch_ref, quantity)).collect())
    }

    pub(crate) fn receive_batch(&self, batch_ref: &str) -> Result<Option<Event>, Rejection> {
        let (_, batch) = self.batch(batch_ref)?;
        let received = Event::BatchReceived { batch_ref: batch_ref.to_owned(), sku: self.sku.clone() };
        Ok(batch.eta.map(|_| received))
    }

    /// What no longer fits is taken back before the batch shrinks, so that no reader of the log ever sees more allocated than there is.
    pub(crate) fn change_batch_quantity(&self, batch_ref: &str, quantity: u32) -> Result<Vec<Event>, Rejection> {
        let (rank, batch) = self.batch(batch_ref)?;
        if quantity == batch.quantity {
            return Ok(Vec::new());
        }
        let (taken, left) = self.latest_beyond(rank.arrival, batch, quantity);
        let mut events: Vec<Event> =
            taken.iter().map(|(order_id, line)| self.taken_back(order_id, line, batch)).collect();
        events.push(Event::BatchQuantityChanged {
            batch_ref: batch_ref.to_owned(),
            sku: self.sku.clone(),
            quantity,
            previous_quantity: batch.quantity,
        });

        let mut open = self.open.clone();
        open.set_free(rank, quantity.saturating_sub(left));
        for (order_id, line) in taken.iter().rev() {
            let fit = open.first_fit(line.quantity);
            if let Some(fit) = fit {
                open.set_free(fit, open.free(fit).saturating_sub(line.quantity));
            }
            events.push(self.placed(order_id, line.quantity, fit.map(|rank| rank.arrival)));
        }
        events.extend(self.serve(batch_ref, open.free(rank)));
        Ok(events)
    }

    /// Stock for a line, unless it is there already.
    pub(crate) fn allocate(&self, order_id: &str, quantity: u32) -> Result<Placement, Rejection> {
        let Some(line) = self.lines.get(order_id) else {
            return Ok(Placement::New(self.place(order_id, quantity)));
        };
        if line.quantity != quantity {
            return Err(Rejection::LineDiffers {
                order_id: order_id.to_owned(),
                sku: self.sku.clone(),
                quantity: line.quantity,
            });
        }
        Ok(Placement::Standing(match line.place {
            Place::InBatch { arrival } => self.placed(order_id, quantity, Some(arrival)),
            Place::Waiting => self.placed(order_id, quantity, None),
        }))
    }

    /// Stock for a line that is not there: of the first batch that can hold it whole, or a place among those that wait.
    pub(crate) fn place(&self, order_id: &str, quantity: u32) -> Event {
        self.placed(order_id, quantity, self.open.first_fit(quantity).map(|rank| rank.arrival))
    }

    pub(crate) fn deallocate(&self, order_id: &str) -> Result<Vec<Event>, Rejection> {
        let events = self.free(order_id);
        if events.is_empty() {
            return Err(Rejection::AllocationNotFound { order_id: order_id.to_owned(), sku: self.sku.clone() });
        }
        Ok(events)
    }

    /// Frees the line and serves who waits for its stock; nothing where there is no such line.
    pub(crate) fn free(&self, order_id: &str) -> Vec<Event> {
        let Some(line) = self.lines.get(order_id) else {
            return Vec::new();
        };
        let batch = match line.place {
            Place::InBatch { arrival } => self.batches.get(arrival),
            Place::Waiting => None,
        };
        let freed = Event::Deallocated {
            order_id: order_id.to_owned(),
            sku: self.sku.clone(),
            quantity: line.quantity,
            batch_ref: batch.map(|batch| batch.batch_ref.to_string()),
        };
        let served = batch.map(|batch| self.serve(&batch.batch_ref, batch.free().saturating_add(line.quantity)));
        once(freed).chain(served.into_iter().flatten()).collect()
    }

    /// The line leaves the warehouse, if it is allocated from stock.
    pub(crate) fn ship(&self, order_id: &str) -> Result<Event, Rejection> {
        let held = self.lines.get(order_id).and_then(|line| match line.place {
            Place::InBatch { arrival } => self.batches.get(arrival).map(|batch| (batch, line.quantity)),
            Place::Waiting => None,
        });
        match held {
            Some((Batch { batch_ref, eta: None, .. }, quantity)) => Ok(Event::Shipped {
                order_id: order_id.to_owned(),
                sku: self.sku.clone(),
                batch_ref: batch_ref.to_string(),
                quantity,
            }),
            Some((Batch { eta: Some(_), .. }, _)) | None => {
                Err(Rejection::ItemsNotInStock { order_id: order_id.to_owned(), sku: self.sku.clone() })
            }
        }
    }
}

impl Product {
    fn batch(&self, batch_ref: &str) -> Result<(Rank, &Batch), Rejection> {
        self.arrival(batch_ref)
            .and_then(|arrival| self.batches.get(arrival).map(|batch| (Rank { eta: batch.eta, arrival }, batch)))
            .ok_or_else(|| Rejection::BatchNotFound { batch_ref: batch_ref.to_owned() })
    }

    /// The line in the batch that arrived then, or waiting.
    fn placed(&self, order_id: &str, quantity: u32, arrival: Option<usize>) -> Event {
        let (order_id, sku) = (order_id.to_owned(), self.sku.clone());
        match arrival.and_then(|arrival| self.batches.get(arrival)) {
            Some(batch) => {
                let batch_ref = batch.batch_ref.to_string();
                Event::Allocated { order_id, sku, batch_ref, quantity, from_backorder: false }
            }
            None => Event::OutOfStock { order_id, sku, quantity },
        }
    }

    fn taken_back(&self, order_id: &str, line: &Line, batch: &Batch) -> Event {
        Event::Deallocated {
            order_id: order_id.to_owned(),
            sku: self.sku.clone(),
            quantity: line.quantity,
            batch_ref: Some(batch.batch_ref.to_string()),
        }
    }

    /// The backorders that get what is free of this batch; no more than would make the command too large.
    fn serve(&self, batch_ref: &str, free: u32) -> impl Iterator<Item = Event> {
        self.backorders.served_by(free).take(EVENTS_PER_COMMAND_MAX).map(move |(order_id, quantity)| Event::Allocated {
            order_id: order_id.to_string(),
            sku: self.sku.clone(),
            batch_ref: batch_ref.to_owned(),
            quantity,
            from_backorder: true,
        })
    }

    /// The latest allocations of a batch that must go for the others to fit into `quantity`, the latest first, and how much the others
    /// take. Stops where the command would be too large. Batches hardly ever shrink below what is allocated, so their lines aren't kept
    /// in order for it.
    fn latest_beyond(&self, arrival: usize, batch: &Batch, quantity: u32) -> (Vec<(&Arc<str>, &Line)>, u32) {
        let mut left = batch.allocated;
        if left <= quantity {
            return (Vec::new(), left);
        }
        let in_batch = |(_, line): &(_, &Line)| line.place == Place::InBatch { arrival };
        let mut lines: Vec<_> = self.lines.iter().filter(in_batch).collect();
        lines.sort_unstable_by_key(|(_, line)| Reverse(line.sequence));
        let beyond = lines.iter().take(EVENTS_PER_COMMAND_MAX).take_while(|(_, line)| {
            let too_much = left > quantity;
            left = if too_much { left.saturating_sub(line.quantity) } else { left };
            too_much
        });
        let count = beyond.count();
        lines.truncate(count);
        (lines, left)
    }
}
