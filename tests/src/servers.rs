//! The Postgres and the Redis that a Tally under test runs on.

use std::path::Path;

use anyhow::Result;
use tally_servers::{Postgres, Redis, test_servers};

/// The servers of the whole test program, or a pair of a test's own that it may stop and kill.
#[derive(Debug)]
pub enum Servers {
    /// Shared: never to be stopped.
    Shared {
        /// The Postgres.
        postgres: &'static Postgres,
        /// The Redis.
        redis: &'static Redis,
    },
    /// One test's own.
    Own {
        /// The Postgres.
        postgres: Box<Postgres>,
        /// The Redis.
        redis: Box<Redis>,
    },
}

impl Servers {
    /// Those of the test program.
    pub async fn shared() -> Self {
        let servers = test_servers().await;
        Self::Shared { postgres: servers.postgres, redis: servers.redis }
    }

    /// A new pair.
    ///
    /// # Errors
    /// When they can't be started.
    pub async fn own() -> Result<Self> {
        let (postgres, redis) = tokio::join!(Postgres::temporary(), Redis::temporary());
        Ok(Self::Own { postgres: Box::new(postgres?), redis: Box::new(redis?) })
    }

    /// A new pair, with this program as its Redis.
    ///
    /// # Errors
    /// When they can't be started.
    pub async fn own_with_redis_of(program: &Path) -> Result<Self> {
        let (postgres, redis) = tokio::join!(Postgres::temporary(), Redis::temporary_of(program));
        Ok(Self::Own { postgres: Box::new(postgres?), redis: Box::new(redis?) })
    }

    /// The Postgres.
    pub fn postgres(&self) -> &Postgres {
        match self {
            Self::Shared { postgres, .. } => postgres,
            Self::Own { postgres, .. } => postgres,
        }
    }

    /// The Redis.
    pub fn redis(&self) -> &Redis {
        match self {
            Self::Shared { redis, .. } => redis,
            Self::Own { redis, .. } => redis,
        }
    }
}
