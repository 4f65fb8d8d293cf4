//! What the protocol needs of the log and of the read model. The real ones are Postgres and Redis; the model that runs the same protocol
//! through random schedules has its own, in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tally_read_model::{
    Applied, BUCKETS, Back, Batch, BuildId, Error, Look, Losses, Role, Scanned, Started, State, StoredView, Switched,
    Unit, Walk, Writer,
};
use tonic::async_trait;

use crate::Recorded;
use crate::alarm::Alarm;
use crate::retry::Failure;

/// The position of an event and its fingerprint; (0, 0) before the first.
pub(crate) type At = (u64, u64);

/// The log.
#[async_trait]
pub(crate) trait Log: Send + Sync {
    /// The events after one, as long as the log still has that one: it may have gone back meanwhile, and grown again. Whole commands, at least
    /// one if there is any; about `limit` at the most.
    async fn read_after(&self, at: At, limit: usize) -> Result<Vec<Arc<Recorded>>, Failure>;

    /// Where it ends, asked now.
    async fn head(&self) -> Result<u64, Failure>;

    /// The event at a position, if there is one.
    async fn event_at(&self, position: u64) -> Result<Option<Arc<Recorded>>, Failure>;
}

/// How far the live views of units were seen to come, kept where the read model's losses don't reach.
#[async_trait]
pub(crate) trait HighWater: Send + Sync {
    /// The build that was live when the unit was seen last, and how far it had come.
    async fn mark(&self, unit: Unit) -> Result<Option<(BuildId, u64)>, Failure>;

    /// A unit's live build has come so far.
    fn reached(&self, unit: Unit, build: BuildId, position: u64);
}

/// What comes after `at` in a part of the log that was read from there on.
pub(crate) fn follow((position, fingerprint): At, mut read: Vec<Arc<Recorded>>) -> Result<Vec<Arc<Recorded>>, Failure> {
    match read.first() {
        Some(last) if last.position != position => Err(Alarm::Hole { expected: position }.into()),
        Some(last) if last.fingerprint == fingerprint => {
            read.remove(0);
            Ok(read)
        }
        Some(_) | None => Err(Failure::Passing("the log is not the one that was projected".to_owned())),
    }
}

/// The read model. What each method promises is said at [`Writer`].
#[async_trait]
pub(crate) trait Views: Send + Sync {
    /// Into how many shards views are divided.
    fn shards(&self) -> u16;
    /// Into how many buckets a build's views are divided.
    fn buckets(&self) -> u32;
    async fn look(&self, unit: Unit) -> Result<Look, Error>;
    async fn start_build(
        &self,
        unit: Unit,
        live_before: Option<BuildId>,
        build: BuildId,
        state: &State,
        role: Option<Role>,
        loss: Option<&str>,
    ) -> Result<Started, Error>;
    async fn switch(
        &self,
        unit: Unit,
        from_to: (BuildId, BuildId),
        keep: bool,
        back: Back<'_>,
    ) -> Result<Switched, Error>;
    async fn drop_role(&self, unit: Unit, role: Role, build: BuildId) -> Result<(), Error>;
    async fn load_views(
        &self,
        unit: Unit,
        build: BuildId,
        as_of: &State,
        keys: &[String],
    ) -> Result<Option<Vec<Option<StoredView>>>, Error>;
    async fn apply(
        &self,
        unit: Unit,
        build: BuildId,
        owner: Option<&str>,
        from_to: (&State, &State),
        batch: &Batch,
    ) -> Result<Applied, Error>;
    async fn scan(&self, unit: Unit, build: BuildId, bucket: u32) -> Result<Scanned, Error>;
    async fn find_losses(&self, unit: Unit, build: BuildId, from: Walk) -> Result<Losses, Error>;
    async fn plan(&self, projection: &'static str) -> Result<Option<String>, Error>;
    async fn change_plan(
        &self,
        projection: &'static str,
        from: Option<&str>,
        to: &str,
        loss: Option<&str>,
    ) -> Result<(bool, Option<String>), Error>;
    async fn parked(&self, unit: Unit, build: BuildId) -> Result<BTreeMap<u64, String>, Error>;
    async fn tend(
        &self,
        shard: u16,
        wanted: &[(&'static str, u32, bool)],
        member: &str,
        lasts: Duration,
    ) -> Result<Vec<bool>, Error>;
    async fn join(&self, member: &str, lasts: Duration) -> Result<Vec<String>, Error>;
    async fn leave(&self, member: &str) -> Result<(), Error>;
    /// Tells all projectors that there is something to look at.
    async fn ring_projectors(&self) -> Result<(), Error>;
}

#[async_trait]
impl Views for Writer {
    fn shards(&self) -> u16 {
        self.model().shards()
    }

    fn buckets(&self) -> u32 {
        BUCKETS
    }

    async fn look(&self, unit: Unit) -> Result<Look, Error> {
        self.look(unit).await
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
        self.start_build(unit, live_before, build, state, role, loss).await
    }

    async fn switch(
        &self,
        unit: Unit,
        from_to: (BuildId, BuildId),
        keep: bool,
        back: Back<'_>,
    ) -> Result<Switched, Error> {
        self.switch(unit, from_to, keep, back).await
    }

    async fn drop_role(&self, unit: Unit, role: Role, build: BuildId) -> Result<(), Error> {
        self.drop_role(unit, role, build).await
    }

    async fn load_views(
        &self,
        unit: Unit,
        build: BuildId,
        as_of: &State,
        keys: &[String],
    ) -> Result<Option<Vec<Option<StoredView>>>, Error> {
        self.load_views(unit, build, as_of, keys).await
    }

    async fn apply(
        &self,
        unit: Unit,
        build: BuildId,
        owner: Option<&str>,
        from_to: (&State, &State),
        batch: &Batch,
    ) -> Result<Applied, Error> {
        self.apply(unit, build, owner, from_to, batch).await
    }

    async fn scan(&self, unit: Unit, build: BuildId, bucket: u32) -> Result<Scanned, Error> {
        self.scan(unit, build, bucket).await
    }

    async fn find_losses(&self, unit: Unit, build: BuildId, from: Walk) -> Result<Losses, Error> {
        self.find_losses(unit, build, from).await
    }

    async fn plan(&self, projection: &'static str) -> Result<Option<String>, Error> {
        self.plan(projection).await
    }

    async fn change_plan(
        &self,
        projection: &'static str,
        from: Option<&str>,
        to: &str,
        loss: Option<&str>,
    ) -> Result<(bool, Option<String>), Error> {
        self.change_plan(projection, from, to, loss).await
    }

    async fn parked(&self, unit: Unit, build: BuildId) -> Result<BTreeMap<u64, String>, Error> {
        self.parked(unit, build).await
    }

    async fn tend(
        &self,
        shard: u16,
        wanted: &[(&'static str, u32, bool)],
        member: &str,
        lasts: Duration,
    ) -> Result<Vec<bool>, Error> {
        self.tend(shard, wanted, member, lasts).await
    }

    async fn join(&self, member: &str, lasts: Duration) -> Result<Vec<String>, Error> {
        self.join(member, lasts).await
    }

    async fn leave(&self, member: &str) -> Result<(), Error> {
        self.leave(member).await
    }

    async fn ring_projectors(&self) -> Result<(), Error> {
        self.model().ring_projectors().await
    }
}
