//! A run: load and faults for a while, then peace, then the check.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use system_tests::{Log, target_dir};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

use crate::args::CommandLine;
use crate::checker::{self, Verdict};
use crate::fault::{Fault, Target};
use crate::handed_out::handed_out;
use crate::history::{History, Recorder};
use crate::inject::inject;
use crate::intention::Intention;
use crate::report::{self, Progress};
use crate::resources::Resources;
use crate::schedule::{Pace, Schedule};
use crate::session::{Session, Shared};
use crate::sweep::sweep;
use crate::world::{LINE_EVENTS_KEPT_MAX, World};

/// SKUs that everybody fights for.
const SKUS: usize = 24;
/// Pieces of each at the start: far less than is asked for.
const STOCK: i32 = 60;
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// How long a transaction may stay open that was cut from outside: as long as the services tell Postgres to bear with it, and a bit.
const LEFT_OPEN_MAX: Duration = Duration::from_secs(7);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How long a client may go on after the end of the load, to settle what it doesn't know.
const SETTLE_MAX: Duration = Duration::from_secs(90);

/// Who watch at the same time, and who follow the log: so many that they meet every fault, and no more.
const WATCHES_MAX: usize = 24;
const SUBSCRIPTIONS_MAX: usize = 4;
/// How long a stream may be silent, and how long its caller may take for a message: short, so that a short run sees both.
const HEARTBEAT_MS: u64 = 1_000;
const STALL_MS_MAX: u64 = 1_000;

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) took: Duration,
    pub(crate) history: History,
    pub(crate) log: Log,
    pub(crate) verdict: Verdict,
    pub(crate) resources: Resources,
    pub(crate) folder: PathBuf,
}

/// The faults that can be had here, and their schedule.
pub(crate) fn schedule(line: &CommandLine, seed: u64) -> Result<(Vec<Fault>, Schedule)> {
    let mut faults = line.faults()?;
    if line.database_url.is_some() {
        let (own, rest): (Vec<Fault>, Vec<Fault>) = faults.into_iter().partition(|fault| fault.needs_own_servers());
        if !own.is_empty() {
            let names: Vec<&str> = own.iter().map(|fault| fault.name()).collect();
            report::say(&format!("left out, for they take servers of the kit's own: {}", names.join(", ")));
        }
        faults = rest;
    }
    let pace = Pace {
        duration: line.duration,
        gap_max: Duration::from_millis(line.fault_gap_ms_max),
        hold_max: Duration::from_millis(line.fault_hold_ms_max),
    };
    let schedule = Schedule::new(seed, &faults, pace);
    Ok((faults, schedule))
}

pub(crate) async fn run(line: &CommandLine, seed: u64) -> Result<Outcome> {
    let (faults, schedule) = schedule(line, seed)?;
    let folder = line
        .folder
        .clone()
        .unwrap_or_else(|| target_dir().join("torture").join(format!("seed-{seed}-{}", std::process::id())));
    std::fs::create_dir_all(&folder).with_context(|| format!("the folder {}", folder.display()))?;
    let world = World::start(line, &faults, folder.clone(), &lively_streams()).await?;
    let shared = Arc::new(Shared {
        recorder: Recorder::start(),
        impatient: AtomicBool::new(false),
        settle_within: Duration::from_secs(line.settle_secs_max),
        catch_up_within: Duration::from_secs(line.catch_up_secs_max),
        reads_percent: line.reads_percent,
        given_up_percent: line.given_up_percent,
        skus: (0..SKUS).map(|number| format!("SKU-{number}")).collect(),
        watches: Semaphore::new(WATCHES_MAX),
        subscriptions: Semaphore::new(SUBSCRIPTIONS_MAX),
        slow_clients: world.slow_clients()?,
        stop: watch::Sender::new(false),
    });
    let began = Instant::now();
    stock(&world, &shared, seed).await;

    let mut sessions = JoinSet::new();
    for number in 1..=usize::from(line.sessions) {
        sessions.spawn(Session::new(number, seed, world.clients(), Arc::clone(&shared)).work());
    }
    let mut resources = Resources::default();
    let injected = torture(&world, &shared, schedule, line.duration, &mut resources).await;
    shared.stop.send_replace(true);
    injected?;
    settle(&mut sessions, &shared).await;
    sweep(&world, &shared).await;
    left_open(&world, &shared).await?;

    let database = world.stores.database(&world.log).await?;
    let log = Log::read(&database).await;
    let took = began.elapsed();
    handed_out(&world, &shared, &log).await?;
    world.stores.clean().await?;
    let history = shared.recorder.take();
    let (verdict, history, log) = tokio::task::spawn_blocking(move || {
        let verdict = checker::check(&history, &log);
        (verdict, history, log)
    })
    .await?;
    Ok(Outcome { seed, took, history, log, verdict, resources, folder })
}

