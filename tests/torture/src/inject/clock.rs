//! Another time of day for the services, by libfaketime. Monotonic clocks go on as they are, as when an operator or NTP sets a clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::world::World;

/// Where Debian puts it.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// A clock that can be set.
#[derive(Debug)]
pub(crate) struct FakeClock {
    library: &'static str,
    file: PathBuf,
}

impl FakeClock {
    /// None where there is no libfaketime.
    pub(crate) fn new(folder: &Path) -> Option<Self> {
        let Some(library) = LIBRARIES.into_iter().find(|library| Path::new(library).exists()) else {
            crate::report::say("the clock will not be set: there is no libfaketime (Debian's package faketime)");
            return None;
        };
        let clock = Self { library, file: folder.join("clock") };
        clock.set(0).ok()?;
        Some(clock)
    }

    /// What the processes are started with.
    pub(crate) fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.library.to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// Seconds that it is ahead.
    fn set(&self, seconds: i64) -> Result<()> {
        Ok(fs::write(&self.file, format!("{seconds:+}"))?)
    }
}

/// An hour ahead, an hour behind, and right again.
pub(super) async fn jump(world: &World, hold: Duration) -> Result<()> {
    let Some(clock) = &world.clock else { return Ok(()) };
    for seconds in [3_600, -3_600] {
        clock.set(seconds)?;
        sleep(hold / 2).await;
    }
    clock.set(0)
}
