//! Who is let through, who is slowed, who is sent away: with a clock of the test's own.

use super::super::frames::{SETTINGS, WINDOW_UPDATE};
use super::*;

const PER_SECOND: u32 = 200;
const OVERUSE_MAX: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3_600);

/// A connection, and the time it is there.
struct Story {
    allowance: Allowance,
    now: Instant,
    stream: u32,
    waited: Duration,
}

impl Story {
    fn new() -> Self {
        let now = Instant::now();
        Self { allowance: Allowance::new(PER_SECOND, OVERUSE_MAX, now), now, stream: 0, waited: Duration::ZERO }
    }

    fn passes(&mut self, time: Duration) {
        self.now += time;
    }

    fn sends(&mut self, kind: u8) {
        self.allowance.received(head(kind, self.stream));
    }

    fn begins_a_call(&mut self) {
        self.stream = if self.stream == 0 { 1 } else { self.stream + 2 };
        self.sends(HEADERS);
    }

    fn is_answered_by(&mut self, frames: u32) {
        (0..frames).for_each(|_| self.allowance.sent(head(DATA, self.stream)));
    }

    /// Waits as long as it is told to; why it is hung up on, if it is.
    fn reads(&mut self) -> Option<Reason> {
        loop {
            match self.allowance.next(self.now) {
                Next::Read => return None,
                Next::Wait(time) => {
                    assert!(time > Duration::ZERO, "a wait that ends");
                    self.waited += time;
                    self.now += time;
                }
                Next::HangUp(reason) => return Some(reason),
            }
        }
    }

    /// How many such frames get through, `burst` a read, until it is hung up on; and how long that takes.
    fn floods(&mut self, burst: u32, mut one: impl FnMut(&mut Self)) -> (u32, Duration, Reason) {
        let (began, mut frames) = (self.now, 0);
        loop {
            if let Some(reason) = self.reads() {
                return (frames, self.now - began, reason);
            }
            (0..burst).for_each(|_| one(self));
            frames += burst;
            assert!(frames < 1_000_000, "there is no end to it");
            // What a read takes.
            self.now += Duration::from_micros(100);
        }
    }
}

fn head(kind: u8, stream: u32) -> FrameHead {
    FrameHead { length: 8, kind, flags: 0, stream }
}

#[test]
fn pings_that_keep_a_connection_alive_are_never_slowed() {
    for every in [Duration::from_millis(10), Duration::from_secs(1), Duration::from_secs(30)] {
        let mut story = Story::new();
        let began = story.now;
        while story.now - began < HOUR {
            assert_eq!(story.reads(), None);
            story.sends(PING);
            story.passes(every);
        }
        assert_eq!(story.waited, Duration::ZERO, "every {every:?}");
    }
}

#[test]
fn flow_control_and_measuring_pings_for_each_frame_of_an_answer_are_never_slowed() {
    let mut story = Story::new();
    for _ in 0..10_000 {
        story.begins_a_call();
        assert_eq!(story.reads(), None);
        for _ in 0..20 {
            story.is_answered_by(1);
            for kind in [PING, WINDOW_UPDATE, WINDOW_UPDATE] {
                story.sends(kind);
            }
            assert_eq!(story.reads(), None);
            story.passes(Duration::from_micros(50));
        }
    }
    assert_eq!(story.waited, Duration::ZERO);
}

#[test]
fn a_ping_with_each_call_is_never_slowed() {
    let mut story = Story::new();
    for _ in 0..100_000 {
        story.begins_a_call();
        story.sends(PING);
        assert_eq!(story.reads(), None);
        story.passes(Duration::from_micros(50));
    }
    assert_eq!(story.waited, Duration::ZERO);
}

