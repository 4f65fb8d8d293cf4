use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tally_event_store::{ReadOptions, ReadStore};

use crate::args::RunArgs;
use crate::banner::{Addresses, Maintenance, banner};
use crate::compile::build;
use crate::data::DataFolder;
use crate::install::{self, Needed};
use crate::logged::Logged;
use crate::project;
use crate::sample;
use crate::screen::Screen;
use crate::service::Service;
use crate::signals::StopSignals;
use crate::stores::Stores;
use crate::supervise;
use crate::tools::shell_word;

/// A migration that is cut off is rolled back, and done again at the next start.
const STATEMENT_WITHIN: Duration = Duration::from_secs(5);

/// What has been started, in the order in which it is stopped.
#[derive(Debug, Default)]
struct Started {
    query: Option<Service>,
    command: Option<Service>,
    projector: Option<Service>,
    stores: Option<Stores>,
}

/// Runs Tally until it is told to stop.
pub(crate) async fn run(screen: &Screen, args: &RunArgs) -> Result<()> {
    let mut signals = StopSignals::new()?;
    let data = DataFolder::open(&project::root(), args.data.as_deref())?;
    let mut started = Started::default();
    let outcome = tokio::select! {
        outcome = start_and_watch(screen, args, &data, &mut started) => outcome,
        () = signals.next() => Ok(()),
    };
    if started.stores.is_none() {
        return outcome;
    }
    let stop = screen.step("stopping query-service, command-service, projector, Redis, Postgres", started.stop());
    tokio::select! {
        stopped = stop => {
            screen.line("Tally has stopped.");
            outcome.and(stopped)
        }
        () = signals.next() => bail!("told to stop twice: everything is being killed"),
    }
}

impl Started {
    /// First whoever takes calls, last whoever keeps data. A server of the user's own goes on.
    async fn stop(&self) -> Result<()> {
        for service in [&self.query, &self.command, &self.projector].into_iter().flatten() {
            service.stop().await?;
        }
        match &self.stores {
            Some(stores) => stores.stop().await,
            None => Ok(()),
        }
    }
}

async fn start_and_watch(screen: &Screen, args: &RunArgs, data: &DataFolder, started: &mut Started) -> Result<()> {
    let (postgres, redis) = (args.database_url.is_none(), args.redis_url.is_none());
    let needed = Needed { postgres, redis, python: false, promtool: false, faketime: false };
    install::install_missing(screen, needed).await?;
    let programs = match &args.programs {
        Some(folder) => folder.clone(),
        None => {
            screen.line("· building the services (cargo build; the first time takes minutes)");
            build(args.release).await?
        }
    };

    let stores: &Stores = started.stores.insert(Stores::start(screen, args, data).await?);
    migrate(screen, args, data, stores, &programs).await?;

    let settings = vec![
        ("TALLY_LOG", args.log.to_string()),
        ("DATABASE_URL", stores.database_url.clone()),
        ("REDIS_URL", stores.redis_url.clone()),
    ];
    let service = |name, listen, asked, usual_port| -> Result<Service> {
        let address = choose_address(listen, asked, usual_port)?;
        Ok(Service::new(name, (listen, address), settings.clone(), &programs, data))
    };
    let command = started.command.insert(service("command-service", "COMMAND_LISTEN", args.command_listen, 50_051)?);
    let query = started.query.insert(service("query-service", "QUERY_LISTEN", args.query_listen, 50_052)?);
    let projector = started.projector.insert(service("projector", "PROJECTOR_LISTEN", args.projector_listen, 50_053)?);
    let all = async { tokio::try_join!(command.start(), projector.start(), query.start()) };
    screen.step("starting command-service, projector and query-service", all).await?;

    if !args.no_sample {
        put_sample(screen, args, data, stores, command).await?;
    }
    let addresses = Addresses { command: command.address, query: query.address, projector: projector.address };
    // The private server's only: a password of the user's is theirs to keep.
    let private_url = match &stores.postgres {
        Some(_) => Some(data.write_private("database-url", &stores.database_url)?),
        None => None,
    };
    let settings_file = data.write_private("env", &private_settings(args, stores))?;
    let maintenance = Maintenance {
        psql_url: private_url,
        tables: args.log.schema(),
        rebuild: format!(
            "(. {} && {} rebuild stock)",
            shell_word(&settings_file.display().to_string()),
            shell_word(&programs.join("projector").display().to_string())
        ),
    };
    let banner = banner(&addresses, stores, data, &maintenance);
    data.write_private("banner", &banner)?;
    screen.line(&banner);

    tokio::try_join!(
        supervise::keep_running(command, screen),
        supervise::keep_running(projector, screen),
        supervise::keep_running(query, screen),
        stores.keep_running(screen),
    )?;
    Ok(())
}

