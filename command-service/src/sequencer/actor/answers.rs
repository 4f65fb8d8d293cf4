//! Answering the commands of a batch that is stored.

use std::sync::Arc;

use tally_domain::StreamId;

use super::Actor;
use crate::metrics::METRICS;
use crate::sequencer::decide::{Decided, Verdict};
use crate::sequencer::settle::Checked;
use crate::sequencer::{Outcome, Receipt, replay};

impl Actor {
    /// A batch is stored, and what it only said is checked: answer.
    pub(super) fn conclude(&mut self, decided: Vec<Decided>, mut checked: Checked) {
        if let Some(appended) = checked.appended {
            // Before the answers: what is woken last runs first.
            self.doorbell.ring(appended.last_position);
            METRICS.position.set(i64::try_from(appended.last_position).unwrap_or(i64::MAX));
        }
        let mut position = checked.appended.map_or(0, |appended| appended.first_position.saturating_sub(1));
        let mut again = Vec::new();
        for Decided { ticket, verdict, basis } in decided {
            if let Some(known) = checked.known.remove(&ticket.submission.command_id) {
                let outcome = replay::outcome(self.log_id, &ticket, known);
                self.recent.finish(ticket, outcome);
                continue;
            }
            match verdict {
                Verdict::Append { stream, version, events } => {
                    for event in &events {
                        position += 1;
                        self.cache.committed(&event.stream, position);
                    }
                    let events = events.into_iter().map(|event| event.event).collect();
                    let receipt = self.receipt(&stream, version, position);
                    self.recent.finish(ticket, Ok(Outcome { receipt: Some(receipt), events: Arc::new(events) }));
                }
                Verdict::Remember { stream, version, position, standing } => {
                    // Those before it in the batch are committed by now, so that the stream's last event is the one it found.
                    let position = position.unwrap_or_else(|| self.cache.position(&stream));
                    let receipt = self.receipt(&stream, version, position);
                    self.recent.finish(ticket, Ok(Outcome { receipt: Some(receipt), events: Arc::new(standing) }));
                }
                Verdict::Unchanged { .. } | Verdict::Refused(_)
                    if basis.iter().any(|(id, _)| checked.stale.contains(id)) =>
                {
                    again.push(ticket);
                }
                Verdict::Refused(failure) => self.recent.finish(ticket, Err(failure)),
                Verdict::Unchanged { stream: _, version: _, standing } if ticket.submission.validate_only => {
                    self.recent.finish(ticket, Ok(Outcome { receipt: None, events: Arc::new(standing) }));
                }
                Verdict::Unchanged { stream, version, standing } => {
                    // The stream's events up to here are committed, so its position is known now.
                    let at = self.cache.position(&stream);
                    if ticket.is_repeatable() && self.holds_left == 0 {
                        let verdict = Verdict::Remember { stream, version, position: Some(at), standing };
                        self.forming.push(Decided { ticket, verdict, basis: Vec::new() });
                    } else if ticket.is_repeatable() {
                        self.queue.put(ticket);
                    } else {
                        let receipt = self.receipt(&stream, version, at);
                        self.recent.finish(ticket, Ok(Outcome { receipt: Some(receipt), events: Arc::new(standing) }));
                    }
                }
            }
        }
        if !again.is_empty() {
            for id in &checked.stale {
                self.cache.distrust(id);
            }
            // What was decided ahead on them can't be right either.
            again.extend(self.take_back(Vec::new(), checked.stale));
            self.reconsider(again);
        }
    }

    fn receipt(&self, stream: &StreamId, version: u64, position: u64) -> Receipt {
        Receipt { log_id: self.log_id, stream_id: stream.to_string(), stream_version: version, position }
    }
}
