//! Story 4: which batch a line gets, and what happens when that batch shrinks.

use system_tests::client::{Allocation, Date, Line, ReadAfter, TallyClient};
use system_tests::{Log, Tally};
use tonic::Code;

use super::line;

/// What `order_id` has of LAMP, once `seen` is visible; None where it has nothing.
async fn batch_of(client: &impl TallyClient, order_id: &str, seen: &ReadAfter) -> Option<String> {
    match client.get_allocations(order_id, seen).await {
        Ok(answer) => {
            let [Allocation { batch_ref, .. }] = answer.allocations.as_slice() else {
                panic!("not one row: {answer:?}")
            };
            Some(batch_ref.clone())
        }
        Err(error) if error.is(Code::NotFound, "ALLOCATIONS_NOT_FOUND") => None,
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn story_4_stock_in_the_warehouse_comes_before_any_shipment() {
    let tally = Tally::start().await;
    let client = tally.client();
    client.create_batch("shipment", "LAMP", 100, Some(Date::new(2011, 1, 1))).await.unwrap();
    client.create_batch("warehouse", "LAMP", 100, None).await.unwrap();

    let allocated = client.allocate("o1", "LAMP", 10).await.unwrap();

    assert_eq!(batch_of(&client, "o1", &allocated.seen()).await.as_deref(), Some("warehouse"));
    let stock = client.get_stock("LAMP", &allocated.seen()).await.unwrap();
    let order: Vec<&str> = stock.batches.iter().map(|batch| batch.batch_ref.as_str()).collect();
    assert_eq!(order, ["warehouse", "shipment"]);
    assert_eq!((stock.available_now, stock.allocated, stock.backordered), (90, 10, 0));
    assert_eq!(stock.available_by_date.len(), 1);
    assert_eq!(stock.available_by_date[0].available, 190);
}

#[tokio::test]
async fn story_4_ties_go_to_the_batch_that_was_created_first() {
    let tally = Tally::start().await;
    let client = tally.client();
    client.create_batch("z-first", "LAMP", 10, Some(Date::new(2030, 1, 1))).await.unwrap();
    client.create_batch("a-second", "LAMP", 10, Some(Date::new(2030, 1, 1))).await.unwrap();

    let allocated = client.allocate("o1", "LAMP", 10).await.unwrap();

    assert_eq!(allocated.line.unwrap().batch_ref, "z-first");
}

#[tokio::test]
async fn story_4_a_line_that_fits_nowhere_waits_for_the_next_batch_that_fits_it() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("small", "LAMP", 5).await;

    let waiting = client.allocate("o1", "LAMP", 6).await.unwrap();
    assert_eq!(waiting.line, Some(line("o1", "LAMP", 6, "LINE_STATUS_BACKORDERED", "")));
    assert_eq!(batch_of(&client, "o1", &waiting.seen()).await, None);
    assert_eq!(client.get_stock("LAMP", &waiting.seen()).await.unwrap().backordered, 6);

    // A line that fits is not held up by one that waits.
    let fits = client.allocate("o2", "LAMP", 5).await.unwrap();
    assert_eq!(fits.line.unwrap().batch_ref, "small");

    let too_small = client.create_batch("too-small", "LAMP", 5, None).await.unwrap();
    assert_eq!(too_small.lines, []);
    let served = client.create_batch("fits", "LAMP", 6, Some(Date::new(2030, 1, 1))).await.unwrap();
    assert_eq!(served.lines, [line("o1", "LAMP", 6, "LINE_STATUS_ALLOCATED", "fits")]);
    assert_eq!(batch_of(&client, "o1", &served.seen()).await.as_deref(), Some("fits"));
}

#[tokio::test]
async fn story_4_a_line_that_is_freed_serves_the_backorders_in_their_order() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("only", "LAMP", 10).await;
    client.allocate("holder", "LAMP", 10).await.unwrap();
    for (order_id, quantity) in [("too-big", 11), ("first", 6), ("second", 6), ("third", 4)] {
        client.allocate(order_id, "LAMP", quantity).await.unwrap();
    }

    let freed = client.deallocate("holder", "LAMP").await.unwrap();

    let released =
        Line { previous_batch_ref: "only".to_owned(), ..line("holder", "LAMP", 10, "LINE_STATUS_RELEASED", "") };
    let expected = [
        released,
        line("first", "LAMP", 6, "LINE_STATUS_ALLOCATED", "only"),
        line("third", "LAMP", 4, "LINE_STATUS_ALLOCATED", "only"),
    ];
    assert_eq!(freed.lines, expected);
    let stock = client.get_stock("LAMP", &freed.seen()).await.unwrap();
    assert_eq!((stock.allocated, stock.backordered), (10, 17));
    let again = client.deallocate("holder", "LAMP").await.unwrap_err();
    assert!(again.is(Code::NotFound, "ALLOCATION_NOT_FOUND"), "{again:?}");
}

