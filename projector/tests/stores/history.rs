//! Commands decided by the real rules, so that what is appended is what command-service would append.

use std::collections::HashMap;

use tally_domain::{Command, Event, Item, Money, StreamId, StreamState, decide, missing_streams};
use tally_event_store::{Batch, Metadata, NewCommand, NewEvent};
use uuid::Uuid;

/// Decides commands on what it decided before.
#[derive(Default)]
pub(crate) struct History {
    states: HashMap<StreamId, StreamState>,
    versions: HashMap<StreamId, u64>,
    random: u64,
    orders: Vec<String>,
    batches: Vec<String>,
}

impl History {
    /// What is to be appended for a command; None when it is refused or changes nothing.
    pub(crate) fn decide(&mut self, command: &Command) -> Option<NewCommand> {
        loop {
            let missing = missing_streams(command, &self.states);
            if missing.is_empty() {
                break;
            }
            self.states.extend(missing.into_iter().map(|id| (id.clone(), StreamState::empty(&id))));
        }
        let events = decide(command, &self.states).ok()?.events;
        (!events.is_empty()).then(|| self.new_command(events))
    }

    pub(crate) fn new_command(&mut self, events: Vec<(StreamId, Event)>) -> NewCommand {
        let mut new_event = |(stream, event): (StreamId, Event)| {
            let version = self.versions.entry(stream.clone()).or_default();
            *version += 1;
            self.states.entry(stream.clone()).or_insert_with(|| StreamState::empty(&stream)).evolve(&event);
            NewEvent {
                stream_id: stream.to_string(),
                version: *version,
                event_type: event.event_type(),
                payload: event.payload(),
            }
        };
        NewCommand {
            command_id: Uuid::now_v7(),
            content_hash: [0; 32],
            metadata: Metadata::default(),
            events: events.into_iter().map(&mut new_event).collect(),
            unchanged: None,
        }
    }

    /// As many accepted commands, of every kind, on few SKUs and customers, so that much happens to each view.
    pub(crate) fn random_commands(&mut self, count: usize) -> Batch {
        let mut commands = Vec::new();
        while commands.len() < count {
            let command = self.random_command();
            commands.extend(self.decide(&command));
        }
        Batch { commands, guards: Vec::new() }
    }

    fn random_command(&mut self) -> Command {
        let order_id = self.one_of(|history| &history.orders).unwrap_or_else(|| "elsewhere-0".to_owned());
        let batch_ref = self.one_of(|history| &history.batches).unwrap_or_default();
        let quantity = 1 + self.below(20);
        let sku = format!("sku-{}", self.below(4));
        match self.below(12) {
            0 => Command::CreateBatch {
                batch_ref: self.new_batch(),
                sku,
                quantity: 5 * quantity,
                eta: (quantity < 10).then(|| tally_domain::Date::new(2030, quantity, 1).unwrap()),
            },
            1 => Command::ReceiveBatch { batch_ref },
            2 => Command::ChangeBatchQuantity { batch_ref, quantity: 4 * quantity },
            3 | 4 => {
                let order_id = format!("elsewhere-{}", self.below(20));
                Command::Allocate { order_id, sku, quantity }
            }
            5 => Command::Deallocate { order_id: format!("elsewhere-{}", self.below(20)), sku },
            6 => Command::Deallocate { order_id, sku },
            7 => Command::CancelOrder { order_id, reason: "random".to_owned() },
            8 => Command::ShipOrder { order_id },
            _ => self.new_order(quantity),
        }
    }

    fn new_batch(&mut self) -> String {
        self.batches.push(format!("batch-{}", self.batches.len()));
        self.batches.last().cloned().unwrap_or_default()
    }

    fn new_order(&mut self, quantity: u32) -> Command {
        let customer_id = format!("customer/{}", self.below(3));
        let skus = 1 + self.below(3);
        // Spread, so that the order of ids is not that of the orders.
        let id = u128::from(self.below(u32::MAX)) << 64 | self.orders.len() as u128;
        self.orders.push(Uuid::from_u128(id).to_string());
        let unit_price = Money { currency_code: "EUR".into(), units: 2, nanos: 500_000_000 };
        let items = (0..skus).map(|n| Item { sku: format!("sku-{n}"), quantity, unit_price: unit_price.clone() });
        Command::CreateOrder {
            order_id: self.orders.last().cloned().unwrap_or_default(),
            customer_id,
            items: items.collect(),
            shipping_address: Box::default(),
        }
    }

    fn one_of(&mut self, all: impl Fn(&Self) -> &Vec<String>) -> Option<String> {
        let count = all(self).len() as u32;
        (count > 0).then(|| self.below(count)).map(|place| all(self)[place as usize].clone())
    }

    /// The same numbers in every run.
    fn below(&mut self, bound: u32) -> u32 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.random >> 33) % u64::from(bound)) as u32
    }
}
