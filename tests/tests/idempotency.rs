//! Story 9: a command sent again, at once or much later, has one effect and one answer.

use std::collections::BTreeSet;

use system_tests::client::{Answer, Date, Line, NewOrder, Outcome, ReadAfter, RustClient, TallyClient};
use system_tests::{Log, Tally, views_equal_fold};
use tonic::Code;
use uuid::Uuid;

#[tokio::test]
async fn story_9_twenty_at_once_and_again_after_a_restart_are_one() {
    let tally = Tally::start().await;
    tally.stocked("b1", "LAMP", 1_000).await;
    let id = Uuid::new_v4();
    let order = NewOrder::of("c-1", &[("LAMP", 3)]);

    // Each over a connection of its own.
    let clients: Vec<RustClient> = (0..20).map(|_| tally.client().command_id(id)).collect();
    let at_once = futures::future::join_all(clients.iter().map(|client| client.create_order(&order))).await;
    let first = at_once[0].clone().unwrap();
    for answer in at_once {
        assert_eq!(answer.unwrap(), first);
    }
    assert_eq!(first.order_id, id.to_string(), "without an order_id it is the command's id");

    tally.command.restart().await;
    assert_eq!(tally.client().command_id(id).create_order(&order).await.unwrap(), first);
    tally.command.kill_and_start_again().await;
    assert_eq!(tally.client().command_id(id).create_order(&order).await.unwrap(), first);
    let other = tally.another(&tally.command).await;
    let through_other = RustClient::new(other.address(), tally.query.address());
    assert_eq!(through_other.command_id(id).create_order(&order).await.unwrap(), first);

    let log = views_equal_fold(&tally).await;
    assert_eq!(log.of_command(id).len(), 2);
    assert_eq!(tally.client().get_stock("LAMP", &ReadAfter::nothing()).await.unwrap().allocated, 3);
}

/// Every command, in an order in which each is carried out.
async fn every_command(client: &RustClient, ids: &[Uuid]) -> Vec<Answer<Outcome>> {
    let order_id = ids[4].to_string();
    let shipped = ids[6].to_string();
    let order = NewOrder::of("c-1", &[("LAMP", 3)]);
    let to_ship = NewOrder { order_id: shipped.clone(), ..NewOrder::of("c-1", &[("LAMP", 2)]) };
    let with = |number: usize| client.command_id(ids[number]);
    vec![
        with(0).create_batch("b1", "LAMP", 50, Some(Date::new(2030, 1, 1))).await,
        with(1).receive_batch("b1").await,
        with(2).allocate("o1", "LAMP", 20).await,
        with(3).change_batch_quantity("b1", 10).await,
        with(4).create_order(&order).await,
        with(5).deallocate("o1", "LAMP").await,
        with(6).create_order(&to_ship).await,
        with(7).ship_order(&shipped).await,
        with(8).cancel_order(&order_id, "no").await,
        // These change nothing.
        with(9).receive_batch("b1").await,
        with(10).change_batch_quantity("b1", 8).await,
        with(11).ship_order(&shipped).await,
        with(12).cancel_order(&order_id, "again").await,
    ]
}

#[tokio::test]
async fn story_9_every_command_is_replayed_with_its_first_answer() {
    let tally = Tally::start().await;
    let ids: Vec<Uuid> = (0..13).map(|_| Uuid::new_v4()).collect();
    let first: Vec<Outcome> = every_command(&tally.client(), &ids).await.into_iter().map(Result::unwrap).collect();
    let database = tally.database().await;
    let log = Log::read(&database).await;
    log.check();
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(
            (log.of_command(*id).is_empty(), log.unchanged.contains(id)),
            (number >= 9, number >= 9),
            "command {number}"
        );
    }

    // The state that they were decided on is long gone: nothing of it may show.
    let later = tally.client().allocate("later", "LAMP", 7).await.unwrap();
    let log = Log::read(&database).await;
    let again: Vec<Outcome> = every_command(&tally.client(), &ids).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(again, first);
    tally.command.restart().await;
    let again: Vec<Outcome> = every_command(&tally.client(), &ids).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(again, first);

    assert_eq!(Log::read(&database).await, log, "nothing was appended");
    assert_eq!(log.head, later.receipt().position);
}

