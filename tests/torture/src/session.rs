//! A client: sends one call after the other, settles what it doesn't know the outcome of, and reads what it wrote.

mod known;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use system_tests::client::{
    Allocations, Answer, BackorderPage, Error, Freshness, HistoryPage, Order, OrderFilter, OrderPage, Outcome, PageOf,
    ReadAfter, RustClient, Stock, TallyClient,
};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;
use uuid::Uuid;

use crate::checker::{self, digest, views};
use crate::history::{Asked, Attempt, AttemptResult, Failed, Read, ReadResult, Recorder, View};
use crate::intention::Intention;
use crate::listener::Listener;
use known::Known;

/// How long a command may take.
const COMMAND_DEADLINE: Duration = Duration::from_secs(4);
/// How long a query waits for its token, if it is one that waits.
pub(crate) const READ_WAIT_MS: u64 = checker::WAITED_MS;
/// How long one waits at the most that doesn't.
pub(crate) const SHORT_WAIT_MS_MAX: u64 = 40;
/// Of a hundred reads, how many don't wait: they are stale now and then, and must say so.
const SHORT_WAIT_PERCENT: u8 = 10;
/// How long a query may take.
pub(crate) const READ_DEADLINE: Duration = Duration::from_secs(12);
/// How much longer than its deadline a call is waited for: what is silent even then is given up.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// Before a call that is given up on purpose is given up, at the most.
const PATIENCE_MS_MAX: u64 = 12;
/// Of a hundred acknowledged commands, how many are sent again, to whichever replica.
const REPEATED_PERCENT: u8 = 4;
/// Of a hundred reads, how many take a token along.
const TOKENS_PERCENT: u8 = 75;
/// Of a hundred calls of a client that listens to nothing, how many it begins to listen at …
const LISTENS_PERCENT: u8 = 4;
/// … and of a hundred of these, how often to the log.
const SUBSCRIBES_PERCENT: u8 = 25;
/// Of a hundred commands, how many are given up at least while clients are told to be impatient.
const IMPATIENT_PERCENT: u8 = 60;

/// What all sessions have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) recorder: Recorder,
    /// Of a hundred calls, how many are reads.
    pub(crate) reads_percent: u8,
    /// Of a hundred commands, how many are given up.
    pub(crate) given_up_percent: u8,
    /// How long a command whose outcome isn't known is sent again, after the end of the load.
    pub(crate) settle_within: Duration,
    /// How long views may take to the end of the log, when all has healed.
    pub(crate) catch_up_within: Duration,
    /// Clients give most calls up.
    pub(crate) impatient: AtomicBool,
    pub(crate) skus: Vec<String>,
    /// Places for those who watch, so that who listens doesn't outweigh who works …
    pub(crate) watches: Semaphore,
    /// … and for those who follow the log.
    pub(crate) subscriptions: Semaphore,
    /// Connections on which next to nothing can be sent that isn't read.
    pub(crate) slow_clients: Vec<RustClient>,
    pub(crate) stop: watch::Sender<bool>,
}

/// One client, with a connection to each replica.
pub(crate) struct Session {
    number: usize,
    rng: Rng,
    clients: Vec<RustClient>,
    shared: Arc<Shared>,
    known: Known,
    /// The newest position that it has seen, with its token.
    seen: (i64, String),
    /// What it listens to beside its work: one thing at most.
    listening: JoinSet<()>,
}

