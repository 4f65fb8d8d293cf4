//! Whether histories, backorders, the event log API and what is published say what the log says. Read off the log's rows and their naive fold,
//! not off any code of the product.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::client::{Backorder, Event, PageOf, ReadAfter, RustClient, TallyClient};
use crate::fold::Fold;
use crate::{Log, PATIENCE, StoredEvent, Tally, eventually};

/// Few, so that there are several pages.
const PAGE_SIZE: i32 = 7;

/// Holds all of them against the log, once they have seen all of it. The log must not grow meanwhile.
///
/// # Panics
/// When anything differs.
pub(crate) async fn reads_equal_log(tally: &Tally, log: &Log) {
    let client = tally.client().deadline(2 * PATIENCE);
    let seen = ReadAfter::position(log.head).at_most(PATIENCE).or_fail();
    let fold = Fold::of(log);
    histories_equal_fold(&client, &fold, &seen).await;
    backorders_equal_fold(&client, &fold, &seen).await;
    subscription_equals_log(&client, log).await;
    published_equals_log(tally, log).await;
}

async fn histories_equal_fold(client: &RustClient, fold: &Fold, seen: &ReadAfter) {
    for order_id in fold.orders().map(|order| &order.order_id) {
        let mut found = Vec::new();
        let mut page_token = String::new();
        loop {
            let asked = PageOf { id: order_id, page_size: PAGE_SIZE, page_token: &page_token };
            let page = client.get_order_history(asked, seen).await.unwrap_or_else(|e| panic!("{order_id}: {e:?}"));
            found.extend(page.changes.into_iter().map(|change| (change.position, change.event_type)));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(Some(found.as_slice()), fold.changes(order_id), "history of {order_id}");
    }
}

async fn backorders_equal_fold(client: &RustClient, fold: &Fold, seen: &ReadAfter) {
    let mut expected: BTreeMap<&str, Vec<Backorder>> = fold.skus().map(|sku| (sku, fold.backorders(sku))).collect();
    let mut all: Vec<Backorder> = expected.values().flatten().cloned().collect();
    all.sort_by_key(|line| line.position);
    expected.insert("", all);
    for (sku, expected) in expected {
        let mut found = Vec::new();
        let mut page_token = String::new();
        loop {
            let asked = PageOf { id: sku, page_size: PAGE_SIZE, page_token: &page_token };
            let page = client.list_backorders(asked, seen).await.unwrap_or_else(|e| panic!("{sku}: {e:?}"));
            found.extend(page.backorders);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(found, expected, "backorders of {sku:?}");
    }
}

async fn subscription_equals_log(client: &RustClient, log: &Log) {
    let found = client.subscribe(0, log.events.len()).await.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(found.len(), log.events.len());
    for (found, stored) in found.iter().zip(&log.events) {
        assert_same(found, stored);
    }
}

fn assert_same(found: &Event, stored: &StoredEvent) {
    assert_eq!((found.position, &found.stream_id, found.version), (stored.position, &stored.stream_id, stored.version));
    assert_eq!((&found.event_type, &found.metadata.command_id), (&stored.event_type, &stored.command_id.to_string()));
    let payload: Value = serde_json::from_str(&found.payload_json).expect("a payload is JSON");
    assert_eq!(payload, stored.payload, "{stored:?}");
}

async fn published_equals_log(tally: &Tally, log: &Log) {
    let expected: Vec<(String, String)> = log
        .events
        .iter()
        .filter(|event| ["Allocated", "Deallocated", "OutOfStock"].contains(&event.event_type.as_str()))
        .map(|event| (format!("{}-0", event.position), format!("tally.allocation.v1.{}", event.event_type)))
        .collect();
    let stream = format!("tally:{}:line_events", tally.log);
    let found = eventually("all is published", async || {
        let found: Vec<(String, Vec<(String, String)>)> =
            redis::cmd("XRANGE").arg(&stream).arg("-").arg("+").query_async(&mut tally.redis().await).await.ok()?;
        (found.len() >= expected.len()).then_some(found)
    })
    .await;
    let found: Vec<(String, String)> = found
        .into_iter()
        .map(|(id, fields)| {
            let event: Value = serde_json::from_str(&fields[0].1).expect("a CloudEvent is JSON");
            assert_eq!((fields[0].0.as_str(), event["id"].as_str()), ("event", id.strip_suffix("-0")));
            (id, event["type"].as_str().expect("a type").to_owned())
        })
        .collect();
    assert_eq!(found, expected, "what is published");
}
