//! Deciding ahead beside others: what they appended comes back with each batch, and what did not fit is decided again on it.

use std::collections::HashSet;

use tally_domain::{Event, StreamId};
use tally_event_store::{LoadedEvent, News};

use super::{Actor, FITTING_AFTER_OTHERS};
use crate::metrics::METRICS;
use crate::sequencer::decide::{Decided, undo};
use crate::sequencer::settle::{Beside, Checked};
use crate::sequencer::ticket::Ticket;

/// One in so many commands that did not fit is much: to decide them with the head held is less work than to decide them again and again.
const MUCH: usize = 4;
/// Fewer than this are never much.
const MUCH_MIN: usize = 4;
/// Times that a command may be left out; after that it is decided with the head held, so that none loses for ever.
const LEFT_OUT_PER_COMMAND_MAX: u32 = 3;

pub(super) fn is_much(unfit: usize, commands: usize) -> bool {
    unfit >= MUCH_MIN && unfit * MUCH > commands
}

impl Actor {
    /// What fitted is stored; the rest is decided again, and with it what was decided on it, or on what has moved.
    pub(super) fn beside_landed(&mut self, decided: Vec<Decided>, checked: Checked, beside: Beside) {
        let Beside { mut left_out, news } = beside;
        self.fitting_left = if news.is_empty() { self.fitting_left.saturating_sub(1) } else { FITTING_AFTER_OTHERS };
        let news = parsed(news);
        let is_overtaken = |(id, event): &&(StreamId, LoadedEvent)| event.version > self.cache.committed_version(id);
        let moved: HashSet<StreamId> = news.iter().filter(is_overtaken).map(|(id, _)| id.clone()).collect();
        let is_contended = is_much(left_out.len(), left_out.len() + decided.len());
        let mut loses = false;
        for item in &mut left_out {
            item.ticket.left_out += 1;
            loses |= item.ticket.left_out >= LEFT_OUT_PER_COMMAND_MAX;
        }
        let overtaken: Vec<StreamId> = left_out.iter().flat_map(basis).filter(|id| moved.contains(id)).collect();
        let again = self.take_back(left_out, moved);
        for id in overtaken {
            if !self.cache.contains(&id) {
                // It was taken to be new, and another began it: the news tell from its first event on, or it is loaded.
                self.cache.presume_empty(&id);
            }
        }
        self.reconsider(again);
        if let Some(appended) = checked.appended {
            self.seen = appended.last_position;
        }
        self.conclude(decided, checked);
        self.catch_up(news);
        if is_contended {
            self.hold_from_now_on();
        } else if loses {
            self.hold_for(1);
        }
    }

    /// Takes back what was left out, and before it what was decided ahead on that, or on streams that have moved. Gives the commands.
    pub(super) fn take_back(&mut self, left_out: Vec<Decided>, mut moved: HashSet<StreamId>) -> Vec<Ticket> {
        let mut again = left_out;
        moved.extend(again.iter().flat_map(basis));
        for item in std::mem::take(&mut self.forming) {
            if rests_on(&item, &moved) {
                moved.extend(basis(&item));
                again.push(item);
            } else {
                self.forming.push(item);
            }
        }
        METRICS.decided_again.inc_by(again.len() as u64);
        again.into_iter().rev().map(|item| undo(&mut self.cache, item)).collect()
    }

    /// Takes in what others appended. Our own events are there too, where a statement's outcome was not known, and where theirs came in
    /// between.
    pub(super) fn catch_up(&mut self, news: Vec<(StreamId, LoadedEvent)>) {
        for (id, LoadedEvent { version, position, event_type, payload }) in news {
            let event = || Event::from_stored(&event_type, &payload).ok();
            self.cache.catch_up(&id, version, position, event);
            self.loads.overtake(&id);
        }
    }
}

/// Of the streams that this program knows the kind of.
pub(super) fn parsed(news: News) -> Vec<(StreamId, LoadedEvent)> {
    news.into_iter().filter_map(|(stream_id, event)| Some((stream_id.parse().ok()?, event))).collect()
}

fn basis(item: &Decided) -> impl Iterator<Item = StreamId> {
    item.basis.iter().map(|(id, _)| id.clone())
}

fn rests_on(item: &Decided, streams: &HashSet<StreamId>) -> bool {
    item.basis.iter().any(|(id, _)| streams.contains(id))
}
