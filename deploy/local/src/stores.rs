use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tally_servers::{Postgres, Program, Redis, Server};
use tokio::time::{sleep, timeout};

use crate::args::RunArgs;
use crate::data::DataFolder;
use crate::screen::Screen;
use crate::supervise::Restarts;

const PING_WITHIN: Duration = Duration::from_secs(5);
const DATABASE: &str = "tally";
const REDIS_STOP_WITHIN: Duration = Duration::from_millis(1_000);
/// A checkpoint is written at the end.
const POSTGRES_STOP_WITHIN: Duration = Duration::from_millis(2_500);

/// Postgres and Redis: private ones, or the user's own, which are never started, stopped or set up here.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) postgres: Option<Postgres>,
    pub(crate) redis: Option<Redis>,
    pub(crate) database_url: String,
    pub(crate) redis_url: String,
}

impl Stores {
    pub(crate) async fn start(screen: &Screen, args: &RunArgs, data: &DataFolder) -> Result<Stores> {
        let postgres = async {
            match &args.database_url {
                Some(_) => Ok(None),
                None => Postgres::start(&data.path.join("postgres")).await.map(Some),
            }
        };
        let redis = async {
            match &args.redis_url {
                Some(_) => Ok(None),
                None => Redis::start(&data.path.join("redis")).await.map(Some),
            }
        };
        let both = async { tokio::try_join!(postgres, redis) };
        let (postgres, redis) = match private(args) {
            Some(what) => screen.step(&format!("starting {what}"), both).await?,
            None => both.await?,
        };
        let database_url = match (&args.database_url, &postgres) {
            (None, Some(postgres)) => postgres.create_database(DATABASE).await?,
            (url, _) => url.clone().unwrap_or_default(),
        };
        let redis_url = match (&args.redis_url, &redis) {
            (None, Some(redis)) => redis.url(),
            (url, _) => url.clone().unwrap_or_default(),
        };
        // Postgres is called by the migration in a moment; of Redis a mistake would show only as services that never get ready.
        timeout(PING_WITHIN, ping(&redis_url)).await.context("REDIS_URL: no answer")?.context("REDIS_URL")?;
        Ok(Stores { postgres, redis, database_url, redis_url })
    }

    /// Starts a private server again that has ended. Returns only when one can't be started.
    pub(crate) async fn keep_running(&self, screen: &Screen) -> Result<()> {
        tokio::try_join!(keep(self.postgres.as_ref(), screen), keep(self.redis.as_ref(), screen))?;
        Ok(())
    }

    pub(crate) async fn stop(&self) -> Result<()> {
        if let Some(redis) = &self.redis {
            redis.stop_within(REDIS_STOP_WITHIN).await?;
        }
        if let Some(postgres) = &self.postgres {
            postgres.stop_within(POSTGRES_STOP_WITHIN).await?;
        }
        Ok(())
    }
}

async fn ping(url: &str) -> redis::RedisResult<()> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    redis::cmd("PING").query_async(&mut connection).await
}

/// What is started here.
fn private(args: &RunArgs) -> Option<&'static str> {
    match (&args.database_url, &args.redis_url) {
        (None, None) => Some("a private Postgres and a private Redis"),
        (None, Some(_)) => Some("a private Postgres"),
        (Some(_), None) => Some("a private Redis"),
        (Some(_), Some(_)) => None,
    }
}

async fn keep<P: Program>(server: Option<&Server<P>>, screen: &Screen) -> Result<()> {
    let Some(server) = server else { return std::future::pending().await };
    let mut restarts = Restarts::default();
    loop {
        let began = Instant::now();
        server.ended().await;
        let name = P::NAME;
        let pause =
            restarts.after_running(began.elapsed()).with_context(|| format!("{name} ends as soon as it is started"))?;
        screen.line(&format!("! {name} ended: starting it again"));
        sleep(pause).await;
        server.restart().await?;
        screen.line(&format!("✓ {name} is back on port {}", server.port()));
    }
}