/// The services' settings of what goes on for as long as somebody listens.
fn lively_streams() -> [(&'static str, String); 3] {
    [
        ("STREAM_HEARTBEAT_MS", HEARTBEAT_MS.to_string()),
        ("STREAM_STALL_MS_MAX", STALL_MS_MAX.to_string()),
        ("LINE_EVENTS_KEPT_MAX", LINE_EVENTS_KEPT_MAX.to_string()),
    ]
}

/// Some stock of every SKU, so that there is something to fight for.
async fn stock(world: &World, shared: &Arc<Shared>, seed: u64) {
    let mut first = Session::new(0, seed, world.clients(), Arc::clone(shared));
    for sku in &shared.skus {
        let (batch_ref, sku) = (format!("{sku}-first"), sku.clone());
        let begin = Intention::CreateBatch { batch_ref, sku, quantity: STOCK, eta: None };
        // What becomes of it is the checker's business, as of everything else.
        first.carry_out(begin).await;
    }
}

/// Injects every fault at its time, and returns when the time is over and all have healed.
async fn torture(
    world: &World,
    shared: &Arc<Shared>,
    Schedule(schedule): Schedule,
    duration: Duration,
    resources: &mut Resources,
) -> Result<()> {
    let began = Instant::now();
    let progress = Progress::new(schedule.len(), duration);
    // The schedule keeps faults apart as far as it knows; how long a server takes to come back, it doesn't.
    let taken = watch::Sender::new(Vec::<Target>::new());
    let taken = &taken;
    let faults = async {
        let mut under_way = Vec::new();
        for scheduled in schedule {
            let skipped = scheduled.fault == Fault::DiskFull && !world.stores.have_own_disk();
            let needs_own = scheduled.fault.target() == Target::Redis || scheduled.fault.target() == Target::Postgres;
            if skipped || (needs_own && !world.stores.are_own()) {
                continue;
            }
            under_way.push(async move {
                sleep_until(began + scheduled.at).await;
                let target = scheduled.fault.target();
                let is_free = |taken: &Vec<Target>| !taken.iter().any(|other| other.overlaps(target));
                // The sender is here, so this can't fail; and all faults are on one task, so nobody gets in between.
                let _ = taken.subscribe().wait_for(is_free).await;
                taken.send_modify(|taken| taken.push(target));
                progress_line(&scheduled);
                let healed = inject(scheduled, world, shared).await;
                taken.send_modify(|taken| {
                    if let Some(at) = taken.iter().position(|one| *one == target) {
                        taken.remove(at);
                    }
                });
                healed
            });
        }
        let results = join_all(under_way).await;
        sleep_until(began + duration).await;
        results.into_iter().collect::<Result<()>>()
    };
    let tell = async {
        let mut ticks = interval(PROGRESS_EVERY);
        loop {
            ticks.tick().await;
            resources.look(world);
            progress.tell(began.elapsed(), &shared.recorder);
        }
    };
    tokio::select! {
        result = faults => result,
        () = tell => Ok(()),
    }
}

fn progress_line(scheduled: &crate::Scheduled) {
    report::say(&format!(
        "  {:>7.1} s  {} for {:?}",
        scheduled.at.as_secs_f64(),
        scheduled.fault.name(),
        scheduled.hold
    ));
}

/// Sessions of Postgres that wait in a transaction when nobody does anything any more.
async fn left_open(world: &World, shared: &Shared) -> Result<()> {
    let database = world.stores.database(&world.log).await?;
    let waiting = "SELECT pid, state FROM pg_stat_activity
         WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    let began = Instant::now();
    loop {
        let left: Vec<(i32, String)> = sqlx::query_as(waiting).fetch_all(&database).await?;
        if left.is_empty() {
            return Ok(());
        }
        if began.elapsed() > LEFT_OPEN_MAX {
            shared
                .recorder
                .history()
                .left_open
                .extend(left.into_iter().map(|(pid, state)| format!("{pid} is {state}")));
            return Ok(());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// All futures together, on this task: what they borrow lives here.
async fn join_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut all = true;
        for (future, result) in &mut pending {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *result = Some(value),
                    std::task::Poll::Pending => all = false,
                }
            }
        }
        if all { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    pending.into_iter().filter_map(|(_, result)| result).collect()
}

/// Waits for the clients, who settle what they don't know. One that was broken says why.
async fn settle(sessions: &mut JoinSet<()>, shared: &Shared) {
    let deadline = Instant::now() + SETTLE_MAX;
    loop {
        match tokio::time::timeout_at(deadline, sessions.join_next()).await {
            Ok(None) => return,
            Ok(Some(Ok(()))) => {}
            Ok(Some(Err(error))) => shared.recorder.history().broken_sessions.push(format!("a client: {error}")),
            Err(_) => {
                let left = sessions.len();
                shared.recorder.history().broken_sessions.push(format!("{left} clients hang"));
                sessions.abort_all();
                return;
            }
        }
    }
}