impl Session {
    pub(crate) fn new(number: usize, seed: u64, clients: Vec<RustClient>, shared: Arc<Shared>) -> Self {
        let mut rng = Rng::with_seed(seed ^ (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let known = Known::new(number, rng.fork());
        Self { number, rng, clients, shared, known, seen: (0, String::new()), listening: JoinSet::new() }
    }

    /// Sends until it is told to stop.
    pub(crate) async fn work(mut self) {
        let stop = self.shared.stop.subscribe();
        while !*stop.borrow() {
            self.listen_now_and_then();
            if self.rng.u8(..100) < self.shared.reads_percent {
                let view = self.known.view(&self.shared.skus);
                self.read(view).await;
            } else {
                let intention = self.known.next(&self.shared.skus);
                self.carry_out(intention).await;
            }
        }
        while let Some(ended) = self.listening.join_next().await {
            self.heard(ended);
        }
    }

    fn listen_now_and_then(&mut self) {
        while let Some(ended) = self.listening.try_join_next() {
            self.heard(ended);
        }
        if !self.listening.is_empty() || self.rng.u8(..100) >= LISTENS_PERCENT {
            return;
        }
        let listener = Listener {
            session: self.number,
            rng: self.rng.fork(),
            clients: self.clients.clone(),
            shared: Arc::clone(&self.shared),
            seen: self.newest(),
        };
        if self.rng.u8(..100) < SUBSCRIBES_PERCENT {
            self.listening.spawn(listener.subscribe());
        } else {
            self.listening.spawn(listener.watch(self.known.watched(&self.shared.skus)));
        }
    }

    /// What was broken while it listened is broken as what was broken in a call.
    fn heard(&self, ended: Result<(), JoinError>) {
        if let Err(error) = ended {
            self.shared.recorder.history().broken_sessions.push(format!("one who listens: {error}"));
        }
    }

    /// Sends a command until its outcome is known, or nobody knows it at the end. Whether it was acknowledged.
    pub(crate) async fn carry_out(&mut self, intention: Intention) -> bool {
        let id = Uuid::from_u128(self.rng.u128(..));
        let mut stop = self.shared.stop.subscribe();
        let mut settle_until: Option<Instant> = None;
        let first = self.replica();
        for attempt in 0.. {
            // A client keeps to its replica, until that one fails it.
            let replica = if attempt == 0 { first } else { self.rng.usize(..self.clients.len()) };
            let given_up = attempt == 0 && self.gives_up();
            match self.attempt(id, &intention, replica, given_up).await {
                Tried::Acknowledged(outcome) => {
                    self.known.remember(&intention, &outcome);
                    if self.rng.u8(..100) < REPEATED_PERCENT {
                        let replica = self.rng.usize(..self.clients.len());
                        self.attempt(id, &intention, replica, false).await;
                    }
                    if let Some(view) = self.known.view_of(&intention, &outcome)
                        && self.rng.u8(..100) < self.shared.reads_percent
                    {
                        self.read(view).await;
                    }
                    return true;
                }
                Tried::Refused => {
                    self.known.refused(intention);
                    return false;
                }
                Tried::Unknown(pause) => {
                    let stopped = *stop.borrow_and_update();
                    let until = *settle_until.get_or_insert_with(|| Instant::now() + self.shared.settle_within);
                    if !stopped {
                        settle_until = None;
                    } else if Instant::now() > until {
                        return false;
                    }
                    sleep(pause).await;
                }
            }
        }
        false
    }

    fn replica(&self) -> usize {
        self.number % self.clients.len()
    }

    fn gives_up(&mut self) -> bool {
        let impatient = self.shared.impatient.load(Ordering::Relaxed);
        let percent = self.shared.given_up_percent.max(if impatient { IMPATIENT_PERCENT } else { 0 });
        self.rng.u8(..100) < percent
    }

    async fn attempt(&mut self, id: Uuid, intention: &Intention, replica: usize, given_up: bool) -> Tried {
        let client = self.clients[replica].command_id(id).deadline(COMMAND_DEADLINE);
        let patience = match given_up {
            true => Duration::from_millis(self.rng.u64(..=PATIENCE_MS_MAX)),
            false => COMMAND_DEADLINE + GRACE,
        };
        let invoked_us = self.shared.recorder.now_us();
        let answer = timeout(patience, intention.send(&client)).await;
        let ended_us = self.shared.recorder.now_us();
        let (tried, result) = match answer {
            Err(_) => (Tried::Unknown(Duration::ZERO), AttemptResult::GivenUp),
            Ok(Ok(outcome)) => {
                let receipt = outcome.receipt();
                self.saw(receipt.position, &receipt.token);
                let result = AttemptResult::Acknowledged {
                    stream_id: receipt.stream_id.clone(),
                    version: receipt.stream_version,
                    position: receipt.position,
                    answer: digest(&outcome),
                };
                (Tried::Acknowledged(Box::new(outcome)), result)
            }
            Ok(Err(error)) => self.failed(&error),
        };
        let kind = intention.kind();
        let attempt = Attempt { command_id: id, session: self.number, kind, replica, invoked_us, ended_us, result };
        self.shared.recorder.history().attempts.push(attempt);
        tried
    }

    fn failed(&mut self, error: &Error) -> (Tried, AttemptResult) {
        let pause = error.retry_after.unwrap_or(Duration::from_millis(20)) + Duration::from_millis(self.rng.u64(..60));
        let failed = Failed::of(error);
        match error.code {
            Code::FailedPrecondition | Code::NotFound | Code::AlreadyExists | Code::Aborted | Code::InvalidArgument => {
                (Tried::Refused, AttemptResult::Refused(failed))
            }
            Code::ResourceExhausted if !error.is_local => (Tried::Unknown(pause), AttemptResult::Refused(failed)),
            _ => (Tried::Unknown(pause), AttemptResult::Unknown(failed)),
        }
    }

    /// Reads a view, mostly with the token of the newest thing seen.
    pub(crate) async fn read(&mut self, view: View) {
        let with_token = self.rng.u8(..100) < TOKENS_PERCENT && self.seen.0 > 0;
        let replica = self.rng.usize(..self.clients.len());
        let short = self.rng.u8(..100) < SHORT_WAIT_PERCENT;
        let wait_ms = if short { self.rng.u64(1..=SHORT_WAIT_MS_MAX) } else { READ_WAIT_MS };
        let (wanted, after) = match with_token {
            true => (self.seen.0, ReadAfter::token(&self.seen.1).at_most(Duration::from_millis(wait_ms))),
            false => (0, ReadAfter::nothing()),
        };
        let after = if self.rng.u8(..100) < 5 { after.or_fail() } else { after };
        let invoked_us = self.shared.recorder.now_us();
        let answer = timeout(READ_DEADLINE + GRACE, look(&self.clients[replica], &view, &after)).await;
        let ended_us = self.shared.recorder.now_us();
        let result = match answer {
            Ok((result, freshness)) => {
                if let Some(freshness) = freshness.filter(|freshness| !freshness.may_be_stale) {
                    self.saw(freshness.position, &freshness.token);
                }
                result
            }
            Err(_) => ReadResult::Failed(Failed::silence()),
        };
        if matches!(result, ReadResult::Failed(_)) {
            sleep(Duration::from_millis(self.rng.u64(10..60))).await;
        }
        let asked = Asked { session: self.number, view, replica, invoked_us, ended_us, wanted, wait_ms };
        self.shared.recorder.history().reads.push(Read { asked, result });
    }

    /// The newest position that it has seen, with its token.
    pub(crate) fn newest(&self) -> (i64, String) {
        self.seen.clone()
    }

    fn saw(&mut self, position: i64, token: &str) {
        if position > self.seen.0 && !token.is_empty() {
            self.seen = (position, token.to_owned());
        }
    }
}

enum Tried {
    Acknowledged(Box<Outcome>),
    Refused,
    /// To be sent again after a pause.
    Unknown(Duration),
}

/// Reads a view once.
pub(crate) async fn look(client: &RustClient, view: &View, after: &ReadAfter) -> (ReadResult, Option<Freshness>) {
    let client = client.deadline(READ_DEADLINE);
    let page_size = i32::try_from(views::ENTRIES_READ).unwrap_or(i32::MAX);
    let first_page = |id| PageOf { id, page_size, page_token: "" };
    match view {
        View::Stock(sku) => {
            let shown = |stock: Stock| (stock.freshness.clone(), views::of_stock(stock));
            answered(client.get_stock(sku, after).await.map(shown))
        }
        View::Order(id) => {
            let shown = |order: Order| (order.freshness.clone(), views::of_order(order));
            answered(client.get_order(id, after).await.map(shown))
        }
        View::Allocations(id) => {
            let shown = |found: Allocations| (found.freshness, views::of_allocations(&found.allocations));
            answered(client.get_allocations(id, after).await.map(shown))
        }
        View::OrdersOf(customer) => {
            let filter = OrderFilter { customer_id: customer.clone(), page_size, ..OrderFilter::default() };
            let shown = |page: OrderPage| (page.freshness, views::of_orders(&page.orders));
            answered(client.list_orders(&filter, after).await.map(shown))
        }
        View::History(id) => {
            let shown = |page: HistoryPage| {
                let changes = page.changes.into_iter().map(|change| (change.position, change.event_type));
                (page.freshness, views::of_changes(&changes.collect::<Vec<_>>()))
            };
            answered(client.get_order_history(first_page(id), after).await.map(shown))
        }
        View::Backorders(sku) => {
            let shown = |page: BackorderPage| (page.freshness, views::of_backorders(&page.backorders));
            answered(client.list_backorders(first_page(sku), after).await.map(shown))
        }
    }
}

fn answered(answer: Answer<(Freshness, u64)>) -> (ReadResult, Option<Freshness>) {
    match answer {
        Ok((freshness, view)) => {
            let Freshness { position, may_be_stale, .. } = freshness;
            (ReadResult::Answered { position, may_be_stale, view: Some(view) }, Some(freshness))
        }
        Err(error) => {
            // What isn't there isn't there as of a position, too.
            let position = error.metadata.get("position").and_then(|position| position.parse().ok());
            match position.filter(|_| error.code == Code::NotFound) {
                Some(position) => {
                    let may_be_stale = error.metadata.contains_key("may_be_stale");
                    (ReadResult::Answered { position, may_be_stale, view: None }, None)
                }
                None => (ReadResult::Failed(Failed::of(&error)), None),
            }
        }
    }
}

impl Failed {
    pub(crate) fn of(error: &Error) -> Self {
        Self {
            code: format!("{:?}", error.code),
            reason: error.reason.clone(),
            is_local: error.is_local,
            says_when: error.retry_after.is_some(),
        }
    }

    /// Nothing came back, not even at the deadline.
    pub(crate) fn silence() -> Self {
        Self { code: "DeadlineExceeded".to_owned(), reason: String::new(), is_local: true, says_when: false }
    }
}
