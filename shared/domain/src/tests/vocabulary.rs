//! Short words for commands and events.

use super::scenario::Entry;
use crate::{Command, Date, Event, Item, Money, PostalAddress, Rejection, StreamId, batch, order, product};

/// The ids of orders that Tally keeps.
pub(super) const OWN: &str = "0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5d6e";
pub(super) const OTHER_OWN: &str = "0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5d6f";
pub(super) const TABLE: Sku = Sku("TABLE");
pub(super) const LAMP: Sku = Sku("LAMP");

pub(super) fn date(text: &str) -> Date {
    text.parse().expect("a date")
}

pub(super) fn on_order(order_id: &str) -> StreamId {
    StreamId::Order(order_id.to_owned())
}

pub(super) fn on_batch(batch_ref: &str) -> StreamId {
    StreamId::Batch(batch_ref.to_owned())
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Sku(pub(super) &'static str);

/// Events.
impl Sku {
    pub(super) fn stream(self) -> StreamId {
        StreamId::Product(self.0.to_owned())
    }

    fn event(self, event: product::Event) -> Entry {
        (self.stream(), Event::Product(event))
    }

    pub(super) fn claimed(self, batch_ref: &str) -> Entry {
        let event = batch::Event::BatchRefClaimed { batch_ref: batch_ref.to_owned(), sku: self.0.to_owned() };
        (on_batch(batch_ref), Event::Batch(event))
    }

    pub(super) fn created(self, batch_ref: &str, quantity: u32) -> Entry {
        self.batch_created(batch_ref, quantity, None)
    }

    pub(super) fn created_due(self, batch_ref: &str, quantity: u32, eta: &str) -> Entry {
        self.batch_created(batch_ref, quantity, Some(date(eta)))
    }

    fn batch_created(self, batch_ref: &str, quantity: u32, eta: Option<Date>) -> Entry {
        let (batch_ref, sku) = (batch_ref.to_owned(), self.0.to_owned());
        self.event(product::Event::BatchCreated { batch_ref, sku, quantity, eta })
    }

    pub(super) fn quantity_changed(self, batch_ref: &str, previous_quantity: u32, quantity: u32) -> Entry {
        let (batch_ref, sku) = (batch_ref.to_owned(), self.0.to_owned());
        self.event(product::Event::BatchQuantityChanged { batch_ref, sku, quantity, previous_quantity })
    }

    pub(super) fn received(self, batch_ref: &str) -> Entry {
        self.event(product::Event::BatchReceived { batch_ref: batch_ref.to_owned(), sku: self.0.to_owned() })
    }

    pub(super) fn allocated(self, order_id: &str, batch_ref: &str, quantity: u32) -> Entry {
        self.line_allocated(order_id, batch_ref, quantity, false)
    }

    /// Allocated from backorder.
    pub(super) fn served(self, order_id: &str, batch_ref: &str, quantity: u32) -> Entry {
        self.line_allocated(order_id, batch_ref, quantity, true)
    }

    fn line_allocated(self, order_id: &str, batch_ref: &str, quantity: u32, from_backorder: bool) -> Entry {
        let (order_id, sku, batch_ref) = (order_id.to_owned(), self.0.to_owned(), batch_ref.to_owned());
        self.event(product::Event::Allocated { order_id, sku, batch_ref, quantity, from_backorder })
    }

    pub(super) fn deallocated(self, order_id: &str, batch_ref: &str, quantity: u32) -> Entry {
        let (order_id, sku, batch_ref) = (order_id.to_owned(), self.0.to_owned(), Some(batch_ref.to_owned()));
        self.event(product::Event::Deallocated { order_id, sku, quantity, batch_ref })
    }

    /// Deallocated while it was waiting.
    pub(super) fn left_queue(self, order_id: &str, quantity: u32) -> Entry {
        let (order_id, sku) = (order_id.to_owned(), self.0.to_owned());
        self.event(product::Event::Deallocated { order_id, sku, quantity, batch_ref: None })
    }

    pub(super) fn out_of_stock(self, order_id: &str, quantity: u32) -> Entry {
        self.event(product::Event::OutOfStock { order_id: order_id.to_owned(), sku: self.0.to_owned(), quantity })
    }

    pub(super) fn shipped(self, order_id: &str, batch_ref: &str, quantity: u32) -> Entry {
        let (order_id, sku, batch_ref) = (order_id.to_owned(), self.0.to_owned(), batch_ref.to_owned());
        self.event(product::Event::Shipped { order_id, sku, batch_ref, quantity })
    }
}

/// Commands.
impl Sku {
    pub(super) fn create_batch(self, batch_ref: &str, quantity: u32) -> Command {
        Command::CreateBatch { batch_ref: batch_ref.to_owned(), sku: self.0.to_owned(), quantity, eta: None }
    }

    pub(super) fn create_batch_due(self, batch_ref: &str, quantity: u32, eta: &str) -> Command {
        let (batch_ref, sku) = (batch_ref.to_owned(), self.0.to_owned());
        Command::CreateBatch { batch_ref, sku, quantity, eta: Some(date(eta)) }
    }

    pub(super) fn allocate(self, order_id: &str, quantity: u32) -> Command {
        Command::Allocate { order_id: order_id.to_owned(), sku: self.0.to_owned(), quantity }
    }

    pub(super) fn deallocate(self, order_id: &str) -> Command {
        Command::Deallocate { order_id: order_id.to_owned(), sku: self.0.to_owned() }
    }
}

pub(super) fn receive(batch_ref: &str) -> Command {
    Command::ReceiveBatch { batch_ref: batch_ref.to_owned() }
}

pub(super) fn change_quantity(batch_ref: &str, quantity: u32) -> Command {
    Command::ChangeBatchQuantity { batch_ref: batch_ref.to_owned(), quantity }
}

pub(super) fn create_order(order_id: &str, lines: impl AsRef<[(Sku, u32)]>) -> Command {
    Command::CreateOrder {
        order_id: order_id.to_owned(),
        customer_id: "c-17".to_owned(),
        items: items(lines),
        shipping_address: Box::new(address()),
    }
}

pub(super) fn cancel(order_id: &str) -> Command {
    Command::CancelOrder { order_id: order_id.to_owned(), reason: "changed their mind".to_owned() }
}

pub(super) fn ship(order_id: &str) -> Command {
    Command::ShipOrder { order_id: order_id.to_owned() }
}

/// Each piece is 10 euros.
pub(super) fn order_created(order_id: &str, lines: impl AsRef<[(Sku, u32)]>) -> Entry {
    let event = order::Event::OrderCreated {
        order_id: order_id.to_owned(),
        customer_id: "c-17".to_owned(),
        items: items(&lines),
        total: euros(lines.as_ref().iter().map(|(_, quantity)| i64::from(*quantity) * 10).sum(), 0),
        shipping_address: Box::new(address()),
    };
    (on_order(order_id), Event::Order(event))
}

pub(super) fn order_cancelled(order_id: &str) -> Entry {
    let (customer_id, reason) = ("c-17".to_owned(), "changed their mind".to_owned());
    let event = order::Event::OrderCancelled { order_id: order_id.to_owned(), customer_id, reason };
    (on_order(order_id), Event::Order(event))
}

pub(super) fn order_shipped(order_id: &str) -> Entry {
    let event = order::Event::OrderShipped { order_id: order_id.to_owned(), customer_id: "c-17".to_owned() };
    (on_order(order_id), Event::Order(event))
}

pub(super) fn registered(order_id: &str) -> Entry {
    let event = order::Event::ExternalOrderRegistered { order_id: order_id.to_owned() };
    (on_order(order_id), Event::Order(event))
}

pub(super) fn euros(units: i64, nanos: i32) -> Money {
    Money { currency_code: "EUR".to_owned(), units, nanos }
}

pub(super) fn items(lines: impl AsRef<[(Sku, u32)]>) -> Vec<Item> {
    let item = |&(Sku(sku), quantity)| Item { sku: String::from(sku), quantity, unit_price: euros(10, 0) };
    lines.as_ref().iter().map(item).collect()
}

pub(super) fn address() -> PostalAddress {
    PostalAddress {
        region_code: "DE".to_owned(),
        postal_code: "10115".to_owned(),
        locality: "Berlin".to_owned(),
        address_lines: vec!["Chausseestr. 1".to_owned()],
        ..PostalAddress::default()
    }
}

pub(super) fn invalid_sku(Sku(sku): Sku) -> Rejection {
    Rejection::InvalidSku { sku: sku.to_owned() }
}

pub(super) fn line_differs(order_id: &str, Sku(sku): Sku, quantity: u32) -> Rejection {
    Rejection::LineDiffers { order_id: order_id.to_owned(), sku: sku.to_owned(), quantity }
}

pub(super) fn allocation_not_found(order_id: &str, Sku(sku): Sku) -> Rejection {
    Rejection::AllocationNotFound { order_id: order_id.to_owned(), sku: sku.to_owned() }
}

pub(super) fn not_in_order(order_id: &str, Sku(sku): Sku) -> Rejection {
    Rejection::NotInOrder { order_id: order_id.to_owned(), sku: sku.to_owned() }
}

pub(super) fn items_not_in_stock(order_id: &str, Sku(sku): Sku) -> Rejection {
    Rejection::ItemsNotInStock { order_id: order_id.to_owned(), sku: sku.to_owned() }
}

pub(super) fn order_is_cancelled(order_id: &str) -> Rejection {
    Rejection::OrderCancelled { order_id: order_id.to_owned() }
}

pub(super) fn order_is_shipped(order_id: &str) -> Rejection {
    Rejection::OrderShipped { order_id: order_id.to_owned() }
}

pub(super) fn order_exists(order_id: &str) -> Rejection {
    Rejection::OrderExists { order_id: order_id.to_owned() }
}

pub(super) fn order_not_found(order_id: &str) -> Rejection {
    Rejection::OrderNotFound { order_id: order_id.to_owned() }
}

pub(super) fn batch_exists(batch_ref: &str) -> Rejection {
    Rejection::BatchExists { batch_ref: batch_ref.to_owned() }
}

pub(super) fn batch_not_found(batch_ref: &str) -> Rejection {
    Rejection::BatchNotFound { batch_ref: batch_ref.to_owned() }
}
