//! A small disk in memory, which can be filled without harm to anybody else. It takes root.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use uuid::Uuid;

/// Megabytes: enough for what a long run writes.
const SIZE_MB: usize = 6_144;
/// What is written at a time to fill it.
const BALLAST_BYTES: usize = 4 * 1024 * 1024;

/// A mounted disk; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one.
    pub(crate) fn mount() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("tally-disk-{}", Uuid::new_v4().simple()));
        fs::create_dir_all(&folder)?;
        let size = format!("size={SIZE_MB}m,mode=755");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder).output();
        match output.context("there is no mount")? {
            output if output.status.success() => Ok(Self(folder)),
            output => {
                let _ = fs::remove_dir(&folder);
                bail!("no disk can be mounted: {}", String::from_utf8_lossy(&output.stderr).trim())
            }
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// Takes all that is left of it.
    pub(crate) fn fill(&self) -> Result<()> {
        let mut ballast = File::create(self.ballast())?;
        let zeros = vec![0; BALLAST_BYTES];
        let mut bytes = zeros.as_slice();
        loop {
            match ballast.write_all(bytes) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull && bytes.len() > 1 => {
                    bytes = &bytes[..bytes.len() / 2];
                }
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives it back.
    pub(crate) fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: the server on it may still be stopping.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}
