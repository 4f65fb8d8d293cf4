//! Who comes first, and who waits for whom.

use std::time::Instant;

use super::*;

/// Each wants the last piece of something; the first waits for a stream that must be loaded, the others need only what is there.
#[tokio::test]
async fn commands_that_share_a_stream_keep_the_order_in_which_they_came() {
    let log = Log::fresh().await;
    let earlier = log.sequencer();
    for (sku, quantity) in [("COLD", 5), ("TABLE", 1), ("LAMP", 2)] {
        done(&earlier, create_batch(sku, quantity)).await;
    }
    let sequencer = log.sequencer();
    let ask = |sku, quantity| Submission { validate_only: true, ..submission(allocate("asks", sku, quantity)) };
    for warm in ["TABLE", "LAMP"] {
        sequencer.submit(ask(warm, 1)).await.expect("an answer");
    }

    let first = hand_in(&sequencer, submission(create_order(&["COLD", "TABLE"])));
    let behind_it = hand_in(&sequencer, submission(create_order(&["TABLE", "LAMP"])));
    let behind_that = hand_in(&sequencer, ask("LAMP", 2));
    assert_eq!(lines(&first.await.expect("an order")), ["Allocated", "Allocated"]);
    assert_eq!(lines(&behind_it.await.expect("an order")), ["OutOfStock", "Allocated"]);
    assert_eq!(lines(&behind_that.await.expect("an answer")), ["OutOfStock"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_on_warm_streams_go_on_while_a_long_one_is_loaded() {
    let log = Log::fresh().await;
    log.product_with_a_past("LONG", 5, 20_000).await;
    let sequencer = log.sequencer();
    done(&sequencer, create_batch("WARM", 100)).await;

    let mut cold = hand_in(&sequencer, submission(allocate("o-1", "LONG", 1)));
    for line in 0..5 {
        assert_eq!(lines(&done(&sequencer, allocate(&format!("o-{line}"), "WARM", 1)).await), ["Allocated"]);
    }
    assert!(futures::poll!(&mut cold).is_pending(), "nothing was loaded, or the others waited for it");
    assert_eq!(lines(&cold.await.expect("an answer")), ["Allocated"]);
}

#[tokio::test]
async fn a_command_whose_deadline_has_passed_is_not_decided() {
    let log = Log::fresh().await;
    let sequencer = log.sequencer();
    done(&sequencer, create_batch("LAMP", 5)).await;
    let late = Submission { deadline: Instant::now(), ..submission(allocate("o-1", "LAMP", 1)) };
    assert!(matches!(sequencer.submit(late).await, Err(Failure::TimedOut)));
    assert_eq!(log.store.head().await.expect("the head"), 2);
}

/// A batch that fails takes back all that was decided on top of it, and its neighbours are decided again.
#[tokio::test]
async fn what_was_decided_on_a_batch_that_fails_is_decided_again() {
    let log = Log::fresh().await;
    let sequencer = log.sequencer();
    done(&sequencer, create_batch("LAMP", 1)).await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN IF NEW.payload LIKE '%cursed%' THEN RAISE 'refused' USING ERRCODE = 'disk_full'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse()";
    log.owner().await.execute(refuse).await.expect("a trigger");
    for round in 0..10 {
        let last = format!("o-{round}");
        let failing = hand_in(&sequencer, submission(allocate("cursed", "LAMP", 1)));
        tokio::task::yield_now().await;
        let next = hand_in(&sequencer, submission(allocate(&last, "LAMP", 1)));
        let (failing, next) = futures::join!(failing, next);
        assert!(matches!(failing, Err(Failure::Unavailable)), "{failing:?}");
        // The two went in one batch, or the second went alone, with the piece that the first did not get.
        match next {
            Ok(next) => assert_eq!(lines(&next), ["Allocated"]),
            Err(failure) => assert!(matches!(failure, Failure::Unavailable), "{failure:?}"),
        }
        let freed = Command::Deallocate { order_id: last, sku: "LAMP".to_owned() };
        let _freed_or_not_there = sequencer.submit(submission(freed)).await;
        assert_eq!(lines(&done(&sequencer, allocate("asks", "LAMP", 1)).await), ["Allocated"]);
        done(&sequencer, Command::Deallocate { order_id: "asks".to_owned(), sku: "LAMP".to_owned() }).await;
    }
}

/// An order's stream is taken to be empty without a look, since the append would tell. Where nothing is appended, nothing tells.
#[tokio::test]
async fn an_order_that_another_process_created_is_seen_after_a_lost_race_too() {
    let log = Log::fresh().await;
    let other = log.sequencer();
    let order_id = Uuid::now_v7().to_string();
    done(&other, create_batch("LAMP", 9)).await;
    done(&other, create_order_as(&order_id, &["LAMP"])).await;
    let sequencer = log.sequencer();
    for known in ["LAMP", "UNKNOWN"] {
        let ask = Submission { validate_only: true, ..submission(allocate("asks", known, 1)) };
        let _answer = sequencer.submit(ask).await;
    }
    done(&other, allocate("o-0", "LAMP", 1)).await;

    // The first loses a race against the other process, and both are decided again.
    let races = hand_in(&sequencer, submission(allocate("o-1", "LAMP", 1)));
    let refused = hand_in(&sequencer, submission(create_order_as(&order_id, &["UNKNOWN"])));
    let taken = hand_in(&sequencer, submission(create_order_as(&order_id, &["LAMP"])));
    let neighbour = hand_in(&sequencer, submission(create_order(&["LAMP"])));
    assert_eq!(lines(&races.await.expect("an answer")), ["Allocated"]);
    let exists = |answer| matches!(answer, Err(Failure::Rejected(Rejection::OrderExists { .. })));
    assert!(exists(refused.await));
    assert!(exists(taken.await));
    assert_eq!(lines(&neighbour.await.expect("an order")), ["Allocated"]);
    assert!(exists(sequencer.submit(submission(create_order_as(&order_id, &["LAMP"]))).await));
}
