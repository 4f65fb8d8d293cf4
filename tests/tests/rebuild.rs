//! Story 8: any projection can be thrown away and made again, to the byte.

mod readers;

use std::sync::Arc;

use system_tests::client::{Date, NewOrder, ReadAfter, TallyClient};
use system_tests::{Dump, Launch, Log, PATIENCE, Screen, Tally, dump, evict, views_equal_fold};

use crate::crash::connect;
use crate::load::Load;

/// All projections.
pub(crate) const PROJECTIONS: [&str; 7] =
    ["order", "order_summaries", "allocations", "stock", "streams", "order_history", "backorders"];

/// Orders of every status, lines of every kind.
async fn something_of_everything(tally: &Tally) {
    let client = tally.client();
    tally.stocked("b1", "LAMP", 20).await;
    client.create_batch("b2", "TABLE", 10, Some(Date::new(2030, 2, 28))).await.unwrap();
    let mut orders = Vec::new();
    for (customer, lamps, tables) in [("c-1", 5, 2), ("c-1", 5, 3), ("c/2", 5, 4), ("c-3 ü", 5, 5), ("c-1", 50, 50)] {
        orders.push(
            client.create_order(&NewOrder::of(customer, &[("LAMP", lamps), ("TABLE", tables)])).await.unwrap().order_id,
        );
    }
    client.allocate("elsewhere", "LAMP", 1).await.unwrap();
    client.allocate("waiting", "TABLE", 9).await.unwrap();
    client.receive_batch("b2").await.unwrap();
    client.ship_order(&orders[0]).await.unwrap();
    client.cancel_order(&orders[1], "no").await.unwrap();
    client.change_batch_quantity("b1", 6).await.unwrap();
    client.deallocate("elsewhere", "LAMP").await.unwrap();
}

/// What is stored once all projections have seen all of the log.
async fn dump_when_caught_up(tally: &Tally) -> Dump {
    let log = views_equal_fold(tally).await;
    let mut redis = tally.redis().await;
    system_tests::eventually("every projection has seen the whole log", async || {
        let dump = dump(&mut tally.redis().await, &tally.log).await;
        let head = log.head.to_string().into_bytes();
        let caught_up = |name: &&str| dump.get(&format!("{name}:checkpoint")).is_some_and(|value| value[0] == head);
        PROJECTIONS.iter().all(caught_up).then_some(())
    })
    .await;
    dump(&mut redis, &tally.log).await
}

#[tokio::test]
async fn story_8_a_rebuild_gives_the_same_bytes() {
    let tally = Tally::start().await;
    something_of_everything(&tally).await;
    let before = dump_when_caught_up(&tally).await;
    for name in PROJECTIONS {
        assert!(
            before.keys().any(|key| key.starts_with(&format!("{name}:view:"))),
            "{name} has no views: {:?}",
            before.keys()
        );
    }

    // With no projector, so that whatever is there afterwards was made by the rebuild.
    tally.projector.stop().await;
    for name in PROJECTIONS {
        let (status, output) = tally.rebuild(name).await;
        assert!(status.success(), "{name}: {output}");
    }
    assert_eq!(dump(&mut tally.redis().await, &tally.log).await, before);

    // Beside a running one.
    tally.projector.start_again().await;
    for name in PROJECTIONS {
        let (status, output) = tally.rebuild(name).await;
        assert!(status.success(), "{name}: {output}");
    }
    assert_eq!(dump_when_caught_up(&tally).await, before);
}

#[tokio::test]
async fn story_8_a_rebuild_mends_what_was_damaged() {
    let tally = Tally::start().await;
    something_of_everything(&tally).await;
    let before = dump_when_caught_up(&tally).await;
    let mut redis = tally.redis().await;
    evict(&mut redis, &tally.log, "stock", "LAMP").await;
    assert_ne!(dump(&mut redis, &tally.log).await, before);

    let (status, output) = tally.rebuild("stock").await;

    assert!(status.success(), "{output}");
    assert_eq!(dump_when_caught_up(&tally).await, before);
    let stock = tally.client().get_stock("LAMP", &ReadAfter::nothing()).await.unwrap();
    assert_eq!(stock.batches[0].batch_ref, "b1");
}

#[tokio::test]
async fn on_a_terminal_a_rebuild_and_a_check_show_a_bar() {
    let tally = Tally::start().await;
    something_of_everything(&tally).await;
    let head = views_equal_fold(&tally).await.head;
    // It tells how far it is for as long as it is not promoted.
    for (arguments, what) in
        [(["rebuild", "stock", "--wait-for-promotion"].as_slice(), "stock"), (&["verify"], "verify")]
    {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let (process, screen) = Screen::of(&Launch { arguments, ..tally.projector.launched().clone() });
        assert!(process.exited().await.unwrap().success(), "{}", screen.text());
        let (drawn, bar) = (screen.text(), format!("{what} ["));
        assert!(drawn.contains(&bar) && drawn.contains(&format!("/{head} events")), "{drawn:?}");
        assert!(drawn.contains("left"), "{drawn:?}");
    }
}

#[tokio::test]
async fn story_8_a_rebuild_of_what_is_no_projection_is_refused() {
    let tally = Tally::start().await;
    let (status, output) = tally.rebuild("nonexistent").await;
    assert!(!status.success());
    for name in PROJECTIONS {
        assert!(output.contains(name), "it says which there are: {output}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn story_8_a_rebuild_under_load_loses_nothing() {
    let tally = Arc::new(Tally::start().await);
    let database = tally.database().await;
    let load = Load::start(&[connect(&tally)], 4, 100, async || Log::read(&database).await).await;

    for (turn, name) in PROJECTIONS.into_iter().enumerate() {
        load.answered(turn + 1, PROJECTIONS.len() + 2).await;
        let (status, output) = tally.rebuild(name).await;
        assert!(status.success(), "{name}: {output}");
    }

    let done = load.finished().await;
    done.check(&views_equal_fold(&tally).await);
}

#[tokio::test]
async fn story_8_a_rebuild_leaves_nothing_of_the_old_views_when_they_need_not_be_kept() {
    let tally = Tally::start_with_environment(&[("PROJECTOR_KEEP_SECONDS", "0")]).await;
    something_of_everything(&tally).await;
    let before = views_equal_fold(&tally).await;
    for _ in 0..2 {
        let (status, output) = tally.rebuild("stock").await;
        assert!(status.success(), "{output}");
    }
    let client = tally.client();
    let seen = ReadAfter::position(before.head).at_most(PATIENCE).or_fail();
    client.get_stock("LAMP", &seen).await.unwrap();

    system_tests::eventually("one build is left", async || {
        let mut redis = tally.redis().await;
        let pattern = format!("tally:{}:*:stock:*:checkpoint", tally.log);
        let checkpoints: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await.unwrap();
        (checkpoints.len() == 1).then_some(())
    })
    .await;
}