#[test]
fn calls_that_are_given_up_are_never_slowed_even_if_all_are() {
    let mut story = Story::new();
    // A thousand calls a second, each given up after 20 ms: what a client does whose service hangs.
    for number in 0..100_000_u32 {
        story.begins_a_call();
        if let Some(old) = number.checked_sub(20) {
            story.allowance.received(head(RST_STREAM, 2 * old + 1));
        }
        story.passes(Duration::from_millis(1));
        assert_eq!(story.reads(), None);
    }
    assert_eq!(story.waited, Duration::ZERO);
    // One that was silent for long is old, too.
    story.passes(HOUR);
    assert_eq!(story.reads(), None);
    assert!(!story.allowance.streams.is_young(story.stream));
}

#[test]
fn twenty_calls_can_be_given_up_as_soon_as_they_are_begun() {
    let mut story = Story::new();
    (0..20).for_each(|_| story.begins_a_call());
    for stream in (1..=story.stream).step_by(2) {
        story.allowance.received(head(RST_STREAM, stream));
    }
    assert_eq!(story.reads(), None);
    assert_eq!(story.waited, Duration::ZERO);
}

#[test]
fn one_call_in_ten_can_be_given_up_as_soon_as_it_is_begun_for_ever() {
    let mut story = Story::new();
    for number in 0..100_000 {
        story.begins_a_call();
        if number % 10 == 0 {
            story.sends(RST_STREAM);
        } else {
            // Headers, a message, trailers.
            story.is_answered_by(3);
        }
        story.passes(Duration::from_micros(100));
        assert_eq!(story.reads(), None);
    }
    assert_eq!(story.waited, Duration::ZERO);
}

#[test]
fn a_flood_is_slowed_to_what_is_allowed_and_then_hung_up_on() {
    for (kind, reason) in [(PING, Reason::Pings), (SETTINGS, Reason::Control), (WINDOW_UPDATE, Reason::Control)] {
        let mut story = Story::new();
        let (frames, time, why) = story.floods(500, |story| story.sends(kind));
        assert_eq!(why, reason);
        assert!(time >= OVERUSE_MAX && time < OVERUSE_MAX * 2, "{time:?}");
        // What was saved, what time brings, and a read too many.
        let allowed = f64::from(PER_SECOND) * (SAVED_SECONDS + time.as_secs_f64()) + 500.0;
        assert!(f64::from(frames) <= allowed, "{frames} of {allowed}");
    }
}

#[test]
fn calls_that_are_given_up_as_soon_as_they_are_begun_are_slowed_and_then_hung_up_on() {
    let mut story = Story::new();
    let (calls, time, why) = story.floods(50, |story| {
        story.begins_a_call();
        story.sends(RST_STREAM);
    });
    assert_eq!(why, Reason::Resets);
    assert!(time < OVERUSE_MAX * 2, "{time:?}");
    let allowed = f64::from(PER_SECOND) * (SAVED_SECONDS + time.as_secs_f64()) / (RAPID_RESET_COSTS - CALL_EARNS);
    assert!(f64::from(calls) <= allowed + 50.0, "{calls} of {allowed}");
}

#[test]
fn headers_without_an_end_cost_a_lot() {
    let mut story = Story::new();
    story.begins_a_call();
    let (frames, _, why) = story.floods(1, |story| story.sends(CONTINUATION));
    assert_eq!(why, Reason::Headers);
    assert!(frames < 50, "{frames}");
}

#[test]
fn who_was_over_once_and_behaves_again_is_forgiven() {
    let mut story = Story::new();
    for _ in 0..10 {
        // A moment's flood, then a quiet minute.
        (0..3_000).for_each(|_| story.sends(PING));
        assert_eq!(story.reads(), None);
        story.passes(Duration::from_secs(60));
        assert_eq!(story.reads(), None);
    }
    assert!(story.waited > Duration::ZERO);
}

#[test]
fn what_is_owed_is_owed_no_longer_than_overuse_may_last() {
    let mut story = Story::new();
    assert_eq!(story.allowance.debt(story.now), None);
    (0..1_000).for_each(|_| story.sends(CONTINUATION));
    assert_eq!(story.allowance.debt(story.now), Some((OVERUSE_MAX, Reason::Headers)));
}
