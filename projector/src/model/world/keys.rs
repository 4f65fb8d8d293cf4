//! What Redis holds, as far as the protocol sees it.

use std::collections::{BTreeMap, BTreeSet};

use tally_read_model::{Batch, BuildId, Role, State, StoredView};

#[derive(Debug, Clone, Default)]
pub(in crate::model) struct BuildKeys {
    pub(in crate::model) state: Option<State>,
    pub(in crate::model) views: BTreeMap<String, StoredView>,
    pub(in crate::model) index: BTreeSet<String>,
}

#[derive(Debug, Clone, Default)]
pub(in crate::model) struct UnitKeys {
    pub(in crate::model) live: Option<BuildId>,
    pub(in crate::model) roles: BTreeMap<Role, BuildId>,
    pub(in crate::model) builds: BTreeMap<BuildId, BuildKeys>,
    pub(in crate::model) owner: Option<String>,
}

/// What a shard of Redis holds.
#[derive(Debug, Clone, Default)]
pub(in crate::model) struct Redis {
    pub(in crate::model) units: BTreeMap<u16, UnitKeys>,
    pub(in crate::model) plan: Option<String>,
    pub(in crate::model) members: BTreeSet<String>,
}

/// Whether there is something that was lost when the batch was made.
pub(super) fn went_back(keys: &BuildKeys, batch: &Batch) -> bool {
    batch.skipped.iter().any(|skipped| keys.views.contains_key(&skipped.name[1..]))
}
