//! What a process costs, read from /proc: which is Linux's, so elsewhere a bench says that it can't.

use anyhow::Result;

/// Seconds of processor time that a process, its descendants and those of them that have ended have used.
#[cfg(target_os = "linux")]
pub(crate) fn of_family(pid: u32) -> Result<f64> {
    let stats: Vec<procfs::process::Stat> =
        procfs::process::all_processes()?.filter_map(|process| process.ok()?.stat().ok()).collect();
    let mut family = vec![i32::try_from(pid)?];
    let mut ticks = 0;
    // A process that ends is counted in its parent's children from then on.
    while let Some(member) = family.pop() {
        let own = stats.iter().find(|stat| stat.pid == member);
        ticks += own.map_or(0, |stat| of_process(stat) + of_ended_children(stat));
        family.extend(stats.iter().filter(|stat| stat.ppid == member).map(|stat| stat.pid));
    }
    Ok(seconds(ticks))
}

/// Seconds of processor time of the processes that this one started itself and has seen the end of.
#[cfg(target_os = "linux")]
pub(crate) fn of_own_ended_children() -> Result<f64> {
    Ok(seconds(of_ended_children(&procfs::process::Process::myself()?.stat()?)))
}

/// The most memory that a process ever had resident, in bytes.
#[cfg(target_os = "linux")]
pub(crate) fn resident_bytes_max(pid: u32) -> Result<u64> {
    let status = procfs::process::Process::new(i32::try_from(pid)?)?.status()?;
    let kib = status.vmhwm.ok_or_else(|| anyhow::anyhow!("the system doesn't say how much memory {pid} had"))?;
    Ok(kib * 1024)
}

/// The memory that a process has resident now, in bytes, and how many descriptors it has open.
#[cfg(target_os = "linux")]
pub(crate) fn held(pid: u32) -> Result<(u64, usize)> {
    let process = procfs::process::Process::new(i32::try_from(pid)?)?;
    let kib =
        process.status()?.vmrss.ok_or_else(|| anyhow::anyhow!("the system doesn't say how much memory {pid} has"))?;
    Ok((kib * 1024, process.fd_count()?))
}

/// How long all cores were there and how long of that they were busy, in seconds; time that a virtual machine was refused counts as busy.
#[cfg(target_os = "linux")]
pub(crate) fn of_machine() -> Result<(f64, f64)> {
    let all = <procfs::KernelStats as procfs::CurrentSI>::current()?.total;
    let busy =
        all.user + all.nice + all.system + all.irq.unwrap_or(0) + all.softirq.unwrap_or(0) + all.steal.unwrap_or(0);
    let there = busy + all.idle + all.iowait.unwrap_or(0);
    Ok((seconds(there), seconds(busy)))
}

#[cfg(target_os = "linux")]
fn of_process(stat: &procfs::process::Stat) -> u64 {
    stat.utime + stat.stime
}

#[cfg(target_os = "linux")]
fn of_ended_children(stat: &procfs::process::Stat) -> u64 {
    u64::try_from(stat.cutime + stat.cstime).unwrap_or_default()
}

#[cfg(target_os = "linux")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / procfs::ticks_per_second() as f64
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use anyhow::{Result, bail};

    pub(crate) fn of_family(_pid: u32) -> Result<f64> {
        bail!("a process's time is measured on Linux only")
    }

    pub(crate) fn of_own_ended_children() -> Result<f64> {
        bail!("a process's time is measured on Linux only")
    }

    pub(crate) fn resident_bytes_max(_pid: u32) -> Result<u64> {
        bail!("a process's memory is measured on Linux only")
    }

    pub(crate) fn held(_pid: u32) -> Result<(u64, usize)> {
        bail!("a process's memory is measured on Linux only")
    }

    pub(crate) fn of_machine() -> Result<(f64, f64)> {
        bail!("the cores' time is measured on Linux only")
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{held, of_family, of_machine, of_own_ended_children, resident_bytes_max};

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_worked_and_ended_is_counted() {
        let work = "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done";
        let before = of_own_ended_children().unwrap();
        assert!(std::process::Command::new("sh").args(["-c", work]).status().unwrap().success());
        assert!(of_own_ended_children().unwrap() > before);
        assert!(of_family(std::process::id()).unwrap() >= of_own_ended_children().unwrap());
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident_bytes_max(std::process::id()).unwrap() > 100_000);
        let (bytes, descriptors) = held(std::process::id()).unwrap();
        assert!(bytes > 100_000 && descriptors > 2);
    }
}
