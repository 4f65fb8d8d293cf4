//! When an open loop sends.
//!
//! The hazard is coordinated omission: a sender that waits for answers sends less just when the server is slow, and so measures only its
//! good moments. Here send times are fixed beforehand, and a command's latency counts from its time in the schedule, whenever it was sent.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

/// Evenly spaced times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    began: Instant,
    per_second: f64,
}

impl Schedule {
    pub(super) fn new(began: Instant, per_second: f64) -> Self {
        Self { began, per_second }
    }

    /// When command `number` is to be sent, counted from 0.
    pub(super) fn time_of(&self, number: u64) -> Instant {
        self.began + Duration::from_secs_f64(number as f64 / self.per_second)
    }

    /// How many should have been sent by then.
    pub(super) fn due_by(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.began);
        (elapsed.as_secs_f64() * self.per_second).floor() as u64 + 1
    }

    /// Hands out the numbers of commands at their times until `end`. It blocks: the clock of the thread is finer than the millisecond of the
    /// asynchronous runtime's timer.
    pub(super) fn keep(&self, end: Instant, due: &UnboundedSender<u64>) {
        let mut sent = 0;
        loop {
            let now = Instant::now();
            if now >= end {
                return;
            }
            while sent < self.due_by(now) {
                if due.send(sent).is_err() {
                    return;
                }
                sent += 1;
            }
            std::thread::sleep(self.time_of(sent).saturating_duration_since(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_evenly_spaced_and_none_is_left_out() {
        let began = Instant::now();
        let schedule = Schedule::new(began, 2_000.0);
        assert_eq!(schedule.time_of(0), began);
        assert_eq!(schedule.time_of(3), began + Duration::from_micros(1_500));
        assert_eq!(schedule.due_by(began), 1);
        assert_eq!(schedule.due_by(began + Duration::from_micros(1_400)), 3);
        // A second during which nothing could be sent is made up for, to the last command.
        assert_eq!(schedule.due_by(began + Duration::from_secs(1)), 2_001);
    }

    #[test]
    fn commands_are_never_early_and_each_comes_once() {
        let schedule = Schedule::new(Instant::now(), 5_000.0);
        let (due, mut sent) = tokio::sync::mpsc::unbounded_channel();
        let end = Instant::now() + Duration::from_millis(50);
        let keeping = std::thread::spawn(move || schedule.keep(end, &due));
        let mut numbers = Vec::new();
        while let Some(number) = sent.blocking_recv() {
            assert!(Instant::now() >= schedule.time_of(number));
            numbers.push(number);
        }
        keeping.join().unwrap();
        assert!(numbers.iter().copied().eq(0..numbers.len() as u64));
        assert!(numbers.len() > 200, "{}", numbers.len());
    }
}
