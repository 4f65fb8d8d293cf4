//! Faults that are planted in the product on purpose, so that the kit can show that it finds them.
//!
//! Those of the database are planted here, by the database's owner after the migration. Those of the code are behind the feature
//! `planted-faults` of the crates, in files called `planted.rs`, and are chosen by a variable; no release has them.

mod sql;

use anyhow::Result;

use crate::Fault;
use crate::stores::Stores;

macro_rules! planted {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal by $way:ident under [$($fault:ident),*],)*) => {
        /// A fault of the product.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Planted {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Planted {
            /// All of them.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// What it is called on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The faults of the world under which it shows soonest.
            pub fn shows_under(self) -> Vec<Fault> {
                match self {
                    $(Self::$variant => vec![$(Fault::$fault),*],)*
                }
            }

            fn way(self) -> Way {
                match self {
                    $(Self::$variant => Way::$way,)*
                }
            }
        }
    };
}

enum Way {
    /// In the database.
    Sql,
    /// In the programs.
    Code,
    /// In both: the database no longer keeps the programs from it.
    Both,
}

planted! {
    /// Positions come from a sequence, so that they aren't given in the order of commits and a rollback leaves a hole.
    PositionsFromSequence = "positions-from-a-sequence" by Sql under [],
    /// Nobody checks the version of a stream that is written, and nobody looks what others append.
    NoVersionCheck = "no-version-check" by Both under [],
    /// Command ids aren't kept.
    CommandIdNotKept = "command-id-not-kept" by Sql under [KillCommand, DropRepliesClients],
    /// What is acknowledged isn't on the disk yet.
    CommitNotDurable = "commit-not-durable" by Sql under [KillPostgres],
    /// The log is read below the oldest running transaction.
    TailBelowOldest = "tail-below-oldest-transaction" by Code under [ForeignTransaction],
    /// An event is left out when a batch is read.
    EventSkipped = "event-skipped" by Code under [],
    /// The checkpoint is moved before the views are written.
    CheckpointFirst = "checkpoint-first" by Code under [KillProjector],
    /// The checkpoint is moved after the views, in a step of its own.
    CheckpointSecond = "checkpoint-in-a-second-step" by Code under [KillProjector],
    /// A batch is applied wherever the projection stands.
    NoOwnerCheck = "no-owner-check" by Code under [],
    /// Commands get an id of the service's own.
    CommandIdReplaced = "command-id-replaced" by Code under [],
    /// What fails is tried again under a new id.
    RetryWithNewId = "retry-with-a-new-id" by Code under [DropRepliesPostgres, TerminateBackends],
    /// The answer comes before the commit.
    AnswerBeforeCommit = "answer-before-the-commit" by Code under [KillCommand, CutPostgres],
    /// What was decided stays in memory though its batch failed.
    CacheNotTakenBack = "cache-not-taken-back" by Code under [TerminateBackends],
    /// An answer that is too old doesn't say so.
    StaleUnflagged = "stale-answer-unflagged" by Code under [FreezeProjector],
    /// A view is read, and then its checkpoint.
    ViewWithoutCheckpoint = "view-read-without-its-checkpoint" by Code under [],
    /// A watch passes changes over.
    ChangePassedOver = "change-passed-over" by Code under [],
    /// A subscription is live before it has handed over all that was there.
    SubscriptionTooSoon = "subscription-live-too-soon" by Code under [],
    /// The checkpoint of what is published is moved first, in a step of its own.
    PublishedAfter = "published-after-its-checkpoint" by Code under [KillProjector],
}

impl Planted {
    /// How long a run must be for it to show: as long as others, but for one that takes a fault that must outlast the longest read, and those
    /// that only few see, who listen for some seconds.
    pub fn seconds(self, others: u64) -> u64 {
        match self {
            Self::TailBelowOldest | Self::ChangePassedOver | Self::SubscriptionTooSoon => others.max(20),
            _ => others,
        }
    }

    /// What the programs are told, of a fault in them.
    pub(crate) fn variable(self) -> Option<&'static str> {
        matches!(self.way(), Way::Code | Way::Both).then(|| self.name())
    }

    /// Plants it in the database, if that is where it goes.
    pub(crate) async fn plant(self, stores: &Stores, log: &str) -> Result<()> {
        match self {
            Self::PositionsFromSequence => sql::positions_from_a_sequence(stores, log).await,
            Self::NoVersionCheck => sql::no_version_check(stores, log).await,
            Self::CommandIdNotKept => sql::command_id_not_kept(stores, log).await,
            Self::CommitNotDurable => sql::commit_not_durable(stores).await,
            _ => Ok(()),
        }
    }
}

impl std::str::FromStr for Planted {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|planted| planted.name() == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|planted| planted.name()).collect();
            format!("there are {}", names.join(", "))
        })
    }
}
