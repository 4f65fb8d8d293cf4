//! The sequencer on a real log, with commands handed in in a known order.

mod batches;
mod beside;
mod cancellation;
mod order;
mod snapshots;

use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tally_domain::{Command, Event, Item, Money, PostalAddress, Rejection, SNAPSHOT_FORMAT, StreamId, product};
use tally_event_store::{AppendOptions, AppendStore, Batch, LogName, Metadata, NewCommand, NewEvent, migrate};
use uuid::Uuid;

use super::{Failure, Limits, Outcome, Sequencer, Submission};
use crate::doorbell::Doorbell;

/// Far longer than anything here takes, on a busy machine too.
const DEADLINE: Duration = Duration::from_secs(60);

const LIMITS: Limits = Limits {
    commands_in_flight_max: 8_192,
    commands_in_flight_kib_max: 8_192,
    batch_commands_max: 1_024,
    batch_events_max: 4_096,
    state_cache_bytes_max: 16 * 1024 * 1024,
    recent_commands_max: 1_000,
};

struct Log {
    url: String,
    name: LogName,
    store: AppendStore,
}

impl Log {
    async fn fresh() -> Self {
        let (url, name) = (tally_servers::fresh_database().await, LogName::default());
        migrate(&url, &name).await.expect("a migrated log");
        let options = AppendOptions {
            acquire_timeout: DEADLINE,
            statement_timeout: DEADLINE,
            snapshot_format: SNAPSHOT_FORMAT,
            ..AppendOptions::default()
        };
        let store = AppendStore::connect(&url, &name, options).await.expect("a store");
        Self { url, name, store }
    }

    /// One that knows nothing yet.
    fn sequencer(&self) -> Sequencer {
        Sequencer::start(self.store.clone(), Doorbell::new().0, LIMITS).0
    }

    async fn owner(&self) -> PgConnection {
        let mut connection = PgConnection::connect(&self.url).await.expect("a connection");
        let path = format!("SET search_path = {}", self.name.schema());
        connection.execute(AssertSqlSafe(path)).await.expect("the schema");
        connection
    }

    /// A SKU with a batch of its name, and as many events behind it as lines that came and went.
    async fn product_with_a_past(&self, sku: &str, quantity: u32, lines: u64) {
        let (sku_text, batch_ref) = (sku.to_owned(), sku.to_owned());
        let created = product::Event::BatchCreated { batch_ref, sku: sku_text, quantity, eta: None };
        let moves = (0..lines).flat_map(|line| {
            let (order_id, sku, batch_ref) = (format!("past-{line}"), sku.to_owned(), sku.to_owned());
            let (order, same_sku) = (order_id.clone(), sku.clone());
            let came = product::Event::Allocated { order_id, sku, batch_ref, quantity: 1, from_backorder: false };
            let batch_ref = Some(same_sku.clone());
            [came, product::Event::Deallocated { order_id: order, sku: same_sku, quantity: 1, batch_ref }]
        });
        let stream_id = StreamId::Product(sku.to_owned()).to_string();
        let events = [created].into_iter().chain(moves).zip(1..).map(|(event, version)| {
            let event = Event::Product(event);
            NewEvent { stream_id: stream_id.clone(), version, event_type: event.event_type(), payload: event.payload() }
        });
        let events: Vec<NewEvent> = events.collect();
        for events in events.chunks(20_000) {
            let command = NewCommand {
                command_id: Uuid::now_v7(),
                content_hash: [0; 32],
                metadata: Metadata::default(),
                events: events.to_vec(),
                unchanged: None,
            };
            self.store.append(Batch { commands: vec![command], guards: Vec::new() }).await.expect("appended");
        }
    }
}

fn submission(command: Command) -> Submission {
    Submission {
        command,
        command_id: Uuid::now_v7(),
        repeatable: false,
        expected_version: None,
        validate_only: false,
        customer_id: None,
        metadata: Metadata::default(),
        deadline: Instant::now() + DEADLINE,
    }
}

fn allocate(order_id: &str, sku: &str, quantity: u32) -> Command {
    Command::Allocate { order_id: order_id.to_owned(), sku: sku.to_owned(), quantity }
}

fn create_batch(sku: &str, quantity: u32) -> Command {
    Command::CreateBatch { batch_ref: sku.to_owned(), sku: sku.to_owned(), quantity, eta: None }
}

fn create_order(skus: &[&str]) -> Command {
    create_order_as(&Uuid::now_v7().to_string(), skus)
}

fn create_order_as(order_id: &str, skus: &[&str]) -> Command {
    let unit_price = Money { currency_code: "EUR".to_owned(), units: 1, nanos: 0 };
    let item = |sku: &&str| Item { sku: (*sku).to_owned(), quantity: 1, unit_price: unit_price.clone() };
    Command::CreateOrder {
        order_id: order_id.to_owned(),
        customer_id: "c-1".to_owned(),
        items: skus.iter().map(item).collect(),
        shipping_address: Box::new(PostalAddress { region_code: "DE".to_owned(), ..PostalAddress::default() }),
    }
}

type Answer = BoxFuture<'static, Result<Outcome, Failure>>;

/// Hands a command in, here and now: those handed in later come later.
fn hand_in(sequencer: &Sequencer, submission: Submission) -> Answer {
    let sequencer = sequencer.clone();
    let mut answer = async move { sequencer.submit(submission).await }.boxed();
    match (&mut answer).now_or_never() {
        Some(answer) => std::future::ready(answer).boxed(),
        None => answer,
    }
}

async fn done(sequencer: &Sequencer, command: Command) -> Outcome {
    sequencer.submit(submission(command)).await.expect("carried out")
}

/// The kinds of events that came of it, for products only.
fn lines(outcome: &Outcome) -> Vec<&'static str> {
    outcome.events.iter().filter(|event| matches!(event, Event::Product(_))).map(Event::event_type).collect()
}
