//! What holds after any commands whatever.

use std::collections::{BTreeMap, HashMap};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::model::{Kept, Model};
use super::scenario::{Entry, Log, given};
use super::vocabulary::*;
use crate::order::Order;
use crate::product::Picture;
use crate::{Command, Decision, Event, Money, Rejection, StreamId, StreamState, decide, needed_streams};

const SKUS: [Sku; 2] = [TABLE, LAMP];

/// Few names and small numbers, so that commands meet.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let sku = || select(&SKUS[..]);
    let batch_ref = || select(&["b1", "b2", "b3", "b4", "b5", "b6"][..]);
    let own = || select(&[OWN, OTHER_OWN, "00000000-0000-4000-8000-000000000000"][..]);
    let order_id = || prop_oneof![3 => select(&["o1", "o2", "o3", "o4", "o5"][..]), 1 => own()];
    let quantity = || 1..=7_u32;
    let eta = option::weighted(0.4, select(&["2011-01-01", "2011-01-02"][..]));
    let lines = vec(quantity(), 2).prop_map(|quantities| SKUS.into_iter().zip(quantities).collect::<Vec<_>>());
    let lines = lines.prop_flat_map(|lines| subsequence(lines, 1..=2));
    let command = prop_oneof![
        4 => (batch_ref(), sku(), 1..=12_u32, eta).prop_map(|(batch_ref, sku, quantity, eta)| match eta {
            Some(eta) => sku.create_batch_due(batch_ref, quantity, eta),
            None => sku.create_batch(batch_ref, quantity),
        }),
        2 => batch_ref().prop_map(receive),
        5 => (batch_ref(), 0..=12_u32).prop_map(|(batch_ref, quantity)| change_quantity(batch_ref, quantity)),
        10 => (sku(), order_id(), quantity()).prop_map(|(sku, order_id, quantity)| sku.allocate(order_id, quantity)),
        4 => (sku(), order_id()).prop_map(|(sku, order_id)| sku.deallocate(order_id)),
        2 => (own(), lines).prop_map(|(order_id, lines)| create_order(order_id, lines)),
        1 => own().prop_map(cancel),
        2 => own().prop_map(ship),
    ];
    vec(command, 1..60)
}

/// A log that is filled by commands, with all that was appended to it.
#[derive(Default)]
struct History {
    log: Log,
    entries: Vec<Entry>,
}

impl History {
    /// Decides, and appends event by event; never is more allocated than there is.
    fn execute(&mut self, command: &Command) -> Result<Decision, Rejection> {
        let decision = self.log.decide(command)?;
        for entry in &decision.events {
            self.log.append(entry);
            for (sku, picture) in self.pictures() {
                for batch in picture.batches {
                    assert!(batch.allocated() <= batch.quantity, "{sku}: {batch:?} after {entry:?}");
                }
            }
        }
        self.entries.extend(decision.events.clone());
        Ok(decision)
    }

    fn pictures(&self) -> BTreeMap<String, Picture> {
        let known = self.log.0.iter().filter_map(|(id, state)| match (id, state) {
            (StreamId::Product(sku), StreamState::Product(product)) => Some((sku.clone(), product.picture())),
            _ => None,
        });
        known.filter(|(_, picture)| *picture != Picture::default()).collect()
    }

    fn orders(&self) -> BTreeMap<String, Order> {
        let known = self.log.0.iter().filter_map(|(id, state)| match (id, state) {
            (StreamId::Order(order_id), StreamState::Order(order)) => Some((order_id.clone(), order.clone())),
            _ => None,
        });
        known.filter(|(_, order)| *order != Order::Absent).collect()
    }
}

fn agree(kept: Option<&Kept>, order: &Order) -> bool {
    match kept {
        None => false,
        Some(Kept::Elsewhere) => *order == Order::External,
        Some(Kept::Cancelled) => matches!(order, Order::Cancelled { .. }),
        Some(Kept::Shipped) => matches!(order, Order::Shipped { .. }),
        Some(Kept::Open(items)) => {
            let lines = order.open_lines().iter().map(|line| (&line.sku, line.quantity));
            lines.eq(items.iter().map(|item| (&item.sku, item.quantity)))
        }
    }
}

