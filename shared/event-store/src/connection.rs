//! Sessions of Postgres: opened when needed, with the least rights, and used again only when known to be clean.
//!
//! The hazard: when a future that uses a pooled connection is dropped, the connection may go back to the pool with
//! half a conversation, or an open transaction, in it (sqlx up to 0.9.0 does that around `BEGIN`), and the next
//! request's acknowledged insert is rolled back. So a connection is taken out here, works in a task of its own that
//! no caller can cancel, and comes back only after its statement has ended in an orderly way. In every other case
//! it is closed. sqlx's own pool is not used: it also sends a ping after each statement, and waits out the whole
//! time-out when a connection is refused.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgSeverity};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::error::Error;
use crate::log_name::LogName;
use crate::metrics::{Busy, METRICS};

/// A session unused for longer is asked for a sign of life before it is trusted with a statement, since the outcome of
/// one that breaks off is unknown.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// Older sessions are replaced, so that their plans and caches on the server do not grow for ever.
const SESSION_AGE_MAX: Duration = Duration::from_secs(30 * 60);
/// Exclusive appends wait for each other at the head row anyway; more of them would only be more connections.
const EXCLUSIVE_CONNECTIONS_MAX: usize = 4;
/// How much longer than the server's own time-out we wait for its word on it.
const ANSWER_GRACE: Duration = Duration::from_secs(1);

/// Limits of an [`AppendStore`](crate::AppendStore).
#[derive(Clone, Debug)]
pub struct AppendOptions {
    /// Sessions for appending and loading, at most.
    pub connections_max: u32,
    /// How long to wait for a free session, opening one included.
    pub acquire_timeout: Duration,
    /// How long a statement may take on the server, waiting for other appends included.
    pub statement_timeout: Duration,
    /// Of the snapshots that are loaded and saved. Those of other formats are as if they weren't there.
    pub snapshot_format: i32,
}

/// What a [`ReadStore`](crate::ReadStore) may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadRole {
    /// Read the log.
    #[default]
    Read,
    /// Read the log, and note how far the read model was seen to come.
    Tail,
}

/// The rights and the limits of a [`ReadStore`](crate::ReadStore).
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// What it may do.
    pub role: ReadRole,
    /// Sessions, at most.
    pub connections_max: u32,
    /// How long to wait for a free session, opening one included.
    pub acquire_timeout: Duration,
    /// How long a statement may take on the server.
    pub statement_timeout: Duration,
}

impl Default for AppendOptions {
    fn default() -> Self {
        Self {
            connections_max: 4,
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(5),
            snapshot_format: 0,
        }
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            role: ReadRole::default(),
            connections_max: 4,
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(5),
        }
    }
}

/// The sessions of one store.
pub(crate) struct Sessions {
    options: PgConnectOptions,
    acquire_timeout: Duration,
    answer_timeout: Duration,
    permits: Arc<Semaphore>,
    exclusive_permits: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
}

struct Session {
    connection: PgConnection,
    opened_at: Instant,
    used_at: Instant,
    busy: Option<Busy>,
}

/// A session with a transaction in it. Dropped, it is closed.
pub(crate) struct ExclusiveSession {
    session: Session,
    _permit: OwnedSemaphorePermit,
}

impl ExclusiveSession {
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.session.connection
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the options: they hold the password.
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    /// Connects to nothing yet.
    pub(crate) fn new(database_url: &str, log: &LogName, role: &str, limits: &AppendOptions) -> Result<Self, Error> {
        let statement_timeout_ms = limits.statement_timeout.as_millis().max(1).to_string();
        let options = connect_options(database_url, log)?.options([
            // Even a URL of the owner works with no more rights than the store needs.
            ("role", role),
            ("default_transaction_isolation", "read committed"),
            ("statement_timeout", &statement_timeout_ms),
            // A client that vanishes between BEGIN and COMMIT must not keep the head row.
            ("idle_in_transaction_session_timeout", &statement_timeout_ms),
            // Plans are cached for long and tables grow: what is right on an empty table (reading it all) would be
            // fatal an hour later, and every statement here has an index made for it.
            ("enable_seqscan", "off"),
            ("plan_cache_mode", "force_generic_plan"),
            ("jit", "off"),
        ]);
        METRICS.limit.add(i64::from(limits.connections_max.max(1)));
        Ok(Self {
            options,
            acquire_timeout: limits.acquire_timeout,
            answer_timeout: limits.statement_timeout + ANSWER_GRACE,
            permits: Arc::new(Semaphore::new(limits.connections_max.max(1) as usize)),
            exclusive_permits: Arc::new(Semaphore::new(EXCLUSIVE_CONNECTIONS_MAX)),
            idle: Mutex::default(),
        })
    }

