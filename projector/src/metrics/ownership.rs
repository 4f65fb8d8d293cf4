//! Who works at what, as far as this projector is concerned.

use prometheus::{IntCounterVec, IntGauge, register_int_counter_vec, register_int_gauge};

use crate::projections;

const TAKEN: &str = "taken";
const GIVEN_UP: &str = "given_up";

/// The counters of what is shared out among projectors.
pub(super) struct Ownership {
    changes: IntCounterVec,
    owned: IntGauge,
    units: IntGauge,
}

impl Ownership {
    pub(super) fn register() -> prometheus::Result<Self> {
        let changes = register_int_counter_vec!(
            "tally_projection_ownership_changes_total",
            "Shards of a projection that this projector took over, or gave up.",
            &["projection", "change"]
        )?;
        for fold in projections::all() {
            for change in [TAKEN, GIVEN_UP] {
                changes.with_label_values(&[fold.name(), change]);
            }
        }
        Ok(Self {
            changes,
            owned: register_int_gauge!(
                "tally_projection_units_owned",
                "Shards of projections, all together, that this projector works at."
            )?,
            units: register_int_gauge!(
                "tally_projection_units",
                "Shards of projections, all together, that there are for all projectors."
            )?,
        })
    }

    pub(super) fn taken(&self, projection: &str) {
        self.changes.with_label_values(&[projection, TAKEN]).inc();
    }

    pub(super) fn given_up(&self, projection: &str) {
        self.changes.with_label_values(&[projection, GIVEN_UP]).inc();
    }

    pub(super) fn shared_out(&self, owned: usize, units: usize) {
        self.owned.set(i64::try_from(owned).unwrap_or(i64::MAX));
        self.units.set(i64::try_from(units).unwrap_or(i64::MAX));
    }
}
