//! The projector's protocol, run as it is through random schedules: batches, crashes, second owners, lost writes, evictions, rebuilds,
//! promotions, rollbacks, a log that goes back. The stores are in memory and hand out no more certainty than the real ones: every call is
//! on its way for a while, and so is its answer, and whoever made it may be gone by then.
//!
//! A schedule is made from a seed, so that one that fails can be run again: `MODEL_SEED=17 cargo test -p projector model`.

mod faults;
mod positions;
mod schedule;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use schedule::run;
use world::Fault;

/// How many schedules are run, unless `MODEL_SEEDS` says otherwise.
const SEEDS: u64 = 100_000;

fn seeds() -> u64 {
    std::env::var("MODEL_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS)
}

#[test]
fn in_every_schedule_views_equal_the_fold_of_the_log_and_nothing_goes_back_or_stalls() {
    if let Some(seed) = std::env::var("MODEL_SEED").ok().and_then(|seed| seed.parse().ok()) {
        run(seed, Fault::None).unwrap();
        return;
    }
    let next = AtomicU64::new(0);
    let (next, seeds) = (&next, seeds());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    if let Err(what) = run(seed, Fault::None) {
                        panic!("seed {seed}: {what}");
                    }
                }
            });
        }
    });
}
