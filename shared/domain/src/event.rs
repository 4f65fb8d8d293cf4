use std::iter::once;

use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::{batch, order, product};

/// Something that happened. Names and fields are stored for good: the golden files pin them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// In an order's stream.
    Order(order::Event),
    /// In a product's stream.
    Product(product::Event),
    /// In a batch reference's stream.
    Batch(batch::Event),
}

impl Event {
    /// The name that it is stored under.
    pub fn event_type(&self) -> &'static str {
        match self {
            Event::Order(event) => event.event_type(),
            Event::Product(event) => event.event_type(),
            Event::Batch(event) => event.event_type(),
        }
    }

    /// Its fields as JSON, as they are stored beside the name.
    pub fn payload(&self) -> String {
        match self {
            Event::Order(event) => fields(event.event_type(), event),
            Event::Product(event) => fields(event.event_type(), event),
            Event::Batch(event) => fields(event.event_type(), event),
        }
    }

    /// Reads what was stored. A shape that later versions no longer write is made into today's here, before it is read.
    pub fn from_stored(event_type: &str, payload: &str) -> Result<Event, StoredEventError> {
        match event_type {
            "OrderCreated" | "OrderCancelled" | "OrderShipped" | "ExternalOrderRegistered" => {
                read(event_type, payload).map(Event::Order)
            }
            "BatchCreated"
            | "BatchQuantityChanged"
            | "BatchReceived"
            | "Allocated"
            | "Deallocated"
            | "OutOfStock"
            | "Shipped" => read(event_type, payload).map(Event::Product),
            "BatchRefClaimed" => read(event_type, payload).map(Event::Batch),
            unknown => Err(StoredEventError::UnknownType(unknown.to_owned())),
        }
    }
}

/// Why a stored event can't be read. Says nothing of the payload, where personal data may be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoredEventError {
    /// Written by a later version, or by something else.
    #[error("no event type is called {0:?}")]
    UnknownType(String),
    /// A field is missing or of another type.
    #[error("the payload is not that of an event {0}")]
    BadShape(String),
}

fn fields(event_type: &str, event: &impl Serialize) -> String {
    // Strings, numbers and lists of them: nothing in it can fail to be JSON.
    let mut tagged = serde_json::to_string(event).expect("an event is plain data");
    // Serde writes an enum as {"Name":{fields}}.
    tagged.drain(..event_type.len() + r#"{"":"#.len());
    tagged.pop();
    tagged
}

fn read<'de, E: Deserialize<'de>>(event_type: &'de str, payload: &'de str) -> Result<E, StoredEventError> {
    let bad_shape = |_: serde_json::Error| StoredEventError::BadShape(event_type.to_owned());
    let fields: &RawValue = serde_json::from_str(payload).map_err(bad_shape)?;
    let tagged = MapDeserializer::<_, serde_json::Error>::new(once((event_type, fields)));
    E::deserialize(MapAccessDeserializer::new(tagged)).map_err(bad_shape)
}
