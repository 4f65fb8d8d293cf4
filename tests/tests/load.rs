//! A bounded load of commands, each sent under one id until it has an answer, whatever is killed meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use system_tests::Log;
use system_tests::client::{Answer, Error, NewOrder, Outcome, ReadAfter, Receipt, RustClient, TallyClient};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::Code;
use uuid::Uuid;

/// What all workers fight for.
pub(crate) const SKUS: [&str; 4] = ["LAMP", "TABLE", "CHAIR", "SHELF"];
/// Pieces of each at the start: far less than the load asks for, so that lines wait.
const STOCK: i32 = 60;
/// How long one try of a call may take.
const TRY_DEADLINE: Duration = Duration::from_secs(5);
/// Tries of one command; each fails at once while a process is away, so this is a minute or more.
const TRIES_MAX: usize = 6_000;

/// Makes a client of the processes as they are now.
pub(crate) type Connect = Arc<dyn Fn() -> RustClient + Send + Sync>;

/// What workers did.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Commands that were carried out, and their receipts.
    acknowledged: BTreeMap<Uuid, Receipt>,
    /// Commands that the rules refused.
    refused: BTreeSet<Uuid>,
}

/// A running load.
pub(crate) struct Load {
    workers: JoinSet<Done>,
    answered: watch::Sender<usize>,
    total: usize,
    before: BTreeSet<Uuid>,
}

impl Load {
    /// Puts stock in and starts `workers`, each with `commands` to send; the first uses the first of `connect`, the second the second and so on.
    pub(crate) async fn start(
        connect: &[Connect],
        workers: usize,
        commands: usize,
        log: impl AsyncFnOnce() -> Log,
    ) -> Self {
        let client = connect[0]();
        for sku in SKUS {
            client.create_batch(&format!("{sku}-0"), sku, STOCK, None).await.unwrap();
        }
        let before = log().await.commands();
        let answered = watch::Sender::new(0);
        let mut running = JoinSet::new();
        for number in 0..workers {
            let worker = Worker::new(number, Arc::clone(&connect[number % connect.len()]), answered.clone());
            running.spawn(worker.work(commands));
        }
        Self { workers: running, answered, total: workers * commands, before }
    }

    /// Waits until `parts` of `of` parts of all commands have been answered.
    pub(crate) async fn answered(&self, parts: usize, of: usize) {
        let wanted = self.total * parts / of;
        let mut answered = self.answered.subscribe();
        let reached = eventually_reached(&mut answered, wanted);
        tokio::time::timeout(Duration::from_secs(120), reached)
            .await
            .unwrap_or_else(|_| panic!("the load stands at {}", *self.answered.borrow()));
    }

    /// Waits for its end, and returns what was done.
    pub(crate) async fn finished(mut self) -> Done {
        let mut all = Done::default();
        while let Some(done) = self.workers.join_next().await {
            let done = done.unwrap();
            all.acknowledged.extend(done.acknowledged);
            all.refused.extend(done.refused);
        }
        assert_eq!(all.acknowledged.len() + all.refused.len(), self.total);
        for id in self.before {
            all.acknowledged.entry(id).or_default();
        }
        all
    }
}

async fn eventually_reached(answered: &mut watch::Receiver<usize>, wanted: usize) {
    answered.wait_for(|answered| *answered >= wanted).await.unwrap();
}

impl Done {
    /// Every acknowledged command is in the log, once, where its receipt says; no other is.
    pub(crate) fn check(&self, log: &Log) {
        log.check();
        let mut events: BTreeMap<Uuid, Vec<_>> = BTreeMap::new();
        for event in &log.events {
            events.entry(event.command_id).or_default().push(event);
        }
        for (id, receipt) in self.acknowledged.iter().filter(|(_, receipt)| !receipt.token.is_empty()) {
            let Some(events) = events.get(id) else {
                assert!(log.unchanged.contains(id), "an acknowledged command is lost: {id} {receipt:?}");
                continue;
            };
            assert_eq!(events.last().unwrap().position, receipt.position, "{id}");
            let in_stream = events.iter().rfind(|event| event.stream_id == receipt.stream_id);
            assert_eq!(in_stream.map(|event| event.version), Some(receipt.stream_version), "{id}");
        }
        for id in events.keys().chain(&log.unchanged) {
            assert!(self.acknowledged.contains_key(id), "a command took effect that nobody acknowledged: {id}");
            assert!(!self.refused.contains(id), "a refused command took effect: {id}");
        }
        assert!(self.acknowledged.len() > 4 * self.refused.len(), "most of the load is carried out");
    }
}

/// Sends one command after the other, and reads what it wrote.
struct Worker {
    number: usize,
    connect: Connect,
    client: RustClient,
    answered: watch::Sender<usize>,
    done: Done,
    orders: Vec<String>,
    lines: Vec<(String, &'static str)>,
    batches: Vec<String>,
}

impl Worker {
    fn new(number: usize, connect: Connect, answered: watch::Sender<usize>) -> Self {
        let client = connect();
        Self {
            number,
            connect,
            client,
            answered,
            done: Done::default(),
            orders: vec![],
            lines: vec![],
            batches: vec![],
        }
    }

