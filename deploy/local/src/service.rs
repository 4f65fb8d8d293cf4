use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ChildStdout;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tally_servers::guard::{Guarded, GuardedCommand, UnixSignal};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tonic::transport::Endpoint;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::data::DataFolder;
use crate::logged::{how_it_ended, log_tail};

/// The programs of the services, in the order in which they are started.
pub(crate) const NAMES: [&str; 3] = ["command-service", "projector", "query-service"];

const READY_WITHIN: Duration = Duration::from_secs(60);
const PROBE_WITHIN: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);
/// How long calls under way may take at the end. Three services, Redis and Postgres share 10 seconds.
const DRAIN_MS: &str = "1500";
const STOP_WITHIN: Duration = Duration::from_millis(2_000);
const ANNOUNCEMENT: &str = "listening on ";

/// One service, as a process.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    /// Where to call it.
    pub(crate) address: SocketAddr,
    pub(crate) log: PathBuf,
    program: PathBuf,
    env: Vec<(&'static str, String)>,
    process: Mutex<Option<Arc<Guarded>>>,
}

impl Service {
    /// `listen` is the variable that tells it where to listen.
    pub(crate) fn new(
        name: &'static str,
        listen: (&'static str, SocketAddr),
        mut env: Vec<(&'static str, String)>,
        programs: &Path,
        data: &DataFolder,
    ) -> Service {
        let (variable, address) = listen;
        env.push((variable, address.to_string()));
        if std::env::var_os("TALLY_DRAIN_TIMEOUT_MS").is_none() {
            env.push(("TALLY_DRAIN_TIMEOUT_MS", DRAIN_MS.to_owned()));
        }
        let (program, log) = (programs.join(name), data.log(name));
        Service { name, address: dial(address), log, program, env, process: Mutex::default() }
    }

    fn spawn(&self) -> Result<Arc<Guarded>> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let command = GuardedCommand {
            program: self.program.clone(),
            args: vec!["serve".into()],
            env: self.env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            user: None,
            folder: None,
            log: log.with_context(|| format!("can't write {}", self.log.display()))?,
            stdout_to_log: false,
            stop_signal: "TERM",
            stop_within: STOP_WITHIN,
            remove: None,
        };
        let process = Arc::new(command.spawn().with_context(|| format!("can't start {}", self.name))?);
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&process));
        Ok(process)
    }

    fn process(&self) -> Option<Arc<Guarded>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts it and waits until it is ready to serve.
    pub(crate) async fn start(&self) -> Result<()> {
        let process = self.spawn()?;
        let announced = announcement(process.take_stdout().context("no standard output")?);
        let ready = async {
            if announced.await.is_err() {
                return std::future::pending().await;
            }
            while !is_ready(self.address).await {
                sleep(POLL).await;
            }
        };
        tokio::select! {
            () = ready => Ok(()),
            status = process.exited() => bail!("{} {}:\n{}", self.name, how_it_ended(status), log_tail(&self.log)),
            () = sleep(READY_WITHIN) => bail!("{} is not ready after {READY_WITHIN:?}:\n{}", self.name, log_tail(&self.log)),
        }
    }

    /// Waits for its end and says how it ended.
    pub(crate) async fn ended(&self) -> String {
        match self.process() {
            Some(process) => how_it_ended(process.exited().await),
            None => "was not started".to_owned(),
        }
    }

    /// Asks it to stop, and kills it when that takes too long.
    pub(crate) async fn stop(&self) -> Result<()> {
        let Some(process) = self.process() else { return Ok(()) };
        process.signal(UnixSignal::TERM).with_context(|| format!("can't stop {}", self.name))?;
        if timeout(STOP_WITHIN, process.exited()).await.is_err() {
            process.signal(UnixSignal::KILL)?;
            process.exited().await;
        }
        Ok(())
    }
}

/// The pipe is read to its end, whatever comes: a process must never hang on a full standard output.
fn announcement(output: BufReader<ChildStdout>) -> oneshot::Receiver<()> {
    let (found, announced) = oneshot::channel();
    thread::spawn(move || {
        let mut found = Some(found);
        for line in output.lines().map_while(Result::ok) {
            if line.starts_with(ANNOUNCEMENT)
                && let Some(found) = found.take()
            {
                let _ = found.send(());
            }
        }
    });
    announced
}

/// Its health service says SERVING, which it does once it has reached what it needs.
async fn is_ready(address: SocketAddr) -> bool {
    let check = async {
        let channel = Endpoint::try_from(format!("http://{address}")).ok()?.connect().await.ok()?;
        let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await.ok()?;
        (answer.get_ref().status() == ServingStatus::Serving).then_some(())
    };
    timeout(PROBE_WITHIN, check).await.is_ok_and(|serving| serving.is_some())
}

/// The address to call for one that is listened on.
fn dial(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (std::net::Ipv6Addr::LOCALHOST, v6.port()).into(),
        given => given,
    }
}
