//! What a product comes to, without the indexes that make it fast; for tests.

use std::collections::{BTreeMap, HashMap};

use super::backorders::Backorders;
use super::open_batches::{OpenBatches, Rank};
use super::state::{Line, Place, Product};
use crate::Date;

/// A SKU's stock in plain lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Picture {
    /// In order of arrival.
    pub(crate) batches: Vec<BatchPicture>,
    /// (order id, quantity), in order of arrival.
    pub(crate) waiting: Vec<(String, u32)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BatchPicture {
    pub(crate) batch_ref: String,
    pub(crate) quantity: u32,
    pub(crate) eta: Option<Date>,
    /// (order id, quantity), in order of allocation.
    pub(crate) lines: Vec<(String, u32)>,
}

impl BatchPicture {
    pub(crate) fn allocated(&self) -> u32 {
        self.lines.iter().map(|(_, quantity)| quantity).sum()
    }

    pub(crate) fn free(&self) -> u32 {
        self.quantity - self.allocated()
    }
}

impl Product {
    /// The picture, after a look whether every index agrees with it.
    pub(crate) fn picture(&self) -> Picture {
        let mut lines = HashMap::new();
        let mut open = OpenBatches::default();
        let batches = self.batches.iter().enumerate().map(|(arrival, batch)| {
            assert_eq!(self.arrival(&batch.batch_ref), Some(arrival));
            let place = Place::InBatch { arrival };
            let mut allocations: Vec<_> = self.lines.iter().filter(|(_, line)| line.place == place).collect();
            allocations.sort_by_key(|(_, line)| line.sequence);
            assert_eq!(batch.allocated, allocations.iter().map(|(_, line)| line.quantity).sum::<u32>());
            open.set_free(Rank { eta: batch.eta, arrival }, batch.free());
            lines.extend(allocations.iter().map(|&(order_id, &line)| (order_id.clone(), line)));
            BatchPicture {
                batch_ref: batch.batch_ref.to_string(),
                quantity: batch.quantity,
                eta: batch.eta,
                lines: allocations.iter().map(|(order_id, line)| (order_id.to_string(), line.quantity)).collect(),
            }
        });
        let batches = batches.collect();
        let mut waiting = BTreeMap::new();
        let mut backorders = Backorders::default();
        for (quantity, sequence, order_id) in self.backorders.all() {
            waiting.insert(sequence, (order_id.to_string(), quantity));
            backorders.insert(quantity, sequence, order_id.clone());
            lines.insert(order_id, Line { quantity, place: Place::Waiting, sequence });
        }
        assert_eq!(self.lines, lines);
        assert_eq!(self.open, open);
        assert_eq!(self.backorders, backorders);
        Picture { batches, waiting: waiting.into_values().collect() }
    }
}
