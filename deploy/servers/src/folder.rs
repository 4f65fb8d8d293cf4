//! A server's folder: its data, log, password and last port.
//!
//! Who has the log file locked has the folder: the server inherits the lock with its standard error, so the lock lasts exactly until the last
//! process of the server is gone, however it ends. (Redis itself doesn't notice a second Redis on the same files.)

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use uuid::Uuid;

use crate::error::Tried;
use crate::user::run_as;
use crate::{Error, ServerUser};

/// How long the server of an earlier owner, who was killed, may take to stop.
const LOCK_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
/// A log that is longer when a server starts begins anew.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;
const TAIL_BYTES: u64 = 4_000;

#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) user: Option<ServerUser>,
    /// Removed when its owner is gone.
    pub(crate) temporary: bool,
}

impl Folder {
    pub(crate) fn open(path: &Path) -> Result<Folder, Error> {
        let path = std::path::absolute(path).tried(|| format!("find {}", path.display()))?;
        let user = ServerUser::for_servers()?;
        let folder = Folder { path, user, temporary: false };
        if let Some(parent) = folder.path.parent() {
            fs::create_dir_all(parent).tried(|| format!("make {}", parent.display()))?;
        }
        folder.make_subfolder(&folder.path)?;
        Ok(folder)
    }

    pub(crate) fn temporary(server: &str) -> Result<Folder, Error> {
        let system = std::env::temp_dir();
        let parents = [system.as_path(), Path::new("/tmp"), Path::new("/var/tmp")];
        let parent = parents.into_iter().find(|parent| reachable_by_server_user(parent)).unwrap_or(&system);
        let folder = Folder::open(&parent.join(format!("tally-{server}-{}", Uuid::new_v4().simple())))?;
        Ok(Folder { temporary: true, ..folder })
    }

    /// Makes a folder that only the server's user can enter.
    pub(crate) fn make_subfolder(&self, path: &Path) -> Result<(), Error> {
        if !path.is_dir() {
            DirBuilder::new().mode(0o700).create(path).tried(|| format!("make {}", path.display()))?;
        }
        self.give_to_server_user(path)
    }

    fn give_to_server_user(&self, path: &Path) -> Result<(), Error> {
        let Some(ServerUser { uid, gid }) = self.user else { return Ok(()) };
        chown(path, Some(uid), Some(gid)).tried(|| format!("give {} to user {uid}", path.display()))
    }

    /// Writes a file that only the server's user can read.
    pub(crate) fn write_private(&self, name: &str, content: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        written
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .tried(|| format!("write {}", path.display()))?;
        self.give_to_server_user(&path)?;
        Ok(path)
    }

    /// The password of this folder's server, made at the first call.
    pub(crate) fn password(&self) -> Result<String, Error> {
        match fs::read_to_string(self.path.join("password")) {
            Ok(password) if !password.trim().is_empty() => Ok(password.trim().to_owned()),
            _ => {
                let password = Uuid::new_v4().simple().to_string();
                self.write_private("password", &password)?;
                Ok(password)
            }
        }
    }

    /// The port of the last run, so that a kept server is found where it was.
    pub(crate) fn last_port(&self) -> Option<u16> {
        fs::read_to_string(self.path.join("port")).ok()?.trim().parse().ok()
    }

    pub(crate) fn keep_port(&self, port: u16) -> Result<(), Error> {
        self.write_private("port", &port.to_string()).map(drop)
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.path.join("server.log")
    }

    /// The log, locked; waits for the server of an owner who was killed a moment ago.
    pub(crate) async fn lock(&self) -> Result<File, Error> {
        let path = self.log_path();
        let opened = OpenOptions::new().append(true).read(true).create(true).mode(0o600).open(&path);
        let log = opened.tried(|| format!("open {}", path.display()))?;
        let began = Instant::now();
        loop {
            match log.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_WITHIN => sleep(POLL).await,
                Err(TryLockError::WouldBlock) => return Err(Error::InUse(self.path.clone())),
                Err(TryLockError::Error(error)) => return Err(error).tried(|| format!("lock {}", path.display())),
            }
        }
        let long = log.metadata().is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX);
        if long {
            log.set_len(0).tried(|| format!("shorten {}", path.display()))?;
        }
        Ok(log)
    }

    pub(crate) fn log_length(&self) -> u64 {
        fs::metadata(self.log_path()).map_or(0, |metadata| metadata.len())
    }

    /// The end of the log, from `start` on at the most.
    pub(crate) fn log_tail(&self, start: u64) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(self.log_path())?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(start.max(length.saturating_sub(TAIL_BYTES))))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_default()
    }
}

/// Whether the user whom servers run as can enter `path`: one under root's home it usually can't.
pub fn reachable_by_server_user(path: &Path) -> bool {
    let Ok(user) = ServerUser::for_servers() else { return false };
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "cd -- \"$1\"", "sh"]).arg(path).current_dir("/").stderr(std::process::Stdio::null());
    run_as(&mut command, user);
    command.status().is_ok_and(|status| status.success())
}
