//! One subscription: what is there, then what comes, by position.

use std::sync::Arc;

use tally_api::events::v1::SubscribeResponse;
use tally_event_store::StoredEvent;
use tally_receipt::Token;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::encode::{Event, fitting, proto_position};
use super::filter::Filter;
use crate::log_tail::{Known, LogTail};
use crate::outbox::{Outbox, StreamLimits, TooSlow};
use crate::status::{Failure, Resume};

/// Events in one message.
const EVENTS_PER_MESSAGE_MAX: usize = 256;

/// A subscription and how far it has come.
pub(super) struct Subscription {
    pub(super) tail: Arc<LogTail>,
    pub(super) known: watch::Receiver<Known>,
    pub(super) log_id: Uuid,
    pub(super) filter: Filter,
    pub(super) limits: StreamLimits,
    pub(super) outbox: Outbox<SubscribeResponse>,
    /// Every event up to here that passes has been handed over.
    pub(super) position: u64,
    /// Where the log ended when the subscription began; the tail may have begun earlier, or not yet.
    pub(super) head: u64,
    /// How often the log could not be read before the subscription began.
    pub(super) outages: u64,
    pub(super) stopping: CancellationToken,
}

impl Subscription {
    /// Goes on until something ends it.
    pub(super) async fn run(mut self) -> Failure {
        match self.follow().await {
            Ok(never) => match never {},
            Err(failure) => failure.at(self.position),
        }
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible, Failure> {
        // At once, so that the caller knows where it is.
        let mut sent_at = self.put(Vec::new(), self.position).await?;
        loop {
            let known = *self.known.borrow_and_update();
            self.check(known).await?;
            let events =
                if self.position < self.head { self.tail.read_after(self.position).await? } else { Vec::new() };
            if !events.is_empty() {
                let is_sent = self.hand_over(events).await?;
                if is_sent || sent_at.elapsed() >= self.limits.heartbeat {
                    sent_at = if is_sent { Instant::now() } else { self.put(Vec::new(), self.position).await? };
                }
                if self.stopping.is_cancelled() {
                    return Err(Failure::ShuttingDown(self.resume()));
                }
                continue;
            }
            if self.position < self.head {
                self.explain_missing().await?;
                continue;
            }
            tokio::select! {
                changed = self.known.changed() => changed.map_err(|_| Failure::ShuttingDown(self.resume()))?,
                () = self.stopping.cancelled() => return Err(Failure::ShuttingDown(self.resume())),
                () = sleep_until(sent_at + self.limits.heartbeat) => {
                    sent_at = self.put(Vec::new(), self.position).await?;
                }
            }
        }
    }

    /// Takes in what is known of the log, and ends where that leaves nothing to go on with.
    async fn check(&mut self, known: Known) -> Result<(), Failure> {
        if known.outages > self.outages {
            return Err(Failure::LogUnavailable(None));
        }
        match known.log_id {
            Some(log_id) if log_id != self.log_id => return Err(Failure::LogReplaced(self.resume())),
            Some(_) if known.head >= self.position => self.head = known.head,
            // The tail is behind what was read from Postgres, or the log went back.
            Some(_) => {
                let (_, head) = self.tail.ask().await?;
                if head < self.position {
                    return Err(Failure::BeyondLog { position: self.position, head });
                }
            }
            None => {}
        }
        Ok(())
    }

    /// Whoever has seen the head can see every event up to it: what is not there will not come, or is gone.
    async fn explain_missing(&mut self) -> Result<(), Failure> {
        let (_, head) = self.tail.ask().await?;
        if head < self.position {
            return Err(Failure::BeyondLog { position: self.position, head });
        }
        if head > self.position && self.tail.read_after(self.position).await?.is_empty() {
            return Err(Failure::LogHasHole(self.resume()));
        }
        self.head = head;
        Ok(())
    }

    /// Says whether anything of it passed.
    async fn hand_over(&mut self, events: Vec<Arc<StoredEvent>>) -> Result<bool, Failure> {
        let mut passing = Vec::new();
        let mut last = self.position;
        let mut hole = false;
        for event in &events {
            if event.position != last + 1 {
                hole = true;
                break;
            }
            last = event.position;
            if self.filter.passes(event) {
                passing.push(Event::from(event.as_ref()));
            }
        }
        let is_sent = !passing.is_empty();
        while !passing.is_empty() {
            let rest = passing.split_off(fitting(&passing, EVENTS_PER_MESSAGE_MAX));
            let is_last = rest.is_empty();
            let position = passing.last().filter(|_| !is_last).map_or(last, |event| event.0.position.unsigned_abs());
            self.put(std::mem::replace(&mut passing, rest), position).await?;
            self.position = position;
        }
        #[cfg(feature = "planted-faults")]
        let last = crate::planted::goes_on_after(last, self.known.borrow().head);
        self.position = last;
        if hole { Err(Failure::LogHasHole(self.resume())) } else { Ok(is_sent) }
    }

    async fn put(&self, events: Vec<Event>, position: u64) -> Result<Instant, Failure> {
        let message = SubscribeResponse {
            events: events.into_iter().map(|event| event.0).collect(),
            position: proto_position(position),
            head_position: proto_position(self.head.max(position)),
            token: Token { log_id: self.log_id, position }.encode(),
        };
        self.outbox.send(message).await.map_err(|TooSlow| Failure::SlowReader(self.resume()))?;
        Ok(Instant::now())
    }

    fn resume(&self) -> Resume {
        Resume { position: self.position, version: None }
    }
}
