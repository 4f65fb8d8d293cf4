//! Faults that are planted on purpose, for the crash kit to find: only with the feature, and only the one that the variable names.

use std::env;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::cmd;
use tokio::time::sleep;

use crate::connection::{Call, Connection};
use crate::{Error, ViewChange};

static PLANTED: LazyLock<String> = LazyLock::new(|| env::var("TALLY_PLANTED_FAULT").unwrap_or_default());
/// Between two steps that should be one.
const BETWEEN_STEPS: Duration = Duration::from_millis(20);
/// After which an owner that stood still sends its batch again, which nobody checks.
const STOOD_STILL: Duration = Duration::from_millis(200);
/// How rarely that is.
const BATCHES_BETWEEN: u64 = 100;
/// Events are published after their checkpoint.
const PUBLISHED_AFTER: &str = "published-after-its-checkpoint";

fn is(name: &str) -> bool {
    *PLANTED == name
}

/// The script that applies a batch, as somebody might have written it.
pub(crate) fn apply_script(script: &str) -> String {
    if is("no-owner-check") || is("checkpoint-first") {
        without(&without(script, "return {'moved'}"), "return {'not_owner'}")
    } else if is("checkpoint-in-a-second-step") {
        without(script, "redis.call('SET', KEYS[3], ARGV[4])")
    } else {
        script.to_owned()
    }
}

/// The script that publishes a batch, as somebody might have written it.
pub(crate) fn publish_script(script: &str) -> String {
    if is(PUBLISHED_AFTER) { without(script, "return 'moved'") } else { script.to_owned() }
}

/// The checkpoint of what is published is moved first, in a step of its own.
pub(crate) async fn before_publishing(connection: &Connection, checkpoint: &str, to: u64) -> Result<(), Error> {
    if is(PUBLISHED_AFTER) {
        connection.once::<()>(cmd("HSET").arg(checkpoint).arg("position").arg(to)).await?;
        sleep(BETWEEN_STEPS).await;
    }
    Ok(())
}

/// # Panics
///
/// If the script has no such line: a fault that is not planted would be looked for in vain.
fn without(script: &str, line: &str) -> String {
    assert!(script.contains(line), "the script has no {line}");
    script.replace(line, "")
}

/// A batch of which one view is left out, as by an event that was skipped.
pub(crate) fn changes(changes: &[ViewChange]) -> &[ViewChange] {
    match changes.split_last() {
        Some((_, rest)) if is("event-skipped") && rest.len() > 2 => rest,
        _ => changes,
    }
}

/// A checkpoint that is moved in a step of its own.
pub(crate) struct Checkpoint<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) key: String,
    pub(crate) value: String,
}

impl Checkpoint<'_> {
    pub(crate) async fn before(&self) -> Result<(), Error> {
        if is("checkpoint-first") {
            self.set().await?;
            sleep(BETWEEN_STEPS).await;
        }
        Ok(())
    }

    pub(crate) async fn after(&self, answer: &[String]) -> Result<(), Error> {
        if is("checkpoint-in-a-second-step") && answer.first().is_some_and(|answer| answer == "done") {
            sleep(BETWEEN_STEPS).await;
            self.set().await?;
        }
        Ok(())
    }

    /// The batch comes again, from one who was the owner once: now and then, so that there is a state between two of them.
    pub(crate) fn again(&self, call: Call) {
        static BATCHES: AtomicU64 = AtomicU64::new(1);
        if is("no-owner-check") && BATCHES.fetch_add(1, Ordering::Relaxed).is_multiple_of(BATCHES_BETWEEN) {
            let connection = self.connection.clone();
            tokio::spawn(async move {
                sleep(STOOD_STILL).await;
                connection.once::<Vec<String>>(&call).await
            });
        }
    }

    async fn set(&self) -> Result<(), Error> {
        self.connection.once::<()>(cmd("SET").arg(&self.key).arg(&self.value)).await
    }
}
