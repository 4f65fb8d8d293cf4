//! Story 10: two projectors by accident, and nothing counts twice.

use std::sync::Arc;

use system_tests::{Log, Tally, views_equal_fold};

use crate::crash::connect;
use crate::load::Load;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn story_10_two_projectors_at_once_count_nothing_twice() {
    let tally = Arc::new(Tally::start().await);
    let other = tally.another(&tally.projector).await;
    let database = tally.database().await;
    let load = Load::start(&[connect(&tally)], 8, 60, async || Log::read(&database).await).await;

    // Each is held up in turn, so that the other overtakes it and it comes back with what is old by then.
    for (turn, service) in [&tally.projector, &other, &tally.projector, &other].into_iter().enumerate() {
        load.answered(2 * turn + 1, 9).await;
        service.pause();
        load.answered(2 * turn + 2, 9).await;
        service.resume();
    }

    let done = load.finished().await;
    done.check(&views_equal_fold(&tally).await);
    assert!(tally.projector.process().is_running() && other.process().is_running(), "both go on");
}
