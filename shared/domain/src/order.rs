//! An order, from its creation until it is shipped or cancelled. Which stock its lines have is the products' matter.

use serde::{Deserialize, Serialize};

use crate::{Money, PostalAddress, Rejection};

/// One line of an order. The names of the fields are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What is ordered; each SKU stands once in an order.
    pub sku: String,
    /// Pieces.
    pub quantity: u32,
    /// The price of one piece.
    pub unit_price: Money,
}

/// What happens to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are named by what they hold")]
pub enum Event {
    /// It was placed. The only event with personal data.
    OrderCreated {
        order_id: String,
        customer_id: String,
        items: Vec<Item>,
        total: Money,
        shipping_address: Box<PostalAddress>,
    },
    /// It was called off.
    OrderCancelled { order_id: String, customer_id: String, reason: String },
    /// It has left the warehouse.
    OrderShipped { order_id: String, customer_id: String },
    /// Stock was asked for an order with this UUID, which Tally does not keep: no order of its own may take the id any more.
    ExternalOrderRegistered { order_id: String },
}

impl Event {
    /// The name that it is stored under.
    pub fn event_type(&self) -> &'static str {
        match self {
            Event::OrderCreated { .. } => "OrderCreated",
            Event::OrderCancelled { .. } => "OrderCancelled",
            Event::OrderShipped { .. } => "OrderShipped",
            Event::ExternalOrderRegistered { .. } => "ExternalOrderRegistered",
        }
    }
}

/// What later commands must know of an order. No address, no prices: nothing decides on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// There is none.
    Absent,
    /// It is kept elsewhere.
    External,
    /// It may still be changed.
    Open(OpenOrder),
    /// It was called off and holds no stock.
    Cancelled {
        /// Whose it is.
        customer_id: String,
    },
    /// It has left the warehouse.
    Shipped {
        /// Whose it is.
        customer_id: String,
    },
}

/// An order that is neither shipped nor cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOrder {
    customer_id: String,
    lines: Vec<Line>,
}

/// A SKU and how many of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) sku: String,
    pub(crate) quantity: u32,
}

impl Order {
    /// Takes in the next event. Gives what it was before.
    pub fn evolve(&mut self, event: &Event) -> Order {
        let next = match event {
            Event::OrderCreated { customer_id, items, .. } => Order::Open(OpenOrder {
                customer_id: customer_id.clone(),
                lines: items.iter().map(|item| Line { sku: item.sku.clone(), quantity: item.quantity }).collect(),
            }),
            Event::OrderCancelled { customer_id, .. } => Order::Cancelled { customer_id: customer_id.clone() },
            Event::OrderShipped { customer_id, .. } => Order::Shipped { customer_id: customer_id.clone() },
            Event::ExternalOrderRegistered { .. } => Order::External,
        };
        std::mem::replace(self, next)
    }

    /// Its lines while they may still hold stock.
    pub(crate) fn open_lines(&self) -> &[Line] {
        match self {
            Order::Open(order) => &order.lines,
            Order::Absent | Order::External | Order::Cancelled { .. } | Order::Shipped { .. } => &[],
        }
    }

    /// Whose it is; None where Tally keeps no such order.
    pub fn customer_id(&self) -> Option<&str> {
        match self {
            Order::Open(OpenOrder { customer_id, .. })
            | Order::Cancelled { customer_id }
            | Order::Shipped { customer_id } => Some(customer_id),
            Order::Absent | Order::External => None,
        }
    }

    pub(crate) fn footprint(&self) -> usize {
        match self {
            Order::Open(OpenOrder { customer_id, lines }) => {
                customer_id.len() + lines.iter().map(|line| size_of::<Line>() + line.sku.len()).sum::<usize>()
            }
            Order::Cancelled { customer_id } | Order::Shipped { customer_id } => customer_id.len(),
            Order::Absent | Order::External => 0,
        }
    }
}

