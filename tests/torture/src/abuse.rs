//! Connections that mean no good, and whether a good client notices.

mod attacks;

use std::collections::BTreeSet;
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
/// Time-outs of stores that never go away here: whoever waits for them waits for a busy machine, and how long is what is measured.
const PATIENT: [&str; 2] = ["REDIS_READ_MS_MAX", "DATABASE_STATEMENT_MS_MAX"];
const PATIENT_MS: &str = "10000";
/// Differences below this are the machine's.
const NOISE_US: u64 = 3_000;
/// Between two calls of the good client.
const PACE: Duration = Duration::from_millis(2);
/// Of the calls of good clients that failed.
const FAILURES_SHOWN_MAX: usize = 5;
/// Good clients.
const GOOD: usize = 4;

/// What abuse is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct AbuseArgs {
    /// Seconds that each attack lasts, and the peace before it
    #[arg(long, default_value_t = 4, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// How often each attack is made; the median counts
    #[arg(long, default_value_t = 3, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,

    /// Only the attacks whose names have this in them
    #[arg(long, default_value = "", value_name = "TEXT")]
    only: String,

    /// Times what it is in peace that a good client's p99 may be (`inf` where times say nothing: there no call may fail)
    #[arg(long, default_value_t = P99_RATIO_MAX, value_name = "RATIO")]
    p99_ratio_max: f64,
}

/// Attacks both sides in every way, one after the other. Whether the good clients were served as in peace.
pub(crate) async fn run(line: &CommandLine, args: &AbuseArgs) -> Result<bool> {
    raise_descriptors();
    let folder = system_tests::target_dir().join("torture").join(format!("abuse-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let line = CommandLine { command_services: 1, query_services: 1, ..line.clone() };
    let patient = PATIENT.map(|name| (name, PATIENT_MS.to_owned()));
    let world = World::start(&line, &[], folder, &patient).await?;
    let (command, query) = (world.commands[0].service.address(), world.queries[0].service.address());
    let client = RustClient::new(command, query);
    client.create_batch("abuse", "LAMP", 1_000_000, None).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;

    let duration = Duration::from_secs(args.seconds);
    // Once for what is only slow the first time.
    measure(command, query, duration).await;
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(["attack", "on", "calls", "errors", "p50 (µs)", "p99 (µs)", "ratio"]);
    let (mut passed, mut failures) = (true, BTreeSet::new());
    for attack in Attack::ALL.into_iter().filter(|attack| attack.name().contains(&args.only)) {
        for (side, victim) in [("command-service", command), ("query-service", query)] {
            let mut rounds = Vec::new();
            for _ in 0..args.rounds {
                // In peace, just before: the machine isn't the same all the time.
                let peace = measure(command, query, duration).await;
                let attackers = attack.begin(victim)?;
                sleep(duration / 8).await;
                let under = measure(command, query, duration).await;
                drop(attackers);
                // Nothing of it is left for the next one.
                sleep(duration / 8).await;
                failures.extend(under.failures.iter().cloned());
                rounds.push(Round { peace, under });
            }
            let figures = Figures::of(&rounds);
            passed &= figures.are_good(args.p99_ratio_max);
            table.add_row([
                attack.name().to_owned(),
                side.to_owned(),
                figures.calls.to_string(),
                figures.errors.to_string(),
                format!("{} (in peace {})", figures.p50_us.under, figures.p50_us.peace),
                format!("{} (in peace {})", figures.p99_us.under, figures.p99_us.peace),
                format!("{:.2}", figures.ratio),
            ]);
        }
    }
    say(&format!("\n{table}\n"));
    for failure in failures.iter().take(FAILURES_SHOWN_MAX) {
        say(&format!("a good client's call failed: {failure}"));
    }
    say(if passed { "PASSED: good clients are served as in peace" } else { "FAILED: good clients notice" });
    Ok(passed)
}

/// One time in peace and the next under attack.
struct Round {
    peace: Served,
    under: Served,
}

/// The same of both.
struct Both {
    peace: u64,
    under: u64,
}

/// What came of all rounds of an attack: medians, but of calls and errors the sum.
struct Figures {
    calls: usize,
    errors: usize,
    p50_us: Both,
    p99_us: Both,
    /// The median of the rounds' own ratios of p99.
    ratio: f64,
}

impl Figures {
    fn of(rounds: &[Round]) -> Self {
        let both = |of: fn(&Served) -> u64| Both {
            peace: median(rounds.iter().map(|round| of(&round.peace))),
            under: median(rounds.iter().map(|round| of(&round.under))),
        };
        let ratio = |round: &Round| round.under.p99_us as f64 / round.peace.p99_us.max(1) as f64;
        let mut ratios: Vec<f64> = rounds.iter().map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        Self {
            calls: rounds.iter().map(|round| round.under.calls).sum(),
            errors: rounds.iter().map(|round| round.under.failures.len()).sum(),
            p50_us: both(|served| served.p50_us),
            p99_us: both(|served| served.p99_us),
            ratio: ratios.get(ratios.len() / 2).copied().unwrap_or(f64::INFINITY),
        }
    }

    fn are_good(&self, p99_ratio_max: f64) -> bool {
        let is_late = self.ratio > p99_ratio_max && self.p99_us.under > self.p99_us.peace + NOISE_US;
        !is_late && self.errors == 0 && self.calls > 0
    }
}

fn median(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

struct Served {
    calls: usize,
    /// What was said of each call that failed.
    failures: Vec<String>,
    p50_us: u64,
    p99_us: u64,
}

/// Good clients, one command and one read after the other, at a pace that leaves the machine idle.
async fn measure(command: SocketAddr, query: SocketAddr, duration: Duration) -> Served {
    let mut clients = JoinSet::new();
    for number in 0..GOOD {
        clients.spawn(async move {
            let client = RustClient::new(command, query).deadline(Duration::from_secs(10));
            let (over, mut times, mut failures) = (Instant::now() + duration, Vec::new(), Vec::new());
            while Instant::now() < over {
                let order = format!("good-{number}-{}", fastrand::u64(..));
                let began = Instant::now();
                let allocated = client.allocate(&order, "LAMP", 1).await;
                times.push(began.elapsed());
                let began = Instant::now();
                let read = client.get_stock("LAMP", &ReadAfter::nothing()).await;
                times.push(began.elapsed());
                let failed = allocated.err().into_iter().chain(read.err());
                failures.extend(failed.map(|error| format!("{error:?}")));
                let _ = client.deallocate(&order, "LAMP").await;
                sleep(PACE).await;
            }
            (times, failures)
        });
    }
    let (mut all, mut failures) = (Vec::new(), Vec::new());
    while let Some(served) = clients.join_next().await {
        match served {
            Ok((times, failed)) => {
                all.extend(times);
                failures.extend(failed);
            }
            Err(error) => failures.push(error.to_string()),
        }
    }
    all.sort_unstable();
    let at = |percent: usize| {
        let time = all.get((all.len() * percent / 100).min(all.len().saturating_sub(1)));
        time.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    };
    Served { calls: all.len(), failures, p50_us: at(50), p99_us: at(99) }
}

fn raise_descriptors() {
    let now = getrlimit(Resource::Nofile);
    let maximum = now.maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(maximum), maximum: now.maximum });
}
