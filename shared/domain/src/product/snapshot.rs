//! A product as a snapshot keeps it: what its past events come to, without the indexes, which follow from it.
//!
//! A stored format, and a cache: when it changes, or when a state comes to mean something else, [`SNAPSHOT_FORMAT`](crate::SNAPSHOT_FORMAT)
//! goes up and the snapshots that are there are passed over.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::state::{Line, Place, Product};
use crate::Date;

/// All that is known of a SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    sku: String,
    /// In order of arrival.
    batches: Vec<(Arc<str>, u32, Option<Date>)>,
    /// The order, the quantity, the sequence, and the batch's place above; none: it waits.
    lines: Vec<(Arc<str>, u32, u64, Option<usize>)>,
    last_sequence: u64,
}

impl Product {
    /// Takes the time of a walk over its lines.
    pub(crate) fn to_snapshot(&self) -> Snapshot {
        let line = |(order_id, line): (&Arc<str>, &Line)| {
            let arrival = match line.place {
                Place::InBatch { arrival } => Some(arrival),
                Place::Waiting => None,
            };
            (Arc::clone(order_id), line.quantity, line.sequence, arrival)
        };
        Snapshot {
            sku: self.sku.clone(),
            batches: self
                .batches
                .iter()
                .map(|batch| (Arc::clone(&batch.batch_ref), batch.quantity, batch.eta))
                .collect(),
            lines: self.lines.iter().map(line).collect(),
            last_sequence: self.last_sequence,
        }
    }

    /// The product that the snapshot was taken of.
    pub(crate) fn from_snapshot(snapshot: Snapshot) -> Product {
        let mut product = Product::new(&snapshot.sku);
        for (batch_ref, quantity, eta) in snapshot.batches {
            product.add_batch(&batch_ref, quantity, eta);
        }
        product.lines.reserve(snapshot.lines.len());
        for (order_id, quantity, sequence, arrival) in snapshot.lines {
            let place = arrival.map_or(Place::Waiting, |arrival| Place::InBatch { arrival });
            product.put_in(order_id, Line { quantity, place, sequence });
        }
        product.last_sequence = snapshot.last_sequence;
        product
    }

    /// How many lines and batches a snapshot holds: what it costs to take one.
    pub(crate) fn weight(&self) -> usize {
        self.batches.len() + self.lines.len()
    }
}
