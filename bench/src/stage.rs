//! What all runs share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Result, ensure};
use tokio::sync::OnceCell;

use crate::args::RunArgs;
use crate::orders_log::OrdersLog;
use crate::servers::Servers;

/// The servers, the settings, and what one run leaves for another.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) servers: Servers,
    pub(crate) args: RunArgs,
    /// The database whose log is long, once it is made.
    pub(crate) long_log: OnceCell<String>,
    /// The database with products that have a past, once it is made.
    pub(crate) past: OnceCell<String>,
    /// The log of many orders, once it is made.
    pub(crate) orders_log: OnceCell<OrdersLog>,
    /// Whether the read model of that log is there.
    pub(crate) is_projected: AtomicBool,
    /// Commands a second, rounded, that one replica did last over many SKUs.
    full_load: AtomicU64,
    runs: AtomicU64,
}

impl Stage {
    pub(crate) async fn set(args: &RunArgs) -> Result<Self> {
        Ok(Self {
            servers: Servers::start(&args.data).await?,
            args: args.clone(),
            long_log: OnceCell::new(),
            past: OnceCell::new(),
            orders_log: OnceCell::new(),
            is_projected: AtomicBool::new(false),
            full_load: AtomicU64::new(0),
            runs: AtomicU64::new(0),
        })
    }

    /// Stops the servers and removes their data, which are gigabytes. The logs stay.
    pub(crate) async fn clear(&self) -> Result<()> {
        self.servers.clear().await
    }

    /// A number that no other run has.
    pub(crate) fn next_run(&self) -> u64 {
        self.runs.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn note_full_load(&self, per_second: f64) {
        self.full_load.store(per_second as u64, Ordering::Relaxed);
    }

    /// Half of that, in commands a second.
    ///
    /// # Errors
    /// While it isn't known.
    pub(crate) fn half_load(&self) -> Result<f64> {
        let per_second = self.full_load.load(Ordering::Relaxed);
        ensure!(per_second > 0, "the full load isn't known");
        Ok(per_second as f64 / 2.0)
    }
}
