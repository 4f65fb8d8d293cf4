//! One step of a projection: read a batch after its checkpoint, fold it, apply it.

use std::sync::Arc;
use std::time::SystemTime;

use tally_read_model::{Applied, Checkpoint, ViewChange, Writer};

use crate::alarm::Alarm;
use crate::fold::FoldError;
use crate::metrics::{METRICS, SHARD};
use crate::retry::Failure;
use crate::tail::Tail;
use crate::traces::traced;
use crate::{Fold, Recorded};

/// Takes the steps of one projection.
#[derive(Clone)]
pub(crate) struct Stepper {
    pub(crate) projection: Arc<dyn Fold>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) writer: Writer,
}

impl Stepper {
    pub(crate) fn name(&self) -> &'static str {
        self.projection.name()
    }

    /// Projects the next events, and returns where the projection stands now: after them, or where another projector or a rebuild has put
    /// it meanwhile. None when there are no further events.
    pub(crate) async fn step(&self, from: Checkpoint) -> Result<Option<Checkpoint>, Failure> {
        let events = self.tail.read_after(from.position).await?;
        let Some(last) = events.last() else { return Ok(None) };
        check_contiguous(from.position, &events)?;
        let began = SystemTime::now();
        METRICS.read(self.name(), SHARD, events[0].recorded_at);
        let changes = match self.fold(from, &events).await? {
            Ok(changes) => changes,
            Err(error) => return self.moved_or(from, Alarm::Unfoldable(error)).await,
        };
        match self.writer.apply(self.name(), from, last.position, &changes).await? {
            Applied::Done => {
                METRICS.applied(self.name(), SHARD, events.len(), began.elapsed().unwrap_or_default());
                traced(self.name(), began, &events);
                Ok(Some(Checkpoint { position: last.position, ..from }))
            }
            Applied::Moved(now) => Ok(Some(now)),
        }
    }

    async fn fold(
        &self,
        from: Checkpoint,
        events: &[Arc<Recorded>],
    ) -> Result<Result<Vec<ViewChange>, FoldError>, Failure> {
        let keys = match self.projection.keys(events) {
            Ok(keys) => keys,
            Err(error) => return Ok(Err(error)),
        };
        let views = self.writer.load_views(self.name(), from.generation, &keys).await?;
        Ok(self.projection.changes(events, keys.into_iter().zip(views).collect()))
    }

    /// Another projector may have moved on between the checkpoint and the views; then what did not fit means nothing.
    async fn moved_or(&self, from: Checkpoint, alarm: Alarm) -> Result<Option<Checkpoint>, Failure> {
        let now = self.writer.read_checkpoint(self.name()).await?;
        if now == from { Err(alarm.into()) } else { Ok(Some(now)) }
    }

    /// Where there seems to be nothing to do: that the log really ends where the projection stands.
    pub(crate) async fn check_end(&self, checkpoint: Checkpoint) -> Result<(), Failure> {
        let head = self.tail.real_head().await?;
        if head < checkpoint.position {
            return Err(Alarm::BeyondHead { checkpoint: checkpoint.position, head }.into());
        }
        // Whoever has seen the head can see every event up to it.
        if head > checkpoint.position && self.tail.read_after(checkpoint.position).await?.is_empty() {
            return Err(Alarm::Hole { expected: checkpoint.position + 1 }.into());
        }
        Ok(())
    }
}

fn check_contiguous(after: u64, events: &[Arc<Recorded>]) -> Result<(), Alarm> {
    for (expected, event) in (after + 1..).zip(events) {
        if event.position != expected {
            return Err(Alarm::Hole { expected });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::testing::external;

    fn check(after: u64, positions: &[u64]) -> Result<(), Alarm> {
        let events: Vec<_> = positions.iter().map(|at| Arc::new(external("o").at(*at).recorded())).collect();
        check_contiguous(after, &events)
    }

    #[test]
    fn a_hole_is_found_at_the_beginning_and_in_the_middle() {
        assert_eq!(check(3, &[]), Ok(()));
        assert_eq!(check(3, &[4, 5, 6]), Ok(()));
        assert_eq!(check(3, &[5, 6]), Err(Alarm::Hole { expected: 4 }));
        assert_eq!(check(3, &[4, 6]), Err(Alarm::Hole { expected: 5 }));
        assert_eq!(check(3, &[4, 4]), Err(Alarm::Hole { expected: 5 }));
    }
}