    async fn work(mut self, commands: usize) -> Done {
        for step in 0..commands {
            let id = Uuid::now_v7();
            if let Some(outcome) = self.until_answered(id, step).await {
                self.remember(step, &outcome);
                self.read_own_write(step, &outcome).await;
                self.done.acknowledged.insert(id, outcome.receipt().clone());
            } else {
                self.done.refused.insert(id);
            }
            self.answered.send_modify(|answered| *answered += 1);
        }
        std::mem::take(&mut self.done)
    }

    /// None when the rules refuse it.
    async fn until_answered(&mut self, id: Uuid, step: usize) -> Option<Outcome> {
        for _ in 0..TRIES_MAX {
            let client = self.client.command_id(id).deadline(TRY_DEADLINE);
            match self.send(&client, step).await {
                Ok(outcome) => return Some(outcome),
                Err(error) if is_refusal(&error) => return None,
                Err(error) if may_be_retried(&error) => {
                    tokio::time::sleep(error.retry_after.unwrap_or(Duration::from_millis(10))).await;
                    self.client = (self.connect)();
                }
                Err(error) => panic!("step {step}: {error:?}"),
            }
        }
        panic!("no answer after {TRIES_MAX} tries")
    }

    fn sku(&self, step: usize) -> &'static str {
        SKUS[(self.number + step) % SKUS.len()]
    }

    fn customer(&self) -> String {
        format!("customer-{}", self.number % 3)
    }

    fn quantity(step: usize) -> i32 {
        1 + i32::try_from(step % 7).unwrap()
    }

    /// The command of a step. It depends on nothing that changes between tries.
    async fn send(&self, client: &RustClient, step: usize) -> Answer<Outcome> {
        let (sku, quantity) = (self.sku(step), Self::quantity(step));
        match (step % 10, self.orders.last(), self.lines.first(), self.batches.last()) {
            (0, ..) => client.create_batch(&format!("{sku}-{}-{step}", self.number), sku, 2 * quantity, None).await,
            (1, _, _, Some(batch)) => client.change_batch_quantity(batch, quantity).await,
            (2 | 5, ..) => {
                client.create_order(&NewOrder::of(&self.customer(), &[(sku, quantity), (self.sku(step + 1), 2)])).await
            }
            (3, Some(order), ..) => client.cancel_order(order, "load").await,
            (6, Some(order), ..) => client.ship_order(order).await,
            (8, _, Some((order, sku)), _) => client.deallocate(order, sku).await,
            _ => client.allocate(&format!("elsewhere-{}-{step}", self.number), sku, quantity).await,
        }
    }

    fn remember(&mut self, step: usize, outcome: &Outcome) {
        let stream = &outcome.receipt().stream_id;
        match step % 10 {
            0 => self.batches.push(format!("{}-{}-{step}", self.sku(step), self.number)),
            2 | 5 => self.orders.push(outcome.order_id.clone()),
            8 => drop((!self.lines.is_empty()).then(|| self.lines.remove(0))),
            _ => {}
        }
        if let Some(line) = &outcome.line {
            assert_eq!(stream, &format!("product-{}", line.sku));
            self.lines.push((line.order_id.clone(), self.sku(step)));
        }
    }

    /// An answer to a query with a token is never from before it, unless it says so. While a process is away there is none, which is no lie.
    async fn read_own_write(&self, step: usize, outcome: &Outcome) {
        let seen = ReadAfter::token(&outcome.receipt().token).at_most(Duration::from_millis(500));
        let client = self.client.deadline(TRY_DEADLINE);
        let (position, may_be_stale) = match client.get_stock(self.sku(step), &seen).await {
            Ok(stock) => (stock.freshness.position, stock.freshness.may_be_stale),
            Err(error) if error.code == Code::NotFound => (
                error.metadata["position"].parse().unwrap(),
                error.metadata.get("may_be_stale").is_some_and(|stale| stale == "true"),
            ),
            Err(error) if may_be_retried(&error) => return,
            Err(error) => panic!("{error:?}"),
        };
        assert!(
            may_be_stale || position >= outcome.receipt().position,
            "a read from before its token: {position} {outcome:?}"
        );
    }
}

impl Drop for Worker {
    /// Nobody need wait for a load that has failed.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.answered.send_replace(usize::MAX / 2);
        }
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(error.code, Code::FailedPrecondition | Code::NotFound)
}

/// Not there, cut off, too slow or too busy.
fn may_be_retried(error: &Error) -> bool {
    error.is_local
        || match error.code {
            Code::Unavailable | Code::ResourceExhausted => error.retry_after.is_some(),
            code => matches!(code, Code::DeadlineExceeded | Code::Cancelled),
        }
}
