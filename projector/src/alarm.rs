//! What a person has to look at: a projection that meets one of these stops, since to go on would be to be wrong silently.

use crate::fold::FoldError;

/// Why a projection stops. For logs and operators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Alarm {
    /// Positions are contiguous and become visible in order, so an event that is missing will not come.
    #[error("the log has a hole: the event at position {expected} is missing")]
    Hole {
        /// The position that is missing.
        expected: u64,
    },
    /// The log lost what was projected already: restored from a backup, or failed over to a replica that lagged.
    #[error("the views are as of position {checkpoint} and the log ends at {head}: it lost events, rebuild the views")]
    BeyondHead {
        /// Where the projection stands.
        checkpoint: u64,
        /// Where the log ends.
        head: u64,
    },
    /// As [`Alarm::BeyondHead`], of what others have read meanwhile.
    #[error(
        "events up to position {published} were published and the log ends at {head}: it lost events that others may have acted on"
    )]
    PublishedBeyondHead {
        /// Up to where the log was published.
        published: u64,
        /// Where the log ends.
        head: u64,
    },
    /// An event can't be read, or does not follow from its view.
    #[error("{0}")]
    Unfoldable(#[from] FoldError),
    /// Keys hold what was never written there.
    #[error("{0}; rebuild the views")]
    ReadModel(tally_read_model::Error),
    /// Two logs of the same name use one Redis.
    #[error(
        "the read model belongs to another log of this name; remove its keys, or give one of the logs another name"
    )]
    ForeignReadModel,
    /// The database holds another log than a moment ago.
    #[error("the log was replaced by another one of the same name")]
    LogReplaced,
    /// A fault of ours.
    #[error("it ended by itself; see the log above")]
    Died,
}
