//! Sending, in a closed loop or an open one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::args::LoadArgs;
use super::caller::{Caller, Reply};
use super::report::{Answer, LoadReport, Seen, sum_up};
use super::schedule::Schedule;

/// Sends what the arguments say, and waits for every answer.
///
/// # Errors
/// When it can't connect. Errors of the server are in the report.
pub(crate) async fn load(args: &LoadArgs) -> Result<LoadReport> {
    let callers = Caller::connect_all(args).await?;
    let began = Instant::now();
    let end = began + args.warm_up() + args.measure();
    let seen = match (args.rate_per_second, args.count) {
        (Some(per_second), _) => open_loop(&callers, Schedule::new(began, per_second), began, end).await,
        (None, Some(count)) => closed_loop(&callers, args.in_flight, began, Until::Count(count)).await,
        (None, None) => closed_loop(&callers, args.in_flight, began, Until::Time(end)).await,
    };
    match args.count {
        Some(_) => sum_up(&seen, Duration::ZERO, began.elapsed()),
        None => sum_up(&seen, args.warm_up(), args.measure()),
    }
}

#[derive(Clone, Copy, Debug)]
enum Until {
    Time(Instant),
    Count(u64),
}

/// Each sender sends its next command when the last one is answered. One that meets an error stops: the run is worth nothing any more.
async fn closed_loop(callers: &[Caller], in_flight: usize, began: Instant, until: Until) -> Vec<Seen> {
    let next = Arc::new(AtomicU64::new(0));
    let mut senders = JoinSet::new();
    for caller in callers.iter().cycle().take(in_flight) {
        let (caller, next) = (caller.clone(), Arc::clone(&next));
        senders.spawn(async move {
            let mut seen = Seen::default();
            while seen.errors.is_empty() {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let sent_at = Instant::now();
                let over = match until {
                    Until::Time(end) => sent_at >= end,
                    Until::Count(count) => number >= count,
                };
                if over {
                    break;
                }
                seen.note(answered(&caller, number, began, sent_at).await);
            }
            seen
        });
    }
    senders.join_all().await
}

/// Commands are sent at their times, however many are under way.
async fn open_loop(callers: &[Caller], schedule: Schedule, began: Instant, end: Instant) -> Vec<Seen> {
    let (due, mut numbers) = mpsc::unbounded_channel();
    let keeping = tokio::task::spawn_blocking(move || schedule.keep(end, &due));
    let (note, mut outcomes) = mpsc::unbounded_channel();
    while let Some(number) = numbers.recv().await {
        let caller = callers[number as usize % callers.len()].clone();
        let note = note.clone();
        tokio::spawn(async move { note.send(answered(&caller, number, began, schedule.time_of(number)).await) });
    }
    drop(note);
    let mut seen = Seen::default();
    while let Some(outcome) = outcomes.recv().await {
        seen.note(outcome);
    }
    if keeping.await.is_err() {
        seen.errors.push("the schedule was not kept".to_owned());
    }
    vec![seen]
}

/// `from` is when its latency begins.
async fn answered(caller: &Caller, number: u64, began: Instant, from: Instant) -> Result<Answer, String> {
    let reply = caller.call(number).await?;
    let now = Instant::now();
    let answer = Answer { came_at: now - began, latency: now - from, refused: false, unmeasured: false, read: None };
    Ok(match reply {
        Reply::Success => answer,
        Reply::Refused => Answer { refused: true, ..answer },
        Reply::Unmeasured => Answer { unmeasured: true, ..answer },
        Reply::Visible { visible, read } => Answer { latency: visible, read: Some(read), ..answer },
    })
}
