//! What goes together into one commit, and what does not.

use super::*;

/// Of each transaction that appended: how many commands and how many events.
async fn commits(log: &Log) -> Vec<(i64, i64)> {
    let grouped = "SELECT count(DISTINCT command_id), count(*) FROM events GROUP BY xmin::text ORDER BY min(position)";
    sqlx::query_as(grouped).fetch_all(&mut log.owner().await).await.expect("the log")
}

fn limited(log: &Log, limits: Limits) -> Sequencer {
    Sequencer::start(log.store.clone(), Doorbell::new().0, limits).0
}

async fn all_done(answers: Vec<Answer>) {
    for answer in futures::future::join_all(answers).await {
        answer.expect("carried out");
    }
}

#[tokio::test]
async fn no_commit_has_more_commands_than_the_limit() {
    let log = Log::fresh().await;
    let sequencer = limited(&log, Limits { batch_commands_max: 8, ..LIMITS });
    done(&sequencer, create_batch("LAMP", 1_000)).await;
    let orders = (0..100).map(|n| hand_in(&sequencer, submission(allocate(&format!("o-{n}"), "LAMP", 1))));
    all_done(orders.collect()).await;
    let commits = commits(&log).await;
    assert!(commits.iter().all(|(commands, _)| *commands <= 8), "{commits:?}");
    assert!(commits.iter().any(|(commands, _)| *commands == 8), "{commits:?}");
}

/// What would take long or fail takes nobody else with it.
#[tokio::test]
async fn a_command_with_more_events_than_the_limit_goes_by_itself_and_no_commit_is_larger() {
    let log = Log::fresh().await;
    let first = log.sequencer();
    done(&first, create_batch("LAMP", 50)).await;
    done(&first, create_batch("TABLE", 1_000)).await;
    all_done((0..40).map(|n| hand_in(&first, submission(allocate(&format!("o-{n}"), "LAMP", 1)))).collect()).await;

    let sequencer = limited(&log, Limits { batch_events_max: 10, ..LIMITS });
    let large = Command::ChangeBatchQuantity { batch_ref: "LAMP".to_owned(), quantity: 0 };
    for warm in [large.clone(), allocate("asks", "TABLE", 1)] {
        sequencer.submit(Submission { validate_only: true, ..submission(warm) }).await.expect("an answer");
    }
    let begun = commits(&log).await.len();
    let small = |n| hand_in(&sequencer, submission(allocate(&format!("t-{n}"), "TABLE", 1)));
    let mut answers: Vec<Answer> = (0..15).map(small).collect();
    answers.push(hand_in(&sequencer, submission(large)));
    answers.extend((15..30).map(small));
    all_done(answers).await;

    let commits = commits(&log).await.split_off(begun);
    let (large, others): (Vec<_>, Vec<_>) = commits.iter().copied().partition(|(_, events)| *events > 10);
    assert_eq!(large, [(1, 81)], "40 lines lose their place, find none, and the quantity is another: {commits:?}");
    assert!(others.iter().any(|(commands, _)| *commands > 1), "{commits:?}");
}

/// The same where another process appends, too.
#[tokio::test]
async fn beside_another_process_a_large_command_goes_by_itself_too() {
    let log = Log::fresh().await;
    let other = log.sequencer();
    done(&other, create_batch("LAMP", 50)).await;
    done(&other, create_batch("TABLE", 1_000)).await;
    all_done((0..40).map(|n| hand_in(&other, submission(allocate(&format!("o-{n}"), "LAMP", 1)))).collect()).await;

    let sequencer = limited(&log, Limits { batch_events_max: 10, ..LIMITS });
    let large = Command::ChangeBatchQuantity { batch_ref: "LAMP".to_owned(), quantity: 0 };
    let ask = Submission { validate_only: true, ..submission(large.clone()) };
    sequencer.submit(ask).await.expect("an answer");
    for round in 0..4 {
        done(&other, allocate(&format!("other-{round}"), "TABLE", 1)).await;
        done(&sequencer, allocate(&format!("own-{round}"), "TABLE", 1)).await;
    }
    let begun = commits(&log).await.len();
    let small = |n| hand_in(&sequencer, submission(allocate(&format!("t-{n}"), "TABLE", 1)));
    let mut answers: Vec<Answer> = (0..5).map(small).collect();
    answers.push(hand_in(&sequencer, submission(large)));
    answers.extend((5..30).map(small));
    answers.extend((0..5).map(|n| hand_in(&other, submission(allocate(&format!("with-{n}"), "TABLE", 1)))));
    all_done(answers).await;

    let commits = commits(&log).await.split_off(begun);
    let large: Vec<_> = commits.iter().copied().filter(|(_, events)| *events > 10).collect();
    assert_eq!(large, [(1, 81)], "{commits:?}");
}

/// Which of the two makes it impossible the caller can find out with the newest version only.
#[tokio::test]
async fn who_knows_another_version_is_told_of_that_before_any_rule() {
    let log = Log::fresh().await;
    let sequencer = log.sequencer();
    done(&sequencer, create_batch("LAMP", 5)).await;
    let order_id = Uuid::now_v7().to_string();
    done(&sequencer, create_order_as(&order_id, &["LAMP"])).await;
    done(&sequencer, Command::ShipOrder { order_id: order_id.clone() }).await;
    let cancel = |expected| Submission {
        expected_version: Some(expected),
        ..submission(Command::CancelOrder { order_id: order_id.clone(), reason: String::new() })
    };
    let failure = sequencer.submit(cancel(1)).await.expect_err("it was shipped meanwhile");
    assert!(matches!(failure, Failure::VersionMismatch { expected: 1, actual: 2, .. }), "{failure:?}");
    let failure = sequencer.submit(cancel(2)).await.expect_err("it was shipped");
    assert!(matches!(failure, Failure::Rejected(_)), "{failure:?}");
    let nowhere = Command::ShipOrder { order_id: Uuid::now_v7().to_string() };
    let nowhere = Submission { expected_version: Some(3), ..submission(nowhere) };
    let failure = sequencer.submit(nowhere).await.expect_err("there is none");
    assert!(matches!(failure, Failure::Rejected(Rejection::OrderNotFound { .. })), "{failure:?}");
}
