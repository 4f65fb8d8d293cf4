mod apt;
mod clients;
mod missing;

use anyhow::Result;
use tally_servers::find;

use crate::screen::Screen;
use missing::Missing;

/// What a command needs on this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needed {
    pub(crate) postgres: bool,
    pub(crate) redis: bool,
    pub(crate) python: bool,
    pub(crate) promtool: bool,
    pub(crate) faketime: bool,
}

/// `install`: the servers, and for the tests also the clients that are not Rust.
pub(crate) async fn install(screen: &Screen, tests: bool) -> Result<()> {
    let needed = Needed { postgres: true, redis: true, python: tests, promtool: tests, faketime: tests };
    install_missing(screen, needed).await?;
    let (postgres, redis) = (find::postgres_bin_dir()?, find::redis_server()?);
    screen.line(&format!("✓ Postgres in {}, Redis is {}", postgres.display(), redis.display()));
    if tests { clients::install(screen).await } else { Ok(()) }
}

/// Finds what is needed, and installs what isn't there, or says how to.
pub(crate) async fn install_missing(screen: &Screen, needed: Needed) -> Result<()> {
    let missing = Missing::find(needed).await;
    if missing.is_empty() {
        return Ok(());
    }
    // First the packages, then servers: a package can replace the files under a server that is running.
    apt::install(screen, &missing).await?;
    let still = Missing::find(needed).await;
    anyhow::ensure!(still.is_empty(), "{}", still.how_to("apt installed it, and yet it is not found"));
    Ok(())
}
