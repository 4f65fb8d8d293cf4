//! A small history with its log: a batch of ten lamps, of which an order gets three.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use system_tests::client::{Allocation, Batch, Stock};
use system_tests::{Log, StoredEvent};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::checker::published::is_published;
use crate::checker::subscriptions::of_stored;
use crate::checker::views::{of_allocations, of_backorders, of_stock};
use crate::checker::{Rule, Verdict, WAITED_MS, check};
use crate::history::{
    Asked, Attempt, AttemptResult, EventFilter, Failed, Handed, History, Injected, Published, Read, ReadResult, Shown,
    Start, StreamEnd, Subscription, Told, View, Watch,
};

/// A history and the log that it is held against.
pub(super) struct Story {
    pub(super) history: History,
    pub(super) log: Log,
}

pub(super) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(super) fn failed(code: &str, reason: &str, says_when: bool) -> Failed {
    Failed { code: code.to_owned(), reason: reason.to_owned(), is_local: false, says_when }
}

pub(super) fn unknown() -> AttemptResult {
    AttemptResult::Unknown(failed("Unavailable", "STORE_UNAVAILABLE", true))
}

impl Story {
    /// Command 1 creates the batch (positions 1 and 2), command 2 allocates (position 3), command 3 allocates again and changes nothing.
    pub(super) fn good() -> Self {
        let log = Log { id: id(0), head: 0, events: Vec::new(), unchanged: BTreeSet::from([id(3)]) };
        let mut story = Self { history: History::default(), log };
        story.event(1, Some(2), "batch-b", 1, "BatchRefClaimed", json!({"batch_ref": "b", "sku": "LAMP"}));
        let batch = json!({"batch_ref": "b", "sku": "LAMP", "quantity": 10});
        story.event(1, None, "product-LAMP", 1, "BatchCreated", batch);
        story.event(2, Some(1), "product-LAMP", 2, "Allocated", allocated("o", 3));
        story.acknowledge(1, 10, 20, "product-LAMP", 1, 2);
        story.acknowledge(2, 30, 40, "product-LAMP", 2, 3);
        story.acknowledge(3, 50, 60, "product-LAMP", 2, 3);
        story.read_stock(70, 0, false, 0);
        story.read_stock(80, 2, false, 2);
        story.read_stock(90, 3, false, 3);
        let rows = of_allocations(&[Allocation::new("LAMP", "b", 3)]);
        story.read(View::Allocations("o".to_owned()), 100, 3, false, 3, Some(rows));
        story.read(View::Order("o".to_owned()), 110, 3, false, 3, None);
        story.read(View::History("o".to_owned()), 120, 3, false, 3, None);
        story.read(View::Backorders("LAMP".to_owned()), 130, 3, false, 3, Some(of_backorders(&[])));
        story
    }

    pub(super) fn check(&self) -> Verdict {
        check(&self.history, &self.log)
    }

    /// The rules that it breaks.
    pub(super) fn broken(&self) -> BTreeSet<Rule> {
        self.check().violations.into_iter().map(|violation| violation.rule).collect()
    }

    pub(super) fn event(
        &mut self,
        command: u128,
        count: Option<i32>,
        stream_id: &str,
        version: i64,
        event_type: &str,
        payload: Value,
    ) {
        self.log.head += 1;
        self.log.events.push(StoredEvent {
            position: self.log.head,
            stream_id: stream_id.to_owned(),
            version,
            event_type: event_type.to_owned(),
            payload,
            command_id: id(command),
            command_events: count,
            recorded_at: OffsetDateTime::UNIX_EPOCH,
            metadata: json!({"traceparent": "00-1-2-00"}),
        });
    }

    fn attempt(&mut self, command: u128, invoked_us: u64, ended_us: u64, result: AttemptResult) {
        let (session, kind, replica) = (1, "Allocate", 0);
        let command_id = id(command);
        self.history.attempts.push(Attempt { command_id, session, kind, replica, invoked_us, ended_us, result });
    }

    pub(super) fn acknowledge(
        &mut self,
        command: u128,
        invoked_us: u64,
        ended_us: u64,
        stream_id: &str,
        version: i64,
        position: i64,
    ) {
        let stream_id = stream_id.to_owned();
        let result = AttemptResult::Acknowledged { stream_id, version, position, answer: 1 };
        self.attempt(command, invoked_us, ended_us, result);
    }

    pub(super) fn unknown(&mut self, command: u128, invoked_us: u64, ended_us: u64) {
        self.attempt(command, invoked_us, ended_us, unknown());
    }

    pub(super) fn refused(&mut self, command: u128, invoked_us: u64, ended_us: u64, failed: Failed) {
        self.attempt(command, invoked_us, ended_us, AttemptResult::Refused(failed));
    }

    /// The same answer as the first time.
    pub(super) fn again(&mut self, command: u128, invoked_us: u64, ended_us: u64) {
        let first = self.history.attempts.iter().find(|attempt| attempt.command_id == id(command));
        let result = first.map(|first| first.result.clone());
        self.unknown(command, invoked_us, ended_us);
        self.attempt(command, ended_us, ended_us + 1, result.unwrap_or_else(unknown));
    }

