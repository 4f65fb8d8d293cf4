//! What is published to others: each event of a line, once and in order, with a checkpoint of its own.
//!
//! Not a projection, though it follows the log as one does: it has no views, and nothing of it is ever made anew, since whoever reads the
//! stream has acted on what was in it. Two projectors at once publish nothing twice: of two batches that begin at the same place one is
//! refused.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tally_read_model::{LineEvent, LineEvents, Published};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::alarm::Alarm;
use crate::retry::{Backoff, Failure};
use crate::status::{Part, State, Status};
use crate::tail::{Reader, Tail};

mod cloud_event;

use cloud_event::cloud_event;

/// How often it looks where it stands while nothing happens: whether Redis is there, and whether it lost what was published.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Up to where all is published: the position, and the event's fingerprint where it is known.
type Place = (u64, Option<u64>);

/// Publishes a log's events.
pub(crate) struct Outward {
    pub(crate) tail: Arc<Tail>,
    pub(crate) reader: Reader,
    pub(crate) lines: LineEvents,
    /// The name of the log: events say that they come from it.
    pub(crate) log: String,
    /// About how many entries stay in the stream.
    pub(crate) kept_max: u64,
}

impl Outward {
    /// Publishes for ever. What passes is tried again, from what is really published then; ends with an alarm.
    pub(crate) async fn run(self, status: Status, retry_max: Duration) -> Alarm {
        let mut backoff = Backoff::new(retry_max);
        let mut head = self.tail.watch_head();
        loop {
            match self.follow(&mut head, &status, &mut backoff).await {
                Err(Failure::Alarm(alarm)) => return alarm,
                Err(Failure::Passing(reason)) => status.set(Part::LineEvents, State::Waiting(reason)),
            }
            backoff.wait().await;
        }
    }

    async fn follow(
        &self,
        head: &mut watch::Receiver<u64>,
        status: &Status,
        backoff: &mut Backoff,
    ) -> Result<Infallible, Failure> {
        let mut published = self.lines.read_checkpoint().await?;
        loop {
            status.set(Part::LineEvents, State::Following);
            backoff.reset();
            let known_head = *head.borrow_and_update();
            if published.0 < known_head
                && let Some(next) = self.step(published).await?
            {
                published = next;
                continue;
            }
            if published.0 != known_head {
                self.check_end(published.0).await?;
            }
            tokio::select! {
                _ = head.changed() => {}
                () = sleep(CHECK_EVERY) => published = self.lines.read_checkpoint().await?,
            }
        }
    }

    /// Publishes the next events, and returns up to where all is published now. None when there are no further events.
    async fn step(&self, (from, last_event): Place) -> Result<Option<Place>, Failure> {
        let (at, events) = self.reader.next_batch(from).await?;
        if let (Some(at), Some(last_event)) = (at, last_event)
            && at.fingerprint != last_event
        {
            return Err(Alarm::PublishedAnotherPast { position: from }.into());
        }
        let Some(last) = events.last() else { return Ok(None) };
        let mut lines = Vec::new();
        for (expected, event) in (from + 1..).zip(&events) {
            if event.position != expected {
                return Err(Alarm::Hole { expected }.into());
            }
            if let Some(text) = cloud_event(&self.log, event)? {
                lines.push(LineEvent { position: event.position, text });
            }
        }
        match self.lines.publish(from, (last.position, last.fingerprint), &lines, self.kept_max).await? {
            Published::Done => Ok(Some((last.position, Some(last.fingerprint)))),
            Published::Moved => Ok(Some(self.lines.read_checkpoint().await?)),
        }
    }

    /// Where there seems to be nothing to do: that the log really ends where publishing does.
    async fn check_end(&self, published: u64) -> Result<(), Failure> {
        let head = self.tail.real_head().await?;
        if head < published {
            return Err(Alarm::PublishedBeyondHead { published, head }.into());
        }
        if head > published && self.reader.next_batch(published).await?.1.is_empty() {
            return Err(Alarm::Hole { expected: published + 1 }.into());
        }
        Ok(())
    }
}
