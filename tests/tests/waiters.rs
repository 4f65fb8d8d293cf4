//! Ten thousand reads that wait for one position, in the real process.

use futures::future::join_all;
use system_tests::client::{RustClient, TallyClient};
use system_tests::{PATIENCE, Samples, Tally, within};

const WAITERS: usize = 10_000;
/// A connection has room for so many calls at once.
const PER_CONNECTION: usize = 1_000;
/// For a call that waits, with all that tonic and h2 keep of it, in a debug build.
const KIB_PER_WAITER_MAX: usize = 16;

/// How much memory a process has.
fn resident_kib(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_that_wait_take_little_memory_and_are_all_answered() {
    let tally =
        Tally::start_with_environment(&[("TALLY_METRICS_LISTEN", "127.0.0.1:0"), ("READS_IN_FLIGHT_MAX", "20000")])
            .await;
    tally.stocked("b1", "LAMP", 10).await;
    let seen = tally.client().allocate("o1", "LAMP", 1).await.unwrap();
    tally.client().get_stock("LAMP", &seen.seen().or_fail()).await.unwrap();
    let pid = tally.query.process().pid();
    let before = resident_kib(pid);

    tally.projector.pause();
    let awaited = tally.client().allocate("o2", "LAMP", 1).await.unwrap();
    let clients: Vec<RustClient> =
        (0..WAITERS / PER_CONNECTION).map(|_| tally.client().deadline(4 * PATIENCE)).collect();
    let calls = (0..WAITERS).map(|number| {
        let (client, seen) = (clients[number % clients.len()].clone(), awaited.seen().at_most(2 * PATIENCE).or_fail());
        tokio::spawn(async move { client.get_stock("LAMP", &seen).await })
    });
    let calls: Vec<_> = calls.collect();
    within(2 * PATIENCE, "all of them wait", async || {
        (Samples::of(&tally.query).await.sum("tally_reads_waiting", &[]) == WAITERS as f64).then_some(())
    })
    .await;
    let each = resident_kib(pid).saturating_sub(before) / WAITERS;
    assert!(each < KIB_PER_WAITER_MAX, "{each} KiB for each that waits");

    tally.projector.resume();
    for answer in join_all(calls).await {
        assert_eq!(answer.unwrap().unwrap().allocated, 2);
    }
    assert_eq!(Samples::of(&tally.query).await.sum("tally_reads_waiting", &[]), 0.0);
}
