//! What a client knows, and what it wants next because of that.

use std::collections::VecDeque;

use fastrand::Rng;
use system_tests::client::{Date, NewOrder, Outcome};

use crate::history::View;
use crate::intention::Intention;

/// Open orders, and open lines elsewhere, above which a client closes some first: so that products stay small however long a run is.
const OPEN_MAX: usize = 10;
/// Batches that a client makes; after that it refills those.
const BATCHES_MAX: usize = 6;
/// Orders of one customer, so that a customer's page is worth reading.
const ORDERS_PER_CUSTOMER: usize = 25;

/// What a client made and may use.
pub(super) struct Known {
    session: usize,
    rng: Rng,
    made: usize,
    batches: Vec<String>,
    orders: VecDeque<String>,
    /// Orders that could not be shipped.
    unshipped: Vec<String>,
    lines: VecDeque<(String, String)>,
    customers: usize,
    orders_made: usize,
}

impl Known {
    pub(super) fn new(session: usize, rng: Rng) -> Self {
        Self {
            session,
            rng,
            made: 0,
            batches: Vec::new(),
            orders: VecDeque::new(),
            unshipped: Vec::new(),
            lines: VecDeque::new(),
            customers: 0,
            orders_made: 0,
        }
    }

    /// What to do next.
    pub(super) fn next(&mut self, skus: &[String]) -> Intention {
        self.made += 1;
        let name = format!("{}-{}", self.session, self.made);
        let sku = self.sku(skus);
        if let Some(order_id) = self.unshipped.pop() {
            return Intention::CancelOrder { order_id };
        }
        match self.rng.u8(..100) {
            _ if self.orders.len() > OPEN_MAX => self.close_order(),
            _ if self.lines.len() > OPEN_MAX => self.close_line(),
            0..=3 if self.batches.len() < BATCHES_MAX => {
                let eta = self.rng.bool().then(|| Date::new(2099, 1, self.rng.i32(1..28)));
                Intention::CreateBatch { batch_ref: format!("b-{name}"), sku, quantity: self.rng.i32(5..80), eta }
            }
            4..=5 if !self.batches.is_empty() => Intention::ReceiveBatch { batch_ref: self.batch() },
            6..=22 if !self.batches.is_empty() => {
                Intention::ChangeQuantity { batch_ref: self.batch(), quantity: self.rng.i32(0..120) }
            }
            23..=50 => {
                let other = self.sku(skus);
                let mut lines = vec![(sku.as_str(), self.rng.i32(1..6))];
                if other != sku {
                    lines.push((other.as_str(), self.rng.i32(1..4)));
                }
                Intention::CreateOrder(NewOrder::of(&self.customer(), &lines))
            }
            51..=60 if !self.orders.is_empty() => self.close_order(),
            61..=75 if !self.lines.is_empty() => self.close_line(),
            _ => Intention::Allocate { order_id: format!("o-{name}"), sku, quantity: self.rng.i32(1..8) },
        }
    }

    /// What came of it.
    pub(super) fn remember(&mut self, intention: &Intention, outcome: &Outcome) {
        match intention {
            Intention::CreateBatch { batch_ref, .. } => self.batches.push(batch_ref.clone()),
            Intention::Allocate { order_id, sku, .. } => self.lines.push_back((order_id.clone(), sku.clone())),
            Intention::CreateOrder(_) => {
                self.orders.push_back(outcome.order_id.clone());
                self.orders_made += 1;
                self.customers = self.orders_made / ORDERS_PER_CUSTOMER;
            }
            Intention::ReceiveBatch { .. }
            | Intention::ChangeQuantity { .. }
            | Intention::Deallocate { .. }
            | Intention::CancelOrder { .. }
            | Intention::ShipOrder { .. } => {}
        }
    }

    /// What the rules refused. An order that waits for stock is cancelled, or it would wait for ever.
    pub(super) fn refused(&mut self, intention: Intention) {
        if let Intention::ShipOrder { order_id } = intention {
            self.unshipped.push(order_id);
        }
    }

    /// What shows what a command did.
    pub(super) fn view_of(&mut self, intention: &Intention, outcome: &Outcome) -> Option<View> {
        match intention {
            Intention::CreateBatch { sku, .. } => Some(View::Stock(sku.clone())),
            Intention::Allocate { order_id, sku, .. } | Intention::Deallocate { order_id, sku } => {
                let stock = self.rng.bool();
                Some(if stock { View::Stock(sku.clone()) } else { View::Allocations(order_id.clone()) })
            }
            Intention::CreateOrder(order) => {
                let list = self.rng.u8(..4) == 0;
                Some(if list {
                    View::OrdersOf(order.customer_id.clone())
                } else {
                    View::Order(outcome.order_id.clone())
                })
            }
            Intention::CancelOrder { order_id } | Intention::ShipOrder { order_id } => {
                let history = self.rng.bool();
                Some(if history { View::History(order_id.clone()) } else { View::Order(order_id.clone()) })
            }
            Intention::ReceiveBatch { .. } | Intention::ChangeQuantity { .. } => None,
        }
    }

    /// Something to look at.
    pub(super) fn view(&mut self, skus: &[String]) -> View {
        let order = self.rng.choice(&self.orders).cloned();
        let line = self.rng.choice(&self.lines).map(|(order, _)| order.clone());
        match (self.rng.u8(..7), order, line) {
            (0, Some(order), _) => View::Order(order),
            (1, Some(order), _) => View::Allocations(order),
            (2, Some(order), _) => View::History(order),
            (3, _, Some(order)) => View::Allocations(order),
            (4, ..) => View::OrdersOf(self.customer()),
            (5, ..) => View::Backorders(self.sku(skus)),
            _ => View::Stock(self.sku(skus)),
        }
    }

    /// Something to watch: an order of its own, or a stock.
    pub(super) fn watched(&mut self, skus: &[String]) -> View {
        match self.rng.choice(&self.orders).cloned() {
            Some(order) if self.rng.bool() => View::Order(order),
            _ => View::Stock(self.sku(skus)),
        }
    }

    fn close_order(&mut self) -> Intention {
        let order_id = self.orders.pop_front().unwrap_or_default();
        if self.rng.u8(..3) == 0 { Intention::ShipOrder { order_id } } else { Intention::CancelOrder { order_id } }
    }

    fn close_line(&mut self) -> Intention {
        let (order_id, sku) = self.lines.pop_front().unwrap_or_default();
        Intention::Deallocate { order_id, sku }
    }

    fn batch(&mut self) -> String {
        self.rng.choice(&self.batches).cloned().unwrap_or_default()
    }

    /// Half of the time one of the first two, so that some are hot.
    fn sku(&mut self, skus: &[String]) -> String {
        let among = if self.rng.bool() { skus.len().min(2) } else { skus.len() };
        skus[self.rng.usize(..among)].clone()
    }

    fn customer(&self) -> String {
        format!("c-{}-{}", self.session, self.customers)
    }
}
