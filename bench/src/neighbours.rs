//! Who else was on these cores. A bench can't send them away, but it can say so.

use anyhow::Result;

use crate::cpu;

/// From when on they are watched.
#[derive(Debug)]
pub(crate) struct Neighbours {
    began: Times,
}

/// Seconds of all cores.
#[derive(Clone, Copy, Debug)]
struct Times {
    there: f64,
    busy: f64,
    /// Busy with this bench and what it started.
    ours: f64,
}

impl Neighbours {
    pub(crate) fn watch() -> Result<Self> {
        Ok(Self { began: Times::now()? })
    }

    /// How much of the cores' time since then others had, on this machine or on the host that it is a guest of.
    pub(crate) fn share_percent(&self) -> Result<f64> {
        Ok(share_percent(self.began, Times::now()?))
    }
}

impl Times {
    fn now() -> Result<Self> {
        let (there, busy) = cpu::of_machine()?;
        Ok(Self { there, busy, ours: cpu::of_family(std::process::id())? })
    }
}

fn share_percent(began: Times, now: Times) -> f64 {
    let others = (now.busy - began.busy) - (now.ours - began.ours);
    100.0 * (others / (now.there - began.there)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_busy_and_not_ours_is_others() {
        let began = Times { there: 100.0, busy: 50.0, ours: 10.0 };
        let now = Times { there: 120.0, busy: 65.0, ours: 20.0 };
        assert_eq!(share_percent(began, now), 25.0);
        assert_eq!(share_percent(began, Times { ours: 40.0, ..now }), 0.0);
    }
}
