//! A SKU as an aggregate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

/// Its batches in the order of their arrival, and the lines that have stock.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Product {
    batches: Vec<Batch>,
    lines: HashMap<String, Line>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Batch {
    batch_ref: String,
    available: i64,
}

#[derive(Debug, Deserialize, Serialize)]
struct Line {
    batch_ref: String,
    quantity: i64,
}

#[derive(Debug)]
pub(crate) enum Command {
    CreateBatch { batch_ref: String, quantity: i64 },
    Allocate { order_id: String, quantity: i64, outcome: Outcome },
}

/// Where the batch that was chosen goes, each attempt's in the place of the one before: the framework itself returns nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome(Arc<Mutex<String>>);

impl Outcome {
    fn put(&self, batch_ref: &str) {
        batch_ref.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn take(&self) -> String {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) enum Event {
    BatchCreated { batch_ref: String, quantity: i64 },
    Allocated { order_id: String, quantity: i64, batch_ref: String },
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Event::BatchCreated { .. } => "BatchCreated".to_owned(),
            Event::Allocated { .. } => "Allocated".to_owned(),
        }
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("the batch exists")]
    BatchExists,
    #[error("the line has another quantity")]
    LineDiffers,
    #[error("out of stock")]
    OutOfStock,
}

impl Aggregate for Product {
    const TYPE: &'static str = "product";
    type Command = Command;
    type Event = Event;
    type Error = Rejection;
    type Services = ();

    async fn handle(&mut self, command: Command, _: &(), sink: &EventSink<Self>) -> Result<(), Rejection> {
        match command {
            Command::CreateBatch { batch_ref, quantity } => {
                if self.batches.iter().any(|batch| batch.batch_ref == batch_ref) {
                    return Err(Rejection::BatchExists);
                }
                sink.write(Event::BatchCreated { batch_ref, quantity }, self).await;
            }
            Command::Allocate { order_id, quantity, outcome } => {
                if let Some(line) = self.lines.get(&order_id) {
                    let same = line.quantity == quantity;
                    return same.then(|| outcome.put(&line.batch_ref)).ok_or(Rejection::LineDiffers);
                }
                let batch = self.batches.iter().find(|batch| batch.available >= quantity);
                let batch_ref = batch.ok_or(Rejection::OutOfStock)?.batch_ref.clone();
                outcome.put(&batch_ref);
                sink.write(Event::Allocated { order_id, quantity, batch_ref }, self).await;
            }
        }
        Ok(())
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::BatchCreated { batch_ref, quantity } => self.batches.push(Batch { batch_ref, available: quantity }),
            Event::Allocated { order_id, quantity, batch_ref } => {
                if let Some(batch) = self.batches.iter_mut().find(|batch| batch.batch_ref == batch_ref) {
                    batch.available -= quantity;
                }
                self.lines.insert(order_id, Line { batch_ref, quantity });
            }
        }
    }
}
