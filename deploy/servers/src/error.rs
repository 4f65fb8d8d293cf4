use std::io;
use std::path::PathBuf;

/// Why a server could not be started, stopped or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program is not on this machine.
    #[error("{0} is not installed (looked in PATH and in the places where packages put it)")]
    NotInstalled(&'static str),

    /// The data was made by another major version than any that is installed.
    #[error("the data in {} was made by Postgres {version}, which is not installed any more", folder.display())]
    VersionGone {
        /// The data folder.
        folder: PathBuf,
        /// The major version that made it.
        version: String,
    },

    /// Another process has this folder's server running.
    #[error("{} is in use by a server that is still running", .0.display())]
    InUse(PathBuf),

    /// Running as root, and there is no ordinary user to run a server as.
    #[error(
        "this is root, Postgres refuses to run as root, and there is neither a user `postgres` nor `nobody` to run it as"
    )]
    NoUser,

    /// The server ended, or never answered.
    #[error("{server} {what}; the end of {}:\n{log_tail}", log.display())]
    Failed {
        /// Which server.
        server: &'static str,
        /// What it did.
        what: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        log_tail: String,
    },

    /// A file, a folder or a process could not be handled.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What went wrong.
        source: io::Error,
    },

    /// Postgres refused a statement.
    #[error("Postgres: {0}")]
    Postgres(#[from] sqlx::Error),

    /// Redis refused a command.
    #[error("Redis: {0}")]
    Redis(#[from] ::redis::RedisError),
}

/// Names what was tried, for [`Error::Io`].
pub(crate) trait Tried<T> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Tried<T> for Result<T, E> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io { what: what(), source: source.into() })
    }
}
