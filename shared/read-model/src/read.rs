//! Reading views. A view is read together with the state that it holds as of, in one step, from the live build.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use bytes::Bytes;
use futures::future::join_all;
use redis::cmd;

use crate::fetch::{Fetched, fetch};
use crate::{BuildId, Error, ReadModel, State, StoredView, Unit};

/// How often a read begins anew because another build became the live one under it. That happens once in a rebuild.
pub(crate) const BUILD_CHANGES_MAX: usize = 5;

/// Where a unit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The live build of its views.
    pub build: BuildId,
    /// What they are as of.
    pub state: State,
}

/// One view, or its absence, and how fresh that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The unit's checkpoint.
    pub position: u64,
    /// The view; None where there is none.
    pub value: Option<Bytes>,
    /// Readers have been answered from a later position before: Redis lost what was written since, or a rebuild was rolled back.
    pub may_be_stale: bool,
    /// The position of the first event that the view lacks because it could not be folded.
    pub parked: Option<u64>,
}

/// What was seen of a unit before a read began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// The live build: only a guess, checked in every read.
    pub(crate) build: BuildId,
    /// The furthest position of it.
    position: u64,
}

/// What a read is as of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsOf {
    pub(crate) state: State,
    /// Somebody was answered from a later position of these views before this read began.
    pub(crate) may_be_stale: bool,
}

/// Views as they are stored.
type Views = Vec<Result<Option<Bytes>, Error>>;

impl ReadModel {
    /// Reads where a unit stands; [`Error::NotBuilt`] where it has no views.
    pub async fn read_checkpoint(&self, unit: Unit) -> Result<Checkpoint, Error> {
        let keys = &self.0.keys;
        for _ in 0..BUILD_CHANGES_MAX {
            let seen = self.seen(unit);
            let build = seen.build;
            let (live, state): (Option<String>, Option<String>) = self
                .0
                .connection
                .repeatable(cmd("MGET").arg(keys.live(unit)).arg(keys.checkpoint(unit, build)))
                .await?;
            if let Some(AsOf { state, .. }) = self.as_of(unit, seen, live, state)? {
                return Ok(Checkpoint { build, state });
            }
        }
        Err(build_keeps_changing())
    }

    /// Reads one view; [`Error::Lost`] where Redis has lost it.
    pub async fn get(&self, projection: &'static str, key: &str) -> Result<Found, Error> {
        let (as_of, mut views) = self.try_get_many_of(self.unit_of(projection, key), &[key]).await?;
        views.pop().unwrap_or(Err(Error::Lost)).and_then(|view| found(&as_of, view))
    }

    /// As many calls of [`ReadModel::get`], with one command for each shard; in the order of the keys.
    pub async fn get_many(&self, projection: &'static str, view_keys: &[&str]) -> Vec<Result<Found, Error>> {
        if self.shards() == 1 {
            return self.get_many_of(Unit { projection, shard: 0 }, view_keys).await;
        }
        let mut by_unit: BTreeMap<Unit, Vec<usize>> = BTreeMap::new();
        for (place, key) in view_keys.iter().enumerate() {
            by_unit.entry(self.unit_of(projection, key)).or_default().push(place);
        }
        let units = by_unit.into_iter().map(|(unit, places)| async move {
            let keys: Vec<&str> = places.iter().map(|&place| view_keys[place]).collect();
            let found = self.get_many_of(unit, &keys).await;
            places.into_iter().zip(found)
        });
        let mut found: Vec<(usize, Result<Found, Error>)> = join_all(units).await.into_iter().flatten().collect();
        found.sort_by_key(|(place, _)| *place);
        found.into_iter().map(|(_, found)| found).collect()
    }

