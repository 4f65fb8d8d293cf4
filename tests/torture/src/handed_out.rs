//! When all is well again: whether others are told of the log up to its end, by a subscription and in Redis. What they are told is held against
//! the log by the checker.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use system_tests::Log;
use tokio::time::{Instant, sleep};

use crate::checker::published::is_published;
use crate::history::{Entry, EventFilter, Published};
use crate::listener::{Begin, Hearing, Subscribing};
use crate::session::Shared;
use crate::world::{LINE_EVENTS_KEPT_MAX, World};

/// Events that are asked for: the newest.
const EVENTS_MAX: i64 = 5_000;
const PAUSE: Duration = Duration::from_millis(50);

/// Takes in what is handed out of a log that no longer grows.
pub(crate) async fn handed_out(world: &World, shared: &Arc<Shared>, log: &Log) -> Result<()> {
    // Where all is not well it is said already, and nobody waits a second time.
    let is_well = {
        let history = shared.recorder.history();
        history.views_behind.is_empty() && history.broken_sessions.is_empty()
    };
    let deadline = Instant::now() + if is_well { shared.catch_up_within } else { Duration::ZERO };
    let ((), published) =
        tokio::join!(subscribe(world, shared, log, deadline), published(world, shared, log, deadline));
    published
}

async fn subscribe(world: &World, shared: &Shared, log: &Log, deadline: Instant) {
    let clients = world.clients();
    let mut from = (log.head - EVENTS_MAX).max(0);
    for replica in (0..clients.len()).cycle() {
        let begin = Begin::after(from);
        let subscribing = Subscribing { session: 0, replica, begin, filter: EventFilter::default() };
        let hearing =
            Hearing { stopped: pending(), lasts: deadline.duration_since(Instant::now()), pause: Duration::ZERO };
        let is_behind = |position: i64| position < log.head;
        let (subscription, _) = subscribing
            .hear(&clients[replica], &shared.recorder, hearing, |handed| {
                handed.last().is_none_or(|last| is_behind(last.position))
            })
            .await;
        from = subscription.handed.last().map_or(from, |last| last.position);
        let told = format!("a subscription is at {from} of {} and ends with {:?}", log.head, subscription.end);
        shared.recorder.history().subscriptions.push(subscription);
        if !is_behind(from) {
            return;
        }
        if Instant::now() > deadline {
            shared.recorder.history().views_behind.push(told);
            return;
        }
        sleep(PAUSE).await;
    }
}

async fn published(world: &World, shared: &Shared, log: &Log, deadline: Instant) -> Result<()> {
    let last = log.events.iter().rev().find(|event| is_published(event)).map_or(0, |event| event.position);
    let stream = format!("tally:{}:line_events", world.log);
    loop {
        let mut redis = world.stores.redis().await?;
        let newest: Vec<Entry> =
            redis::cmd("XREVRANGE").arg(&stream).arg("+").arg("-").arg("COUNT").arg(1).query_async(&mut redis).await?;
        let newest = newest.into_iter().next().map(|(id, _)| id);
        let position = newest.as_deref().and_then(|id| id.split('-').next()?.parse::<i64>().ok());
        if position.unwrap_or(0) >= last {
            break;
        }
        if Instant::now() > deadline {
            let behind = format!("line_events ends with {newest:?}, and {last} is the last to be published");
            shared.recorder.history().views_behind.push(behind);
            break;
        }
        sleep(PAUSE).await;
    }
    let mut redis = world.stores.redis().await?;
    let entries = redis::cmd("XRANGE").arg(&stream).arg("-").arg("+").query_async(&mut redis).await?;
    let log = world.log.clone();
    shared.recorder.history().published = Some(Published { log, kept_max: LINE_EVENTS_KEPT_MAX, entries });
    Ok(())
}
