//! One of the three processes, which a test may stop, kill, pause and start again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Result;
use tally_servers::guard::UnixSignal;
use tonic::transport::{Channel, Endpoint};

use crate::process::{Launch, Process, log_tail};

/// How long a process that was asked to stop may take: above any drain time-out of the tests.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// A process of Tally.
#[derive(Debug)]
pub struct Service {
    launch: Launch,
    log: PathBuf,
    running: Mutex<Option<Running>>,
}

#[derive(Clone, Debug)]
struct Running {
    process: Arc<Process>,
    address: SocketAddr,
}

impl Service {
    /// Starts it.
    ///
    /// # Errors
    /// When it doesn't start.
    pub async fn start(launch: Launch, log: PathBuf) -> Result<Self> {
        let service = Self { launch, log, running: Mutex::new(None) };
        service.launch().await?;
        Ok(service)
    }

    async fn launch(&self) -> Result<()> {
        let (process, address) = Process::serve(&self.launch, &self.log).await?;
        *self.running() = Some(Running { process: Arc::new(process), address });
        Ok(())
    }

    /// Starts it again, on another port.
    ///
    /// # Panics
    /// When it doesn't start.
    pub async fn start_again(&self) {
        self.launch().await.unwrap_or_else(|error| panic!("{} doesn't start again: {error:#}", self.launch.program));
    }

    /// SIGTERM, and waits for the end.
    pub async fn stop(&self) -> ExitStatus {
        let process = self.process();
        process.signal(UnixSignal::TERM);
        process.ended(STOP_TIMEOUT).await
    }

    /// kill -9.
    pub async fn kill(&self) {
        let process = self.process();
        process.signal(UnixSignal::KILL);
        process.ended(STOP_TIMEOUT).await;
    }

    /// Waits for its end, no longer than this. Whether it came.
    pub async fn ended_within(&self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.process().exited()).await.is_ok()
    }

    /// SIGSTOP: it is there and does nothing.
    pub fn pause(&self) {
        self.process().signal(UnixSignal::STOP);
    }

    /// Undoes [`Service::pause`].
    pub fn resume(&self) {
        self.process().signal(UnixSignal::CONT);
    }

    /// SIGTERM, and starts it again.
    pub async fn restart(&self) {
        self.stop().await;
        self.start_again().await;
    }

    /// kill -9, and starts it again.
    pub async fn kill_and_start_again(&self) {
        self.kill().await;
        self.start_again().await;
    }

    /// The process that runs, or ran last.
    ///
    /// # Panics
    /// When it was never started.
    pub fn process(&self) -> Arc<Process> {
        Arc::clone(&self.running().as_ref().expect("started").process)
    }

    /// Where it listens; it changes with every start.
    ///
    /// # Panics
    /// When it was never started.
    pub fn address(&self) -> SocketAddr {
        self.running().as_ref().expect("started").address
    }

    /// A new connection to it, made when it is first used.
    ///
    /// # Panics
    /// When called outside of a runtime.
    pub fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address())).expect("an address makes a URI").connect_lazy()
    }

    /// The name of its program.
    pub fn name(&self) -> &'static str {
        self.launch.program
    }

    /// How it was started.
    pub fn launched(&self) -> &Launch {
        &self.launch
    }

    /// The file that it logs to.
    pub fn log(&self) -> &Path {
        &self.log
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().expect("no panic while it is held")
    }
}

impl Drop for Service {
    /// A failed test shows what its processes logged last.
    #[allow(clippy::print_stderr, reason = "this is a test's output")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- {} ({}):\n{}", self.name(), self.log.display(), log_tail(&self.log));
        }
    }
}
