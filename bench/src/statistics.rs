//! The middle of a few numbers and how far they are spread.

use serde::Serialize;

/// Which way is good.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    /// As much as can be.
    Higher,
    /// As little as can be.
    Lower,
}

impl Better {
    /// Whether `value` is as good as `target` says.
    pub(crate) fn meets(self, value: f64, target: f64) -> bool {
        match self {
            Better::Higher => value >= target,
            Better::Lower => value <= target,
        }
    }
}

/// A median, the lowest and the highest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// None of no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
        Some(Spread { median, low, high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_of_an_odd_number() {
        let spread = Spread { median: 3.0, low: 1.0, high: 9.0 };
        assert_eq!(Spread::of([9.0, 1.0, 3.0, 2.0, 4.0]), Some(spread));
    }

    #[test]
    fn the_median_is_between_the_two_middle_ones_of_an_even_number() {
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([7.0]), Some(Spread { median: 7.0, low: 7.0, high: 7.0 }));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_target_is_met_from_the_good_side() {
        assert!(Better::Higher.meets(2.5, 2.5) && Better::Higher.meets(2.6, 2.5) && !Better::Higher.meets(2.4, 2.5));
        assert!(Better::Lower.meets(0.3, 0.3) && Better::Lower.meets(0.2, 0.3) && !Better::Lower.meets(0.4, 0.3));
        assert!(!Better::Higher.meets(f64::NAN, 1.0) && !Better::Lower.meets(f64::NAN, 1.0));
    }
}
