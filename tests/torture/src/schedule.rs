//! When which fault happens: a pure function of the seed.

use std::time::Duration;

use fastrand::Rng;

use crate::Fault;

/// A fault at its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scheduled {
    /// What.
    pub fault: Fault,
    /// From the start of the load.
    pub at: Duration,
    /// How long it lasts.
    pub hold: Duration,
    /// Which of several replicas, modulo their number.
    pub replica: usize,
}

/// All faults of a run, by time.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Schedule(pub Vec<Scheduled>);

/// How faults are spread over a run.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the start of the load to its end.
    pub duration: Duration,
    /// From the start of one fault to that of the next, at the most.
    pub gap_max: Duration,
    /// How long one lasts, at the most.
    pub hold_max: Duration,
}

impl Schedule {
    /// The schedule of a seed. Each of the faults comes once, in an order of its own, before any comes again; so a run that is long enough has
    /// had them all. Two overlap where they don't get into each other's way.
    pub fn new(seed: u64, faults: &[Fault], pace: Pace) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut scheduled: Vec<Scheduled> = Vec::new();
        let mut bag: Vec<Fault> = Vec::new();
        let mut at = between(&mut rng, pace.gap_max / 4, pace.gap_max / 2);
        let mut left_out = 0;
        // Near the end only short ones fit; when none has for a while, that is all.
        while left_out < faults.len() {
            if bag.is_empty() {
                bag = faults.to_vec();
                rng.shuffle(&mut bag);
            }
            let Some(fault) = bag.pop() else { break };
            let hold = fault.hold(between(&mut rng, pace.hold_max / 8, pace.hold_max));
            let replica = rng.usize(..64);
            let free = scheduled
                .iter()
                .filter(|other| other.fault.target().overlaps(fault.target()) || other.fault == fault)
                .map(|other| other.at + other.hold + pace.gap_max / 8)
                .max();
            let begins = at.max(free.unwrap_or_default());
            if begins + hold > pace.duration {
                left_out += 1;
                continue;
            }
            left_out = 0;
            at = begins;
            scheduled.push(Scheduled { fault, at, hold, replica });
            at += between(&mut rng, pace.gap_max / 8, pace.gap_max);
        }
        Self(scheduled)
    }
}

fn between(rng: &mut Rng, least: Duration, most: Duration) -> Duration {
    let least = u64::try_from(least.as_millis()).unwrap_or(u64::MAX);
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX).max(least);
    Duration::from_millis(rng.u64(least..=most))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace =
        Pace { duration: Duration::from_secs(600), gap_max: Duration::from_secs(4), hold_max: Duration::from_secs(3) };

    #[test]
    fn a_seed_gives_the_same_schedule_again_and_another_seed_another() {
        let schedule = |seed| Schedule::new(seed, &Fault::ALL, PACE);
        assert_eq!(schedule(7), schedule(7));
        assert_ne!(schedule(7), schedule(8));
    }

    #[test]
    fn every_fault_comes_before_any_comes_again() {
        let Schedule(scheduled) = Schedule::new(1, &Fault::ALL, PACE);
        let mut first: Vec<Fault> = scheduled.iter().take(Fault::ALL.len()).map(|one| one.fault).collect();
        first.sort_unstable();
        assert_eq!(first, Fault::ALL);
        assert!(scheduled.len() > 2 * Fault::ALL.len(), "{}", scheduled.len());
    }

    #[test]
    fn faults_that_get_into_each_others_way_do_not_overlap_and_others_do() {
        let Schedule(scheduled) = Schedule::new(3, &Fault::ALL, PACE);
        let mut overlapping = 0;
        for (index, one) in scheduled.iter().enumerate() {
            assert!(one.at + one.hold <= PACE.duration);
            for other in &scheduled[index + 1..] {
                let apart = other.at >= one.at + one.hold;
                overlapping += usize::from(!apart);
                assert!(apart || !one.fault.target().overlaps(other.fault.target()), "{one:?} and {other:?}");
            }
        }
        assert!(overlapping > 10, "{overlapping}");
    }

    #[test]
    fn no_faults_make_an_empty_schedule() {
        assert_eq!(Schedule::new(1, &[], PACE), Schedule::default());
    }
}
