//! Deciding ahead while others append, too: what they touched is decided again, and nothing else.

use std::collections::HashMap;

use super::*;

/// What another process appends: a line of this SKU, at this version of the product.
fn line_of_another(order_id: &str, sku: &str, version: u64) -> Batch {
    let (order_id, batch_ref) = (order_id.to_owned(), sku.to_owned());
    let event =
        product::Event::Allocated { order_id, sku: sku.to_owned(), batch_ref, quantity: 1, from_backorder: false };
    let event = Event::Product(event);
    let stream_id = StreamId::Product(sku.to_owned()).to_string();
    let events = vec![NewEvent { stream_id, version, event_type: event.event_type(), payload: event.payload() }];
    let command = NewCommand {
        command_id: Uuid::now_v7(),
        content_hash: [0; 32],
        metadata: Metadata::default(),
        events,
        unchanged: None,
    };
    Batch { commands: vec![command], guards: Vec::new() }
}

/// A sequencer that knows of others, and its log with a batch of each SKU.
async fn beside(skus: &[(&str, u32)]) -> (Log, Sequencer) {
    let log = Log::fresh().await;
    let sequencer = log.sequencer();
    done(&sequencer, create_batch("WARM", 1_000)).await;
    for (sku, quantity) in skus {
        done(&sequencer, create_batch(sku, *quantity)).await;
    }
    log.store.append(line_of_another("of-another", "WARM", 2)).await.expect("appended");
    let first = skus.first().map_or("WARM", |(sku, _)| sku);
    // It is told by a position that is not its own, and then by what it learns.
    for _ in 0..2 {
        done(&sequencer, allocate("passes", first, 1)).await;
        done(&sequencer, Command::Deallocate { order_id: "passes".to_owned(), sku: first.to_owned() }).await;
    }
    (log, sequencer)
}

