//! A terminal that programs under test write to.

use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use tally_servers::guard::{Guarded, GuardedCommand};

use crate::{Launch, binary, eventually};

/// As terminals often are.
const SIZE: Winsize = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };

/// What was written to a terminal so far.
#[derive(Clone, Debug, Default)]
pub struct Screen(Arc<Mutex<Vec<u8>>>);

impl Screen {
    /// Starts a program with a terminal as its standard error.
    ///
    /// # Panics
    /// When it can't be started, or the machine has no terminal.
    pub fn of(launch: &Launch) -> (Guarded, Self) {
        let (terminal, screen) = Self::open();
        let environment = launch.environment.iter().map(|(name, value)| (name.into(), value.into()));
        let command = GuardedCommand {
            program: binary(launch.program),
            args: launch.arguments.iter().map(Into::into).collect(),
            env: environment.collect(),
            user: None,
            folder: None,
            log: terminal,
            stdout_to_log: false,
            stop_signal: "KILL",
            stop_within: Duration::ZERO,
            remove: None,
        };
        (command.spawn().expect("it can be started"), screen)
    }

    fn open() -> (File, Self) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it is ours");
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let terminal = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("it is there");
        tcsetwinsize(&terminal, SIZE).expect("it has a size");
        let screen = Self::default();
        let (written, mut master) = (Arc::clone(&screen.0), File::from(master));
        // It ends when nobody has the terminal any more.
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(count @ 1..) = master.read(&mut bytes) {
                written.lock().expect("no panic while it is held").extend_from_slice(&bytes[..count]);
            }
        });
        (File::from(terminal), screen)
    }

    /// All of it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic while it is held")).into_owned()
    }

    /// The line that says this.
    ///
    /// # Panics
    /// When none does in time.
    pub async fn line(&self, what: &str) -> String {
        eventually(what, async || {
            let written = self.text();
            let (lines, _) = written.rsplit_once('\n')?;
            lines.lines().find(|line| line.contains(what)).map(str::to_owned)
        })
        .await
    }
}
