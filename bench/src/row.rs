//! A line of the table: what it compares, and how it comes out.

use std::collections::BTreeMap;

use crate::sample::{Quantity, Sample};
use crate::statistics::{Better, Spread};
use crate::subject::Subject;

/// A quantity of a subject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading(pub(crate) Subject, pub(crate) Quantity);

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Such as `P1`.
    pub(crate) id: &'static str,
    /// What is measured, and against what.
    pub(crate) metric: &'static str,
    /// Of `ours` and `baseline`.
    pub(crate) unit: &'static str,
    pub(crate) ours: Reading,
    /// Their sum is what ours is divided by. None: ours itself is held against the target.
    pub(crate) baseline: &'static [Reading],
    pub(crate) target: f64,
    pub(crate) better: Better,
}

/// What one round brought.
pub(crate) type Round = BTreeMap<Subject, Sample>;

/// How a row comes out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) ours: f64,
    pub(crate) baseline: Option<f64>,
    /// The median of the rounds' ratios. None where there is no baseline.
    pub(crate) ratio: Option<f64>,
    /// Of the ratios, or of ours where there is no baseline.
    pub(crate) low: f64,
    /// Of the ratios, or of ours where there is no baseline.
    pub(crate) high: f64,
    pub(crate) rounds: usize,
    pub(crate) met: bool,
}

impl Row {
    /// Whether a user who asks for `id` means this row.
    pub(crate) fn is_called(&self, id: &str) -> bool {
        self.id.eq_ignore_ascii_case(id.trim())
    }

    /// What has to be measured for it.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = Subject> {
        std::iter::once(self.ours).chain(self.baseline.iter().copied()).map(|Reading(subject, _)| subject)
    }

    /// Ratios are of what was measured in the same round, when the machine was in the same mood. None without any round.
    pub(crate) fn outcome(&self, rounds: &[Round]) -> Option<Outcome> {
        let ours: Vec<f64> = rounds.iter().filter_map(|round| read(round, self.ours)).collect();
        let our_spread = Spread::of(ours.iter().copied())?;
        if self.baseline.is_empty() {
            let Spread { median, low, high } = our_spread;
            let met = self.better.meets(median, self.target);
            return Some(Outcome { ours: median, baseline: None, ratio: None, low, high, rounds: ours.len(), met });
        }
        let pairs: Vec<(f64, f64)> = rounds.iter().filter_map(|round| self.pair(round)).collect();
        let baseline = Spread::of(pairs.iter().map(|(_, baseline)| *baseline))?.median;
        let Spread { median, low, high } = Spread::of(pairs.iter().map(|(ours, baseline)| ours / baseline))?;
        let met = self.better.meets(median, self.target);
        let (ours, baseline, ratio) = (our_spread.median, Some(baseline), Some(median));
        Some(Outcome { ours, baseline, ratio, low, high, rounds: pairs.len(), met })
    }

    fn pair(&self, round: &Round) -> Option<(f64, f64)> {
        let baseline: Option<f64> = self.baseline.iter().map(|reading| read(round, *reading)).sum();
        Some((read(round, self.ours)?, baseline?))
    }
}

fn read(round: &Round, Reading(subject, quantity): Reading) -> Option<f64> {
    round.get(&subject)?.get(quantity)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPREAD: Reading = Reading(Subject::TallySpread, Quantity::PerSecond);
    const INSERT: Reading = Reading(Subject::PgbenchInsert, Quantity::PerSecond);
    const ROW: Row = Row {
        id: "P1b",
        metric: "",
        unit: "1/s",
        ours: SPREAD,
        baseline: &[INSERT],
        target: 2.5,
        better: Better::Higher,
    };

    fn round(ours: f64, baseline: f64) -> Round {
        let sample = |value| Sample::default().with(Quantity::PerSecond, value);
        Round::from([(Subject::TallySpread, sample(ours)), (Subject::PgbenchInsert, sample(baseline))])
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_ratios_and_not_the_ratio_of_the_medians() {
        let rounds = [round(30.0, 10.0), round(20.0, 10.0), round(80.0, 20.0)];
        let outcome = ROW.outcome(&rounds).unwrap();
        assert_eq!((outcome.ours, outcome.baseline, outcome.ratio), (30.0, Some(10.0), Some(3.0)));
        assert_eq!((outcome.low, outcome.high, outcome.rounds, outcome.met), (2.0, 4.0, 3, true));
    }

    #[test]
    fn what_is_not_compared_is_held_against_the_target_itself() {
        let row = Row { baseline: &[], target: 25.0, better: Better::Lower, ..ROW };
        let outcome = row.outcome(&[round(30.0, 1.0), round(20.0, 1.0), round(24.0, 1.0)]).unwrap();
        assert_eq!((outcome.ours, outcome.ratio, outcome.low, outcome.high), (24.0, None, 20.0, 30.0));
        assert!(outcome.met);
    }

    #[test]
    fn baselines_are_added_up() {
        let row = Row { baseline: &[INSERT, INSERT], ..ROW };
        assert_eq!(row.outcome(&[round(30.0, 10.0)]).unwrap().ratio, Some(1.5));
    }

    #[test]
    fn without_a_measurement_there_is_no_outcome() {
        assert_eq!(ROW.outcome(&[]), None);
        assert_eq!(ROW.outcome(&[Round::new()]), None);
    }

    #[test]
    fn a_row_is_called_by_its_whole_id() {
        assert!(ROW.is_called("p1b") && ROW.is_called(" P1b") && !ROW.is_called("P1"));
    }
}
