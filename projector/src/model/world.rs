//! The stores in memory: a log, and a read model that does in one step what each script does.

mod keys;
mod log;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use tally_read_model::{
    Applied, Back, Batch, BuildId, Error, Look, Losses, Role, Scanned, Started, State, StoredView, Switched, Unit,
    Walk, shard_of,
};
use tonic::async_trait;

use crate::Recorded;
use crate::projections::testing::external;
use crate::stores::Views;
use keys::went_back;
pub(super) use keys::{BuildKeys, Redis, UnitKeys};

pub(super) const NAME: &str = "model";
pub(super) const SHARDS: u16 = 2;

/// A fault that is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    CheckpointBeforeViews,
    CheckpointAfterViews,
    NoCompareAndSet,
    OwnerNotChecked,
    PromotedTooEarly,
    /// As those see it who promote.
    PromotedTooEarlyByThis,
    LossNotNoticed,
    /// Something is made again, and nobody says that it was lost.
    LossNotKept,
    /// Whoever is in the middle of a step to what was live goes on with it.
    SwitchLeavesStepsUnderWay,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) log: Vec<Arc<Recorded>>,
    pub(super) redis: Redis,
    /// How far each shard was seen to come. Redis's losses don't reach it.
    pub(super) reached: BTreeMap<u16, (BuildId, u64)>,
    pub(super) violation: Option<String>,
    /// The shards that were emptied, and nobody told.
    pub(super) untold: BTreeSet<u16>,
    /// Whether anything may be noticed as lost.
    pub(super) may_lose: bool,
    /// Each event of the log's history is another one.
    pub(super) appended: u64,
}

/// Everything outside of the processes.
pub(super) struct World {
    fault: Fault,
    inner: Arc<Mutex<Inner>>,
}

