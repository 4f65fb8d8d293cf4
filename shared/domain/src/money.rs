use serde::{Deserialize, Serialize};

const NANOS_PER_UNIT: i64 = 1_000_000_000;

/// An exact amount, not negative, as in `google.type.Money`: `units` and billionths of a unit. The names of the fields are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// ISO 4217, such as `EUR`.
    pub currency_code: String,
    /// Whole units, not negative.
    pub units: i64,
    /// Billionths of a unit, from 0 to 999,999,999.
    pub nanos: i32,
}

impl Money {
    /// The sum; none when the currencies differ or it can't be written down.
    pub fn checked_add(&self, other: &Money) -> Option<Money> {
        if self.currency_code != other.currency_code {
            return None;
        }
        self.with(self.units.checked_add(other.units)?, i64::from(self.nanos) + i64::from(other.nanos))
    }

    /// The amount taken `times` times; none when it can't be written down.
    pub fn checked_mul(&self, times: u32) -> Option<Money> {
        // |i32| × u32 is below 2^63.
        self.with(self.units.checked_mul(times.into())?, i64::from(self.nanos) * i64::from(times))
    }

    /// `units` and any number of `nanos`, in this currency.
    fn with(&self, units: i64, nanos: i64) -> Option<Money> {
        Some(Money {
            currency_code: self.currency_code.clone(),
            units: units.checked_add(nanos.div_euclid(NANOS_PER_UNIT))?,
            nanos: i32::try_from(nanos.rem_euclid(NANOS_PER_UNIT)).ok()?,
        })
    }
}
