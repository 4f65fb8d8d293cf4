use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use crate::Error;
use crate::error::Tried;
use crate::find;
use crate::folder::Folder;
use crate::guard::{GuardedCommand, UnixSignal};
use crate::server::{Program, Server, ServerFolder};
use crate::tls::{self, Tls};

const USER: &str = "tally";
const PING_WITHIN: Duration = Duration::from_secs(2);
/// Postgres gives its own processes 5 seconds before it kills them.
const GUARD_STOP_WITHIN: Duration = Duration::from_secs(8);

/// Many test threads with a pool each.
const TEMPORARY: [&str; 6] = [
    // Not synchronous_commit: without it, a kill -9 of Postgres loses commits, which a test would take for a fault of ours. Without fsync,
    // only a crash of the whole machine does.
    "fsync=off",
    "full_page_writes=off",
    "max_connections=400",
    "shared_buffers=64MB",
    "max_wal_size=2GB",
    // In the data folder instead of /dev/shm, which is small in containers and where a killed Postgres leaves files behind.
    "dynamic_shared_memory_type=mmap",
];

/// A private Postgres; see [`Server`].
pub type Postgres = Server<PostgresProgram>;

/// Postgres as a [`Program`].
#[derive(Debug)]
pub struct PostgresProgram {
    bin_dir: PathBuf,
    password: String,
    temporary: bool,
    /// It also speaks TLS.
    tls: bool,
}

impl Server<PostgresProgram> {
    /// Starts a durable one whose data is kept in `folder`; makes the data if there is none yet.
    ///
    /// # Errors
    /// When Postgres is not installed, not in the version that made the data, or doesn't start; [`Error::InUse`] when it runs already.
    pub async fn start(folder: &Path) -> Result<Postgres, Error> {
        launch(Folder::open(folder)?).await
    }

    /// Starts an empty one that is gone with this process, with settings for speed: it survives its own crash, not one of the machine.
    ///
    /// # Errors
    /// When Postgres is not installed or doesn't start.
    pub async fn temporary() -> Result<Postgres, Error> {
        launch(Folder::temporary("postgres")?).await
    }

    /// Starts an empty one that also speaks TLS, and is gone with this process.
    ///
    /// # Errors
    /// When Postgres is not installed or doesn't start.
    pub async fn temporary_with_tls(tls: &Tls) -> Result<Postgres, Error> {
        let folder = Folder::temporary("postgres")?;
        tls.write_into(&folder)?;
        launch_with(folder, true).await
    }

    /// The URL of one of its databases, with user and password; the user owns the server.
    pub fn url(&self, database: &str) -> String {
        self.program.url(self.port(), database)
    }

    /// Makes a database, if there is none of that name, and returns its URL. `name` is letters, digits and _.
    ///
    /// # Errors
    /// When Postgres is away or refuses it.
    pub async fn create_database(&self, name: &str) -> Result<String, Error> {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(Error::Postgres(sqlx::Error::Protocol(format!("{name:?} is no name for a database"))));
        }
        let mut connection = PgConnection::connect(&self.url("postgres")).await?;
        let statement = format!("CREATE DATABASE \"{name}\"");
        let created = sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await;
        connection.close().await?;
        let exists = |error: &sqlx::Error| {
            error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("42P04"))
        };
        match created {
            Err(error) if !exists(&error) => Err(error.into()),
            _ => Ok(self.url(name)),
        }
    }
}

async fn launch(folder: Folder) -> Result<Postgres, Error> {
    launch_with(folder, false).await
}

async fn launch_with(folder: Folder, tls: bool) -> Result<Postgres, Error> {
    let data = folder.path.join("data");
    let password = folder.password()?;
    let bin_dir = match fs::read_to_string(data.join("PG_VERSION")) {
        Ok(version) => {
            let version = version.trim().to_owned();
            find::postgres_bin_dir_of(&version).ok_or(Error::VersionGone { folder: data, version })?
        }
        Err(_) => {
            let bin_dir = find::postgres_bin_dir()?;
            initialize(&folder, &bin_dir, &data).await?;
            bin_dir
        }
    };
    let temporary = folder.temporary;
    Server::launch(PostgresProgram { bin_dir, password, temporary, tls }, folder).await
}

