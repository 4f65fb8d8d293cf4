//! The baselines of this crate that speak gRPC.

use std::net::SocketAddr;

use anyhow::{Result, ensure};

use super::flags::Load;
use super::tally::{cpu_seconds, of_report};
use crate::processes::{Service, program};
use crate::sample::Sample;
use crate::servers::{connect, count};
use crate::stage::Stage;

const DATABASE: &str = "one_commit";
const BARE_DATABASE: &str = "group_commit";

/// A call and an answer of the same bytes as Tally's, and nothing done.
pub(crate) async fn echo(stage: &Stage, load: Load) -> Result<Sample> {
    let service = start(stage, &["echo"], &[]).await?;
    let report = load.send(&[service.address], &stage.args).await?;
    service.stop().await?;
    Ok(of_report(&report, 0.0))
}

/// A commit for each command.
pub(crate) async fn one_commit(stage: &Stage, load: Load) -> Result<Sample> {
    let url = stage.servers.empty_database(DATABASE).await?;
    let service = start(stage, &["one-commit"], &[("DATABASE_URL", url.clone())]).await?;
    let sample = measured(stage, std::slice::from_ref(&service), &url, "recorded", load).await?;
    service.stop().await?;
    Ok(sample)
}

/// A group commit and a call, with nothing decided, by as many replicas as that.
pub(crate) async fn group_commit(stage: &Stage, replicas: usize, load: Load) -> Result<Sample> {
    let url = stage.servers.empty_database(BARE_DATABASE).await?;
    let (env, log) = ([("DATABASE_URL", url.clone())], stage.servers.log_file("bench-bare"));
    let mut services = Vec::new();
    for _ in 0..replicas {
        services.push(Service::start(program("bench-bare")?, &[], &env, &log).await?);
    }
    let sample = measured(stage, &services, &url, "recorded", load).await?;
    for service in services {
        service.stop().await?;
    }
    Ok(sample)
}

/// A load on services that keep a row for each allocation in `table`.
pub(crate) async fn measured(
    stage: &Stage,
    services: &[Service],
    url: &str,
    table: &str,
    load: Load,
) -> Result<Sample> {
    let targets: Vec<SocketAddr> = services.iter().map(|service| service.address).collect();
    load.seed().send(&targets, &stage.args).await?;
    stage.servers.checkpoint().await?;
    let mut connection = connect(url).await?;
    let before = count(&mut connection, table).await?;
    let cpu_before = cpu_seconds(stage, services)?;
    let report = load.send(&targets, &stage.args).await?;
    let cpu_used = cpu_seconds(stage, services)? - cpu_before;
    let stored = count(&mut connection, table).await? - before;
    ensure!(stored == report.acknowledged, "{} were acknowledged and {stored} stored", report.acknowledged);
    Ok(of_report(&report, cpu_used))
}

async fn start(stage: &Stage, args: &[&str], env: &[(&str, String)]) -> Result<Service> {
    let args: Vec<&str> = ["baseline"].iter().chain(args).copied().collect();
    Service::start(program("bench")?, &args, env, &stage.servers.log_file("baseline")).await
}
