//! A batch reference: one stream each, so that no two SKUs can use the same. The batch itself is in its product's stream.

use serde::{Deserialize, Serialize};

/// What happens to a batch reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are named by what they hold")]
pub enum Event {
    /// It belongs to this SKU now, for good.
    BatchRefClaimed { batch_ref: String, sku: String },
}

impl Event {
    /// The name that it is stored under.
    pub fn event_type(&self) -> &'static str {
        match self {
            Event::BatchRefClaimed { .. } => "BatchRefClaimed",
        }
    }
}

/// Whose a batch reference is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Batch {
    /// Nobody's yet.
    Free,
    /// This SKU's.
    Claimed {
        /// The SKU.
        sku: String,
    },
}

impl Batch {
    /// Takes in the next event. Gives what it was before.
    pub fn evolve(&mut self, event: &Event) -> Batch {
        let next = match event {
            Event::BatchRefClaimed { sku, batch_ref: _ } => Batch::Claimed { sku: sku.clone() },
        };
        std::mem::replace(self, next)
    }

    /// The SKU that it belongs to.
    pub(crate) fn sku(&self) -> Option<&str> {
        match self {
            Batch::Free => None,
            Batch::Claimed { sku } => Some(sku),
        }
    }

    pub(crate) fn footprint(&self) -> usize {
        self.sku().map_or(0, str::len)
    }
}