    /// Runs `work` on a session, in a task of its own: dropping the returned future abandons the answer, not the work.
    pub(crate) async fn run<T, W>(self: &Arc<Self>, work: W) -> Result<T, sqlx::Error>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send + 'static,
    {
        let sessions = Arc::clone(self);
        in_own_task(async move {
            let (_permit, mut session) = sessions.acquire(&sessions.permits).await?;
            let result = sessions.answer(work(&mut session.connection)).await;
            match &result {
                Err(error) if !leaves_session_clean(error) => {
                    METRICS.failed.inc();
                    sessions.forget_idle();
                }
                _ => sessions.put_back(session),
            }
            result
        })
        .await
    }

    /// A session to begin a transaction in, on top of those for single statements.
    pub(crate) async fn acquire_exclusive(&self) -> Result<ExclusiveSession, sqlx::Error> {
        let (permit, session) = self.acquire(&self.exclusive_permits).await?;
        Ok(ExclusiveSession { session, _permit: permit })
    }

    /// The transaction has ended in an orderly way.
    pub(crate) fn put_back_exclusive(&self, exclusive: ExclusiveSession) {
        self.put_back(exclusive.session);
    }

    /// Waits for an answer for a little longer than the server should need.
    pub(crate) async fn answer<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
        timeout(self.answer_timeout, work).await.unwrap_or_else(|_| Err(timed_out("no answer within the time-out")))
    }

    async fn acquire(&self, permits: &Arc<Semaphore>) -> Result<(OwnedSemaphorePermit, Session), sqlx::Error> {
        let began = Instant::now();
        let acquire = async {
            let permit = permit(permits).await?;
            while let Some(mut session) = self.take_idle() {
                if session.opened_at.elapsed() > SESSION_AGE_MAX {
                    continue;
                }
                if session.used_at.elapsed() < TRUSTED_IDLE || session.connection.ping().await.is_ok() {
                    session.busy = Some(Busy::begin());
                    return Ok((permit, session));
                }
                self.forget_idle();
            }
            let connection = self.options.connect().await?;
            METRICS.opened.inc();
            let now = Instant::now();
            let session = Session { connection, opened_at: now, used_at: now, busy: Some(Busy::begin()) };
            Ok((permit, session))
        };
        let acquired = timeout(self.acquire_timeout, acquire)
            .await
            .unwrap_or_else(|_| Err(timed_out("no session within the time-out")));
        METRICS.acquire_seconds.observe(began.elapsed().as_secs_f64());
        if acquired.is_err() {
            METRICS.failed.inc();
            self.forget_idle();
        }
        acquired
    }

    fn take_idle(&self) -> Option<Session> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put_back(&self, mut session: Session) {
        session.used_at = Instant::now();
        session.busy = None;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }

    /// Where one session broke, the others to the same server did too.
    fn forget_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The database and the schema, without a role. `pg_temp` is named last, or else it would be searched first, and a
/// function with the owner's rights would use a caller's temporary table.
pub(crate) fn connect_options(database_url: &str, log: &LogName) -> Result<PgConnectOptions, Error> {
    let search_path = format!("{},pg_temp", log.schema());
    let options = PgConnectOptions::from_str(database_url)
        .map_err(|_| Error::refused("the database URL is malformed"))?
        .options([("search_path", search_path)])
        // The driver would log statements, and with slow ones their text.
        .disable_statement_logging();
    Ok(options)
}

/// Runs a future where no caller can cancel it.
pub(crate) async fn in_own_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, sqlx::Error>> + Send + 'static,
) -> Result<T, sqlx::Error> {
    tokio::spawn(work).await.unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed))
}

async fn permit(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, sqlx::Error> {
    Arc::clone(permits).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)
}

/// An error that the server reports, and survives, is the regular end of a statement.
fn leaves_session_clean(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
        .is_some_and(|error| matches!(error.severity(), PgSeverity::Error))
}

fn timed_out(what: &'static str) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, what))
}
