//! Who works at what: projectors that run, and the leases by which each unit has one owner at a time. A lease only saves work; that an event
//! counts once is the compare-and-set's doing.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;

use crate::{Error, Unit, Writer};

static TEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("tend.lua")));
static JOIN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("join.lua")));

impl Writer {
    /// Takes or keeps the leases that are wanted and gives back the others, in one shard. Returns which are held. A lease is for the builds of
    /// one version, so that two versions of the program can work side by side.
    pub async fn tend(
        &self,
        shard: u16,
        wanted: &[(&'static str, u32, bool)],
        member: &str,
        lasts: Duration,
    ) -> Result<Vec<bool>, Error> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let mut script = TEND.prepare_invoke();
        script.arg(member).arg(milliseconds(lasts));
        for &(projection, version, wanted) in wanted {
            script.key(self.keys().owner(Unit { projection, shard }, version)).arg(if wanted { "1" } else { "0" });
        }
        let held: Vec<u8> = self.connection.repeatable(&mut script).await?;
        Ok(held.into_iter().map(|held| held == 1).collect())
    }

    /// Who works at a unit's builds of a version.
    pub async fn owner(&self, unit: Unit, version: u32) -> Result<Option<String>, Error> {
        self.connection.repeatable(redis::cmd("GET").arg(self.keys().owner(unit, version))).await
    }

    /// Says that this projector runs for at least as long; returns all that run, itself among them, sorted.
    pub async fn join(&self, member: &str, lasts: Duration) -> Result<Vec<String>, Error> {
        self.member(member, milliseconds(lasts)).await
    }

    /// All projectors that run.
    pub async fn members(&self) -> Result<Vec<String>, Error> {
        self.connection.repeatable(redis::cmd("ZRANGE").arg(self.keys().members()).arg(0).arg(-1)).await
    }

    /// Says that this projector stops.
    pub async fn leave(&self, member: &str) -> Result<(), Error> {
        self.member(member, 0).await.map(drop)
    }

    async fn member(&self, member: &str, lasts_ms: u64) -> Result<Vec<String>, Error> {
        let mut script = JOIN.prepare_invoke();
        let mut members: Vec<String> =
            self.connection.repeatable(script.key(self.keys().members()).arg(member).arg(lasts_ms)).await?;
        members.sort_unstable();
        Ok(members)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}
