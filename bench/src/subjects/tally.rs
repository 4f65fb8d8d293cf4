//! Tally itself: `command-service serve` as users run it, a release build with its default settings, its log on the shared Postgres, ringing
//! the bell on the shared Redis.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use tally_event_store::{LogName, migrate};

use super::flags::Load;
use super::ready::ready;
use crate::load::LoadReport;
use crate::processes::{Service, program};
use crate::sample::{Quantity, Sample};
use crate::servers::{connect, count};
use crate::stage::Stage;
use crate::{cpu, long_log};

pub(crate) const LOG: &str = "bench";
pub(crate) const DATABASE: &str = "tally";
pub(crate) const BYTES_PER_MB: f64 = 1e6;

/// One replica on an empty log, many SKUs: what most rows compare with.
pub(crate) async fn spread(stage: &Stage) -> Result<Sample> {
    let sample = on_empty_log(stage, 1, Load::of("allocate")).await?;
    if let Some(per_second) = sample.get(Quantity::PerSecond) {
        stage.note_full_load(per_second);
    }
    Ok(sample)
}

/// As many replicas as that on one empty log.
pub(crate) async fn on_empty_log(stage: &Stage, replicas: usize, load: Load) -> Result<Sample> {
    on_empty_log_with(stage, replicas, load, &[]).await
}

/// As `on_empty_log`, with further settings.
pub(crate) async fn on_empty_log_with(
    stage: &Stage,
    replicas: usize,
    load: Load,
    settings: &[(&'static str, String)],
) -> Result<Sample> {
    let url = stage.servers.empty_database(DATABASE).await?;
    migrate(&url, &log_name()?).await?;
    measured(stage, &url, replicas, load, settings).await
}

/// One replica on a log that is long already, on SKUs that are new.
pub(crate) async fn on_long_log(stage: &Stage, load: Load) -> Result<Sample> {
    let url = stage.long_log.get_or_try_init(|| long_log::make(stage)).await?;
    let load = load.on_skus_of_its_own(stage.next_run());
    measured(stage, url, 1, load, &[]).await
}

async fn measured(
    stage: &Stage,
    url: &str,
    replicas: usize,
    load: Load,
    settings: &[(&'static str, String)],
) -> Result<Sample> {
    let mut services = Vec::new();
    for _ in 0..replicas {
        services.push(start_with(stage, url, settings).await?);
    }
    let targets: Vec<SocketAddr> = services.iter().map(|service| service.address).collect();
    load.seed().send(&targets, &stage.args).await?;
    // What is measured is how replicas work beside each other, and not how one comes to know what another made.
    for target in &targets {
        load.questions().send(&[*target], &stage.args).await?;
    }
    stage.servers.checkpoint().await?;

    let events_before = events(url).await?;
    let cpu_before = cpu_seconds(stage, &services)?;
    let report = load.send(&targets, &stage.args).await?;
    let cpu_used = cpu_seconds(stage, &services)? - cpu_before;
    let appended = events(url).await? - events_before;
    let expected = report.acknowledged * load.events_each();
    ensure!(appended == expected, "{expected} events were acknowledged and {appended} are in the log");

    let resident = cpu::resident_bytes_max(services[0].pid())?;
    for service in services {
        service.stop().await?;
    }
    let events_per_second = report.per_second() * load.events_each() as f64;
    Ok(of_report(&report, cpu_used)
        .with(Quantity::EventsPerSecond, events_per_second)
        .with(Quantity::ResidentMb, resident as f64 / BYTES_PER_MB))
}

/// What a load's report tells, of whichever server.
pub(crate) fn of_report(report: &LoadReport, cpu_seconds: f64) -> Sample {
    Sample::default()
        .with(Quantity::PerSecond, report.per_second())
        .with(Quantity::P50Us, report.latency_us.p50)
        .with(Quantity::P99Us, report.latency_us.p99)
        .with(Quantity::MaxMs, report.latency_us.max / 1e3)
        .with(Quantity::CpuUsEach, cpu_seconds * 1e6 / report.acknowledged as f64)
}

/// A replica that serves.
pub(crate) async fn start(stage: &Stage, url: &str) -> Result<Service> {
    start_with(stage, url, &[]).await
}

/// As `start`, with further settings.
pub(crate) async fn start_with(stage: &Stage, url: &str, settings: &[(&'static str, String)]) -> Result<Service> {
    let own = [
        ("DATABASE_URL", url.to_owned()),
        ("REDIS_URL", stage.servers.redis.url()),
        ("COMMAND_LISTEN", "127.0.0.1:0".to_owned()),
        ("TALLY_LOG", LOG.to_owned()),
    ];
    let env: Vec<(&str, String)> = own.into_iter().chain(settings.iter().cloned()).collect();
    let service =
        Service::start(program("command-service")?, &["serve"], &env, &stage.servers.log_file("command-service"))
            .await?;
    ready(service.address).await?;
    Ok(service)
}

pub(crate) fn log_name() -> Result<LogName> {
    Ok(LOG.parse()?)
}

async fn events(url: &str) -> Result<u64> {
    count(&mut connect(url).await?, &format!("{}.events", log_name()?.schema())).await
}

/// What the services and Postgres have used so far.
pub(crate) fn cpu_seconds(stage: &Stage, services: &[Service]) -> Result<f64> {
    let of_services: Result<Vec<f64>> = services.iter().map(|service| cpu::of_family(service.pid())).collect();
    Ok(of_services?.into_iter().sum::<f64>() + stage.servers.postgres_cpu_seconds()?)
}
