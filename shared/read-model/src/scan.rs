//! Walking through all of a build, a part at a time.

use std::sync::LazyLock;

use bytes::Bytes;
use redis::Script;

use crate::keys::{BUCKETS, OWN_FIELDS};
use crate::{BuildId, Error, State, StoredView, Unit, Writer};

/// The views of one bucket of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// The state that it holds as of; None where the build is gone.
    pub state: Option<State>,
    /// View keys and views.
    pub views: Vec<(String, StoredView)>,
    /// The bucket is gone.
    pub is_lost: bool,
}

/// How far a walk through a build has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    bucket: u32,
    cursor: String,
}

impl Default for Walk {
    fn default() -> Self {
        Self { bucket: 0, cursor: "0".to_owned() }
    }
}

/// What a step of a walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Losses {
    /// The state that it holds as of; None where the build is gone, and nothing can be lost.
    pub state: Option<State>,
    /// How many views there are.
    pub views: u64,
    /// What should be there and is not: names as in [`crate::Applied::Lost`], or `bucket`.
    pub lost: Vec<String>,
    /// Where the next step begins; None after the last one.
    pub next: Option<Walk>,
}

/// How many keys Redis looks at in one step of a removal; between two steps it serves others.
pub(crate) const KEYS_PER_STEP: usize = 500;
/// About how many names of lists Redis looks at in one step.
const NAMES_PER_STEP: usize = 250;

static CLEAR: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("clear.lua")));
static SCAN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scan.lua")));
static LOSSES: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("losses.lua")));

type ScanAnswer = (Option<String>, Vec<String>, Vec<Bytes>, u64);

impl Writer {
    /// Reads the views of one of a build's [`BUCKETS`].
    pub async fn scan(&self, unit: Unit, build: BuildId, bucket: u32) -> Result<Scanned, Error> {
        let keys = self.keys();
        let mut script = SCAN.prepare_invoke();
        script.key(keys.checkpoint(unit, build)).key(keys.bucket(unit, build, bucket));
        let (state, names, values, fields): ScanAnswer = self.connection.repeatable(&mut script).await?;
        let stored =
            names.into_iter().zip(values).map(|(name, value)| Ok((name, StoredView::from_bytes(Some(value))?)));
        Ok(Scanned {
            state: state.map(|state| state.parse()).transpose()?,
            views: stored.collect::<Result<_, Error>>()?,
            is_lost: fields == 0,
        })
    }

    /// Looks for what a build has lost: in each step for its buckets, and for some of its lists.
    pub async fn find_losses(
        &self,
        unit: Unit,
        build: BuildId,
        Walk { bucket, cursor }: Walk,
    ) -> Result<Losses, Error> {
        let keys = self.keys();
        let mut script = LOSSES.prepare_invoke();
        script.key(keys.checkpoint(unit, build));
        for bucket in 0..BUCKETS {
            script.key(keys.bucket(unit, build, bucket));
        }
        script.key(keys.names(unit, build, bucket));
        script.arg(keys.lists(unit, build)).arg(cursor).arg(NAMES_PER_STEP);
        let (state, fields, cursor, lost): (Option<String>, u64, String, Vec<String>) =
            self.connection.repeatable(&mut script).await?;
        let bucket = if cursor == "0" { bucket + 1 } else { bucket };
        Ok(Losses {
            state: state.map(|state| state.parse()).transpose()?,
            views: fields.saturating_sub(u64::from(OWN_FIELDS * BUCKETS)),
            lost,
            next: (bucket < BUCKETS).then_some(Walk { bucket, cursor }),
        })
    }

    /// Removes every key of a shard, in small steps, and returns how many. For when the number of shards changes, and nothing runs.
    pub async fn clear(&self, shard: u16) -> Result<u64, Error> {
        let key = self.keys().log_id(shard);
        let pattern = format!("{}*", self.keys().of_shard(shard));
        let (mut cursor, mut removed) = ("0".to_owned(), 0);
        loop {
            let (next, count): (String, u64) = self
                .connection
                .repeatable(CLEAR.prepare_invoke().key(&key).arg(&cursor).arg(&pattern).arg(KEYS_PER_STEP))
                .await?;
            removed += count;
            if next == "0" {
                return Ok(removed);
            }
            cursor = next;
        }
    }
}
