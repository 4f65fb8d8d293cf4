//! The log in memory, and what is kept beside it.

use std::sync::Arc;

use tally_read_model::{BuildId, Unit};
use tonic::async_trait;

use super::World;
use crate::Recorded;
use crate::retry::Failure;
use crate::stores::{At, HighWater, Log, follow};

#[async_trait]
impl Log for World {
    async fn read_after(&self, at: At, limit: usize) -> Result<Vec<Arc<Recorded>>, Failure> {
        let (before, limit) = at.0.checked_sub(1).map_or((0, limit), |before| (before, limit + 1));
        let read = self.at_redis(|inner| inner.log.iter().skip(before as usize).take(limit).cloned().collect()).await;
        if at.0 == 0 { Ok(read) } else { follow(at, read) }
    }

    async fn head(&self) -> Result<u64, Failure> {
        Ok(self.at_redis(|inner| inner.log.len() as u64).await)
    }

    async fn event_at(&self, position: u64) -> Result<Option<Arc<Recorded>>, Failure> {
        Ok(self.at_redis(|inner| inner.log.get(position as usize - 1).cloned()).await)
    }
}

#[async_trait]
impl HighWater for World {
    async fn mark(&self, unit: Unit) -> Result<Option<(BuildId, u64)>, Failure> {
        Ok(self.at_redis(|inner| inner.reached.get(&unit.shard).copied()).await)
    }

    fn reached(&self, unit: Unit, build: BuildId, position: u64) {
        let mut inner = self.lock();
        let mark = inner.reached.entry(unit.shard).or_insert((build, position));
        if mark.0 != build || mark.1 < position {
            *mark = (build, position);
        }
    }
}
