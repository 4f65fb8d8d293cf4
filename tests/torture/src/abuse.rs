//! Connections that mean no good, and whether a good client notices.

mod attacks;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use system_tests::client::{ReadAfter, RustClient, TallyClient};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::args::CommandLine;
use crate::report::say;
use crate::world::World;
use attacks::Attack;

/// Descriptors for thousands of connections, here and in the services.
const DESCRIPTORS: u64 = 20_000;
/// A good client's p99 may be so many times what it is in peace.
const P99_RATIO_MAX: f64 = 2.0;
/// Differences below this are the machine's.
const NOISE_US: u64 = 3_000;
/// Between two calls of the good client.
const PACE: Duration = Duration::from_millis(2);
/// Good clients.
const GOOD: usize = 4;

/// What abuse is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct AbuseArgs {
    /// Seconds that each attack lasts
    #[arg(long, default_value_t = 8, value_name = "SECONDS")]
    seconds: u64,
}

/// Attacks both sides in every way, one after the other. Whether the good clients were served as in peace.
pub(crate) async fn run(line: &CommandLine, args: &AbuseArgs) -> Result<bool> {
    raise_descriptors();
    let folder = system_tests::target_dir().join("torture").join(format!("abuse-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let line = CommandLine { command_services: 1, query_services: 1, ..line.clone() };
    let world = World::start(&line, &[], folder).await?;
    let (command, query) = (world.commands[0].service.address(), world.queries[0].service.address());
    let client = RustClient::new(command, query);
    client.create_batch("abuse", "LAMP", 1_000_000, None).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;

    let duration = Duration::from_secs(args.seconds);
    // Once for what is only slow the first time.
    measure(command, query, duration / 2).await;
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(["attack", "on", "calls", "errors", "p50 (µs)", "p99 (µs)", "ratio"]);
    let mut passed = true;
    for attack in Attack::ALL {
        for (side, victim) in [("command-service", command), ("query-service", query)] {
            // In peace, just before: the machine isn't the same all the time.
            let peace = measure(command, query, duration).await;
            let mut attackers = attack.begin(victim);
            sleep(duration / 8).await;
            let under = measure(command, query, duration).await;
            attackers.abort_all();
            while attackers.join_next().await.is_some() {}
            let ratio = under.p99_us as f64 / peace.p99_us.max(1) as f64;
            let late = ratio > P99_RATIO_MAX && under.p99_us > peace.p99_us + NOISE_US;
            passed &= !late && under.errors == 0;
            table.add_row([
                attack.name().to_owned(),
                side.to_owned(),
                under.calls.to_string(),
                under.errors.to_string(),
                under.p50_us.to_string(),
                format!("{} (in peace {})", under.p99_us, peace.p99_us),
                format!("{ratio:.2}"),
            ]);
        }
    }
    say(&format!("\n{table}\n"));
    say(if passed { "PASSED: good clients are served as in peace" } else { "FAILED: good clients notice" });
    Ok(passed)
}

struct Served {
    calls: usize,
    errors: usize,
    p50_us: u64,
    p99_us: u64,
}

/// Good clients, one command and one read after the other, at a pace that leaves the machine idle.
async fn measure(command: SocketAddr, query: SocketAddr, duration: Duration) -> Served {
    let mut clients = JoinSet::new();
    for number in 0..GOOD {
        clients.spawn(async move {
            let client = RustClient::new(command, query).deadline(Duration::from_secs(10));
            let (over, mut times, mut errors) = (Instant::now() + duration, Vec::new(), 0);
            while Instant::now() < over {
                let order = format!("good-{number}-{}", fastrand::u64(..));
                let began = Instant::now();
                let allocated = client.allocate(&order, "LAMP", 1).await;
                times.push(began.elapsed());
                let began = Instant::now();
                let read = client.get_stock("LAMP", &ReadAfter::nothing()).await;
                times.push(began.elapsed());
                errors += usize::from(allocated.is_err()) + usize::from(read.is_err());
                let _ = client.deallocate(&order, "LAMP").await;
                sleep(PACE).await;
            }
            (times, errors)
        });
    }
    let (mut all, mut errors) = (Vec::new(), 0);
    while let Some(served) = clients.join_next().await {
        if let Ok((times, failed)) = served {
            all.extend(times);
            errors += failed;
        } else {
            errors += 1;
        }
    }
    all.sort_unstable();
    let at = |percent: usize| {
        let time = all.get((all.len() * percent / 100).min(all.len().saturating_sub(1)));
        time.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    };
    Served { calls: all.len(), errors, p50_us: at(50), p99_us: at(99) }
}

fn raise_descriptors() {
    let now = getrlimit(Resource::Nofile);
    let maximum = now.maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(maximum), maximum: now.maximum });
}
