//! Taking events back: what was decided upon a batch that did not commit is undone, whatever the size of the state.

use std::sync::Arc;

use super::open_batches::Rank;
use super::state::{Batch, Line, Product};
use crate::Date;

/// What an event changed, as it was before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undo {
    pub(super) added_batch: bool,
    pub(super) batch: Option<ChangedBatch>,
    pub(super) line: Option<MovedLine>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChangedBatch {
    pub(super) arrival: usize,
    pub(super) quantity: u32,
    pub(super) eta: Option<Date>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MovedLine {
    pub(super) order_id: Arc<str>,
    pub(super) before: Option<Line>,
    pub(super) last_sequence: u64,
}

impl Product {
    /// Takes back the last event that was taken in and not taken back yet.
    pub fn undo(&mut self, undo: Undo) {
        let Undo { added_batch, batch, line } = undo;
        if added_batch && let Some(Batch { batch_ref, eta, .. }) = self.batches.pop() {
            self.text_bytes -= batch_ref.len();
            self.arrivals.remove(&batch_ref);
            self.open.set_free(Rank { eta, arrival: self.batches.len() }, 0);
        }
        if let Some(MovedLine { order_id, before, last_sequence }) = line {
            self.take_out(&order_id);
            if let Some(before) = before {
                self.put_in(order_id, before);
            }
            self.last_sequence = last_sequence;
        }
        if let Some(ChangedBatch { arrival, quantity, eta }) = batch {
            self.change_batch(Some(arrival), |batch| {
                batch.quantity = quantity;
                batch.eta = eta;
            });
        }
    }
}

impl Undo {
    pub(super) fn of_batch(batch: Option<ChangedBatch>) -> Undo {
        Undo { batch, ..Undo::default() }
    }
}
