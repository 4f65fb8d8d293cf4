//! What the processes take: memory and descriptors, from /proc.

use std::collections::BTreeMap;
use std::fs;

use crate::world::World;

/// Of one process, over a run. A process that was started again begins anew: only those of one life are compared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) pid: u32,
    pub(crate) memory_kib_first: u64,
    pub(crate) memory_kib_last: u64,
    pub(crate) memory_kib_most: u64,
    pub(crate) descriptors_first: usize,
    pub(crate) descriptors_last: usize,
}

/// By process, in the life that it has now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resources(pub(crate) BTreeMap<String, Taken>);

impl Resources {
    /// Looks at all services.
    pub(crate) fn look(&mut self, world: &World) {
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        for node in world.nodes() {
            let number = numbers.entry(node.service.name()).or_default();
            let name = format!("{} {number}", node.service.name());
            *number += 1;
            let pid = node.service.process().pid();
            let (Some(memory_kib), Some(descriptors)) = (memory_kib(pid), descriptors(pid)) else { continue };
            let taken = self.0.entry(name).or_default();
            if taken.pid != pid {
                let most = taken.memory_kib_most;
                *taken = Taken { pid, memory_kib_most: most, ..Taken::default() };
                (taken.memory_kib_first, taken.descriptors_first) = (memory_kib, descriptors);
            }
            (taken.memory_kib_last, taken.descriptors_last) = (memory_kib, descriptors);
            taken.memory_kib_most = taken.memory_kib_most.max(memory_kib);
        }
    }
}

fn memory_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

fn descriptors(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}
