//! Doing a fault to a world: begin, hold, heal.

pub(crate) mod clock;
mod postgres;
mod redis;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use tally_servers::guard::UnixSignal;
use tokio::time::sleep;

use crate::fault::{Fault, Target};
use crate::history::Injected;
use crate::node::Node;
use crate::proxy::Mode;
use crate::schedule::Scheduled;
use crate::session::Shared;
use crate::world::World;

/// Injects a fault, and returns when it has healed.
pub(crate) async fn inject(scheduled: Scheduled, world: &World, shared: &Arc<Shared>) -> Result<()> {
    let began_us = shared.recorder.now_us();
    let name = scheduled.fault.name();
    act(scheduled, world, shared).await.with_context(|| format!("the fault {name}"))?;
    let healed_us = shared.recorder.now_us();
    let is_harmless = scheduled.fault.is_harmless();
    shared.recorder.history().faults.push(Injected { fault: name, is_harmless, began_us, healed_us });
    Ok(())
}

async fn act(scheduled: Scheduled, world: &World, shared: &Arc<Shared>) -> Result<()> {
    let Scheduled { fault, hold, replica, .. } = scheduled;
    let command = &world.commands[replica % world.commands.len()];
    let query = &world.queries[replica % world.queries.len()];
    match fault {
        Fault::KillCommand => kill(command, hold).await,
        Fault::KillProjector => kill(&world.projector, hold).await,
        Fault::KillQuery => kill(query, hold).await,
        Fault::FreezeCommand | Fault::FrozenReplica => freeze(command, hold).await,
        Fault::FreezeProjector => freeze(&world.projector, hold).await,
        Fault::FreezeQuery => freeze(query, hold).await,
        Fault::KillPostgres => postgres::kill(&world.stores, hold).await?,
        Fault::ImmediatePostgres => postgres::stop_at_once(&world.stores).await?,
        Fault::FreezePostgres => postgres::freeze(&world.stores, hold).await?,
        Fault::DiskFull => postgres::fill_disk(&world.stores, hold).await?,
        Fault::TerminateBackends => postgres::terminate_backends(&world.stores, hold).await,
        Fault::ForeignTransaction => postgres::hold_transaction(&world.stores, &world.log, hold).await,
        Fault::KillRedis => redis::kill(&world.stores, hold).await?,
        Fault::FreezeRedis => redis::freeze(&world.stores, hold).await?,
        Fault::EmptyRedis => redis::empty(&world.stores).await?,
        Fault::ForgetRedis => redis::forget(&world.stores, hold).await?,
        Fault::PromoteReplica => redis::promote_replica(world, hold).await?,
        Fault::SecondProjector => second_projector(world, hold).await?,
        Fault::Clock => clock::jump(world, hold).await?,
        Fault::RollingRestart => rolling_restart(world).await,
        Fault::CancellingClients => {
            shared.impatient.store(true, Ordering::Relaxed);
            sleep(hold).await;
            shared.impatient.store(false, Ordering::Relaxed);
        }
        _ => connections(fault, world, hold).await,
    }
    Ok(())
}

async fn kill(node: &Node, hold: Duration) {
    node.service.kill().await;
    sleep(hold).await;
    node.start_again().await;
}

async fn freeze(node: &Node, hold: Duration) {
    node.service.pause();
    sleep(hold).await;
    node.service.resume();
}

async fn connections(fault: Fault, world: &World, hold: Duration) {
    let Some(mode) = fault.mode(hold) else { return };
    let set = |mode: Mode| match fault.target() {
        Target::Clients => world.set_clients(mode),
        Target::ToPostgres => world.set_to_postgres(mode),
        _ => world.set_to_redis(mode),
    };
    set(mode);
    sleep(hold).await;
    set(Mode::Pass);
}

async fn second_projector(world: &World, hold: Duration) -> Result<()> {
    let second = Node::start("projector", 1, &world.stores, &world.settings).await?;
    sleep(hold).await;
    second.service.kill().await;
    Ok(())
}

async fn rolling_restart(world: &World) {
    for node in world.nodes() {
        node.service.process().signal(UnixSignal::TERM);
        // One that has connections without end is killed: what it had accepted is done by then.
        if !node.service.ended_within(Duration::from_secs(20)).await {
            node.service.kill().await;
        }
        node.start_again().await;
    }
}
