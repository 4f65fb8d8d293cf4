use std::collections::HashMap;
use std::hash::BuildHasher;

use crate::batch::Batch;
use crate::order::Order;
use crate::product::{self, Product};
use crate::{Event, StreamId};

/// The state of a stream: the fold of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamState {
    /// Of an order.
    Order(Order),
    /// Of a SKU.
    Product(Product),
    /// Of a batch reference.
    Batch(Batch),
}

impl StreamState {
    /// The state of a stream that has no events.
    pub fn empty(id: &StreamId) -> StreamState {
        match id {
            StreamId::Order(_) => StreamState::Order(Order::Absent),
            StreamId::Product(sku) => StreamState::Product(Product::new(sku)),
            StreamId::Batch(_) => StreamState::Batch(Batch::Free),
        }
    }

    /// Takes in the stream's next event, and gives what [`StreamState::undo`] takes it back with. Total: an event that can't be meant for
    /// this stream changes nothing.
    pub fn evolve(&mut self, event: &Event) -> Undo {
        match (self, event) {
            (StreamState::Order(order), Event::Order(event)) => Undo::Order(order.evolve(event)),
            (StreamState::Product(product), Event::Product(event)) => Undo::Product(product.evolve(event)),
            (StreamState::Batch(batch), Event::Batch(event)) => Undo::Batch(batch.evolve(event)),
            (StreamState::Order(_), Event::Product(_) | Event::Batch(_))
            | (StreamState::Product(_), Event::Order(_) | Event::Batch(_))
            | (StreamState::Batch(_), Event::Order(_) | Event::Product(_)) => Undo::Nothing,
        }
    }

    /// Takes back the last event that was taken in and not taken back yet.
    pub fn undo(&mut self, undo: Undo) {
        match (self, undo) {
            (StreamState::Order(order), Undo::Order(before)) => *order = before,
            (StreamState::Product(product), Undo::Product(undo)) => product.undo(undo),
            (StreamState::Batch(batch), Undo::Batch(before)) => *batch = before,
            (_, Undo::Nothing)
            | (StreamState::Order(_), Undo::Product(_) | Undo::Batch(_))
            | (StreamState::Product(_), Undo::Order(_) | Undo::Batch(_))
            | (StreamState::Batch(_), Undo::Order(_) | Undo::Product(_)) => {}
        }
    }

    /// About how many bytes it takes, at no cost: for a cache that is bounded in bytes.
    pub fn footprint(&self) -> usize {
        let beyond_itself = match self {
            StreamState::Order(order) => order.footprint(),
            StreamState::Product(product) => product.footprint(),
            StreamState::Batch(batch) => batch.footprint(),
        };
        size_of::<StreamState>() + beyond_itself
    }
}

/// What takes an event back, in the state that took it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// The event changed nothing.
    Nothing,
    /// The order before it.
    Order(Order),
    /// What it changed in a product.
    Product(product::Undo),
    /// The batch reference before it.
    Batch(Batch),
}

/// The states that a command is decided on.
pub trait States {
    /// None: not loaded. A stream that has no events is loaded as [`StreamState::empty`].
    fn get(&self, id: &StreamId) -> Option<&StreamState>;
}

impl<S: BuildHasher> States for HashMap<StreamId, StreamState, S> {
    fn get(&self, id: &StreamId) -> Option<&StreamState> {
        HashMap::get(self, id)
    }
}
