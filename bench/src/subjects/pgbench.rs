//! What Postgres does by itself, through pgbench: prepared statements, a connection for each of 32 clients, two threads. No gRPC edge, no
//! checks, no rules: only the transactions that a service with a commit for each command would need, in a table like the one a sensible
//! team would make. It is flattered, since whatever a team builds on top of this costs more.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use tokio::process::Command;

use crate::cpu;
use crate::processes::output_of;
use crate::sample::{Quantity, Sample};
use crate::servers::{connect, count, execute};
use crate::stage::Stage;
use tally_servers::find;

const DATABASE: &str = "pgbench";
const CLIENTS: u32 = 32;
const THREADS: u32 = 2;
/// The numbers that the runs of one table take, each from another one on.
const FIRST_OF_WARM_UP: u32 = 0;
const FIRST_OF_CONNECTING: u32 = 10_000_000;
const FIRST_MEASURED: u32 = 20_000_000;
const WARM_UP: &str = "--time=1";
/// Hardly more than opening the connections.
const CONNECTING: &str = "--transactions=1";

/// The table and its indexes: what an event table has, with the ids that make repeated commands harmless. Dense positions and the order of
/// commits, which Tally's log has, are not asked of it.
const TABLES: &str = include_str!("pgbench/tables.sql");
/// One event and its commit: an allocation with a commit of its own.
const INSERT: &str = include_str!("pgbench/insert.sql");
/// An order of three lines: four events in one transaction, in the ordinary form of a statement each.
const ORDER: &str = include_str!("pgbench/order.sql");
/// An allocation from one contended row: lock it, look, change it, note it.
const ONE_ROW: &str = include_str!("pgbench/one_row.sql");

/// What an event of Tally holds, as text, as a service would send it.
const PAYLOAD: &str = r#"{"sku": "SKU-1234", "order_id": "web-123456", "quantity": 1, "batch_ref": "batch-SKU-1234", "from_backorder": false}"#;
const ORDER_PAYLOAD: &str = include_str!("pgbench/order.json");
const METADATA: &str = "{}";

/// One event a transaction.
pub(crate) async fn insert(stage: &Stage) -> Result<Sample> {
    run(stage, INSERT, CLIENTS, 1).await
}

/// One order a transaction.
pub(crate) async fn order(stage: &Stage) -> Result<Sample> {
    run(stage, ORDER, CLIENTS, 4).await
}

/// All clients on one row.
pub(crate) async fn one_row(stage: &Stage) -> Result<Sample> {
    run(stage, ONE_ROW, CLIENTS, 1).await
}

/// One event a transaction, one client: what a commit takes when nothing else goes on.
pub(crate) async fn idle(stage: &Stage) -> Result<Sample> {
    run(stage, INSERT, 1, 1).await
}

async fn run(stage: &Stage, script: &str, clients: u32, events_each: u64) -> Result<Sample> {
    let url = stage.servers.empty_database(DATABASE).await?;
    let mut connection = connect(&url).await?;
    execute(&mut connection, TABLES).await?;
    let file = stage.servers.scratch_file("pgbench.sql");
    std::fs::write(&file, script)?;
    let pgbench = Pgbench { stage, url, file, clients };

    let warm_up = pgbench.run(FIRST_OF_WARM_UP, WARM_UP, None).await?;
    stage.servers.checkpoint().await?;
    // A service has its connections already: what it takes to open them is no part of a transaction's cost.
    let connecting = pgbench.run(FIRST_OF_CONNECTING, CONNECTING, None).await?;
    let seconds = format!("--time={}", stage.args.measure().as_secs().max(1));
    // The latency of each is written to a file only where it is asked for: a single client has the time for it.
    let latencies = stage.servers.scratch_file(&format!("latencies-{}", stage.next_run()));
    let latencies = (clients == 1).then_some(latencies.as_path());
    let measured = pgbench.run(FIRST_MEASURED, &seconds, latencies).await?;

    let expected = (warm_up.transactions + connecting.transactions + measured.transactions) * events_each;
    let stored = count(&mut connection, "recorded").await?;
    ensure!(stored == expected, "{expected} events were committed and {stored} are in the table");
    ensure!(measured.transactions > connecting.transactions, "pgbench got next to nothing done");
    let cpu_seconds = measured.cpu_seconds - connecting.cpu_seconds;
    let transactions = measured.transactions - connecting.transactions;
    let sample = Sample::default()
        .with(Quantity::PerSecond, measured.per_second)
        .with(Quantity::CpuUsEach, cpu_seconds * 1e6 / transactions as f64);
    match latencies {
        Some(prefix) => Ok(sample.with(Quantity::P50Us, median_latency_us(prefix)?)),
        None => Ok(sample),
    }
}