/// Waits until so many wait for the head.
async fn until_waiting(log: &Log, count: i64) {
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut owner = log.owner().await;
    let began = Instant::now();
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut owner).await.expect("a count") != count {
        assert!(began.elapsed() < DEADLINE, "not so many wait for the head");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn position(outcome: &Outcome) -> u64 {
    outcome.receipt.as_ref().expect("a receipt").position
}

#[tokio::test]
async fn of_a_batch_only_that_is_decided_again_which_others_touched() {
    let (log, sequencer) = beside(&[("LAMP", 2), ("TABLE", 9), ("CHAIR", 9), ("SHELF", 9), ("DESK", 9)]).await;
    log.store.append(line_of_another("of-another", "LAMP", 2 + 4)).await.expect("appended");
    let lamps = ["o-1", "o-2"].map(|order_id| hand_in(&sequencer, submission(allocate(order_id, "LAMP", 1))));
    let others = ["TABLE", "CHAIR", "SHELF", "DESK", "TABLE", "CHAIR", "SHELF"];
    let others =
        others.iter().zip(0..).map(|(sku, n)| hand_in(&sequencer, submission(allocate(&format!("t-{n}"), sku, 1))));
    let others: Vec<Answer> = others.collect();
    let mut lamps = futures::future::join_all(lamps).await.into_iter().map(|lamp| lamp.expect("an answer"));
    let (first, second) = (lamps.next().expect("two"), lamps.next().expect("two"));
    assert_eq!(
        (lines(&first), lines(&second)),
        (vec!["Allocated"], vec!["OutOfStock"]),
        "another has one of two lamps"
    );
    for other in others {
        let other = other.await.expect("an answer");
        assert_eq!(lines(&other), ["Allocated"]);
        assert!(position(&other) < position(&first), "it waited for what had to be decided again");
    }
}

/// What shares a stream with a command that is left out waits for it, whether it is in the same batch or was decided on top of it.
#[tokio::test]
async fn what_rests_on_a_command_that_is_left_out_is_decided_again_behind_it() {
    let (log, sequencer) = beside(&[("LAMP", 2), ("TABLE", 1), ("CHAIR", 9), ("SHELF", 1)]).await;
    let holder = log.store.begin_exclusive(0, 0).await.expect("the head");
    // On its way, and waits for the head.
    let on_its_way = hand_in(&sequencer, submission(create_order(&["LAMP", "TABLE"])));
    let beside_it: Vec<Answer> =
        (0..4).map(|n| hand_in(&sequencer, submission(allocate(&format!("c-{n}"), "CHAIR", 1)))).collect();
    until_waiting(&log, 1).await;
    // Decided on top of it, some of them on what it took.
    let takes_the_table = hand_in(&sequencer, submission(create_order(&["TABLE", "SHELF"])));
    let takes_the_shelf = hand_in(&sequencer, submission(allocate("s-1", "SHELF", 1)));
    let asks_for_a_lamp = Submission { validate_only: true, ..submission(allocate("asks", "LAMP", 1)) };
    let asks_for_a_lamp = hand_in(&sequencer, asks_for_a_lamp);
    let free: Vec<Answer> =
        (4..8).map(|n| hand_in(&sequencer, submission(allocate(&format!("c-{n}"), "CHAIR", 1)))).collect();
    tokio::task::yield_now().await;
    holder.append(line_of_another("of-another", "LAMP", 2 + 4)).await.expect("appended");

    let on_its_way = on_its_way.await.expect("an order");
    assert_eq!(lines(&on_its_way), ["Allocated", "Allocated"], "another has one of two lamps, and none of the tables");
    let takes_the_table = takes_the_table.await.expect("an order");
    assert_eq!(lines(&takes_the_table), ["OutOfStock", "Allocated"]);
    assert_eq!(lines(&takes_the_shelf.await.expect("an answer")), ["OutOfStock"]);
    assert_eq!(lines(&asks_for_a_lamp.await.expect("an answer")), ["OutOfStock"]);
    for chair in beside_it {
        assert!(position(&chair.await.expect("an answer")) < position(&on_its_way));
    }
    for chair in free {
        assert_eq!(lines(&chair.await.expect("an answer")), ["Allocated"]);
    }
}

/// Another is always faster at its stream, and there is so much else in each batch that it is not much which does not fit.
#[tokio::test]
async fn a_command_that_is_left_out_again_and_again_gets_through() {
    const ROUNDS: u64 = 8;
    let (log, sequencer) = beside(&[("LAMP", 99), ("TABLE", 99), ("CHAIR", 99)]).await;
    let mut holder = log.store.begin_exclusive(0, 0).await.expect("the head");
    let loser = hand_in(&sequencer, submission(allocate("loser", "LAMP", 1)));
    let mut others: Vec<Answer> = Vec::new();
    for round in 0..ROUNDS {
        for sku in ["TABLE", "CHAIR"] {
            others.push(hand_in(&sequencer, submission(allocate(&format!("o-{round}"), sku, 1))));
        }
        until_waiting(&log, 1).await;
        // Whoever is faster next waits already, behind the batch and before the one after it.
        let store = log.store.clone();
        let next = tokio::spawn(async move { store.begin_exclusive(0, 0).await.expect("the head") });
        until_waiting(&log, 2).await;
        let line = line_of_another(&format!("of-another-{round}"), "LAMP", 2 + 4 + round);
        if holder.append(line).await.is_err() {
            // The lamp's version is another: it got through.
            drop(next.await);
            assert_eq!(lines(&loser.await.expect("an answer")), ["Allocated"]);
            for other in others {
                other.await.expect("an answer");
            }
            return;
        }
        holder = next.await.expect("the head");
    }
    panic!("it lost {ROUNDS} times");
}

/// Three at a log, on so many products that they meet now and then.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_meet_now_and_then_never_give_away_more_than_there_is() {
    const SKUS: u64 = 200;
    const PIECES: u32 = 6;
    let log = Log::fresh().await;
    let sequencers = [log.sequencer(), log.sequencer(), log.sequencer()];
    let sku = |number: u64| format!("SKU-{}", number % SKUS);
    for number in 0..SKUS {
        done(&sequencers[number as usize % 3], create_batch(&sku(number), PIECES)).await;
    }
    let mut answers = Vec::new();
    for number in 0..3_000_u64 {
        let sequencer = &sequencers[number as usize % 3];
        let picked = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let command = match number % 5 {
            0 => create_order(&[&sku(picked), &sku(picked + 1), &sku(picked + 2)]),
            1 if number > 600 => {
                let then = number - 600 + 1;
                let picked = then.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
                Command::Deallocate { order_id: format!("o-{then}"), sku: sku(picked) }
            }
            _ => allocate(&format!("o-{number}"), &sku(picked), 1),
        };
        answers.push(hand_in(sequencer, submission(command)));
        if number.is_multiple_of(64) {
            tokio::task::yield_now().await;
        }
    }
    let mut acknowledged = 0;
    for answer in answers {
        match answer.await {
            Ok(_) => acknowledged += 1,
            // A line that is taken back before it was there.
            Err(failure) => assert!(matches!(failure, Failure::Rejected(_)), "{failure:?}"),
        }
    }
    assert!(acknowledged > 2_500, "{acknowledged}");
    let mut owner = log.owner().await;
    let events =
        "SELECT stream_id, version, CASE WHEN payload::jsonb ->> 'batch_ref' IS NULL THEN '' ELSE event_type END
        FROM events ORDER BY position";
    let events: Vec<(String, i64, String)> = sqlx::query_as(events).fetch_all(&mut owner).await.expect("the log");
    let mut allocated: HashMap<String, u32> = HashMap::new();
    let mut versions: HashMap<String, i64> = HashMap::new();
    for (stream_id, version, event_type) in events {
        let last = versions.entry(stream_id.clone()).or_default();
        assert_eq!(version, *last + 1, "{stream_id}");
        *last = version;
        let held = allocated.entry(stream_id.clone()).or_default();
        match event_type.as_str() {
            "Allocated" => *held += 1,
            "Deallocated" => *held -= 1,
            // Nothing moves: a line that waits, or no longer.
            _ => {}
        }
        assert!(*held <= PIECES, "{stream_id} is oversold");
    }
}
