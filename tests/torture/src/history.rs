//! What happened, as the clients saw it: every call with when it began and ended, and how.

mod streams;

use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;
use uuid::Uuid;

pub use streams::{Entry, EventFilter, Handed, Published, Shown, Start, StreamEnd, Subscription, Told, Watch};

/// One try of a command.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attempt {
    /// The command's id; all tries of a command have the same.
    pub command_id: Uuid,
    /// Who sent it.
    pub session: usize,
    /// What it was.
    pub kind: &'static str,
    /// Which replica it was sent to.
    pub replica: usize,
    /// Microseconds from the start of the run.
    pub invoked_us: u64,
    /// Microseconds from the start of the run.
    pub ended_us: u64,
    /// How it ended.
    pub result: AttemptResult,
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum AttemptResult {
    /// It was carried out, now or by an earlier try.
    Acknowledged {
        /// The receipt's stream.
        stream_id: String,
        /// The receipt's version of it.
        version: i64,
        /// The receipt's position.
        position: i64,
        /// A digest of the whole answer.
        answer: u64,
    },
    /// It was refused: this try had no effect.
    Refused(Failed),
    /// It may have been carried out or not.
    Unknown(Failed),
    /// The client gave it up; it may have been carried out or not.
    GivenUp,
}

/// An error as the client saw it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failed {
    /// The status code's name.
    pub code: String,
    /// `ErrorInfo.reason`; empty without one.
    pub reason: String,
    /// No server sent it: a connection was refused, cut or given up.
    pub is_local: bool,
    /// Whether it says when to try again.
    pub says_when: bool,
}

/// What somebody wanted to see, and from when to when.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Asked {
    /// Who did.
    pub session: usize,
    /// What it is about.
    pub view: View,
    /// Which replica was asked.
    pub replica: usize,
    /// Microseconds from the start of the run.
    pub invoked_us: u64,
    /// Microseconds from the start of the run.
    pub ended_us: u64,
    /// The position of the token that was sent along; 0 without one.
    pub wanted: i64,
    /// How long the first answer was ready to wait for that, in milliseconds.
    pub wait_ms: u64,
}

/// A query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Read {
    /// What it asked for.
    #[serde(flatten)]
    pub asked: Asked,
    /// How it ended.
    pub result: ReadResult,
}

/// What a query is about.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum View {
    /// A SKU's stock.
    Stock(String),
    /// An order.
    Order(String),
    /// An order's allocations.
    Allocations(String),
    /// A customer's newest orders.
    OrdersOf(String),
    /// What happened to an order.
    History(String),
    /// The lines that wait for a SKU.
    Backorders(String),
}

/// How a query ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum ReadResult {
    /// With an answer as of a position.
    Answered {
        /// The answer's position.
        position: i64,
        /// Whether it says that it may be too old.
        may_be_stale: bool,
        /// A digest of the view; None: there is no such thing.
        view: Option<u64>,
    },
    /// Without.
    Failed(Failed),
}

/// A fault that was injected.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Injected {
    /// Its name.
    pub fault: &'static str,
    /// Whether nobody should have noticed.
    pub is_harmless: bool,
    /// Microseconds from the start of the run.
    pub began_us: u64,
    /// Microseconds from the start of the run to when all was as before, and servers accepted connections.
    pub healed_us: u64,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct History {
    /// Every try of every command.
    pub attempts: Vec<Attempt>,
    /// Every query.
    pub reads: Vec<Read>,
    /// Every watch.
    pub watches: Vec<Watch>,
    /// Every subscription to the log.
    pub subscriptions: Vec<Subscription>,
    /// What others find published at the end.
    pub published: Option<Published>,
    /// Every fault.
    pub faults: Vec<Injected>,
    /// Clients that ended as no client may, and why.
    pub broken_sessions: Vec<String>,
    /// Views that had not got to the end of the log long after all had healed.
    pub views_behind: Vec<String>,
    /// Sessions of Postgres that waited in a transaction when nobody did anything any more.
    pub left_open: Vec<String>,
}

/// Where a run's history is written.
#[derive(Debug)]
pub struct Recorder {
    began: Instant,
    history: Mutex<History>,
}

impl Recorder {
    /// An empty history that begins now.
    pub fn start() -> Self {
        Self { began: Instant::now(), history: Mutex::default() }
    }

    /// Microseconds from the start of the run.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The history so far.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The history, at the end.
    pub fn take(&self) -> History {
        std::mem::take(&mut *self.history())
    }
}

impl History {
    /// Writes it as one JSON value a line.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
        for fault in &self.faults {
            line(&mut file, &serde_json::json!({ "fault": fault }))?;
        }
        for attempt in &self.attempts {
            line(&mut file, &serde_json::json!({ "command": attempt }))?;
        }
        for read in &self.reads {
            line(&mut file, &serde_json::json!({ "read": read }))?;
        }
        for watch in &self.watches {
            line(&mut file, &serde_json::json!({ "watch": watch }))?;
        }
        for subscription in &self.subscriptions {
            line(&mut file, &serde_json::json!({ "subscription": subscription }))?;
        }
        line(&mut file, &serde_json::json!({ "published": self.published }))?;
        for broken in &self.broken_sessions {
            line(&mut file, &serde_json::json!({ "broken_session": broken }))?;
        }
        file.flush()
    }
}

fn line(file: &mut impl Write, value: &serde_json::Value) -> std::io::Result<()> {
    writeln!(file, "{value}")
}