#[tokio::test]
async fn story_4_a_batch_that_shrinks_gives_up_its_latest_lines_in_one_commit() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("shrinking", "LAMP", 30).await;
    for order_id in ["o1", "o2", "o3"] {
        client.allocate(order_id, "LAMP", 10).await.unwrap();
    }
    client.create_batch("spare", "LAMP", 10, Some(Date::new(2030, 1, 1))).await.unwrap();

    let shrunk = client.change_batch_quantity("shrinking", 15).await.unwrap();

    let moved = |order_id: &str, status: &str, batch_ref: &str| Line {
        previous_batch_ref: "shrinking".to_owned(),
        ..line(order_id, "LAMP", 10, status, batch_ref)
    };
    let mut lines = shrunk.lines.clone();
    lines.sort_by(|one, other| one.order_id.cmp(&other.order_id));
    assert_eq!(lines, [moved("o2", "LINE_STATUS_ALLOCATED", "spare"), moved("o3", "LINE_STATUS_BACKORDERED", "")]);

    let seen = shrunk.seen();
    assert_eq!(batch_of(&client, "o1", &seen).await.as_deref(), Some("shrinking"));
    assert_eq!(batch_of(&client, "o2", &seen).await.as_deref(), Some("spare"));
    assert_eq!(batch_of(&client, "o3", &seen).await, None);
    let stock = client.get_stock("LAMP", &seen).await.unwrap();
    let batch = stock.batch("shrinking");
    assert_eq!((batch.quantity, batch.allocated, batch.available), (15, 10, 5));
    assert_eq!((stock.allocated, stock.backordered), (20, 10));

    let log = Log::read(&tally.database().await).await;
    log.check();
    let last = log.events.last().unwrap();
    let together = log.of_command(last.command_id);
    let mut types: Vec<&str> = together.iter().map(|event| event.event_type.as_str()).collect();
    types.sort_unstable();
    assert_eq!(types, ["Allocated", "BatchQuantityChanged", "Deallocated", "Deallocated", "OutOfStock"]);
    assert!(together.iter().all(|event| event.recorded_at == last.recorded_at), "one commit has one time");
    assert_eq!(last.position, shrunk.receipt().position);

    // More in the batch: who waits is served.
    let grown = client.change_batch_quantity("shrinking", 20).await.unwrap();
    assert_eq!(grown.lines, [line("o3", "LAMP", 10, "LINE_STATUS_ALLOCATED", "shrinking")]);
}

#[tokio::test]
async fn story_4_a_batch_may_drop_to_nothing_and_its_reference_stays_taken() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 30).await;

    let emptied = client.change_batch_quantity("b1", 0).await.unwrap();
    assert_eq!(client.get_stock("LAMP", &emptied.seen()).await.unwrap().available_now, 0);

    let taken = client.create_batch("b1", "TABLE", 5, None).await.unwrap_err();
    assert!(taken.is(Code::AlreadyExists, "BATCH_EXISTS"), "{taken:?}");
    let unknown = client.change_batch_quantity("nonexistent", 5).await.unwrap_err();
    assert!(unknown.is(Code::NotFound, "BATCH_NOT_FOUND"), "{unknown:?}");
}

#[tokio::test]
async fn story_4_a_line_again_changes_nothing_and_with_another_quantity_is_refused() {
    let tally = Tally::start().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 30).await;
    let first = client.allocate("o1", "LAMP", 10).await.unwrap();

    let again = client.allocate("o1", "LAMP", 10).await.unwrap();
    assert_eq!((again.line, again.receipt), (first.line.clone(), first.receipt.clone()));
    let other = client.allocate("o1", "LAMP", 11).await.unwrap_err();
    assert!(other.is(Code::FailedPrecondition, "LINE_DIFFERS"), "{other:?}");

    assert_eq!(client.get_stock("LAMP", &first.seen()).await.unwrap().allocated, 10);
}