#[tokio::test]
async fn story_9_a_line_that_stood_already_is_answered_alike_for_ever() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 10).await;
    client.allocate("o1", "LAMP", 10).await.unwrap();
    client.allocate("o2", "LAMP", 5).await.unwrap();
    let (stands, waits) = (Uuid::new_v4(), Uuid::new_v4());
    let allocated = client.command_id(stands).allocate("o1", "LAMP", 10).await.unwrap();
    assert_eq!(allocated.line.as_ref().unwrap().batch_ref, "b1");
    let waiting = client.command_id(waits).allocate("o2", "LAMP", 5).await.unwrap();
    assert_eq!(waiting.line.as_ref().unwrap().status, "LINE_STATUS_BACKORDERED");

    client.create_batch("b2", "LAMP", 50, None).await.unwrap();
    client.change_batch_quantity("b1", 0).await.unwrap();
    for _ in 0..2 {
        let client = tally.client();
        assert_eq!(client.command_id(stands).allocate("o1", "LAMP", 10).await.unwrap(), allocated);
        assert_eq!(client.command_id(waits).allocate("o2", "LAMP", 5).await.unwrap(), waiting);
        tally.command.kill_and_start_again().await;
    }
}

#[tokio::test]
async fn story_9_an_id_with_other_content_is_refused() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 100).await;
    let (changed, unchanged) = (Uuid::new_v4(), Uuid::new_v4());
    client.command_id(changed).allocate("o1", "LAMP", 10).await.unwrap();
    client.command_id(unchanged).allocate("o1", "LAMP", 10).await.unwrap();
    let order = NewOrder::of("c-1", &[("LAMP", 1)]);
    let ordered = Uuid::new_v4();
    client.command_id(ordered).create_order(&order).await.unwrap();
    let database = tally.database().await;
    let log = Log::read(&database).await;

    for _ in 0..2 {
        let client = tally.client();
        let mut elsewhere = order.clone();
        elsewhere.shipping_address.postal_code = "10117".to_owned();
        let mut refusals = vec![client.command_id(ordered).create_order(&elsewhere).await];
        for id in [changed, unchanged] {
            let client = client.command_id(id);
            refusals.push(client.allocate("o1", "LAMP", 11).await);
            refusals.push(client.allocate("o2", "LAMP", 10).await);
            refusals.push(client.deallocate("o1", "LAMP").await);
            refusals.push(client.create_order(&order).await);
        }
        for refused in refusals {
            let refused = refused.unwrap_err();
            assert!(refused.is(Code::AlreadyExists, "COMMAND_ID_REUSED"), "{refused:?}");
        }
        tally.command.restart().await;
    }
    assert_eq!(Log::read(&database).await, log);
}

#[tokio::test]
async fn story_9_different_content_at_once_under_one_id_takes_effect_once() {
    let tally = Tally::start().await;
    tally.stocked("b1", "LAMP", 1_000).await;
    let other = tally.another(&tally.command).await;
    let id = Uuid::new_v4();

    let calls = (0..20).map(|number| {
        let service = if number % 2 == 0 { &tally.command } else { &other };
        let client = RustClient::new(service.address(), tally.query.address()).command_id(id);
        async move { client.allocate(&format!("o{number}"), "LAMP", 1).await }
    });
    let answers = futures::future::join_all(calls).await;

    let (carried_out, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(carried_out.len(), 1, "{carried_out:?} {refused:?}");
    for refused in refused {
        let refused = refused.unwrap_err();
        assert!(refused.is(Code::AlreadyExists, "COMMAND_ID_REUSED"), "{refused:?}");
    }
    assert_eq!(views_equal_fold(&tally).await.of_command(id).len(), 1);
}

#[tokio::test]
async fn story_9_a_refused_command_leaves_no_trace_and_is_decided_again() {
    let tally = Tally::start().await;
    let client = tally.client().command_id(Uuid::new_v4());
    client.allocate("o1", "LAMP", 10).await.unwrap_err();
    tally.stocked("b1", "LAMP", 100).await;

    let allocated = client.allocate("o1", "LAMP", 10).await.unwrap();

    assert_eq!(allocated.line.unwrap().batch_ref, "b1");
}

#[tokio::test]
async fn story_9_validate_only_answers_and_does_nothing() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 10).await;
    let order = client.create_order(&NewOrder::of("c-1", &[("LAMP", 2)])).await.unwrap();
    let database = tally.database().await;
    let log = Log::read(&database).await;
    let id = Uuid::new_v4();
    let trial = client.command_id(id).validate_only();

    let trials = [
        trial.allocate("o1", "LAMP", 8).await,
        trial.create_batch("b2", "LAMP", 8, None).await,
        trial.receive_batch("b1").await,
        trial.change_batch_quantity("b1", 1).await,
        trial.deallocate(&order.order_id, "LAMP").await,
        trial.create_order(&NewOrder::of("c-1", &[("LAMP", 9)])).await,
        trial.cancel_order(&order.order_id, "no").await,
        trial.ship_order(&order.order_id).await,
    ];
    for answer in &trials {
        assert_eq!(answer.as_ref().unwrap().receipt, None, "{answer:?}");
    }
    assert_eq!(trials[0].as_ref().unwrap().line.as_ref().unwrap().batch_ref, "b1");
    assert_eq!(trials[5].as_ref().unwrap().lines[0].status, "LINE_STATUS_BACKORDERED");
    let refused = trial.allocate("o1", "NONEXISTENT", 8).await.unwrap_err();
    assert!(refused.is(Code::FailedPrecondition, "INVALID_SKU"), "{refused:?}");
    assert_eq!(Log::read(&database).await, log);

    // The id is still free, also for other content.
    assert_eq!(client.command_id(id).allocate("o1", "LAMP", 8).await.unwrap().line.unwrap().batch_ref, "b1");
}

