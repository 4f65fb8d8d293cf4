//! `projector rebuild`: projects the whole log anew into a new generation of views, then removes the old one.
//!
//! From the first moment the new generation is the live one, so queries see it grow. A `serve` that runs at the same time loses its place by
//! the compare-and-set, finds it again in the new generation and projects into it too; each event still counts once. So if this process is
//! killed, that one simply goes on, and so does the next `serve` that starts; it also removes what was left.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tally_event_store::ReadStore;
use tally_read_model::{Checkpoint, ReadModel};

use crate::Fold;
use crate::alarm::Alarm;
use crate::progress::Progress;
use crate::retry::{Backoff, Failure};
use crate::run::remove_retired;
use crate::step::Stepper;
use crate::tail::{Tail, TailLimits};

/// Rebuilds one projection up to where the log ends now.
pub(crate) async fn rebuild(
    projection: Arc<dyn Fold>,
    store: ReadStore,
    model: ReadModel,
    limits: TailLimits,
) -> anyhow::Result<()> {
    let name = projection.name();
    // The first contact is not tried again: a wrong address should be told at once.
    let log_id = store.log_id().await.map_err(Failure::from).context("the log can't be read")?;
    let head = store.head().await.map_err(Failure::from)?;
    let writer = model.writer(log_id);
    writer.check_settings().await.map_err(Failure::from)?;
    writer.claim().await.map_err(Failure::from)?;
    let (old, new) = writer.start_generation(name).await.map_err(Failure::from)?;
    tracing::info!(projection = name, old, new, head, "rebuilding");

    let stepper = Stepper { projection, tail: Arc::new(Tail::new(store, limits)), writer };
    let mut progress = Progress::start(name, head);
    project_up_to(head, &stepper, limits.retry_max, &mut progress).await?;
    progress.say(&format!("removing the old views of {name}"));
    remove_retired(stepper.writer, name).await;
    progress.end(&format!("rebuilt {name} up to position {head}"));
    Ok(())
}

async fn project_up_to(
    head: u64,
    stepper: &Stepper,
    retry_max: Duration,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let mut backoff = Backoff::new(retry_max);
    let mut checkpoint = None;
    loop {
        match step(stepper, checkpoint).await {
            Ok(now) => {
                progress.at(now.position);
                if now.position >= head {
                    return Ok(());
                }
                checkpoint = Some(now);
                backoff.reset();
            }
            Err(Failure::Passing(reason)) => {
                progress.say(&format!("waiting: {reason}"));
                checkpoint = None;
                backoff.wait().await;
            }
            Err(Failure::Alarm(alarm)) => return Err(alarm.into()),
        }
    }
}

/// From nowhere the step is to find out where the projection stands.
async fn step(stepper: &Stepper, checkpoint: Option<Checkpoint>) -> Result<Checkpoint, Failure> {
    let Some(from) = checkpoint else {
        return Ok(stepper.writer.read_checkpoint(stepper.name()).await?);
    };
    match stepper.step(from).await? {
        Some(now) => Ok(now),
        None => {
            stepper.check_end(from).await?;
            // It ended further on when the rebuild began.
            Err(Alarm::Hole { expected: from.position + 1 }.into())
        }
    }
}
