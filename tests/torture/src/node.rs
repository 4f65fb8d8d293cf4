//! One service process with a proxy on each of its connections, so that it is always found at the same address.

use std::path::PathBuf;

use anyhow::{Context, Result};
use system_tests::{Launch, Service};

use crate::proxy::{Mode, Proxy};
use crate::stores::{Stores, through};

/// Any free port of this machine, and nobody else's.
const FREE_PORT: &str = "127.0.0.1:0";
/// Each program's variable for its address.
const LISTEN: [(&str, &str); 3] =
    [("command-service", "COMMAND_LISTEN"), ("projector", "PROJECTOR_LISTEN"), ("query-service", "QUERY_LISTEN")];

/// A process and its connections.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) service: Service,
    /// From clients to it.
    pub(crate) front: Proxy,
    /// From it to Postgres.
    pub(crate) postgres: Proxy,
    /// From it to Redis.
    pub(crate) redis: Proxy,
}

/// What every process of a run is started with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) folder: PathBuf,
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Node {
    pub(crate) async fn start(
        program: &'static str,
        number: usize,
        stores: &Stores,
        settings: &Settings,
    ) -> Result<Self> {
        let postgres = Proxy::start(stores.postgres_address()?).await?;
        let redis = Proxy::start(stores.redis_address()?).await?;
        let launch = launch(program, "serve", stores, settings, Some((&postgres, &redis)));
        let log = settings.folder.join(format!("{program}-{number}.log"));
        let service = Service::start(launch, log).await.with_context(|| format!("{program} doesn't start"))?;
        let front = Proxy::start(service.address()).await?;
        Ok(Self { service, front, postgres, redis })
    }

    /// Starts it again after it ended; clients find it where it was.
    pub(crate) async fn start_again(&self) {
        self.service.start_again().await;
        self.front.lead_to(self.service.address());
    }

    pub(crate) fn set_front(&self, mode: Mode) {
        self.front.set(mode);
    }
}

/// How a program is started: through proxies, or directly.
pub(crate) fn launch(
    program: &'static str,
    action: &str,
    stores: &Stores,
    settings: &Settings,
    proxies: Option<(&Proxy, &Proxy)>,
) -> Launch {
    let (database_url, redis_url) = match proxies {
        Some((postgres, redis)) => {
            (through(stores.database_url(), postgres.address()), through(&stores.redis_url(), redis.address()))
        }
        None => (stores.database_url().to_string(), stores.redis_url().to_string()),
    };
    let mut environment = settings.environment.clone();
    environment
        .extend(LISTEN.iter().filter(|(name, _)| *name == program).map(|(_, name)| (*name, FREE_PORT.to_owned())));
    environment.extend([("DATABASE_URL", database_url), ("REDIS_URL", redis_url)]);
    Launch { program, arguments: vec![action.to_owned()], environment }
}
