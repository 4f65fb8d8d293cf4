use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use crate::Error;
use crate::find;
use crate::folder::Folder;
use crate::guard::{GuardedCommand, UnixSignal};
use crate::server::{Program, Server, ServerFolder};

const PING_WITHIN: Duration = Duration::from_secs(2);
const GUARD_STOP_WITHIN: Duration = Duration::from_secs(5);

/// A private Redis with an append-only file and no eviction; see [`Server`].
pub type Redis = Server<RedisProgram>;

/// Redis as a [`Program`].
#[derive(Debug)]
pub struct RedisProgram {
    server: PathBuf,
    password: String,
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

    /// Its URL, with the password.
    pub fn url(&self) -> String {
        self.program.url(self.port())
    }
}

async fn launch(folder: Folder) -> Result<Redis, Error> {
    let server = find::redis_server()?;
    folder.make_subfolder(&folder.path.join("data"))?;
    let password = folder.password()?;
    Server::launch(RedisProgram { server, password }, folder).await
}

impl RedisProgram {
    fn url(&self, port: u16) -> String {
        format!("redis://:{}@127.0.0.1:{port}/", self.password)
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
