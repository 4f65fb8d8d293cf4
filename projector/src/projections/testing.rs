//! Events for the projections' tests: given these, then that view.

use tally_domain::order::Event as OrderEvent;
use tally_domain::product::Event as ProductEvent;
use tally_domain::{Date, Event, Item, Money, PostalAddress, StoredEventError};
use tally_event_store::Metadata;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Recorded;
use crate::projection::{Projection, Unfoldable};
use crate::recorded::Named;

/// An event that a test gives. Unless it says otherwise it stands at position 1 and has version 1 in a stream of no interest.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    event_type: String,
    event: Result<Event, StoredEventError>,
    position: u64,
    stream_id: String,
    version: u64,
    command_id: Uuid,
}

impl From<Event> for Given {
    fn from(event: Event) -> Self {
        Self {
            event_type: event.event_type().to_owned(),
            event: Ok(event),
            position: 1,
            stream_id: "order-any".to_owned(),
            version: 1,
            command_id: Uuid::nil(),
        }
    }
}

impl Given {
    pub(crate) fn at(self, position: u64) -> Self {
        Self { position, ..self }
    }

    pub(crate) fn version(self, version: u64) -> Self {
        Self { version, ..self }
    }

    pub(crate) fn of_stream(self, stream_id: &str, version: u64) -> Self {
        Self { stream_id: stream_id.to_owned(), version, ..self }
    }

    pub(crate) fn of_command(self, command: u128) -> Self {
        Self { command_id: Uuid::from_u128(command), ..self }
    }

    /// As this version of Tally reads an event that it can't read.
    pub(crate) fn unreadable(self, event_type: &str) -> Self {
        let error = Event::from_stored(event_type, "null").unwrap_err();
        Self { event_type: event_type.to_owned(), event: Err(error), ..self }
    }

    /// Recorded as many seconds after the epoch as its position says.
    pub(crate) fn recorded(&self) -> Recorded {
        Recorded {
            position: self.position,
            stream_id: self.stream_id.clone(),
            version: self.version,
            command_id: self.command_id,
            recorded_at: OffsetDateTime::from_unix_timestamp(self.position as i64).unwrap(),
            metadata: Metadata::default(),
            trace: None,
            event_type: self.event_type.clone(),
            event: self.event.clone(),
            named: Named::default(),
            // As good as any: positions tell the given events apart.
            fingerprint: self.position.wrapping_mul(0x9e37_79b9) ^ crc32fast::hash(self.event_type.as_bytes()) as u64,
        }
    }
}

/// The view that these events make, one after the other; all of them are about it.
pub(crate) fn given<P: Projection>(events: &[Given]) -> Option<P::View> {
    try_given::<P>(events).unwrap()
}

/// As [`given`], for events that don't go together.
pub(crate) fn try_given<P: Projection>(events: &[Given]) -> Result<Option<P::View>, Unfoldable> {
    events.iter().try_fold(None, |view, event| P::fold(view, &event.recorded()))
}

pub(crate) fn eur(units: i64) -> Money {
    Money { currency_code: "EUR".into(), units, nanos: 500_000_000 }
}

pub(crate) fn created(order_id: &str, customer_id: &str, items: &[(&str, u32)]) -> Given {
    let items =
        items.iter().map(|(sku, quantity)| Item { sku: (*sku).into(), quantity: *quantity, unit_price: eur(2) });
    Event::Order(OrderEvent::OrderCreated {
        order_id: order_id.into(),
        customer_id: customer_id.into(),
        items: items.collect(),
        total: eur(9),
        shipping_address: Box::new(PostalAddress {
            region_code: "DE".into(),
            address_lines: vec!["Chausseestr. 1".into()],
            ..PostalAddress::default()
        }),
    })
    .into()
}

pub(crate) fn cancelled(order_id: &str) -> Given {
    Event::Order(OrderEvent::OrderCancelled {
        order_id: order_id.into(),
        customer_id: "c1".into(),
        reason: "changed their mind".into(),
    })
    .into()
}

pub(crate) fn order_shipped(order_id: &str) -> Given {
    Event::Order(OrderEvent::OrderShipped { order_id: order_id.into(), customer_id: "c1".into() }).into()
}

pub(crate) fn external(order_id: &str) -> Given {
    Event::Order(OrderEvent::ExternalOrderRegistered { order_id: order_id.into() }).into()
}

pub(crate) fn batch_created(batch_ref: &str, quantity: u32, eta: Option<(i32, u32, u32)>) -> Given {
    let eta = eta.map(|(year, month, day)| Date::new(year, month, day).unwrap());
    product(ProductEvent::BatchCreated { batch_ref: batch_ref.into(), sku: "sku".into(), quantity, eta })
}

pub(crate) fn quantity_changed(batch_ref: &str, quantity: u32) -> Given {
    product(ProductEvent::BatchQuantityChanged {
        batch_ref: batch_ref.into(),
        sku: "sku".into(),
        quantity,
        previous_quantity: 0,
    })
}

pub(crate) fn received(batch_ref: &str) -> Given {
    product(ProductEvent::BatchReceived { batch_ref: batch_ref.into(), sku: "sku".into() })
}

pub(crate) fn allocated(order_id: &str, sku: &str, batch_ref: &str, quantity: u32) -> Given {
    product(ProductEvent::Allocated {
        order_id: order_id.into(),
        sku: sku.into(),
        batch_ref: batch_ref.into(),
        quantity,
        from_backorder: false,
    })
}

pub(crate) fn served(order_id: &str, sku: &str, batch_ref: &str, quantity: u32) -> Given {
    product(ProductEvent::Allocated {
        order_id: order_id.into(),
        sku: sku.into(),
        batch_ref: batch_ref.into(),
        quantity,
        from_backorder: true,
    })
}

pub(crate) fn deallocated(order_id: &str, sku: &str, batch_ref: Option<&str>, quantity: u32) -> Given {
    product(ProductEvent::Deallocated {
        order_id: order_id.into(),
        sku: sku.into(),
        quantity,
        batch_ref: batch_ref.map(Into::into),
    })
}

pub(crate) fn out_of_stock(order_id: &str, sku: &str, quantity: u32) -> Given {
    product(ProductEvent::OutOfStock { order_id: order_id.into(), sku: sku.into(), quantity })
}

pub(crate) fn shipped(order_id: &str, sku: &str, batch_ref: &str, quantity: u32) -> Given {
    product(ProductEvent::Shipped { order_id: order_id.into(), sku: sku.into(), batch_ref: batch_ref.into(), quantity })
}

pub(crate) fn claimed(batch_ref: &str) -> Given {
    Event::Batch(tally_domain::batch::Event::BatchRefClaimed { batch_ref: batch_ref.into(), sku: "sku".into() }).into()
}

/// One event of each type that there is.
pub(crate) fn one_of_each() -> Vec<Given> {
    vec![
        created("o1", "c1", &[("sku", 1)]),
        cancelled("o1"),
        order_shipped("o1"),
        external("o1"),
        batch_created("b1", 1, None),
        quantity_changed("b1", 1),
        received("b1"),
        allocated("o1", "sku", "b1", 1),
        deallocated("o1", "sku", None, 1),
        out_of_stock("o1", "sku", 1),
        shipped("o1", "sku", "b1", 1),
        claimed("b1"),
    ]
}

fn product(event: ProductEvent) -> Given {
    Event::Product(event).into()
}
