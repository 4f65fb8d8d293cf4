//! Reading views. A view is read together with the checkpoint that it holds as of, in one step, from the live generation.

use std::sync::{LazyLock, PoisonError};

use bytes::Bytes;
use redis::{Script, cmd};

use crate::keys::ONLY_SHARD;
use crate::{Error, ReadModel};

/// The most entries that one page has.
pub const PAGE_ENTRIES_MAX: usize = 1000;
/// The generation that a projection begins with.
pub(crate) const FIRST_GENERATION: u64 = 1;
/// How often a read begins anew because the live generation changed under it. It changes once in a rebuild.
const GENERATION_CHANGES_MAX: usize = 5;
/// How many digits a list member's position has: as many as the largest has, so that they sort as the numbers do.
const POSITION_DIGITS: usize = 20;

/// Where a projection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The live generation of its views.
    pub generation: u64,
    /// Up to which position of the log they are folded.
    pub position: u64,
}

/// One view, or its absence, and the position that this holds as of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The projection's checkpoint.
    pub position: u64,
    /// The view; None where there is none.
    pub value: Option<Bytes>,
}

/// A part of a list, the newest first (or the oldest, by [`list_member_oldest_first`]), and the position that it holds as of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The projection's checkpoint.
    pub position: u64,
    /// List members and their views. The last one's member is where the next page begins.
    pub entries: Vec<(String, Bytes)>,
}

/// The list member for a view that was created by the event at this position. Lists are in the order of these.
pub fn list_member(position: u64, view_key: &str) -> String {
    format!("{position:0width$}:{view_key}", width = POSITION_DIGITS)
}

/// As [`list_member`], for lists that are read the oldest first: the later an event, the earlier its member sorts, and pages go backwards.
pub fn list_member_oldest_first(position: u64, view_key: &str) -> String {
    list_member(u64::MAX - position, view_key)
}

static PAGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("page.lua")));

impl ReadModel {
    /// Reads where a projection stands.
    pub async fn read_checkpoint(&self, projection: &str) -> Result<Checkpoint, Error> {
        let keys = &self.0.keys;
        for _ in 0..GENERATION_CHANGES_MAX {
            let generation = self.generation_seen(projection);
            let (live, position): (Option<String>, Option<String>) = self
                .0
                .connection
                .repeatable(
                    cmd("MGET")
                        .arg(keys.generation(ONLY_SHARD, projection))
                        .arg(keys.checkpoint(ONLY_SHARD, projection, generation)),
                )
                .await?;
            if self.is_live(projection, generation, live)? {
                return Ok(Checkpoint { generation, position: number(position, 0)? });
            }
        }
        Err(generation_keeps_changing())
    }

    /// Reads one view.
    pub async fn get(&self, projection: &str, key: &str) -> Result<Found, Error> {
        let keys = &self.0.keys;
        for _ in 0..GENERATION_CHANGES_MAX {
            let generation = self.generation_seen(projection);
            let (live, position, value): (Option<String>, Option<String>, Option<Bytes>) = self
                .0
                .connection
                .repeatable(
                    cmd("MGET")
                        .arg(keys.generation(ONLY_SHARD, projection))
                        .arg(keys.checkpoint(ONLY_SHARD, projection, generation))
                        .arg(keys.views(ONLY_SHARD, projection, generation) + key),
                )
                .await?;
            if self.is_live(projection, generation, live)? {
                return Ok(Found { position: number(position, 0)?, value });
            }
        }
        Err(generation_keeps_changing())
    }

    /// As many calls of [`ReadModel::get`], with one command; in the order of the keys.
    pub async fn get_many(&self, projection: &str, view_keys: &[&str]) -> Result<Vec<Found>, Error> {
        let keys = &self.0.keys;
        for _ in 0..GENERATION_CHANGES_MAX {
            let generation = self.generation_seen(projection);
            let prefix = keys.views(ONLY_SHARD, projection, generation);
            let mut command = cmd("MGET");
            command
                .arg(keys.generation(ONLY_SHARD, projection))
                .arg(keys.checkpoint(ONLY_SHARD, projection, generation));
            let mut view = prefix.clone();
            for key in view_keys {
                view.truncate(prefix.len());
                view.push_str(key);
                command.arg(&view);
            }
            let mut values: std::vec::IntoIter<Option<Bytes>> =
                self.0.connection.repeatable::<Vec<_>>(&mut command).await?.into_iter();
            let (live, position) = (text(values.next().flatten())?, text(values.next().flatten())?);
            if self.is_live(projection, generation, live)? {
                let position = number(position, 0)?;
                return Ok(values.map(|value| Found { position, value }).collect());
            }
        }
        Err(generation_keeps_changing())
    }

    /// Reads a part of a list: at most `limit` entries, the newest first, beginning after the member `after` or with the newest. What is
    /// added meanwhile stands before, so pages neither repeat nor miss an entry.
    pub async fn page(&self, projection: &str, list: &str, after: Option<&str>, limit: usize) -> Result<Page, Error> {
        let keys = &self.0.keys;
        for _ in 0..GENERATION_CHANGES_MAX {
            let generation = self.generation_seen(projection);
            let (live, position, members, views): (Option<String>, Option<String>, Vec<String>, Vec<Bytes>) = self
                .0
                .connection
                .repeatable(
                    PAGE.prepare_invoke()
                        .key(keys.generation(ONLY_SHARD, projection))
                        .key(keys.checkpoint(ONLY_SHARD, projection, generation))
                        .key(keys.list(ONLY_SHARD, projection, generation, list))
                        .arg(generation)
                        .arg(FIRST_GENERATION)
                        .arg(keys.views(ONLY_SHARD, projection, generation))
                        .arg(after.map_or_else(|| "+".to_owned(), |member| format!("({member}")))
                        .arg(limit.min(PAGE_ENTRIES_MAX))
                        .arg(POSITION_DIGITS + ":".len()),
                )
                .await?;
            if self.is_live(projection, generation, live)? {
                return Ok(Page { position: number(position, 0)?, entries: members.into_iter().zip(views).collect() });
            }
        }
        Err(generation_keeps_changing())
    }

    fn generation_seen(&self, projection: &str) -> u64 {
        let seen = self.0.generations.read().unwrap_or_else(PoisonError::into_inner);
        seen.get(projection).copied().unwrap_or(FIRST_GENERATION)
    }

    fn is_live(&self, projection: &str, generation: u64, stored: Option<String>) -> Result<bool, Error> {
        let live = number(stored, FIRST_GENERATION)?;
        if live != generation {
            self.0.generations.write().unwrap_or_else(PoisonError::into_inner).insert(projection.to_owned(), live);
        }
        Ok(live == generation)
    }
}

fn text(stored: Option<Bytes>) -> Result<Option<String>, Error> {
    stored.map(|bytes| String::from_utf8(bytes.into()).map_err(|_| Error::Corrupt("a text that is none"))).transpose()
}

fn generation_keeps_changing() -> Error {
    Error::Unavailable("the live generation keeps changing".to_owned())
}

pub(crate) fn number(stored: Option<String>, absent: u64) -> Result<u64, Error> {
    stored.map_or(Ok(absent), |digits| digits.parse().map_err(|_| Error::Corrupt("a number that is none")))
}
