//! What projectors keep beside the views: plans, reports, losses, parked events, digests. To this crate they are texts.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use redis::{Script, cmd};

use crate::{BuildId, Error, Unit, Writer};

/// How many losses are kept of each unit.
pub(crate) const LOSSES_MAX: usize = 20;

static CHANGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("change.lua")));

impl Writer {
    /// What is to become of a projection.
    pub async fn plan(&self, projection: &str) -> Result<Option<String>, Error> {
        self.connection.repeatable(cmd("GET").arg(self.keys().plan(projection))).await
    }

    /// Changes the plan if it still is `from`, and keeps a loss that this makes good, of the first shard; returns whether it did, and
    /// what it is now.
    pub async fn change_plan(
        &self,
        projection: &'static str,
        from: Option<&str>,
        to: &str,
        loss: Option<&str>,
    ) -> Result<(bool, Option<String>), Error> {
        let mut script = CHANGE.prepare_invoke();
        script.key(self.keys().plan(projection)).key(self.keys().losses(Unit { projection, shard: 0 }));
        script.arg(from.unwrap_or_default()).arg(to).arg(loss.unwrap_or_default()).arg(LOSSES_MAX);
        self.connection.once(&mut script).await
    }

    /// What happened to a unit's views, the newest first.
    pub async fn losses(&self, unit: Unit) -> Result<Vec<String>, Error> {
        self.connection.repeatable(cmd("LRANGE").arg(self.keys().losses(unit)).arg(0).arg(LOSSES_MAX - 1)).await
    }

    /// Says how a unit is, for a while.
    pub async fn report(&self, unit: Unit, report: &str, lasts: Duration) -> Result<(), Error> {
        let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        self.connection.repeatable(cmd("SET").arg(self.keys().report(unit)).arg(report).arg("PX").arg(lasts)).await
    }

    /// What its owner said of a unit a while ago, and how long that still stands.
    pub async fn read_report(&self, unit: Unit) -> Result<Option<(String, Duration)>, Error> {
        let key = self.keys().report(unit);
        let report: Option<String> = self.connection.repeatable(cmd("GET").arg(&key)).await?;
        let left_ms: i64 = self.connection.repeatable(cmd("PTTL").arg(&key)).await?;
        // Below 0 it has gone meanwhile.
        Ok(report.zip(u64::try_from(left_ms).ok().map(Duration::from_millis)))
    }

    /// The parked events of a build, by position.
    pub async fn parked(&self, unit: Unit, build: BuildId) -> Result<BTreeMap<u64, String>, Error> {
        self.connection.repeatable(cmd("HGETALL").arg(self.keys().parked(unit, build))).await
    }

    /// How many events of a build are parked.
    pub async fn parked_count(&self, unit: Unit, build: BuildId) -> Result<u64, Error> {
        self.connection.repeatable(cmd("HLEN").arg(self.keys().parked(unit, build))).await
    }

    /// The digests of the ranges that a build has been through.
    pub async fn digests(&self, unit: Unit, build: BuildId) -> Result<BTreeMap<u64, u64>, Error> {
        let stored: BTreeMap<u64, String> =
            self.connection.repeatable(cmd("HGETALL").arg(self.keys().digests(unit, build))).await?;
        let parse =
            |digits: String| u64::from_str_radix(&digits, 16).map_err(|_| Error::Corrupt("a digest that is none"));
        stored.into_iter().map(|(range, digest)| Ok((range, parse(digest)?))).collect()
    }
}
