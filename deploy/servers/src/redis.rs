use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use crate::Error;
use crate::error::Tried;
use crate::find;
use crate::folder::Folder;
use crate::guard::{GuardedCommand, UnixSignal};
use crate::port::free_port;
use crate::server::{Program, Server, ServerFolder};
use crate::tls::{self, Tls};

const PING_WITHIN: Duration = Duration::from_secs(2);
/// After how long a silent node of a cluster counts as gone, and its replica takes over.
const CLUSTER_NODE_TIMEOUT_MS: u32 = 1_000;
const GUARD_STOP_WITHIN: Duration = Duration::from_secs(5);

/// A private Redis with an append-only file and no eviction; see [`Server`].
pub type Redis = Server<RedisProgram>;

/// Redis as a [`Program`].
#[derive(Debug)]
pub struct RedisProgram {
    server: PathBuf,
    password: String,
    /// It is a node of a Redis Cluster, with these settings besides.
    cluster: Option<String>,
    /// The port for TLS, beside the other one.
    tls_port: Option<u16>,
}

impl Server<RedisProgram> {
    /// Starts one whose data is kept in `folder`.
    ///
    /// # Errors
    /// When Redis is not installed or doesn't start; [`Error::InUse`] when it runs already.
    pub async fn start(folder: &Path) -> Result<Redis, Error> {
        launch(Folder::open(folder)?).await
    }

    /// Starts an empty one that is gone with this process.
    ///
    /// # Errors
    /// When Redis is not installed or doesn't start.
    pub async fn temporary() -> Result<Redis, Error> {
        launch(Folder::temporary("redis")?).await
    }

    /// Starts an empty one that is this program, and is gone with this process.
    ///
    /// # Errors
    /// When it can't be copied to where the server's user can run it, or doesn't start.
    pub async fn temporary_of(program: &Path) -> Result<Redis, Error> {
        let folder = Folder::temporary("redis")?;
        let server = folder.path.join("server");
        fs::copy(program, &server).tried(|| format!("copy {}", program.display()))?;
        launch_program(server, folder, |_| ()).await
    }

    /// Starts an empty one that also speaks TLS, on a port of its own, and is gone with this process. Clients need a certificate of the
    /// same authority.
    ///
    /// # Errors
    /// When Redis is not installed, can't do TLS, or doesn't start.
    pub async fn temporary_with_tls(tls: &Tls) -> Result<Redis, Error> {
        let folder = Folder::temporary("redis")?;
        tls.write_into(&folder)?;
        let tls_port = free_port().tried(|| "find a free port".to_owned())?;
        launch_with(folder, |program| program.tls_port = Some(tls_port)).await
    }

    /// Its URL, with the password.
    pub fn url(&self) -> String {
        self.program.url(self.port())
    }

    /// Its URL for TLS, with the password, where it was started with that. Its name there is `localhost`.
    pub fn tls_url(&self) -> Option<String> {
        self.tls_port().map(|port| format!("rediss://:{}@localhost:{port}/", self.program.password))
    }

    pub(crate) fn tls_port(&self) -> Option<u16> {
        self.program.tls_port
    }
}

async fn launch(folder: Folder) -> Result<Redis, Error> {
    launch_with(folder, |_| ()).await
}

/// A node that becomes part of a cluster. All nodes have one password, by which they also know each other.
pub(crate) async fn launch_cluster_node(password: &str, settings: &str, tls: Option<&Tls>) -> Result<Redis, Error> {
    let folder = Folder::temporary("redis")?;
    let mut tls_port = None;
    if let Some(tls) = tls {
        tls.write_into(&folder)?;
        tls_port = Some(free_port().tried(|| "find a free port".to_owned())?);
    }
    launch_with(folder, |program| {
        program.password = password.to_owned();
        program.cluster = Some(settings.to_owned());
        program.tls_port = tls_port;
    })
    .await
}

async fn launch_with(folder: Folder, change: impl FnOnce(&mut RedisProgram)) -> Result<Redis, Error> {
    launch_program(find::redis_server()?, folder, change).await
}

async fn launch_program(
    server: PathBuf,
    folder: Folder,
    change: impl FnOnce(&mut RedisProgram),
) -> Result<Redis, Error> {
    folder.make_subfolder(&folder.path.join("data"))?;
    let mut program = RedisProgram { server, password: folder.password()?, cluster: None, tls_port: None };
    change(&mut program);
    Server::launch(program, folder).await
}

impl RedisProgram {
    fn url(&self, port: u16) -> String {
        format!("redis://:{}@127.0.0.1:{port}/", self.password)
    }

    fn cluster_settings(&self) -> Result<String, Error> {
        let Some(more) = &self.cluster else { return Ok(String::new()) };
        // The bus has a port of its own, which Redis would put 10,000 above, where outgoing connections are.
        let bus = free_port().tried(|| "find a free port".to_owned())?;
        Ok(format!(
            "masterauth {}\ncluster-enabled yes\ncluster-config-file nodes.conf\ncluster-node-timeout {CLUSTER_NODE_TIMEOUT_MS}\n\
             cluster-port {bus}\nrepl-diskless-sync-delay 0\n{more}\n",
            self.password,
        ))
    }

    fn tls_settings(&self, folder: &Path) -> String {
        let Some(port) = self.tls_port else { return String::new() };
        let [certificate, key, authority] = tls::FILES.map(|file| folder.join(file).display().to_string());
        format!(
            "tls-port {port}\ntls-cert-file {certificate}\ntls-key-file {key}\ntls-ca-cert-file {authority}\n\
             tls-auth-clients yes\ntls-protocols \"TLSv1.3\"\n"
        )
    }
}

impl Program for RedisProgram {
    const NAME: &'static str = "Redis";
    const PORT_TAKEN: &'static str = "Address already in use";
    const STOP: UnixSignal = UnixSignal::TERM;

    /// The settings go into a file: arguments are seen by every user of the machine, and the password is among them.
    fn command(&self, server: ServerFolder<'_>, port: u16) -> Result<GuardedCommand, Error> {
        let settings = format!(
            "bind 127.0.0.1\nport {port}\nrequirepass {}\ndaemonize no\ndir data\n\
             appendonly yes\nappendfsync everysec\nsave \"\"\nmaxmemory-policy noeviction\n",
            self.password
        );
        let settings = settings + &self.cluster_settings()? + &self.tls_settings(&server.folder.path);
        let settings = server.folder.write_private("redis.conf", &settings)?;
        Ok(GuardedCommand {
            program: self.server.clone(),
            args: vec![settings.into()],
            env: vec![("LC_ALL".into(), "C".into())],
            user: server.folder.user,
            folder: Some(server.folder.path.clone()),
            log: server.log,
            stdout_to_log: true,
            stop_signal: "TERM",
            stop_within: GUARD_STOP_WITHIN,
            remove: server.folder.temporary.then(|| server.folder.path.clone()),
        })
    }

    async fn ping(&self, port: u16) -> Result<(), Error> {
        let ping = async {
            let client = ::redis::Client::open(self.url(port))?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            ::redis::cmd("PING").query_async::<()>(&mut connection).await
        };
        match timeout(PING_WITHIN, ping).await {
            Ok(answered) => Ok(answered?),
            Err(_) => Err(Error::Redis(std::io::Error::from(std::io::ErrorKind::TimedOut).into())),
        }
    }
}