    async fn get_many_of(&self, unit: Unit, view_keys: &[&str]) -> Vec<Result<Found, Error>> {
        match self.try_get_many_of(unit, view_keys).await {
            Ok((as_of, views)) => views.into_iter().map(|view| found(&as_of, view?)).collect(),
            Err(error) => view_keys.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn try_get_many_of(&self, unit: Unit, view_keys: &[&str]) -> Result<(AsOf, Views), Error> {
        let keys = &self.0.keys;
        for _ in 0..BUILD_CHANGES_MAX {
            let seen = self.seen(unit);
            let build = seen.build;
            let texts = [keys.live(unit), keys.checkpoint(unit, build)];
            let Fetched { texts, views } = fetch(&self.0.connection, keys, &texts, (unit, build), view_keys).await?;
            let mut texts = texts.into_iter();
            let (live, state) = (texts.next().flatten(), texts.next().flatten());
            if let Some(as_of) = self.as_of(unit, seen, live, state)? {
                return Ok((as_of, views));
            }
        }
        Err(build_keeps_changing())
    }

    pub(crate) fn seen(&self, unit: Unit) -> Seen {
        let seen = self.0.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.get(&unit).copied().unwrap_or(Seen { build: BuildId::first(1), position: 0 })
    }

    /// What a read is as of, if the build that was guessed is the live one. Otherwise it is guessed better the next time.
    ///
    /// What counts is how far others had seen when this read began: of two at the same time either may come back first.
    pub(crate) fn as_of(
        &self,
        unit: Unit,
        before: Seen,
        live: Option<String>,
        state: Option<String>,
    ) -> Result<Option<AsOf>, Error> {
        let shard = unit.shard;
        let nothing = Error::NotBuilt { shard, position: 0, complete_from: 0 };
        let live: BuildId = live.ok_or(nothing.clone())?.parse()?;
        if live != before.build {
            self.0.seen.write().unwrap_or_else(PoisonError::into_inner).insert(unit, Seen { build: live, position: 0 });
            return Ok(None);
        }
        let state: State = state.ok_or(nothing)?.parse()?;
        if !state.is_complete() {
            return Err(Error::NotBuilt { shard, position: state.position, complete_from: state.complete_from });
        }
        if state.position > before.position {
            let mut seen = self.0.seen.write().unwrap_or_else(PoisonError::into_inner);
            let seen = seen.entry(unit).or_insert(before);
            // An answer that was long on its way says nothing of the build that is live by now.
            if seen.build == before.build {
                seen.position = seen.position.max(state.position);
            }
        }
        Ok(Some(AsOf { state, may_be_stale: state.position < state.fresh_from || state.position < before.position }))
    }
}

fn found(AsOf { state, may_be_stale }: &AsOf, value: Option<Bytes>) -> Result<Found, Error> {
    let stored = StoredView::from_bytes(value)?;
    Ok(Found {
        position: state.position,
        value: stored.view,
        may_be_stale: *may_be_stale,
        parked: stored.parked.or((state.parked_from > 0).then_some(state.parked_from)),
    })
}

pub(crate) fn build_keeps_changing() -> Error {
    Error::Unavailable("the live views keep changing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    #[tokio::test]
    async fn an_answer_that_was_long_on_its_way_is_not_held_against_the_next_build() {
        let model = ReadModel::connect("redis://127.0.0.1:1/", "log", Options::default()).unwrap();
        let unit = Unit { projection: "p", shard: 0 };
        let (first, next) = (BuildId::first(1), BuildId { generation: 1, repair: 7 });
        let answer = |before, live: BuildId, position| {
            let state = State { position, ..State::new(1) };
            model.as_of(unit, before, Some(live.to_string()), Some(state.to_string())).unwrap()
        };
        let before = model.seen(unit);
        assert!(answer(before, first, 5).is_some());
        assert!(answer(model.seen(unit), next, 3).is_none(), "it reads again");
        assert!(answer(before, first, 9).is_some(), "of the build before");
        assert!(!answer(model.seen(unit), next, 3).unwrap().may_be_stale);
        assert!(answer(model.seen(unit), next, 4).is_some());
        assert!(answer(model.seen(unit), next, 3).unwrap().may_be_stale);
    }
}
