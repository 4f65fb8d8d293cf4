//! Walking through all views of a build, a few buckets of its index at a time.

use std::sync::LazyLock;

use bytes::Bytes;
use redis::Script;

use crate::keys::INDEX_BUCKETS;
use crate::{BuildId, Error, State, StoredView, Unit, Writer};

/// A part of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// The state that it holds as of; None where the build is gone.
    pub state: Option<State>,
    /// View keys and views; none when only losses were asked for.
    pub views: Vec<(String, StoredView)>,
    /// What should be there and is not. Names are as in [`crate::Applied::Lost`].
    pub lost: Vec<String>,
    /// Where the next part begins; None after the last one.
    pub next: Option<u32>,
}

/// How many keys Redis looks at in one step of a removal; between two steps it serves others.
const KEYS_PER_STEP: usize = 500;

static CLEAR: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("clear.lua")));
static SCAN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scan.lua")));

type ScanAnswer = (Option<String>, Vec<String>, Vec<Bytes>, Vec<String>);

impl Writer {
    /// Looks at `buckets` of a build's 8192 buckets from `first` on, for what is lost, and with `views` for the views too.
    pub async fn scan(
        &self,
        unit: Unit,
        build: BuildId,
        (first, buckets): (u32, u32),
        views: bool,
    ) -> Result<Scanned, Error> {
        let keys = self.keys();
        let last = first.saturating_add(buckets.max(1) - 1).min(INDEX_BUCKETS - 1);
        let (state, names, values, lost): ScanAnswer = self
            .connection
            .repeatable(
                SCAN.prepare_invoke()
                    .key(keys.checkpoint(unit, build))
                    .key(keys.buckets(unit, build))
                    .arg(keys.build(unit, build))
                    .arg(first)
                    .arg(last)
                    .arg(if views { "values" } else { "names" }),
            )
            .await?;
        let stored =
            names.into_iter().zip(values).map(|(name, value)| Ok((name, StoredView::from_bytes(Some(value))?)));
        Ok(Scanned {
            state: state.map(|state| state.parse()).transpose()?,
            views: stored.collect::<Result<_, Error>>()?,
            lost,
            next: (last + 1 < INDEX_BUCKETS).then_some(last + 1),
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
