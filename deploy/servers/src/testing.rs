//! One Postgres and one Redis for all tests of a test process, started when the first test asks for them.

use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::{Error, Postgres, Redis};

static POSTGRES: OnceCell<Postgres> = OnceCell::const_new();
static REDIS: OnceCell<Redis> = OnceCell::const_new();

/// The servers of this test process. A test that stops or kills a server starts its own: [`Postgres::temporary`], [`Redis::temporary`].
#[derive(Clone, Copy, Debug)]
pub struct TestServers {
    /// The Postgres that all tests of this process share.
    pub postgres: &'static Postgres,
    /// The Redis that all tests of this process share.
    pub redis: &'static Redis,
}

/// Both servers of this test process.
///
/// # Panics
/// When one can't be started: the test can't be run.
pub async fn test_servers() -> TestServers {
    let (postgres, redis) = tokio::join!(test_postgres(), test_redis());
    TestServers { postgres, redis }
}

/// The Postgres of this test process.
///
/// # Panics
/// When it can't be started.
pub async fn test_postgres() -> &'static Postgres {
    started("Postgres", POSTGRES.get_or_try_init(Postgres::temporary).await)
}

/// The Redis of this test process. Tests share it: each takes a [`unique_log_name`], which is its prefix.
///
/// # Panics
/// When it can't be started.
pub async fn test_redis() -> &'static Redis {
    started("Redis", REDIS.get_or_try_init(Redis::temporary).await)
}

fn started<T>(server: &str, result: Result<T, Error>) -> T {
    match result {
        Ok(server) => server,
        Err(error) => panic!("the tests need a {server} (`make test` installs it): {error}"),
    }
}

/// The URL of a new, empty database.
///
/// # Panics
/// When Postgres can't be started.
pub async fn fresh_database() -> String {
    let name = format!("test_{}", Uuid::new_v4().simple());
    started("Postgres", test_postgres().await.create_database(&name).await)
}

/// A log name that no other test has: its own Postgres schema, roles and Redis prefix. (Roles are shared by all databases of a server.)
pub fn unique_log_name() -> String {
    format!("t{}", &Uuid::new_v4().simple().to_string()[..16])
}
