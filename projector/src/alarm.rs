//! What a person has to look at: a projection that meets one of these stops, since to go on would be to be wrong silently.

/// Why a projection stops. For logs and operators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Alarm {
    /// Positions are contiguous and become visible in order, so an event that is missing will not come.
    #[error("the log has a hole: the event at position {expected} is missing")]
    Hole {
        /// The position that is missing.
        expected: u64,
    },
    /// An event that is to be published can't be read. (One that can't be projected is parked.)
    #[error("the event at position {position}: {reason}")]
    Unpublishable {
        /// The event.
        position: u64,
        /// Why.
        reason: crate::projection::Unfoldable,
    },
    /// The log lost what others have read meanwhile: restored from a backup, or failed over to a replica that lagged.
    #[error(
        "events up to position {published} were published and the log ends at {head}: it lost events that others may have acted on"
    )]
    PublishedBeyondHead {
        /// Up to where the log was published.
        published: u64,
        /// Where the log ends.
        head: u64,
    },
    /// As before, and it has grown since: other events stand where those stood.
    #[error(
        "the event at position {position} is not the one that was published: the log lost events that others may have acted on"
    )]
    PublishedAnotherPast {
        /// Up to where the log was published.
        position: u64,
    },
    /// Keys hold what was never written there.
    #[error("{0}")]
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