/// initdb into a folder beside `data`, then renamed: half-made data is never taken for data.
async fn initialize(folder: &Folder, bin_dir: &Path, data: &Path) -> Result<(), Error> {
    let log = folder.lock().await?;
    let log_start = folder.log_length();
    let new = folder.path.join("data.new");
    if new.exists() {
        fs::remove_dir_all(&new).tried(|| format!("remove {}", new.display()))?;
    }
    let mut args = vec!["--username", USER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"];
    if folder.temporary {
        args.push("--no-sync");
    }
    let mut args: Vec<_> = args.into_iter().map(Into::into).collect();
    args.extend(["--pwfile".into(), folder.path.join("password").into(), "--pgdata".into(), new.clone().into()]);
    let command = guarded(folder, log, bin_dir.join("initdb"), args);
    let process = command.spawn().tried(|| "start initdb".to_owned())?;
    if !process.exited().await.is_some_and(|status| status.success()) {
        let (log, log_tail) = (folder.log_path(), folder.log_tail(log_start));
        return Err(Error::Failed { server: "initdb", what: "failed".to_owned(), log, log_tail });
    }
    fs::rename(&new, data).tried(|| format!("rename {}", new.display()))
}

fn guarded(folder: &Folder, log: File, program: PathBuf, args: Vec<std::ffi::OsString>) -> GuardedCommand {
    GuardedCommand {
        program,
        args,
        // Its messages are read by this crate, so they must be English.
        env: vec![("LC_ALL".into(), "C".into())],
        user: folder.user,
        folder: Some(folder.path.clone()),
        log,
        stdout_to_log: true,
        // A temporary one stops at once; a durable one writes its checkpoint, so that the next start is quick.
        stop_signal: if folder.temporary { "QUIT" } else { "INT" },
        stop_within: GUARD_STOP_WITHIN,
        remove: folder.temporary.then(|| folder.path.clone()),
    }
}

impl PostgresProgram {
    fn url(&self, port: u16, database: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{port}/{database}", self.password)
    }
}

impl Program for PostgresProgram {
    const NAME: &'static str = "Postgres";
    const PORT_TAKEN: &'static str = "Address already in use";
    const STOP: UnixSignal = UnixSignal::INT;

    fn command(&self, server: ServerFolder<'_>, port: u16) -> Result<GuardedCommand, Error> {
        let mut args = vec!["-D".into(), server.folder.path.join("data").into()];
        let settings =
            [format!("port={port}"), "listen_addresses=127.0.0.1".to_owned(), "unix_socket_directories=".to_owned()];
        let fast = if self.temporary { TEMPORARY.as_slice() } else { &[] };
        let mut tls = Vec::new();
        if self.tls {
            let [certificate, key, _] = tls::FILES.map(|file| server.folder.path.join(file).display().to_string());
            tls = vec!["ssl=on".to_owned(), format!("ssl_cert_file={certificate}"), format!("ssl_key_file={key}")];
        }
        let fast = fast.iter().map(|setting| (*setting).to_owned());
        for setting in settings.into_iter().chain(tls).chain(fast) {
            args.extend(["-c".into(), setting.into()]);
        }
        Ok(guarded(server.folder, server.log, self.bin_dir.join("postgres"), args))
    }

    async fn ping(&self, port: u16) -> Result<(), Error> {
        let connect = async { PgConnection::connect(&self.url(port, "postgres")).await?.close().await };
        match timeout(PING_WITHIN, connect).await {
            Ok(connected) => Ok(connected?),
            Err(_) => Err(Error::Postgres(sqlx::Error::PoolTimedOut)),
        }
    }
}
