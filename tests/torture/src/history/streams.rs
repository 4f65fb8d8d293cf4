//! What goes on for as long as somebody listens, message by message, and what is published.

use serde::Serialize;

use super::{Asked, Failed};

/// A watch of a view.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Watch {
    /// What it asked for.
    #[serde(flatten)]
    pub asked: Asked,
    /// Its messages.
    pub told: Vec<Told>,
    /// How it ended.
    pub end: StreamEnd,
}

/// A message of a watch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    /// Microseconds from the start of the run.
    pub at_us: u64,
    /// As of when it holds.
    pub position: i64,
    /// Whether it says that it may be too old.
    pub may_be_stale: bool,
    /// The view; None: it only shows that the watch is alive.
    pub shown: Option<Shown>,
}

/// A view in a message.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// The version that it says.
    pub version: i64,
    /// A digest of it.
    pub view: u64,
}

/// A subscription to the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Subscription {
    /// Who subscribed.
    pub session: usize,
    /// Which replica was asked.
    pub replica: usize,
    /// Microseconds from the start of the run.
    pub invoked_us: u64,
    /// Microseconds from the start of the run.
    pub ended_us: u64,
    /// Where it was to begin.
    pub start: Start,
    /// What it was to be about.
    pub filter: EventFilter,
    /// Its messages.
    pub handed: Vec<Handed>,
    /// How it ended.
    pub end: StreamEnd,
}

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Start {
    /// After this position, as a number or a token.
    After(i64),
    /// After the end of the log, which was known to go to this position at least.
    OnlyNew {
        /// The newest position that the caller had seen.
        least: i64,
    },
}

/// Which events a subscription is about: both must fit, an empty one fits all.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EventFilter {
    /// Of one of these types.
    pub event_types: Vec<String>,
    /// Of a stream that begins like one of these.
    pub stream_id_prefixes: Vec<String>,
}

/// A message of a subscription.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Handed {
    /// Positions, and digests of the whole events.
    pub events: Vec<(i64, u64)>,
    /// Every event up to here that fits has been handed out.
    pub position: i64,
    /// Where the log ends, as far as is known.
    pub head: i64,
}

/// How a stream of messages ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum StreamEnd {
    /// The caller had heard enough.
    GivenUp,
    /// There is no such view.
    Missing {
        /// As of when.
        position: i64,
        /// Whether it says that this may be too old.
        may_be_stale: bool,
    },
    /// With an error.
    Failed {
        /// Which.
        failed: Failed,
        /// The position that it says to go on from.
        position: Option<i64>,
        /// The version that it says was told last.
        version: Option<i64>,
    },
    /// Without a word.
    Silent,
}

/// What is published when all is well again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Published {
    /// The name of the log.
    pub log: String,
    /// How many entries stay at least.
    pub kept_max: usize,
    /// Ids and fields, in the order of the stream.
    pub entries: Vec<Entry>,
}

/// An entry of a Redis stream: its id, and names and values of its fields.
pub type Entry = (String, Vec<(String, String)>);
