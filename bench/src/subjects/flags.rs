//! What `bench load` is told.

use std::net::SocketAddr;

use anyhow::Result;

use crate::args::RunArgs;
use crate::load::LoadReport;
use crate::processes;

/// SKUs of a run that is spread.
pub(crate) const SKUS: u64 = 10_000;
/// Connections of a load. HTTP/2 is one lock a connection: fewer would measure the client.
const CONNECTIONS: u32 = 8;
/// Commands under way at a time, over all connections.
const IN_FLIGHT: u32 = 256;

/// One load.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    command: &'static str,
    skus: u64,
    sku_prefix: String,
    connections: u32,
    in_flight: u32,
    rate_per_second: Option<f64>,
    count: Option<u64>,
    random_ids: bool,
    refusals: bool,
    warm_up_ms: Option<u64>,
    /// Further flags of `bench load`.
    further: Vec<String>,
}

impl Load {
    pub(crate) fn of(command: &'static str) -> Self {
        Self {
            command,
            skus: SKUS,
            sku_prefix: "SKU-".to_owned(),
            connections: CONNECTIONS,
            in_flight: IN_FLIGHT,
            rate_per_second: None,
            count: None,
            random_ids: false,
            refusals: false,
            warm_up_ms: None,
            further: Vec::new(),
        }
    }

    /// A batch for each SKU that `self` uses.
    pub(crate) fn seed(&self) -> Self {
        Self {
            sku_prefix: self.sku_prefix.clone(),
            skus: self.skus,
            count: Some(self.skus),
            ..Self::of("create-batch")
        }
    }

    /// A question about each SKU that `self` uses, so that whoever is asked knows it.
    pub(crate) fn questions(&self) -> Self {
        Self { command: "ask", ..self.seed() }
    }

    /// One SKU for all.
    pub(crate) fn on_one_sku(self) -> Self {
        Self { skus: 1, ..self }
    }

    /// SKUs that no other run has.
    pub(crate) fn on_skus_of_its_own(self, run: u64) -> Self {
        Self { sku_prefix: format!("R{run}-SKU-"), ..self }
    }

    /// One command at a time.
    pub(crate) fn idle(self) -> Self {
        Self { connections: 1, in_flight: 1, ..self }
    }

    /// A single command on the first SKU of this prefix.
    pub(crate) fn once_on(self, sku_prefix: &str) -> Self {
        Self { sku_prefix: sku_prefix.to_owned(), skus: 1, count: Some(1), ..self.idle() }
    }

    /// With command ids of version 4.
    pub(crate) fn with_random_ids(self) -> Self {
        Self { random_ids: true, ..self }
    }

    /// Takes RESOURCE_EXHAUSTED for an answer.
    pub(crate) fn with_refusals(self) -> Self {
        Self { refusals: true, ..self }
    }

    /// Counts from then on.
    pub(crate) fn warm_up_ms(self, warm_up_ms: u64) -> Self {
        Self { warm_up_ms: Some(warm_up_ms), ..self }
    }

    /// Reads of the first so many orders.
    pub(crate) fn over_orders(self, orders: u64) -> Self {
        self.with_flag(format!("--orders={orders}"))
    }

    /// With one more flag of `bench load`.
    pub(crate) fn with_flag(mut self, flag: String) -> Self {
        self.further.push(flag);
        self
    }

    /// Sent at fixed times.
    pub(crate) fn at_rate(self, per_second: f64) -> Self {
        Self { rate_per_second: Some(per_second), ..self }
    }

    /// Events that each command of it appends.
    pub(crate) fn events_each(&self) -> u64 {
        match self.command {
            // The batch, and the claim on its reference.
            "create-batch" => 2,
            // The order, and three lines.
            "create-order" => 4,
            "get-order" => 0,
            "turnover" => 2,
            _ => 1,
        }
    }

    /// Sends it.
    pub(crate) async fn send(&self, targets: &[SocketAddr], args: &RunArgs) -> Result<LoadReport> {
        let mut flags = vec![format!("--command={}", self.command), format!("--skus={}", self.skus)];
        flags.push(format!("--sku-prefix={}", self.sku_prefix));
        flags.push(format!("--connections={}", self.connections));
        flags.push(format!("--in-flight={}", self.in_flight));
        flags.push(format!("--warm-up-ms={}", self.warm_up_ms.unwrap_or(args.warm_up_ms)));
        flags.push(format!("--measure-ms={}", args.measure_ms));
        flags.extend(self.rate_per_second.map(|rate| format!("--rate-per-second={rate}")));
        flags.extend(self.random_ids.then(|| "--random-ids".to_owned()));
        flags.extend(self.refusals.then(|| "--refusals".to_owned()));
        flags.extend(self.count.map(|count| format!("--count={count}")));
        flags.extend(self.further.iter().cloned());
        processes::load(targets, &flags).await
    }
}
