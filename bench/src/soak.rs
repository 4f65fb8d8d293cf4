//! All three services at half load for long: what a leak needs to show.

use std::io::Write;
use std::time::Duration;

use anyhow::{Result, ensure};
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use tally_event_store::migrate;
use tokio::time::{MissedTickBehavior, interval};

use crate::args::{RunArgs, SoakArgs};
use crate::cpu;
use crate::processes::Service;
use crate::stage::Stage;
use crate::statistics::Spread;
use crate::subjects::tally::{self, BYTES_PER_MB, DATABASE, log_name};
use crate::subjects::{Load, projecting, reads};

/// How long it is measured what the services can do.
const PEAK_MS: u64 = 20_000;
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The first part of a soak, in which caches fill, counts for nothing; the others are held against each other.
const PARTS: usize = 6;
/// Memory that is still flat: what an allocator keeps changes a little.
const GROWTH_MAX: f64 = 1.05;

/// What a process held, look by look.
#[derive(Default)]
struct Held {
    megabytes: Vec<f64>,
    descriptors: Vec<f64>,
}

/// Soaks, and prints what the services held.
///
/// # Errors
/// When a call failed, or a service holds more and more.
pub(crate) async fn soak(args: &SoakArgs) -> Result<()> {
    let stage = Stage::set(&RunArgs::of_soak(args)).await?;
    let (url, redis_url) = (stage.servers.empty_database(DATABASE).await?, stage.servers.redis.url());
    migrate(&url, &log_name()?).await?;
    let command = tally::start(&stage, &url).await?;
    let projector = projecting::start(&stage, &url, &redis_url).await?;
    let query = reads::start(&stage, &redis_url).await?;
    let load = Load::of("turnover").with_flag(format!("--query-target={}", query.address));
    load.seed().send(&[command.address], &stage.args).await?;
    let briefly = RunArgs { measure_ms: PEAK_MS, ..stage.args.clone() };
    let peak = load.send(&[command.address], &briefly).await?.per_second();
    let mut out = std::io::stdout();
    writeln!(
        out,
        "at its peak {peak:.0} lines a second are allocated, read and deallocated; half of that from now on"
    )?;

    let mut held = ["command-service", "projector", "query-service"].map(|name| (name, Held::default()));
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let half = load.at_rate(peak / 2.0);
    let targets = [command.address];
    let mut soaking = std::pin::pin!(half.send(&targets, &stage.args));
    let report = loop {
        tokio::select! {
            report = &mut soaking => break report,
            _ = looks.tick() => {
                for ((_, held), service) in held.iter_mut().zip([&command, &projector, &query]) {
                    held.look(service)?;
                }
            }
        }
    };
    writeln!(out, "{}", table(&held))?;
    for service in [command, projector, query] {
        service.stop().await?;
    }
    stage.clear().await?;
    let report = report?;
    writeln!(
        out,
        "{} lines in {} minutes, the slowest in {:.0} ms",
        report.measured,
        args.minutes,
        report.latency_us.max / 1e3
    )?;
    ensure!(held.iter().all(|(_, held)| held.is_flat()), "something grows and grows");
    Ok(())
}

impl Held {
    fn look(&mut self, service: &Service) -> Result<()> {
        let (bytes, descriptors) = cpu::held(service.pid())?;
        self.megabytes.push(bytes as f64 / BYTES_PER_MB);
        self.descriptors.push(descriptors as f64);
        Ok(())
    }

    fn is_flat(&self) -> bool {
        [&self.megabytes, &self.descriptors].iter().all(|looks| match medians(looks)[..] {
            [_, first, .., last] => last <= first * GROWTH_MAX,
            _ => false,
        })
    }
}

/// Of each part.
fn medians(looks: &[f64]) -> Vec<f64> {
    let parts = looks.chunks(looks.len().div_ceil(PARTS).max(1));
    parts.filter_map(|part| Some(Spread::of(part.iter().copied())?.median)).collect()
}

fn table(held: &[(&str, Held)]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(["", "memory by sixths of the time, MB", "most", "descriptors by sixths", "flat"]);
    for (name, held) in held {
        let listed =
            |looks: &[f64]| medians(looks).iter().map(|median| format!("{median:.0}")).collect::<Vec<_>>().join(" ");
        let most = held.megabytes.iter().copied().fold(0.0, f64::max);
        let flat = if held.is_flat() { "yes" } else { "NO" };
        let cells = [*name, &listed(&held.megabytes), &format!("{most:.0}"), &listed(&held.descriptors), flat];
        table.add_row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(megabytes: impl Fn(usize) -> f64) -> Held {
        Held { megabytes: (0..600).map(megabytes).collect(), descriptors: vec![20.0; 600] }
    }

    #[test]
    fn what_grows_at_first_is_flat_and_what_goes_on_growing_is_not() {
        assert!(held(|_| 30.0).is_flat());
        assert!(held(|second| if second < 100 { second as f64 } else { 100.0 }).is_flat(), "caches fill");
        assert!(held(|second| if second == 590 { 90.0 } else { 30.0 }).is_flat(), "one look is none");
        assert!(!held(|second| 30.0 + second as f64 / 100.0).is_flat());
        let leaky =
            Held { descriptors: (0..600).map(|second| 20.0 + (second / 100) as f64).collect(), ..held(|_| 30.0) };
        assert!(!leaky.is_flat());
        assert!(!Held::default().is_flat(), "nobody looked");
    }
}
