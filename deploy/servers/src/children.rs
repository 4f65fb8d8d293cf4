//! The processes that a server started itself: Postgres has one for each connection, and a signal to the first one alone reaches none of them.

use std::fs;
use std::process::Command;

use rustix::process::{Pid, Signal};

use crate::guard::send;

/// Sends `signal` to `parent` and then to its children. Stopping the parent first keeps it from making more of them meanwhile.
pub(crate) fn signal_family(parent: u32, signal: Signal) -> std::io::Result<()> {
    let Some(pid) = to_pid(parent) else { return Ok(()) };
    if signal == Signal::KILL {
        send(pid, Signal::STOP)?;
    }
    if signal == Signal::STOP {
        send(pid, signal)?;
    }
    for child in children_of(parent) {
        send(child, signal)?;
    }
    send(pid, signal)
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

fn children_of(parent: u32) -> Vec<Pid> {
    let processes = if cfg!(target_os = "linux") { from_proc() } else { from_ps() };
    processes.into_iter().filter(|(_, its_parent)| *its_parent == parent).filter_map(|(pid, _)| to_pid(pid)).collect()
}

/// (process, parent) of all processes.
fn from_proc() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = entries.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // pid (name) state ppid …, and the name may hold anything.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((pid, parent))
    });
    stats.collect()
}

fn from_ps() -> Vec<(u32, u32)> {
    let Ok(out) = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output() else { return Vec::new() };
    let text = String::from_utf8_lossy(&out.stdout);
    let rows = text.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    rows.collect()
}
