//! All that a run happens in: the servers, the processes, and the proxies between them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use system_tests::client::RustClient;
use system_tests::run_to_end;
use tally_servers::unique_log_name;
use tonic::transport::Endpoint;

use crate::args::CommandLine;
use crate::fault::Fault;
use crate::inject::clock::FakeClock;
use crate::node::{Node, Settings, launch};
use crate::planted::Planted;
use crate::proxy::Mode;
use crate::stores::Stores;

/// Events of lines that stay published: few, so that a run sees the oldest go.
pub(crate) const LINE_EVENTS_KEPT_MAX: usize = 4_000;
/// Bytes that can be sent to a slow client before it reads: the least that HTTP/2 is used with.
const SLOW_WINDOW: u32 = 65_535;
/// The variable that names the fault to be planted, where a program was built with the feature.
const PLANTED_VARIABLE: &str = "TALLY_PLANTED_FAULT";

/// A Tally in a hostile world.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) log: String,
    pub(crate) commands: Vec<Node>,
    pub(crate) projector: Node,
    pub(crate) queries: Vec<Node>,
    pub(crate) clock: Option<FakeClock>,
    pub(crate) settings: Settings,
    // Last: the processes go first.
    pub(crate) stores: Stores,
}

impl World {
    /// Starts all of it, the services with these variables.
    pub(crate) async fn start(
        line: &CommandLine,
        faults: &[Fault],
        folder: PathBuf,
        variables: &[(&'static str, String)],
    ) -> Result<Self> {
        let log = unique_log_name();
        let stores = match (&line.database_url, &line.redis_url) {
            (Some(database_url), Some(redis_url)) => Stores::foreign(database_url, redis_url)?,
            _ => Stores::own(&log, faults.contains(&Fault::DiskFull)).await?,
        };
        let clock = faults.contains(&Fault::Clock).then(|| FakeClock::new(&folder)).flatten();
        let mut environment =
            vec![("TALLY_LOG", log.clone()), ("TALLY_LOG_FORMAT", "text".to_owned()), ("RUST_LOG", "info".to_owned())];
        environment.extend(variables.iter().cloned());
        environment.extend(line.planted.and_then(Planted::variable).map(|name| (PLANTED_VARIABLE, name.to_owned())));
        let migrating = Settings { folder: folder.clone(), environment: environment.clone() };
        environment.extend(clock.iter().flat_map(FakeClock::environment));
        let settings = Settings { folder, environment };

        let migrate = launch("command-service", "migrate", &stores, &migrating, None);
        let (status, output) = run_to_end(&migrate, &settings.folder.join("migrate.log")).await?;
        anyhow::ensure!(status.success(), "migrate failed:\n{output}");
        if let Some(planted) = line.planted {
            planted.plant(&stores, &log).await.with_context(|| format!("{} can't be planted", planted.name()))?;
        }

        let mut commands = Vec::new();
        for number in 0..usize::from(line.command_services) {
            commands.push(Node::start("command-service", number, &stores, &settings).await?);
        }
        let projector = Node::start("projector", 0, &stores, &settings).await?;
        let mut queries = Vec::new();
        for number in 0..usize::from(line.query_services) {
            queries.push(Node::start("query-service", number, &stores, &settings).await?);
        }
        Ok(Self { log, commands, projector, queries, clock, settings, stores })
    }

    /// A client's connections: one to each replica of the side that has more, and one each to replicas of the other.
    pub(crate) fn clients(&self) -> Vec<RustClient> {
        let count = self.commands.len().max(self.queries.len());
        let client = |index: usize| {
            let command = &self.commands[index % self.commands.len()];
            let query = &self.queries[index % self.queries.len()];
            RustClient::new(command.front.address(), query.front.address())
        };
        (0..count).map(client).collect()
    }

    /// Clients on whose connections next to nothing can be sent that isn't read.
    pub(crate) fn slow_clients(&self) -> Result<Vec<RustClient>> {
        let slow = |query: &Node| {
            let endpoint = Endpoint::from_shared(format!("http://{}", query.front.address()))?;
            let channel = endpoint.initial_stream_window_size(SLOW_WINDOW).connect_lazy();
            Ok(RustClient::over(channel.clone(), channel))
        };
        self.queries.iter().map(slow).collect()
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.commands.iter().chain([&self.projector]).chain(&self.queries)
    }

    /// What clients' connections carry.
    pub(crate) fn set_clients(&self, mode: Mode) {
        self.commands.iter().chain(&self.queries).for_each(|node| node.set_front(mode));
    }

    pub(crate) fn set_to_postgres(&self, mode: Mode) {
        self.nodes().for_each(|node| node.postgres.set(mode));
    }

    pub(crate) fn set_to_redis(&self, mode: Mode) {
        self.nodes().for_each(|node| node.redis.set(mode));
    }

    /// All services lead to where Redis is by now.
    pub(crate) fn lead_to_redis(&self) -> Result<()> {
        let address = self.stores.redis_address()?;
        self.nodes().for_each(|node| node.redis.lead_to(address));
        Ok(())
    }
}