/// What a command line of the services needs to reach the private servers. A server of the user's is theirs to name.
fn private_settings(args: &RunArgs, stores: &Stores) -> String {
    let private = [
        ("DATABASE_URL", stores.postgres.is_some().then_some(&stores.database_url)),
        ("REDIS_URL", stores.redis.is_some().then_some(&stores.redis_url)),
    ];
    let servers = private.into_iter().filter_map(|(name, url)| Some((name, url?.as_str())));
    let log = args.log.to_string();
    servers
        .chain([("TALLY_LOG", log.as_str())])
        .map(|(name, value)| format!("export {name}={}\n", shell_word(value)))
        .collect()
}

async fn migrate(screen: &Screen, args: &RunArgs, data: &DataFolder, stores: &Stores, programs: &Path) -> Result<()> {
    let migrate = Logged {
        program: programs.join("command-service"),
        args: vec!["migrate".into()],
        env: vec![("TALLY_LOG", args.log.to_string()), ("DATABASE_URL", stores.database_url.clone())],
        log: &data.log("migrate"),
        stop_within: STATEMENT_WITHIN,
    };
    screen.step(&format!("migrating the log `{}`", args.log), migrate.run()).await
}

/// Puts the sample into a log that has never had an event, or goes on with a sample that was interrupted; any other log is left alone.
async fn put_sample(
    screen: &Screen,
    args: &RunArgs,
    data: &DataFolder,
    stores: &Stores,
    command: &Service,
) -> Result<()> {
    let log = ReadStore::connect(&stores.database_url, &args.log, ReadOptions::default()).await?;
    let begun = data.path.join(format!("sample-begun-{}", log.log_id().await?));
    if log.head().await? > 0 && !begun.exists() {
        return Ok(());
    }
    std::fs::write(&begun, "").with_context(|| format!("can't write {}", begun.display()))?;
    screen.step("putting a small sample into the empty log", sample::put(command.address)).await?;
    std::fs::remove_file(&begun).with_context(|| format!("can't remove {}", begun.display()))
}

/// The address that was asked for, or else the usual port, or else a free one.
fn choose_address(variable: &str, asked: Option<SocketAddr>, usual: u16) -> Result<SocketAddr> {
    let wanted = asked.unwrap_or_else(|| ([127, 0, 0, 1], usual).into());
    match TcpListener::bind(wanted) {
        Ok(listener) if wanted.port() != 0 => {
            drop(listener);
            Ok(wanted)
        }
        Err(error) if asked.is_some() => {
            Err(error).with_context(|| format!("can't listen on {wanted}, as {variable} says"))
        }
        _ => Ok(SocketAddr::new(wanted.ip(), tally_servers::free_port()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_port_that_is_taken_gives_way_and_one_that_was_asked_for_does_not() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert_ne!(choose_address("X", None, address.port()).unwrap(), address);
        let refusal = choose_address("X", Some(address), 1).unwrap_err().to_string();
        assert!(refusal.contains("as X says"), "{refusal}");
        assert_ne!(choose_address("X", Some("127.0.0.1:0".parse().unwrap()), 1).unwrap().port(), 0);
    }
}
