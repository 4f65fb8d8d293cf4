//! Three times as many commands as a replica can do. On this machine the load has the same cores as what it loads, so what the replica can do is
//! held down by its own limits: one command to a commit, few in flight. Otherwise the load generator, and not too much load, would take the cores
//! away. What a commit takes changes with the disk from second to second, so peak and overload take turns.

use anyhow::{Result, ensure};
use tally_event_store::migrate;

use super::flags::Load;
use super::tally::{self, DATABASE};
use crate::cpu;
use crate::sample::{Quantity, Sample};
use crate::stage::Stage;

/// How many times too much.
const TIMES: f64 = 3.0;
const BATCH_COMMANDS_MAX: u32 = 1;
/// How often the overload comes, with the peak before and after each.
const TURNS: usize = 3;
/// The closed loop that finds the peak stays just within it.
const COMMANDS_IN_FLIGHT_MAX: u32 = 320;
const BYTES_PER_MB: f64 = 1e6;

pub(crate) async fn measure(stage: &Stage) -> Result<Sample> {
    let url = stage.servers.empty_database(DATABASE).await?;
    migrate(&url, &tally::log_name()?).await?;
    let settings = [
        ("BATCH_COMMANDS_MAX", BATCH_COMMANDS_MAX.to_string()),
        ("COMMANDS_IN_FLIGHT_MAX", COMMANDS_IN_FLIGHT_MAX.to_string()),
    ];
    let service = tally::start_with(stage, &url, &settings).await?;
    let targets = [service.address];
    let load = Load::of("allocate");
    load.seed().send(&targets, &stage.args).await?;
    stage.servers.checkpoint().await?;

    let mut peaks = vec![load.send(&targets, &stage.args).await?.per_second()];
    let too_much = load.clone().with_refusals();
    let recovered = load.warm_up_ms(1_000);
    let (mut done, mut refused_p99_us) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let report = too_much.clone().at_rate(peaks[turn] * TIMES).send(&targets, &stage.args).await?;
        ensure!(report.refused > 0, "nothing was refused");
        done.push(report.per_second());
        refused_p99_us.push(report.refused_us.p99);
        peaks.push(recovered.send(&targets, &stage.args).await?.per_second());
    }
    let around: Vec<f64> = peaks.windows(2).map(|pair| f64::midpoint(pair[0], pair[1])).collect();
    let resident = cpu::resident_bytes_max(service.pid())?;
    service.stop().await?;
    Ok(Sample::default()
        .with(Quantity::BeforePerSecond, peaks[0])
        .with(Quantity::PerSecond, mean(&done))
        .with(Quantity::RefusedP99Ms, mean(&refused_p99_us) / 1e3)
        .with(Quantity::AfterPerSecond, mean(&peaks[1..]))
        .with(Quantity::AroundPerSecond, mean(&around))
        .with(Quantity::ResidentMb, resident as f64 / BYTES_PER_MB))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