impl Order {
    /// Places it, if the id is free.
    pub(crate) fn create(
        &self,
        order_id: &str,
        customer_id: &str,
        items: &[Item],
        shipping_address: &PostalAddress,
    ) -> Result<Event, Rejection> {
        match self {
            Order::Absent => Ok(Event::OrderCreated {
                order_id: order_id.to_owned(),
                customer_id: customer_id.to_owned(),
                items: items.to_vec(),
                total: total(items).ok_or(Rejection::TotalOverflow)?,
                shipping_address: Box::new(shipping_address.clone()),
            }),
            Order::External | Order::Open(_) | Order::Cancelled { .. } | Order::Shipped { .. } => {
                Err(Rejection::OrderExists { order_id: order_id.to_owned() })
            }
        }
    }

    /// Calls it off; nothing when it is.
    pub(crate) fn cancel(&self, order_id: &str, reason: &str) -> Result<Option<Event>, Rejection> {
        match self {
            Order::Open(order) => Ok(Some(Event::OrderCancelled {
                order_id: order_id.to_owned(),
                customer_id: order.customer_id.clone(),
                reason: reason.to_owned(),
            })),
            Order::Cancelled { .. } => Ok(None),
            Order::Shipped { .. } => Err(Rejection::OrderShipped { order_id: order_id.to_owned() }),
            Order::Absent | Order::External => Err(Rejection::OrderNotFound { order_id: order_id.to_owned() }),
        }
    }

    /// Sends it out; nothing when it is gone. Whether its lines have stock is not asked here.
    pub(crate) fn ship(&self, order_id: &str) -> Result<Option<Event>, Rejection> {
        match self {
            Order::Open(order) => {
                Ok(Some(Event::OrderShipped { order_id: order_id.to_owned(), customer_id: order.customer_id.clone() }))
            }
            Order::Shipped { .. } => Ok(None),
            Order::Cancelled { .. } => Err(Rejection::OrderCancelled { order_id: order_id.to_owned() }),
            Order::Absent | Order::External => Err(Rejection::OrderNotFound { order_id: order_id.to_owned() }),
        }
    }

    /// Whether the line may be given stock; with the event that must come first, where one must.
    pub(crate) fn admit(&self, order_id: &str, sku: &str, quantity: u32) -> Result<Option<Event>, Rejection> {
        match self {
            Order::Absent => Ok(Some(Event::ExternalOrderRegistered { order_id: order_id.to_owned() })),
            Order::Open(order) => match order.lines.iter().find(|line| line.sku == sku) {
                Some(line) if line.quantity == quantity => Ok(None),
                Some(line) => Err(Rejection::LineDiffers {
                    order_id: order_id.to_owned(),
                    sku: sku.to_owned(),
                    quantity: line.quantity,
                }),
                None => Err(Rejection::NotInOrder { order_id: order_id.to_owned(), sku: sku.to_owned() }),
            },
            Order::External => Ok(None),
            Order::Cancelled { .. } | Order::Shipped { .. } => self.check_not_closed(order_id).map(|()| None),
        }
    }

    /// Whether stock may still move to or from its lines.
    pub(crate) fn check_not_closed(&self, order_id: &str) -> Result<(), Rejection> {
        match self {
            Order::Absent | Order::External | Order::Open(_) => Ok(()),
            Order::Cancelled { .. } => Err(Rejection::OrderCancelled { order_id: order_id.to_owned() }),
            Order::Shipped { .. } => Err(Rejection::OrderShipped { order_id: order_id.to_owned() }),
        }
    }
}

/// The sum of quantity × price; none when it can't be written down.
fn total(items: &[Item]) -> Option<Money> {
    let (first, others) = items.split_first()?;
    others.iter().try_fold(first.unit_price.checked_mul(first.quantity)?, |sum, item| {
        sum.checked_add(&item.unit_price.checked_mul(item.quantity)?)
    })
}