#[tokio::test]
async fn story_9_validate_only_says_of_each_command_what_then_happens() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 10).await;
    tally.stocked("b2", "LAMP", 3).await;
    let of = |lines| NewOrder::of("c-1", lines);
    let [shipped, cancelled] = [
        client.create_order(&of(&[("LAMP", 1)])).await.unwrap().order_id,
        client.create_order(&of(&[("LAMP", 1)])).await.unwrap().order_id,
    ];
    client.allocate("o1", "LAMP", 2).await.unwrap();
    client.allocate("o2", "LAMP", 6).await.unwrap();
    let trial = client.validate_only();
    macro_rules! same {
        ($($call:tt)+) => {{
            let said = trial.$($call)+.await.unwrap();
            assert_eq!(said.receipt, None);
            let mut done = client.$($call)+.await.unwrap();
            assert!(done.receipt.take().is_some());
            assert_eq!(said, done);
            done
        }};
    }
    // Ten pieces are taken of b1. With one left, what fits moves to b2, and the rest falls back.
    let moved = same!(change_batch_quantity("b1", 1));
    let statuses: BTreeSet<&str> = moved.lines.iter().map(|line| line.status.as_str()).collect();
    assert_eq!(statuses, ["LINE_STATUS_ALLOCATED", "LINE_STATUS_BACKORDERED"].into(), "{moved:?}");
    same!(allocate("o3", "LAMP", 1));
    same!(deallocate("o3", "LAMP"));
    same!(cancel_order(&cancelled, "no"));
    same!(change_batch_quantity("b1", 20));
    same!(ship_order(&shipped));
    same!(create_batch("b3", "LAMP", 8, Some(Date { year: 2030, month: 1, day: 1 })));
    same!(receive_batch("b3"));
    let wanted = of(&[("LAMP", 9)]);
    let (said, done) = (trial.create_order(&wanted).await.unwrap(), client.create_order(&wanted).await.unwrap());
    let without_order =
        |lines: &[Line]| lines.iter().map(|line| Line { order_id: String::new(), ..line.clone() }).collect::<Vec<_>>();
    assert_eq!(without_order(&said.lines), without_order(&done.lines));
}

#[tokio::test]
async fn story_9_an_expected_version_that_is_not_met_is_refused() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 10).await;
    let order = client.create_order(&NewOrder::of("c-1", &[("LAMP", 2)])).await.unwrap();
    let database = tally.database().await;
    let log = Log::read(&database).await;
    let wrong = client.expected_version(17);

    let refusals = [
        wrong.allocate("o1", "LAMP", 1).await,
        wrong.deallocate(&order.order_id, "LAMP").await,
        wrong.receive_batch("b1").await,
        wrong.change_batch_quantity("b1", 5).await,
        wrong.cancel_order(&order.order_id, "no").await,
        wrong.ship_order(&order.order_id).await,
    ];
    for refused in refusals {
        let refused = refused.unwrap_err();
        assert!(refused.is(Code::Aborted, "VERSION_MISMATCH"), "{refused:?}");
    }
    assert_eq!(Log::read(&database).await, log);

    // Of ten that expect the same version, one is carried out.
    let stock = client.get_stock("LAMP", &order.seen()).await.unwrap();
    let right = client.expected_version(stock.version);
    let names: Vec<String> = (0..10).map(|number| format!("o{number}")).collect();
    let answers = futures::future::join_all(names.iter().map(|order_id| right.allocate(order_id, "LAMP", 1))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    client.expected_version(1).ship_order(&order.order_id).await.unwrap();
}
