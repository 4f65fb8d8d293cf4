//! What a unit's views can lose, by name. Each is noticed, noted, and mended by replaying the unit.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What happened to a unit's views. A stored format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// All of the unit is gone: flushed, or on a server that came back empty.
    Emptied,
    /// Redis went back to an earlier state: a failover to a replica that lagged, or a restart without the last writes.
    WritesLost,
    /// Some views or lists are gone: evicted, or deleted.
    ViewsMissing,
    /// What is to become of the projection is gone: a pause, a rebuild under way, a generation that was kept.
    PlanMissing,
    /// A key holds what was never written there.
    Damaged,
    /// The log ends before the views, or goes on otherwise than they saw it: it was restored from a backup.
    LogWentBack,
}

/// A loss as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Loss {
    pub(crate) kind: Kind,
    pub(crate) shard: u16,
    /// The position up to which something had been projected; 0 where that is gone too.
    pub(crate) position: u64,
    /// Milliseconds since 1970.
    pub(crate) noticed_at_ms: u64,
}

impl Loss {
    /// As it is kept.
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Kind {
    /// All that there are.
    pub(crate) const ALL: [Self; 6] =
        [Self::Emptied, Self::WritesLost, Self::ViewsMissing, Self::PlanMissing, Self::Damaged, Self::LogWentBack];

    /// For programs; as it is stored.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Emptied => "emptied",
            Self::WritesLost => "writes_lost",
            Self::ViewsMissing => "views_missing",
            Self::PlanMissing => "plan_missing",
            Self::Damaged => "damaged",
            Self::LogWentBack => "log_went_back",
        }
    }

    /// For people.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::Emptied => "the shard was emptied",
            Self::WritesLost => "Redis lost writes",
            Self::ViewsMissing => "views are missing: evicted or deleted",
            Self::PlanMissing => "the plan is missing: a pause, a rebuild or what was kept for a rollback is forgotten",
            Self::Damaged => "a key holds what was never written there",
            Self::LogWentBack => "the log ends before the views or differs from what they saw: it was restored",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}
