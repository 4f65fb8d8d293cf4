use std::fs;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::children::signal_family;
use crate::error::Tried;
use crate::folder::Folder;
use crate::guard::{Guarded, GuardedCommand, UnixSignal};
use crate::{Error, port};

/// From the start to the first answer; recovery after a crash is in it.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// How long a server that was asked to stop may take before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(6);
const POLL: Duration = Duration::from_millis(20);
/// How often a race for a port may be lost.
const PORT_TRIES: usize = 20;

/// What differs between Postgres and Redis.
pub trait Program: std::fmt::Debug + Send + Sync {
    /// Its name in messages.
    const NAME: &'static str;
    /// What its log says when the port is taken.
    const PORT_TAKEN: &'static str;
    /// Asks it to stop cleanly, without waiting for its clients.
    const STOP: UnixSignal;

    #[doc(hidden)]
    fn command(&self, server: ServerFolder<'_>, port: u16) -> Result<GuardedCommand, Error>;
    #[doc(hidden)]
    fn ping(&self, port: u16) -> impl Future<Output = Result<(), Error>> + Send;
}

/// A server's folder and its locked log, for [`Program::command`].
#[derive(Debug)]
pub struct ServerFolder<'a> {
    pub(crate) folder: &'a Folder,
    pub(crate) log: fs::File,
}

/// A private server on 127.0.0.1, run as an ordinary user even when this process is root. It is stopped when this is dropped, and when this
/// process ends, however it ends.
#[derive(Debug)]
pub struct Server<P: Program> {
    pub(crate) program: P,
    pub(crate) folder: Folder,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    port: u16,
    process: Option<Arc<Guarded>>,
}

impl<P: Program> Server<P> {
    pub(crate) async fn launch(program: P, folder: Folder) -> Result<Self, Error> {
        let server = Server { program, folder, state: Mutex::default() };
        for attempt in 0..PORT_TRIES {
            // The lock first: an earlier owner's server has its port until it is gone.
            let log = server.folder.lock().await?;
            let last = server.folder.last_port().filter(|port| attempt == 0 && port::is_free(*port));
            let port = match last {
                Some(port) => port,
                None => port::free_port().tried(|| "find a free port".to_owned())?,
            };
            if server.run_on(port, log).await? {
                server.folder.keep_port(port)?;
                return Ok(server);
            }
        }
        Err(server.failed("found every port taken", 0))
    }

    /// True when it answers on `port`, false when another process has the port.
    async fn run_on(&self, port: u16, log: fs::File) -> Result<bool, Error> {
        let log_start = self.folder.log_length();
        let command = self.program.command(ServerFolder { folder: &self.folder, log }, port)?;
        let process = Arc::new(command.spawn().tried(|| format!("start {}", P::NAME))?);
        *self.state() = State { port, process: Some(Arc::clone(&process)) };

        let began = Instant::now();
        loop {
            if !process.is_running() {
                let port_taken = self.folder.log_tail(log_start).contains(P::PORT_TAKEN);
                return if port_taken {
                    Ok(false)
                } else {
                    Err(self.failed("ended as soon as it was started", log_start))
                };
            }
            // An answer while the process is still running: no other server that took the port would accept the password.
            match self.program.ping(port).await {
                Ok(()) => return Ok(true),
                Err(error) if began.elapsed() > READY_WITHIN => {
                    return Err(self.failed(&format!("did not answer within {READY_WITHIN:?} ({error})"), log_start));
                }
                Err(_) => sleep(POLL).await,
            }
        }
    }

    fn failed(&self, what: &str, log_start: u64) -> Error {
        let log = self.folder.log_path();
        Error::Failed { server: P::NAME, what: what.to_owned(), log, log_tail: self.folder.log_tail(log_start) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn process(&self) -> Option<Arc<Guarded>> {
        self.state().process.as_ref().filter(|process| process.is_running()).cloned()
    }

    /// Its port on 127.0.0.1; it stays the same over [`Server::restart`].
    pub fn port(&self) -> u16 {
        self.state().port
    }

    /// Its process id; None when it doesn't run.
    pub fn pid(&self) -> Option<u32> {
        self.process().map(|process| process.pid())
    }

    /// Its folder: data, log and password.
    pub fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// Waits until it has ended, by whatever cause.
    pub async fn ended(&self) {
        if let Some(process) = self.process() {
            process.exited().await;
        }
    }

    /// Stops it cleanly; kills it when it takes longer than 6 seconds. No error when it doesn't run.
    ///
    /// # Errors
    /// When it may not be signalled.
    pub async fn stop(&self) -> Result<(), Error> {
        self.stop_within(STOP_WITHIN).await
    }

    /// As [`Server::stop`], with another limit.
    ///
    /// # Errors
    /// When it may not be signalled.
    pub async fn stop_within(&self, limit: Duration) -> Result<(), Error> {
        let Some(process) = self.process() else { return Ok(()) };
        process.signal(P::STOP).tried(|| format!("stop {}", P::NAME))?;
        signal_family(process.pid(), UnixSignal::CONT).tried(|| format!("stop {}", P::NAME))?;
        if timeout(limit, process.exited()).await.is_err() {
            tracing::warn!("{} did not stop within {limit:?} and is killed", P::NAME);
            return self.kill().await;
        }
        Ok(())
    }

    /// kill -9, of all of its processes.
    ///
    /// # Errors
    /// When it may not be signalled.
    pub async fn kill(&self) -> Result<(), Error> {
        let Some(process) = self.process() else { return Ok(()) };
        signal_family(process.pid(), UnixSignal::KILL).tried(|| format!("kill {}", P::NAME))?;
        process.exited().await;
        Ok(())
    }

    /// SIGSTOP to all of its processes: it accepts connections (the kernel does) and answers nothing.
    ///
    /// # Errors
    /// When it may not be signalled.
    pub fn pause(&self) -> Result<(), Error> {
        self.signal_all(UnixSignal::STOP)
    }

    /// Undoes [`Server::pause`].
    ///
    /// # Errors
    /// When it may not be signalled.
    pub fn resume(&self) -> Result<(), Error> {
        self.signal_all(UnixSignal::CONT)
    }

    fn signal_all(&self, signal: UnixSignal) -> Result<(), Error> {
        let Some(process) = self.process() else { return Ok(()) };
        signal_family(process.pid(), signal).tried(|| format!("signal {}", P::NAME))
    }

    /// Starts it again on the same port and data; stops it first if it runs.
    ///
    /// # Errors
    /// When it doesn't start, or another process keeps its port.
    pub async fn restart(&self) -> Result<(), Error> {
        self.stop().await?;
        let port = self.port();
        let began = Instant::now();
        while !self.run_on(port, self.folder.lock().await?).await? {
            if began.elapsed() > READY_WITHIN {
                return Err(self.failed("found its port taken", 0));
            }
            sleep(POLL).await;
        }
        Ok(())
    }
}

impl<P: Program> Drop for Server<P> {
    fn drop(&mut self) {
        // The guard of a running one stops it and then removes the folder.
        if self.folder.temporary && self.process().is_none() {
            let _ = fs::remove_dir_all(&self.folder.path);
        }
    }
}
