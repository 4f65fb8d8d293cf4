//! What can go wrong, told apart by what the caller should do.

use std::fmt;

use sqlx::migrate::MigrateError;

/// Why something could not be read, or the log not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres is away or overloaded. Try again later.
    #[error("the event store is unavailable")]
    Unavailable(#[source] Cause),
    /// Postgres is there and will not do it: a bug, a wrong setting, a missing migration. Trying again does not help.
    #[error("the event store refused the request")]
    Refused(#[source] Cause),
}

/// What Postgres or the driver said, for logs only: callers must not see it.
///
/// It is kept as text, since the driver's own errors carry the statement and the row (which may hold personal data)
/// in their `Debug`.
pub struct Cause(String);

/// What an error of the driver means to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Conflict,
    Unavailable,
    Refused,
}

impl Error {
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::Refused(Cause::new(text))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match Class::of(&error) {
            // Reading conflicts with nobody for long.
            Class::Unavailable | Class::Conflict => Self::Unavailable(Cause::of(&error)),
            Class::Refused => Self::Refused(Cause::of(&error)),
        }
    }
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => Self::refused(other.to_string()),
        }
    }
}

impl Cause {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn of(error: &sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(error) => Self(format!("SQLSTATE {}: {}", error.code().unwrap_or_default(), error.message())),
            None => Self(error.to_string()),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Cause {}

impl Class {
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => Self::of_state(&error.code().unwrap_or_default()),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Self::Unavailable,
            _ => Self::Refused,
        }
    }

    fn of_state(state: &str) -> Self {
        match state {
            // A lost race: unique keys, our own checks, serialization failures and deadlocks. Nothing was written.
            "23505" | VERSION_CONFLICT | "40001" | "40P01" => Self::Conflict,
            // A read-only server (a standby, or one being switched over); a transaction that has failed before, or was idle
            // for too long; a lock that was not to be had.
            "25006" | "25P02" | "25P03" | "55P03" => Self::Unavailable,
            _ => match state.get(..2) {
                // Connections, other rollbacks, resources (disk full, too many connections), operators (shutdown,
                // cancel, time-out), and the system itself (I/O errors, a crash).
                Some("08" | "40" | "53" | "57" | "58" | "XX") => Self::Unavailable,
                _ => Self::Refused,
            },
        }
    }
}

/// `append_batch`: a stream is not at the expected version.
pub(crate) const VERSION_CONFLICT: &str = "TL001";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_apart_by_what_to_do() {
        for state in ["23505", "TL001", "40001", "40P01"] {
            assert_eq!(Class::of_state(state), Class::Conflict, "{state}");
        }
        for state in ["08006", "25006", "40003", "53100", "53300", "57014", "57P01", "57P03", "58030"] {
            assert_eq!(Class::of_state(state), Class::Unavailable, "{state}");
        }
        for state in ["", "2", "22P05", "23502", "23514", "28P01", "3D000", "42501", "42883", "42P01"] {
            assert_eq!(Class::of_state(state), Class::Refused, "{state}");
        }
    }

    #[test]
    fn an_error_shows_no_more_than_its_kind() {
        let error = Error::from(sqlx::Error::Protocol("secret".into()));
        assert_eq!(error.to_string(), "the event store is unavailable");
    }
}
