//! Callers that go away.

use std::collections::HashSet;

use futures::stream::{FuturesUnordered, StreamExt};

use super::*;

/// Commands whose caller may go away; `TALLY_CANCELLATIONS=100000` for the long run.
const COMMANDS: u64 = 4_000;
/// Callers at once.
const TOGETHER: usize = 256;

/// A number that looks random.
fn scatter(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^= mixed >> 29;
    mixed = mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 32)
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_go_away_at_any_moment_lose_nothing_for_others() {
    let commands = std::env::var("TALLY_CANCELLATIONS").map_or(COMMANDS, |count| count.parse().expect("a number"));
    let log = Log::fresh().await;
    // Two of them on one log, so that the path that holds the head is taken too.
    let sequencers = [log.sequencer(), log.sequencer()];
    for sku in 0..8 {
        done(&sequencers[0], create_batch(&format!("SKU-{sku}"), 1_000_000)).await;
    }
    let call = |number: u64| {
        let sequencer = sequencers[usize::from(number.is_multiple_of(7))].clone();
        let submission = submission(allocate(&format!("o-{number}"), &format!("SKU-{}", number % 8), 1));
        let (command_id, patience) = (submission.command_id, Duration::from_micros(scatter(number) % 30_000));
        let waits = number.is_multiple_of(3);
        async move {
            let answer = sequencer.submit(submission);
            let answer = match waits {
                true => Some(answer.await),
                false => tokio::time::timeout(patience, answer).await.ok(),
            };
            (command_id, waits, answer)
        }
    };
    let mut calls: FuturesUnordered<_> = (0..commands.min(TOGETHER as u64)).map(call).collect();
    let mut next = TOGETHER as u64;
    let (mut acknowledged, mut gone) = (HashSet::new(), 0);
    while let Some((command_id, waits, answer)) = calls.next().await {
        match answer {
            Some(Ok(_)) => assert!(acknowledged.insert(command_id)),
            Some(Err(failure)) => panic!("{failure:?}"),
            None => gone += 1,
        }
        assert!(!waits || acknowledged.contains(&command_id), "an answer was lost");
        if next < commands {
            calls.push(call(next));
            next += 1;
        }
    }
    assert!(gone > commands / 20, "hardly any caller went away: {gone}");

    // All that was accepted is decided by the time that a later command is.
    for sequencer in &sequencers {
        done(sequencer, allocate("last", "SKU-0", 1)).await;
    }
    let mut owner = log.owner().await;
    let stored: Vec<Uuid> =
        sqlx::query_scalar("SELECT command_id FROM commands").fetch_all(&mut owner).await.expect("the commands");
    let stored: HashSet<Uuid> = stored.into_iter().collect();
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(lost.is_empty(), "{} acknowledged commands are not stored", lost.len());
    let (events, last): (i64, i64) =
        sqlx::query_as("SELECT count(*), max(position) FROM events").fetch_one(&mut owner).await.expect("the log");
    assert_eq!(events, last);
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND state LIKE 'idle in transaction%'";
    let open: i64 = sqlx::query_scalar(open).fetch_one(&mut owner).await.expect("a count");
    assert_eq!(open, 0, "sessions are left in a transaction");
}
