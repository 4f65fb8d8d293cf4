use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tally_servers::reachable_by_server_user;

/// Only root can write here, so nobody can have put a folder of that name there for root to fall into.
const ROOTS_FOLDERS: &str = "/var/lib";

/// The folder that keeps everything of a run: the servers' data, the services' logs. Held by one run at a time.
#[derive(Debug)]
pub(crate) struct DataFolder {
    pub(crate) path: PathBuf,
    /// Why it is not in the project, if it isn't and nobody asked for that.
    pub(crate) moved: Option<&'static str>,
    lock: File,
}

impl DataFolder {
    /// `.data` in the project, or the one that is asked for, or, where the servers' ordinary user can't reach the project (root's home, as a
    /// rule), one that it can.
    pub(crate) fn open(project: &Path, asked_for: Option<&Path>) -> Result<DataFolder> {
        let (path, moved) = match asked_for {
            Some(path) => (path.to_owned(), None),
            None if reachable_by_server_user(project) => (project.join(".data"), None),
            None => (of_root(project), Some("Postgres runs as an ordinary user, who can't enter the project's folder")),
        };
        fs::create_dir_all(path.join("logs")).with_context(|| format!("can't make {}", path.display()))?;
        let path = path.canonicalize()?;
        let lock = lock(&path)?;
        Ok(DataFolder { path, moved, lock })
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.path.join("logs").join(format!("{name}.log"))
    }

    /// A file that only this user can read.
    pub(crate) fn write_private(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("can't write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for DataFolder {
    /// Closing the file is not enough: a process that is being started has it open, too, until it runs its own program.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

/// One folder a project, and the same one each time.
fn of_root(project: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    project.hash(&mut hasher);
    Path::new(ROOTS_FOLDERS).join(format!("tally-{:016x}", hasher.finish()))
}

/// The system frees the lock with the process, however it ends, so a lock is never stale.
fn lock(path: &Path) -> Result<File> {
    let file = path.join("lock");
    let mut lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&file)?;
    match lock.try_lock() {
        Ok(()) => {
            lock.set_len(0)?;
            write!(lock, "{}", std::process::id())?;
            Ok(lock)
        }
        Err(TryLockError::WouldBlock) => {
            let owner = fs::read_to_string(&file).unwrap_or_default();
            let banner = fs::read_to_string(path.join("banner")).unwrap_or_default();
            bail!(
                "{banner}\nTally is running already on {} (process {owner}): what it printed is above. Stop it with Ctrl-C where it runs, \
                 or: kill {owner}\nFor a second one beside it, name another folder: TALLY_DATA=/some/folder make run",
                path.display()
            )
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("can't lock {}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_run_at_a_time_and_free_after_it() {
        let scratch = std::env::temp_dir().join(format!("tally-data-{}", uuid::Uuid::new_v4().simple()));
        let first = DataFolder::open(Path::new("/"), Some(&scratch)).unwrap();
        let refusal = DataFolder::open(Path::new("/"), Some(&scratch)).unwrap_err().to_string();
        assert!(refusal.contains(&format!("process {}", std::process::id())), "{refusal}");
        drop(first);
        DataFolder::open(Path::new("/"), Some(&scratch)).unwrap();
        fs::remove_dir_all(scratch).unwrap();
    }
}
