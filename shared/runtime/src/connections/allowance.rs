//! How many frames that ask for nothing a connection may send.
//!
//! A PING costs its sender 17 bytes and us a wake-up, an answer and a write, and the library answers as many as there are. So frames that carry
//! no part of a call are counted against an allowance. It grows with time, and with what the connection does in earnest, because honest clients
//! send them for a reason: a PING or two and a WINDOW_UPDATE or two for each frame of an answer (flow control and the measuring of bandwidth),
//! one RST_STREAM for a call that they give up, a PING every few seconds to see whether we are there.
//!
//! Who uses it up is first read more slowly, and waits for us as we would have waited for it; only who goes on is hung up on. A connection that is
//! hung up on at once comes back at once, with a new allowance.

use std::time::{Duration, Instant};

use super::frames::{CONTINUATION, DATA, FrameHead, HEADERS, PING, RST_STREAM};

/// What is not used is saved, up to as much as this many seconds bring.
const SAVED_SECONDS: f64 = 10.0;
/// A call pays for its own RST_STREAM.
const CALL_EARNS: f64 = 1.0;
/// A frame of an answer pays for the client's flow control and a measuring PING, twice over.
const ANSWER_FRAME_EARNS: f64 = 4.0;
/// Frames that a call costs which is given up before anybody could have answered it: a call's work, for nothing. One in ten that are answered can
/// be (hedging does that), and twenty at once: the library ends a connection by itself at as many.
const RAPID_RESET_COSTS: f64 = 100.0;
/// How soon that is. Whatever is between one and two of it may count as either.
const RAPID_RESET: Duration = Duration::from_millis(2);
/// Frames that a CONTINUATION costs: what a request's headers may be at most has room in one frame.
const CONTINUATION_COSTS: f64 = 100.0;

/// Why a connection is hung up on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reason {
    /// It said nothing that begins a connection.
    Preface,
    /// PINGs.
    Pings,
    /// Calls given up as soon as they were begun.
    Resets,
    /// Headers without an end.
    Headers,
    /// Other frames that ask for nothing: SETTINGS, WINDOW_UPDATE, PRIORITY, empty DATA, what nobody knows.
    Control,
}

impl Reason {
    pub(super) const ALL: [Self; 5] = [Self::Preface, Self::Pings, Self::Resets, Self::Headers, Self::Control];

    /// As metrics have it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Preface => "preface",
            Self::Pings => "pings",
            Self::Resets => "resets",
            Self::Headers => "headers",
            Self::Control => "control",
        }
    }

    /// As the client is told. gRPC's clients send PINGs half as often after the second.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Preface => "no_preface",
            Self::Pings => "too_many_pings",
            Self::Resets => "too_many_resets",
            Self::Headers => "headers_without_end",
            Self::Control => "too_many_control_frames",
        }
    }
}

/// What a connection may do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Next {
    Read,
    /// Not be read from for so long.
    Wait(Duration),
    HangUp(Reason),
}

/// The allowance of one connection. Reads no clock.
#[derive(Debug)]
pub(super) struct Allowance {
    frames_per_second: f64,
    /// How long it may be used up.
    overuse_max: Duration,
    /// Frames; below 0 they are owed.
    balance: f64,
    counted_at: Instant,
    /// Since when it is used up, and not half-way back yet.
    over_since: Option<Instant>,
    /// What was sent when it was used up.
    reason: Reason,
    streams: Streams,
}

impl Allowance {
    pub(super) fn new(frames_per_second: u32, overuse_max: Duration, now: Instant) -> Self {
        let frames_per_second = f64::from(frames_per_second);
        Self {
            frames_per_second,
            overuse_max,
            balance: frames_per_second * SAVED_SECONDS,
            counted_at: now,
            over_since: None,
            reason: Reason::Control,
            streams: Streams { newest: 0, newest_at: now, marked: 0, marked_at: now, settled: 0 },
        }
    }

    /// Counts what the client sent.
    pub(super) fn received(&mut self, head: FrameHead) {
        let (costs, reason) = match head.kind {
            DATA if head.is_empty_data() => (1.0, Reason::Control),
            DATA => return,
            HEADERS if self.streams.begin(head.stream, self.counted_at) => return self.earn(CALL_EARNS),
            RST_STREAM if self.streams.is_young(head.stream) => (RAPID_RESET_COSTS, Reason::Resets),
            RST_STREAM => (1.0, Reason::Resets),
            PING => (1.0, Reason::Pings),
            CONTINUATION => (CONTINUATION_COSTS, Reason::Headers),
            _ => (1.0, Reason::Control),
        };
        if self.balance >= 0.0 {
            self.reason = reason;
        }
        self.balance -= costs;
    }

    /// Counts what was sent to the client.
    pub(super) fn sent(&mut self, head: FrameHead) {
        if matches!(head.kind, DATA | HEADERS) {
            self.earn(ANSWER_FRAME_EARNS);
        }
    }

    /// Before each read.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        self.count_time(now);
        if self.balance >= self.saved_max() / 2.0 {
            self.over_since = None;
        }
        if self.balance >= 0.0 {
            return Next::Read;
        }
        let over = now.duration_since(*self.over_since.get_or_insert(now));
        match self.overuse_max.checked_sub(over).filter(|left| !left.is_zero()) {
            Some(left) => Next::Wait(self.owed().min(left)),
            None => Next::HangUp(self.reason),
        }
    }

    /// How long it will take until nothing is owed any more, and for what; no longer than overuse may last.
    pub(super) fn debt(&mut self, now: Instant) -> Option<(Duration, Reason)> {
        self.count_time(now);
        (self.balance < 0.0).then(|| (self.owed().min(self.overuse_max), self.reason))
    }

    /// The newest stream that the client began.
    pub(super) fn newest_stream(&self) -> u32 {
        self.streams.newest
    }

    fn count_time(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted_at);
        self.counted_at = now;
        self.earn(passed.as_secs_f64() * self.frames_per_second);
        self.streams.age(now);
    }

    fn earn(&mut self, frames: f64) {
        self.balance = (self.balance + frames).min(self.saved_max());
    }

    fn saved_max(&self) -> f64 {
        self.frames_per_second * SAVED_SECONDS
    }

    /// Rounded up, so that nothing is owed any more after it.
    fn owed(&self) -> Duration {
        let owed = Duration::try_from_secs_f64(-self.balance / self.frames_per_second).unwrap_or(self.overuse_max);
        owed.saturating_add(Duration::from_millis(1))
    }
}

/// Which streams are young. Their numbers only grow, so a number is enough, and nothing is kept for each.
#[derive(Debug)]
struct Streams {
    newest: u32,
    newest_at: Instant,
    /// The newest at a moment that becomes the border once it is long enough ago.
    marked: u32,
    marked_at: Instant,
    /// It and all before it aren't young any more.
    settled: u32,
}

impl Streams {
    /// Whether the stream is a new one.
    fn begin(&mut self, stream: u32, now: Instant) -> bool {
        let is_new = stream > self.newest;
        if is_new {
            (self.newest, self.newest_at) = (stream, now);
        }
        is_new
    }

    fn is_young(&self, stream: u32) -> bool {
        stream > self.settled
    }

    fn age(&mut self, now: Instant) {
        let is_over = |since: Instant| now.saturating_duration_since(since) >= RAPID_RESET;
        if is_over(self.newest_at) {
            self.settled = self.newest;
        }
        if is_over(self.marked_at) {
            self.settled = self.settled.max(self.marked);
            (self.marked, self.marked_at) = (self.newest, now);
        }
    }
}

#[cfg(test)]
mod tests;
