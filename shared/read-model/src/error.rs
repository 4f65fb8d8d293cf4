//! What can go wrong, in words that hold no host, key, value or password.

use redis::{ErrorKind, RedisError, ServerError};

/// Why the read model did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Redis is away, or up and not able to serve for now (loading, out of memory, a replica). Trying later helps. Whether a write
    /// took effect is not known.
    #[error("the read model is unavailable ({0})")]
    Unavailable(String),
    /// Redis refused what it will refuse again: credentials, permissions. A person has to act.
    #[error("the read model refused ({0})")]
    Refused(String),
    /// A key holds what this crate never wrote there.
    #[error("the read model holds something unexpected ({0})")]
    Corrupt(&'static str),
    /// The read model was made from another log.
    #[error("the read model belongs to another log")]
    ForeignLog,
    /// The unit has no views yet, or lost them and gets them back: reads are possible from `complete_from` on.
    #[error("the views are being made anew: they are at position {position} of {complete_from}")]
    NotBuilt {
        /// In which shard.
        shard: u16,
        /// How far it has come.
        position: u64,
        /// How far it must come.
        complete_from: u64,
    },
    /// What was asked for was there and is gone: Redis evicted it, or somebody deleted it. It is made again.
    #[error("a view is lost and will be made again")]
    Lost,
    /// The views are divided into another number of shards than this process is told.
    #[error(
        "the read model has {stored} read shards and READ_SHARDS is {configured}; to change the number, use `projector reshard`"
    )]
    Layout {
        /// How many there are.
        stored: u16,
        /// How many this process is told.
        configured: u16,
    },
    /// The settings can't be right.
    #[error("the read model's settings are wrong: {0}")]
    Settings(&'static str),
}

/// The codes of Redis's own errors that pass by themselves.
const PASSING: [&str; 12] = [
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "MOVED",
    "ASK",
    "NOREPLICAS",
    "NOSCRIPT",
    "OOM",
    "READONLY",
    "TRYAGAIN",
];

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Io => Error::Unavailable(io_kind(&error)),
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Error::Corrupt("an answer of another shape"),
            ErrorKind::AuthenticationFailed => Error::Refused("authentication".to_owned()),
            _ => match ServerError::try_from(error) {
                Ok(error) => from_code(error.code()),
                Err(error) => Error::Unavailable(error.category().to_owned()),
            },
        }
    }
}

fn from_code(code: &str) -> Error {
    match code {
        "WRONGTYPE" => Error::Corrupt("a key of another type"),
        code if PASSING.contains(&code) => Error::Unavailable(code.to_owned()),
        code => Error::Refused(code.to_owned()),
    }
}

/// The kind only: an I/O error's own text may hold an address.
fn io_kind(error: &RedisError) -> String {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return io.kind().to_string();
        }
        source = cause.source();
    }
    "no answer in time".to_owned()
}
