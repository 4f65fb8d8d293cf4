//! The loop of one projection.

use std::convert::Infallible;
use std::time::Duration;

use tally_read_model::Writer;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::alarm::Alarm;
use crate::metrics::{METRICS, SHARD};
use crate::retry::{Backoff, Failure};
use crate::status::{State, Status};
use crate::step::Stepper;

/// How often a projection at rest looks where it stands: whether Redis is there, and whether it lost what it was told.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Projects for ever. What passes is tried again, from what the read model really holds then; ends with an alarm.
pub(crate) async fn run(stepper: Stepper, status: Status, retry_max: Duration) -> Alarm {
    let mut backoff = Backoff::new(retry_max);
    let mut head = stepper.tail.watch_head();
    loop {
        match project(&stepper, &mut head, &status, &mut backoff).await {
            Err(Failure::Alarm(alarm)) => return alarm,
            Err(Failure::Passing(reason)) => {
                METRICS.retried(stepper.name());
                status.set(stepper.name(), State::Waiting(reason));
            }
        }
        backoff.wait().await;
    }
}

async fn project(
    stepper: &Stepper,
    head: &mut watch::Receiver<u64>,
    status: &Status,
    backoff: &mut Backoff,
) -> Result<Infallible, Failure> {
    let (name, writer) = (stepper.name(), &stepper.writer);
    writer.check_settings().await?;
    writer.claim().await?;
    let mut checkpoint = writer.read_checkpoint(name).await?;
    let mut generation = None;
    loop {
        status.set(name, State::Following);
        backoff.reset();
        if generation.replace(checkpoint.generation) != generation {
            tokio::spawn(remove_retired(writer.clone(), name));
        }
        METRICS.stands(name, SHARD, checkpoint.position, checkpoint.generation);
        let known_head = *head.borrow_and_update();
        if checkpoint.position < known_head
            && let Some(next) = stepper.step(checkpoint).await?
        {
            checkpoint = next;
            continue;
        }
        if checkpoint.position != known_head {
            stepper.check_end(checkpoint).await?;
        }
        tokio::select! {
            _ = head.changed() => {}
            () = sleep(CHECK_EVERY) => {
                writer.claim().await?;
                checkpoint = writer.read_checkpoint(name).await?;
            }
        }
    }
}

/// Removes what rebuilds left behind, this one or one that was killed. What fails is done the next time.
pub(crate) async fn remove_retired(writer: Writer, projection: &'static str) {
    let removed = async {
        for generation in writer.retired_generations(projection).await? {
            writer.remove_generation(projection, generation).await?;
            tracing::info!(projection, generation, "removed an old generation of views");
        }
        Ok::<_, tally_read_model::Error>(())
    };
    if let Err(error) = removed.await {
        tracing::warn!(projection, %error, "an old generation of views is not removed yet");
    }
}
