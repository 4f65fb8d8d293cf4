use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

/// Folders whose children are one Postgres version each: Debian's, and the Postgres project's own packages.
const VERSIONED: [(&str, &str); 5] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql@"),
    ("/usr/local/opt", "postgresql@"),
    ("/Library/PostgreSQL", ""),
];
/// The path of the program to take for Redis.
const REDIS_SERVER_VARIABLE: &str = "TALLY_REDIS_SERVER";
const PLAIN: [&str; 4] = ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/opt/local/bin"];

/// The folder with `postgres` and `initdb`: the one in PATH, else the newest.
///
/// # Errors
/// [`Error::NotInstalled`].
pub fn postgres_bin_dir() -> Result<PathBuf, Error> {
    postgres_bin_dirs().into_iter().next().ok_or(Error::NotInstalled("Postgres"))
}

/// The folder with the Postgres of one major version: data can be opened only by the version that made it.
pub(crate) fn postgres_bin_dir_of(version: &str) -> Option<PathBuf> {
    postgres_bin_dirs().into_iter().find(|dir| postgres_major(dir).as_deref() == Some(version))
}

/// `redis-server`, or `valkey-server`, which is the same to us; `TALLY_REDIS_SERVER` names another one.
///
/// # Errors
/// [`Error::NotInstalled`].
pub fn redis_server() -> Result<PathBuf, Error> {
    if let Some(chosen) = env::var_os(REDIS_SERVER_VARIABLE) {
        return Ok(chosen.into());
    }
    program(&["redis-server", "valkey-server"]).ok_or(Error::NotInstalled("Redis"))
}

/// The first of these programs that PATH or a usual folder has.
pub fn program(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = env::split_paths(&path).chain(PLAIN.map(PathBuf::from)).collect();
    names.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name))).find(|file| file.is_file())
}

fn postgres_bin_dirs() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path);
    let found: Vec<PathBuf> = in_path.chain(versioned()).chain(PLAIN.map(PathBuf::from)).collect();
    found.into_iter().filter(|dir| dir.join("postgres").is_file() && dir.join("initdb").is_file()).collect()
}

fn versioned() -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for (parent, prefix) in VERSIONED {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if let Some(version) = name.to_str().and_then(|name| name.strip_prefix(prefix)).and_then(|v| v.parse().ok())
            {
                found.push((version, entry.path().join("bin")));
            }
        }
    }
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, dir)| dir).collect()
}

/// "15" from "postgres (PostgreSQL) 15.18 (Debian …)".
fn postgres_major(bin_dir: &Path) -> Option<String> {
    let out = Command::new(bin_dir.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    let version = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(version.chars().take_while(char::is_ascii_digit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_postgres_in_use_is_found_again_by_its_major_version() {
        let dir = postgres_bin_dir().unwrap();
        let major = postgres_major(&dir).unwrap();
        assert_eq!(postgres_bin_dir_of(&major), Some(dir));
        assert_eq!(postgres_bin_dir_of("7"), None);
    }
}