    pub(super) fn result_of(&mut self, command: u128, result: AttemptResult) {
        for attempt in self.history.attempts.iter_mut().filter(|attempt| attempt.command_id == id(command)) {
            attempt.result = result.clone();
        }
    }

    pub(super) fn read(
        &mut self,
        view: View,
        invoked_us: u64,
        position: i64,
        may_be_stale: bool,
        wanted: i64,
        shown: Option<u64>,
    ) {
        let result = ReadResult::Answered { position, may_be_stale, view: shown };
        let (session, replica, ended_us, wait_ms) = (1, 0, invoked_us + 1, WAITED_MS);
        let asked = Asked { session, view, replica, invoked_us, ended_us, wanted, wait_ms };
        self.history.reads.push(Read { asked, result });
    }

    /// The stock as it should be shown as of `position`.
    pub(super) fn read_stock(&mut self, invoked_us: u64, position: i64, may_be_stale: bool, wanted: i64) {
        let shown = match position {
            0 | 1 => None,
            2 => Some(of_stock(stock(0, 1))),
            _ => Some(of_stock(stock(3, 2))),
        };
        self.read(View::Stock("LAMP".to_owned()), invoked_us, position, may_be_stale, wanted, shown);
    }

    /// The same with one who watches the stock, one who follows the log, and all that is published.
    pub(super) fn listened_to(mut self) -> Self {
        self.watch(2, vec![told(2, Some(1)), told(3, Some(2)), told(3, None)], StreamEnd::GivenUp);
        let handed = vec![self.handed(0, &[]), self.handed(2, &[1, 2]), self.handed(3, &[3])];
        self.subscription(Start::After(0), EventFilter::default(), handed, StreamEnd::GivenUp);
        self.publish();
        self
    }

    pub(super) fn watch(&mut self, wanted: i64, told: Vec<Told>, end: StreamEnd) {
        let (session, view, replica) = (1, View::Stock("LAMP".to_owned()), 0);
        let (invoked_us, ended_us, wait_ms) = (200, 300, WAITED_MS);
        let asked = Asked { session, view, replica, invoked_us, ended_us, wanted, wait_ms };
        self.history.watches = vec![Watch { asked, told, end }];
    }

    pub(super) fn subscription(&mut self, start: Start, filter: EventFilter, handed: Vec<Handed>, end: StreamEnd) {
        let (session, replica, invoked_us, ended_us) = (1, 0, 200, 300);
        self.history.subscriptions =
            vec![Subscription { session, replica, invoked_us, ended_us, start, filter, handed, end }];
    }

    /// A message up to `position` with the events at `positions`.
    pub(super) fn handed(&self, position: i64, positions: &[usize]) -> Handed {
        let event = |position: &usize| {
            let event = &self.log.events[position - 1];
            (event.position, of_stored(event))
        };
        Handed { events: positions.iter().map(event).collect(), position, head: self.log.head }
    }

    /// All of the log that is for others.
    pub(super) fn publish(&mut self) {
        let lines = self.log.events.iter().filter(|event| is_published(event));
        let entries = lines.map(|event| (format!("{}-0", event.position), vec![field(event)]));
        self.history.published = Some(Published { log: "main".to_owned(), kept_max: 100, entries: entries.collect() });
    }

    /// What is published.
    pub(super) fn published(&mut self) -> &mut Published {
        self.history.published.as_mut().unwrap()
    }

    pub(super) fn fault(&mut self, began_us: u64, healed_us: u64, is_harmless: bool) {
        self.history.faults.push(Injected { fault: "kill-redis", is_harmless, began_us, healed_us });
    }
}

/// A message of a watch of the stock: as it is in this version, or as a sign of life.
pub(super) fn told(position: i64, version: Option<i64>) -> Told {
    let shown = version.map(|version| {
        let view = if version < 2 { stock(0, 1) } else { stock(3, 2) };
        Shown { version, view: of_stock(view) }
    });
    Told { at_us: 250, position, may_be_stale: false, shown }
}

fn field(event: &StoredEvent) -> (String, String) {
    let event = json!({
        "specversion": "1.0",
        "id": event.position.to_string(),
        "source": "/tally/main",
        "type": format!("tally.allocation.v1.{}", event.event_type),
        "subject": event.stream_id,
        "time": "1970-01-01T00:00:00Z",
        "datacontenttype": "application/json",
        "data": event.payload,
        "commandid": event.command_id,
        "traceparent": "00-1-2-00",
    });
    ("event".to_owned(), event.to_string())
}

pub(super) fn allocated(order_id: &str, quantity: i32) -> Value {
    json!({"order_id": order_id, "sku": "LAMP", "quantity": quantity, "batch_ref": "b", "from_backorder": false})
}

fn stock(allocated: i32, version: i64) -> Stock {
    let available = 10 - allocated;
    let batch_ref = "b".to_owned();
    Stock {
        sku: "LAMP".to_owned(),
        batches: vec![Batch { batch_ref, quantity: 10, allocated, available, eta: None, arrival: 2 }],
        available_now: available.into(),
        allocated: allocated.into(),
        version,
        ..Stock::default()
    }
}
