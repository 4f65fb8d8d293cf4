//! Reading lists. Each shard has a part of a list; they are read side by side and merged, from builds of one generation.

use std::cmp::Reverse;
use std::sync::LazyLock;

use bytes::Bytes;
use futures::future::try_join_all;
use redis::Script;

use crate::keys::{bucket_of, bucket_of_view, list_field};
use crate::read::{AsOf, BUILD_CHANGES_MAX, build_keeps_changing};
use crate::{Error, ReadModel, State, StoredView, Unit};

/// The most entries that one page has.
pub const PAGE_ENTRIES_MAX: usize = 1000;
/// How many digits a list member's position has: as many as the largest has, so that they sort as the numbers do.
const POSITION_DIGITS: usize = 20;
/// How many digits the number of its view's bucket has.
const BUCKET_DIGITS: usize = 3;
/// Where they begin in a member, from 1.
const BUCKET_AT: usize = POSITION_DIGITS + ":".len() + 1;
/// How often a page begins anew because the shards were of different generations. A promotion switches them within milliseconds.
const GENERATIONS_MIXED_MAX: usize = 50;
/// How long it waits then.
const GENERATIONS_MIXED_WAIT: std::time::Duration = std::time::Duration::from_millis(5);

/// A part of a list, the newest first (or the oldest, by [`list_member_oldest_first`]), and how fresh it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The checkpoint of the shard that is furthest behind.
    pub position: u64,
    /// That shard.
    pub shard: u16,
    /// As in [`crate::Found`].
    pub may_be_stale: bool,
    /// The position of the first event that one of the views, or the list itself, lacks because it could not be folded.
    pub parked: Option<u64>,
    /// List members and their views. The last one's member is where the next page begins.
    pub entries: Vec<PageEntry>,
}

/// A list's member and its view.
pub type PageEntry = (String, Bytes);

/// The list member for a view that was created by the event at this position. Lists are in the order of these. It says in which bucket the view is.
pub fn list_member(position: u64, view_key: &str) -> String {
    let bucket = bucket_of_view(view_key);
    format!("{position:0POSITION_DIGITS$}:{bucket:0BUCKET_DIGITS$}:{view_key}")
}

/// As [`list_member`], for lists that are read the oldest first: the later an event, the earlier its member sorts, and pages go backwards.
pub fn list_member_oldest_first(position: u64, view_key: &str) -> String {
    list_member(u64::MAX - position, view_key)
}

static PAGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("page.lua")));

struct Part {
    unit: Unit,
    generation: u64,
    state: State,
    may_be_stale: bool,
    entries: Vec<(String, StoredView)>,
}

type PartAnswer = (Option<String>, Option<String>, Vec<String>, Vec<Bytes>, String);

impl ReadModel {
    /// Reads a part of a list: at most `limit` entries, the newest first, beginning after the member `after` or with the newest. What is
    /// added meanwhile stands before, so pages neither repeat nor miss an entry.
    pub async fn page(
        &self,
        projection: &'static str,
        list: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, Error> {
        let limit = limit.min(PAGE_ENTRIES_MAX);
        for _ in 0..GENERATIONS_MIXED_MAX {
            let parts = try_join_all(self.units(projection).map(|unit| self.part(unit, list, after, limit))).await?;
            if parts.windows(2).all(|pair| pair[0].generation == pair[1].generation) {
                return Ok(self.merge(parts, limit));
            }
            tokio::time::sleep(GENERATIONS_MIXED_WAIT).await;
        }
        Err(build_keeps_changing())
    }

    async fn part(&self, unit: Unit, list: &str, after: Option<&str>, limit: usize) -> Result<Part, Error> {
        let keys = &self.0.keys;
        let field = list_field(list);
        for _ in 0..BUILD_CHANGES_MAX {
            let seen = self.seen(unit);
            let build = seen.build;
            let (live, state, members, views, verdict): PartAnswer = self
                .0
                .connection
                .repeatable(
                    PAGE.prepare_invoke()
                        .key(keys.live(unit))
                        .key(keys.checkpoint(unit, build))
                        .key(keys.list(unit, build, list))
                        .key(keys.names(unit, build, bucket_of(&field)))
                        .arg(build.to_string())
                        .arg(keys.views(unit, build))
                        .arg(after.map_or_else(|| "+".to_owned(), |member| format!("({member}")))
                        .arg(limit)
                        .arg(BUCKET_AT)
                        .arg(BUCKET_AT + BUCKET_DIGITS + ":".len())
                        .arg(&field),
                )
                .await?;
            let Some(AsOf { state, may_be_stale }) = self.as_of(unit, seen, live, state)? else { continue };
            if verdict == "lost" {
                return Err(Error::Lost);
            }
            let entries = members
                .into_iter()
                .zip(views)
                .map(|(member, view)| Ok((member, StoredView::from_bytes(Some(view))?)))
                .collect::<Result<_, Error>>()?;
            return Ok(Part { unit, generation: build.generation, state, may_be_stale, entries });
        }
        Err(build_keeps_changing())
    }

    fn merge(&self, parts: Vec<Part>, limit: usize) -> Page {
        let behind = parts.iter().min_by_key(|part| part.state.position);
        let (position, shard) = behind.map_or((0, 0), |part| (part.state.position, part.unit.shard));
        let may_be_stale = parts.iter().any(|part| part.may_be_stale);
        let mut parked: Vec<u64> =
            parts.iter().map(|part| part.state.parked_from).filter(|position| *position > 0).collect();
        let mut entries: Vec<_> = parts.into_iter().flat_map(|part| part.entries).collect();
        // Each part is sorted already, which this sort makes use of.
        entries.sort_by(|(a, _), (b, _)| Reverse(a).cmp(&Reverse(b)));
        entries.truncate(limit);
        parked.extend(entries.iter().filter_map(|(_, stored)| stored.parked));
        let entries = entries.into_iter().filter_map(|(member, stored)| Some((member, stored.view?))).collect();
        Page { position, shard, may_be_stale, parked: parked.into_iter().min(), entries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_of_a_list_are_a_stored_format() {
        assert_eq!(list_member(7, "a"), "00000000000000000007:009:a");
        assert_eq!(list_member_oldest_first(7, "a:b"), format!("{}:{:03}:a:b", u64::MAX - 7, bucket_of_view("a:b")));
    }
}