/// Lets the others run.
pub(super) async fn step() {
    let mut first = true;
    std::future::poll_fn(|context| {
        if std::mem::take(&mut first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

impl World {
    pub(super) fn new(fault: Fault, may_lose: bool) -> Self {
        let inner = Inner { may_lose, ..Inner::default() };
        Self { fault, inner: Arc::new(Mutex::new(inner)) }
    }

    /// The same world. Who promotes too early does so, and nobody else does anything else than ever.
    pub(super) fn as_seen_by_conductors(&self) -> Self {
        let fault = if self.fault == Fault::PromotedTooEarly { Fault::PromotedTooEarlyByThis } else { self.fault };
        Self { fault, inner: Arc::clone(&self.inner) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic")
    }

    pub(super) fn append(&self, key: u8) {
        let mut inner = self.lock();
        inner.appended += 1;
        let (position, number) = (inner.log.len() as u64 + 1, inner.appended);
        let event = external("o").at(position).of_stream(&format!("key-{key}"), 1).of_command(number.into()).recorded();
        inner.log.push(Arc::new(Recorded { fingerprint: number, ..event }));
    }

    /// One step of Redis, with the way there and the way back.
    async fn at_redis<T>(&self, does: impl FnOnce(&mut Inner) -> T) -> T {
        step().await;
        let answer = does(&mut self.lock());
        step().await;
        answer
    }

    /// The state and the views of a build, written in one step, or not.
    async fn write(&self, unit: Unit, build: BuildId, to: State, batch: &Batch) {
        let write_state = |inner: &mut Inner| {
            if let Some(keys) = inner.build(unit, build) {
                keys.state = Some(to);
            }
        };
        let write_views = |inner: &mut Inner| {
            let Some(keys) = inner.build(unit, build) else { return };
            for change in &batch.views {
                if change.now == StoredView::default() {
                    keys.views.remove(&change.key);
                    keys.index.remove(&change.key);
                } else {
                    keys.views.insert(change.key.clone(), change.now.clone());
                    keys.index.insert(change.key.clone());
                }
            }
        };
        match self.fault {
            Fault::CheckpointBeforeViews => {
                write_state(&mut self.lock());
                step().await;
                write_views(&mut self.lock());
            }
            Fault::CheckpointAfterViews => {
                write_views(&mut self.lock());
                step().await;
                write_state(&mut self.lock());
            }
            _ => {
                let mut inner = self.lock();
                write_views(&mut inner);
                write_state(&mut inner);
            }
        }
    }
}

impl Inner {
    fn build(&mut self, unit: Unit, build: BuildId) -> Option<&mut BuildKeys> {
        self.redis.units.get_mut(&unit.shard)?.builds.get_mut(&build)
    }

    fn unit(&mut self, unit: Unit) -> &mut UnitKeys {
        self.redis.units.entry(unit.shard).or_default()
    }

    /// A loss is kept.
    fn note(&mut self, unit: Unit, loss: &str) {
        self.untold.remove(&unit.shard);
        if !self.may_lose {
            self.violation = Some(format!("a false alarm: {loss}"));
        }
    }

    /// Whether this is the event at the position.
    pub(super) fn has(&self, position: u64, fingerprint: u64) -> bool {
        position == 0 || self.log.get(position as usize - 1).is_some_and(|event| event.fingerprint == fingerprint)
    }

    /// What the views of a shard must be as of a position.
    pub(super) fn by_the_book(&self, shard: u16, position: u64) -> BTreeMap<String, Vec<u8>> {
        let mut views: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for event in self.log.iter().take(position as usize) {
            if shard_of(&event.stream_id, SHARDS) == shard {
                views.entry(event.stream_id.clone()).or_default().push(event.position as u8);
            }
        }
        views
    }
}

#[async_trait]
impl Views for World {
    fn shards(&self) -> u16 {
        SHARDS
    }

    fn buckets(&self) -> u32 {
        1
    }

    async fn look(&self, unit: Unit) -> Result<Look, Error> {
        let look = self.at_redis(|inner| {
            let keys = inner.unit(unit);
            let builds = keys.builds.iter().map(|(build, keys)| (*build, keys.state)).collect();
            Look { live: keys.live, roles: keys.roles.clone(), builds }
        });
        let mut look = look.await;
        if self.fault == Fault::PromotedTooEarlyByThis {
            // Whoever asks is told that what is being built is far enough.
            let ahead = look.in_role(Role::Building).map(|(build, state)| (build, State { position: 255, ..state }));
            if let Some((build, state)) = ahead.filter(|_| look.live.is_some()) {
                look.builds.insert(build, Some(State { last_event: state.last_event, ..state }));
            }
        }
        Ok(look)
    }

    async fn start_build(
        &self,
        unit: Unit,
        live_before: Option<BuildId>,
        build: BuildId,
        state: &State,
        role: Option<Role>,
        loss: Option<&str>,
    ) -> Result<Started, Error> {
        let fault = self.fault;
        let started = self.at_redis(|inner| {
            let keys = inner.unit(unit);
            if keys.live != live_before {
                return Started::Moved;
            }
            if keys.builds.contains_key(&build) {
                return Started::Taken;
            }
            keys.builds.insert(build, BuildKeys { state: Some(*state), ..BuildKeys::default() });
            match role {
                None => keys.live = Some(build),
                Some(role) => _ = keys.roles.insert(role, build),
            }
            if let Some(loss) = loss.filter(|_| fault != Fault::LossNotKept) {
                inner.note(unit, loss);
            }
            Started::Done
        });
        Ok(started.await)
    }

    async fn switch(
        &self,
        unit: Unit,
        (from, to): (BuildId, BuildId),
        keep: bool,
        back: Back<'_>,
    ) -> Result<Switched, Error> {
        let fault = self.fault;
        let switched = self.at_redis(|inner| {
            let keys = inner.unit(unit);
            let state = |build| keys.builds.get(&build).and_then(|keys| keys.state);
            let (Some(before), Some(after)) = (state(from), state(to)) else { return Switched::Moved };
            if keys.live != Some(from) || !keys.roles.values().any(|build| *build == to) {
                return Switched::Moved;
            }
            if back == Back::Never && fault != Fault::PromotedTooEarlyByThis && after.position < before.position {
                return Switched::Behind;
            }
            if fault != Fault::SwitchLeavesStepsUnderWay
                && let Some(State { edits, .. }) = keys.builds.get_mut(&from).and_then(|keys| keys.state.as_mut())
            {
                *edits += 1;
            }
            keys.roles.retain(|_, build| *build != to);
            let seen = before.position.max(before.complete_from).max(before.fresh_from);
            let fresh_from = after.fresh_from.max(seen);
            let is_forward = back == Back::Never && !before.is_complete();
            let complete_from = after.complete_from.max(if is_forward { before.complete_from } else { 0 });
            if let Some(keys) = keys.builds.get_mut(&to) {
                keys.state = Some(State { complete_from, fresh_from, ..after });
            }
            if keep {
                keys.roles.insert(Role::Kept, from);
            }
            keys.live = Some(to);
            if let Back::AfterLoss(loss) = back {
                inner.note(unit, loss);
            }
            Switched::Done
        });
        Ok(switched.await)
    }

    async fn drop_role(&self, unit: Unit, role: Role, build: BuildId) -> Result<(), Error> {
        self.at_redis(|inner| inner.unit(unit).roles.retain(|has, it| *has != role || *it != build)).await;
        Ok(())
    }

    async fn load_views(
        &self,
        unit: Unit,
        build: BuildId,
        as_of: &State,
        keys: &[String],
    ) -> Result<Option<Vec<Option<StoredView>>>, Error> {
        let fault = self.fault;
        let views = self.at_redis(|inner| {
            let stored = inner.build(unit, build).filter(|keys| keys.state == Some(*as_of))?;
            let loaded = |key| match stored.views.get(key) {
                Some(view) => Some(view.clone()),
                None if stored.index.contains(key) && fault != Fault::LossNotNoticed => None,
                None => Some(StoredView::default()),
            };
            Some(keys.iter().map(loaded).collect())
        });
        Ok(views.await)
    }

    async fn apply(
        &self,
        unit: Unit,
        build: BuildId,
        owner: Option<&str>,
        (from, to): (&State, &State),
        batch: &Batch,
    ) -> Result<Applied, Error> {
        step().await;
        let fault = self.fault;
        let refused = {
            let mut inner = self.lock();
            let is_owner = owner.is_none_or(|owner| inner.unit(unit).owner.as_deref() == Some(owner));
            match inner.build(unit, build) {
                None => Some(Applied::Moved),
                Some(keys) if keys.state != Some(*from) && fault != Fault::NoCompareAndSet => Some(Applied::Moved),
                Some(_) if !is_owner && fault != Fault::OwnerNotChecked => Some(Applied::NotOwner),
                Some(keys) if fault != Fault::NoCompareAndSet && went_back(keys, batch) => Some(Applied::Moved),
                Some(keys) => {
                    let is_lost = |key: &&String| keys.index.contains(*key) && !keys.views.contains_key(*key);
                    let lost: Vec<String> = batch
                        .views
                        .iter()
                        .map(|change| &change.key)
                        .filter(is_lost)
                        .map(|key| format!("v{key}"))
                        .collect();
                    let noticed = !lost.is_empty() && fault != Fault::LossNotNoticed;
                    noticed.then_some(Applied::Lost(lost)).or_else(|| {
                        if !is_owner {
                            inner.violation.get_or_insert_with(|| "one applied who was not the owner".to_owned());
                        }
                        None
                    })
                }
            }
        };
        if let Some(refused) = refused {
            step().await;
            return Ok(refused);
        }
        self.write(unit, build, *to, batch).await;
        if let Some(loss) = &batch.loss {
            self.lock().note(unit, loss);
        }
        step().await;
        Ok(Applied::Done)
    }

    async fn scan(&self, unit: Unit, build: BuildId, _: u32) -> Result<Scanned, Error> {
        let scanned = self.at_redis(|inner| {
            let keys = inner.build(unit, build).cloned().unwrap_or_default();
            Scanned { state: keys.state, views: keys.views.into_iter().collect(), is_lost: false }
        });
        Ok(scanned.await)
    }

    async fn find_losses(&self, unit: Unit, build: BuildId, _: Walk) -> Result<Losses, Error> {
        let losses = self.at_redis(|inner| {
            let keys = inner.build(unit, build).cloned().unwrap_or_default();
            let lost = keys.index.iter().filter(|key| !keys.views.contains_key(*key));
            let lost = lost.map(|key| format!("v{key}")).collect();
            Losses { state: keys.state, views: keys.views.len() as u64, lost, next: None }
        });
        Ok(losses.await)
    }

    async fn plan(&self, _: &'static str) -> Result<Option<String>, Error> {
        Ok(self.at_redis(|inner| inner.redis.plan.clone()).await)
    }

    async fn change_plan(
        &self,
        _: &'static str,
        from: Option<&str>,
        to: &str,
        loss: Option<&str>,
    ) -> Result<(bool, Option<String>), Error> {
        let changed = self.at_redis(|inner| {
            let is_so = inner.redis.plan.as_deref() == from;
            if is_so {
                if let (Some(loss), false) = (loss, inner.may_lose) {
                    inner.violation = Some(format!("a false alarm: {loss}"));
                }
                inner.redis.plan = Some(to.to_owned());
            }
            (is_so, inner.redis.plan.clone())
        });
        Ok(changed.await)
    }

    async fn parked(&self, _: Unit, _: BuildId) -> Result<BTreeMap<u64, String>, Error> {
        Ok(BTreeMap::new())
    }

    async fn tend(
        &self,
        shard: u16,
        wanted: &[(&'static str, u32, bool)],
        member: &str,
        _: Duration,
    ) -> Result<Vec<bool>, Error> {
        let held = self.at_redis(|inner| {
            let owner = &mut inner.unit(Unit { projection: NAME, shard }).owner;
            let is_own = owner.as_deref() == Some(member);
            wanted
                .iter()
                .map(|(_, _, wanted)| {
                    if *wanted && (owner.is_none() || is_own) {
                        *owner = Some(member.to_owned());
                    } else if !*wanted && is_own {
                        *owner = None;
                    }
                    *wanted && owner.as_deref() == Some(member)
                })
                .collect()
        });
        Ok(held.await)
    }

    async fn join(&self, member: &str, _: Duration) -> Result<Vec<String>, Error> {
        let members = self.at_redis(|inner| {
            inner.redis.members.insert(member.to_owned());
            inner.redis.members.iter().cloned().collect()
        });
        Ok(members.await)
    }

    async fn leave(&self, member: &str) -> Result<(), Error> {
        self.at_redis(|inner| inner.redis.members.remove(member)).await;
        Ok(())
    }

    async fn ring_projectors(&self) -> Result<(), Error> {
        Ok(())
    }
}
