//! Events that could not be folded, as they are kept until somebody retries them.

use serde::{Deserialize, Serialize};

use crate::Recorded;
use crate::projection::Unfoldable;

/// What is kept of a parked event. A stored format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ParkedEvent {
    /// The view that it is about; none where that can't be told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) view: Option<String>,
    /// Its stream.
    pub(crate) stream_id: String,
    /// Its place in its stream.
    pub(crate) version: u64,
    /// The name of its type.
    pub(crate) event_type: String,
    /// Why it waits.
    pub(crate) reason: String,
    /// It waits behind another one only.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(crate) behind: bool,
}

impl ParkedEvent {
    pub(crate) fn new(event: &Recorded, view: Option<&str>, reason: &Unfoldable, behind: bool) -> Self {
        Self {
            view: view.map(str::to_owned),
            stream_id: event.stream_id.clone(),
            version: event.version,
            event_type: event.event_type.clone(),
            reason: reason.to_string(),
            behind,
        }
    }

    /// As it is stored.
    pub(crate) fn to_record(&self) -> String {
        // Texts and numbers: nothing in it can fail to be JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From its stored form; None for one that a later version wrote.
    pub(crate) fn from_record(record: &str) -> Option<Self> {
        serde_json::from_str(record).ok()
    }
}
