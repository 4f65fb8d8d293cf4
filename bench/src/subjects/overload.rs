//! Three times as many commands as a replica can do. On this machine the load has the same cores as what it loads, so what the replica can do is
//! held down by its own limits: one command to a commit, few in flight. Otherwise the load generator, and not too much load, would take the cores
//! away.

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

    let peak = load.send(&targets, &stage.args).await?.per_second();
    let too_much = load.clone().at_rate(peak * TIMES).with_refusals().send(&targets, &stage.args).await?;
    ensure!(too_much.refused > 0, "nothing was refused");
    let after = load.warm_up_ms(1_000).send(&targets, &stage.args).await?;
    let resident = cpu::resident_bytes_max(service.pid())?;
    service.stop().await?;
    Ok(Sample::default()
        .with(Quantity::BeforePerSecond, peak)
        .with(Quantity::PerSecond, too_much.per_second())
        .with(Quantity::RefusedP99Ms, too_much.refused_us.p99 / 1e3)
        .with(Quantity::AfterPerSecond, after.per_second())
        .with(Quantity::AroundPerSecond, f64::midpoint(peak, after.per_second()))
        .with(Quantity::ResidentMb, resident as f64 / BYTES_PER_MB))
}