/// A script for some clients.
struct Pgbench<'s> {
    stage: &'s Stage,
    url: String,
    file: PathBuf,
    clients: u32,
}

#[derive(Debug)]
struct Run {
    transactions: u64,
    per_second: f64,
    /// pgbench's, and all of Postgres's meanwhile.
    cpu_seconds: f64,
}

impl Pgbench<'_> {
    async fn run(&self, first: u32, how_long: &str, latencies: Option<&Path>) -> Result<Run> {
        let mut command = Command::new(find_pgbench()?);
        command.args(["--no-vacuum", "--protocol=prepared", how_long]);
        command.arg(format!("--client={}", self.clients)).arg(format!("--jobs={}", THREADS.min(self.clients)));
        command.arg("--file").arg(&self.file);
        for (name, value) in [("payload", PAYLOAD), ("order_payload", ORDER_PAYLOAD.trim()), ("metadata", METADATA)] {
            command.arg(format!("--define={name}={value}"));
        }
        command.arg(format!("--define=n={first}"));
        if let Some(prefix) = latencies {
            command.arg("--log").arg(format!("--log-prefix={}", prefix.display()));
        }
        let cpu_before = self.cpu_seconds()?;
        let output = output_of(command.arg(&self.url).env("LC_ALL", "C")).await?;
        let cpu_seconds = self.cpu_seconds()? - cpu_before;
        let Outcome { transactions, per_second } = parse(&output)?;
        Ok(Run { transactions, per_second, cpu_seconds })
    }

    fn cpu_seconds(&self) -> Result<f64> {
        Ok(self.stage.servers.postgres_cpu_seconds()? + cpu::of_own_ended_children()?)
    }
}

#[derive(Debug, PartialEq)]
struct Outcome {
    transactions: u64,
    per_second: f64,
}

/// Beside the server, as a rule; a folder in PATH may have links to the server alone.
fn find_pgbench() -> Result<PathBuf> {
    let beside_server = find::postgres_bin_dir()?.canonicalize()?.join("pgbench");
    let found = if beside_server.is_file() { Some(beside_server) } else { find::program(&["pgbench"]) };
    found.context("pgbench is not installed")
}

fn parse(output: &str) -> Result<Outcome> {
    let number_after = |start: &str| -> Option<&str> {
        let line = output.lines().find_map(|line| line.strip_prefix(start))?;
        line.split(|c: char| c.is_whitespace() || c == '/').find(|word| !word.is_empty())
    };
    let failed = number_after("number of failed transactions:").unwrap_or("0");
    ensure!(failed == "0", "transactions failed: {output}");
    let transactions = number_after("number of transactions actually processed:").and_then(|text| text.parse().ok());
    let transactions = transactions.with_context(|| format!("not understood: {output}"))?;
    // It is not said where there was none.
    let per_second = number_after("tps =").map_or(Ok(0.0), str::parse)?;
    Ok(Outcome { transactions, per_second })
}

/// From the file that pgbench writes: client, transaction, microseconds, and more.
fn median_latency_us(prefix: &Path) -> Result<f64> {
    let (folder, name) = (prefix.parent().context("a folder")?, prefix.file_name().context("a name")?);
    let mut histogram = Histogram::<u64>::new(3)?;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_stem() != Some(name) {
            continue;
        }
        for line in std::fs::read_to_string(&path)?.lines() {
            let latency_us: u64 = line.split(' ').nth(2).context("a latency")?.parse()?;
            histogram.record(latency_us)?;
        }
    }
    ensure!(!histogram.is_empty(), "pgbench wrote no latencies");
    Ok(histogram.value_at_quantile(0.5) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "pgbench (15.13)\ntransaction type: insert.sql\nnumber of clients: 32\n\
        number of transactions actually processed: 44512\nnumber of failed transactions: 0 (0.000%)\n\
        latency average = 2.156 ms\ntps = 14840.123456 (without initial connection time)\n";

    #[test]
    fn what_pgbench_prints_is_understood() {
        assert_eq!(parse(OUTPUT).unwrap(), Outcome { transactions: 44_512, per_second: 14_840.123_456 });
        let limited = OUTPUT.replace("processed: 44512", "processed: 44512/44512");
        assert_eq!(parse(&limited).unwrap().transactions, 44_512);
    }

    #[test]
    fn a_run_that_was_over_before_anything_was_done_is_understood() {
        let output = "number of transactions actually processed: 0\nnumber of failed transactions: 0 (NaN%)\n";
        assert_eq!(parse(output).unwrap(), Outcome { transactions: 0, per_second: 0.0 });
    }

    #[test]
    fn a_failed_transaction_fails_the_run() {
        assert!(parse(&OUTPUT.replace("transactions: 0", "transactions: 3")).is_err());
        assert!(parse("nothing").is_err());
    }
}