proptest! {
    #[test]
    fn a_naive_model_agrees_after_every_command(commands in commands()) {
        let (mut history, mut model) = (History::default(), Model::default());
        for command in &commands {
            let outcome = history.execute(command).map(|_| ()).map_err(|rejection| rejection.reason());
            prop_assert_eq!(outcome, model.execute(command), "{:?}", command);
            prop_assert_eq!(&history.pictures(), &model.stock, "{:?}", command);
            let orders = history.orders();
            prop_assert_eq!(orders.len(), model.orders.len());
            prop_assert!(orders.iter().all(|(id, order)| agree(model.orders.get(id), order)), "{:?}", command);
        }
    }

    #[test]
    fn no_backorder_waits_that_some_batch_could_hold(commands in commands()) {
        let mut history = History::default();
        for command in &commands {
            let _refused_or_not = history.execute(command);
            for mut picture in history.pictures().into_values() {
                for (order_id, quantity) in picture.waiting.clone() {
                    prop_assert_eq!(picture.choice(quantity), None, "{} after {:?}", order_id, command);
                }
            }
        }
    }

    #[test]
    fn a_repeated_command_changes_nothing(commands in commands()) {
        let mut history = History::default();
        for command in &commands {
            if history.execute(command).is_err() {
                continue;
            }
            let before = history.log.clone();
            let again = history.execute(command).map(|decision| decision.events).map_err(|rejection| rejection.reason());
            let expected = match command {
                Command::ReceiveBatch { .. }
                | Command::ChangeBatchQuantity { .. }
                | Command::Allocate { .. }
                | Command::CancelOrder { .. }
                | Command::ShipOrder { .. } => Ok(vec![]),
                Command::CreateBatch { .. } => Err("BATCH_EXISTS"),
                Command::CreateOrder { .. } => Err("ORDER_EXISTS"),
                Command::Deallocate { .. } => Err("ALLOCATION_NOT_FOUND"),
            };
            prop_assert_eq!(again, expected, "{:?}", command);
            prop_assert_eq!(&history.log, &before);
        }
    }

    #[test]
    fn the_fold_of_the_stored_events_is_the_state_that_was_decided_on(commands in commands()) {
        let mut history = History::default();
        for command in &commands {
            let _refused_or_not = history.execute(command);
        }
        let mut folded = Log::default();
        for (stream, event) in &history.entries {
            let stored_name = stream.to_string().parse().expect("a stream id");
            let stored = Event::from_stored(event.event_type(), &event.payload()).expect("an event");
            folded.append(&(stored_name, stored));
        }
        let empty = |id: &StreamId, state: &StreamState| *state == StreamState::empty(id);
        history.log.0.retain(|id, state| !empty(id, state));
        prop_assert_eq!(folded, history.log);
    }

    #[test]
    fn a_decision_rests_on_the_streams_that_are_needed_and_writes_no_other(commands in commands()) {
        let mut history = History::default();
        for command in &commands {
            let decided = history.log.decide(command);
            let needed = needed_streams(command, &history.log.0);
            let only_needed: HashMap<_, _> = needed.iter().map(|id| (id.clone(), history.log.0[id].clone())).collect();
            prop_assert_eq!(&decide(command, &only_needed), &decided);
            if let Ok(decision) = history.execute(command) {
                prop_assert!(decision.events.is_empty() || decision.standing.is_empty());
                prop_assert!(needed.contains(&decision.stream));
                prop_assert!(decision.events.iter().all(|(stream, _)| needed.contains(stream)));
            }
        }
    }

    #[test]
    fn events_that_are_taken_back_leave_nothing_behind(commands in commands(), kept in 0..60_usize) {
        let mut history = History::default();
        for command in &commands {
            let _refused_or_not = history.execute(command);
        }
        let (kept, undone) = history.entries.split_at(kept.min(history.entries.len()));
        let mut log = given(kept.iter().cloned());
        for id in history.log.0.keys() {
            log.0.entry(id.clone()).or_insert_with(|| StreamState::empty(id));
        }
        let before = log.clone();
        let undos: Vec<_> = undone.iter().map(|(id, event)| (id, log.0.get_mut(id).expect("there").evolve(event))).collect();
        for (id, undo) in undos.into_iter().rev() {
            log.0.get_mut(id).expect("there").undo(undo);
        }
        prop_assert_eq!(&log, &before);
        let pictures = |log: Log| History { log, entries: Vec::new() }.pictures();
        prop_assert_eq!(pictures(log), pictures(before));
    }

    #[test]
    fn a_state_made_from_its_snapshot_is_the_same_and_goes_on_the_same(commands in commands(), kept in 0..60_usize) {
        let mut history = History::default();
        for command in &commands {
            let _refused_or_not = history.execute(command);
        }
        let (before, after) = history.entries.split_at(kept.min(history.entries.len()));
        let mut log = given(before.iter().cloned());
        for (id, state) in &mut log.0 {
            let Some(snapshot) = state.to_snapshot() else { continue };
            let text = serde_json::to_string(&snapshot).expect("JSON");
            let restored = StreamState::from_snapshot(serde_json::from_str(&text).expect("a snapshot"));
            prop_assert_eq!(&restored, &*state, "{}", id);
            *state = restored;
        }
        for entry in after {
            log.append(entry);
        }
        let empty = |id: &StreamId, state: &StreamState| *state == StreamState::empty(id);
        history.log.0.retain(|id, state| !empty(id, state));
        prop_assert_eq!(log, history.log);
    }

    #[test]
    fn money_is_as_exact_as_whole_nanos(left in amounts(), right in amounts(), times in any::<u32>()) {
        prop_assert_eq!(left.checked_add(&right), written_down(nanos(&left) + nanos(&right)));
        prop_assert_eq!(left.checked_mul(times), written_down(nanos(&left) * i128::from(times)));
    }
}

/// Small amounts, any, and those at the edge.
fn amounts() -> impl Strategy<Value = Money> {
    let units =
        prop_oneof![0..3_i64, 0..=i64::MAX, (0..3_i64).prop_map(|less| i64::MAX - less), 0..=i64::MAX / 1_000_000];
    let nanos = prop_oneof![Just(0), Just(999_999_999), 0..1_000_000_000];
    (units, nanos).prop_map(|(units, nanos)| euros(units, nanos))
}

fn nanos(money: &Money) -> i128 {
    i128::from(money.units) * 1_000_000_000 + i128::from(money.nanos)
}

fn written_down(nanos: i128) -> Option<Money> {
    let units = i64::try_from(nanos / 1_000_000_000).ok()?;
    Some(euros(units, i32::try_from(nanos % 1_000_000_000).ok()?))
}
