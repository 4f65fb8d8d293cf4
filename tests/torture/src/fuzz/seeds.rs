//! Good input, for the mutator to begin with.

use prost::Message;
use query_service::page_token;
use tally_api::allocation::v1 as allocation;
use tally_api::consistency::v1::{ReadAfter, read_after::After};
use tally_api::google::r#type as google;
use tally_api::orders::v1 as orders;
use tally_read_model::State;
use tally_receipt::Token;
use uuid::Uuid;

const ID: &str = "0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5d6e";

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

pub(super) fn requests() -> Vec<Vec<u8>> {
    let money = google::Money { currency_code: "EUR".to_owned(), units: 1, nanos: 500_000_000 };
    let item = orders::Item { sku: "LAMP".to_owned(), quantity: 3, unit_price: Some(money) };
    let order = orders::CreateOrderRequest {
        command_id: ID.to_owned(),
        customer_id: "c-1".to_owned(),
        items: vec![item; 3],
        ..Default::default()
    };
    let eta = Some(google::Date { year: 2030, month: 2, day: 28 });
    let (batch_ref, sku) = ("b-1".to_owned(), "LAMP".to_owned());
    let batch = allocation::CreateBatchRequest { batch_ref, sku, quantity: 10, eta, ..Default::default() };
    let token = Token { log_id: Uuid::from_u128(7), position: 1_234 }.encode();
    let read_after = Some(ReadAfter { after: Some(After::Token(token)), ..Default::default() });
    let read = orders::GetOrderRequest { order_id: ID.to_owned(), read_after };
    vec![order.encode_to_vec(), batch.encode_to_vec(), read.encode_to_vec()]
}

pub(super) fn views() -> Vec<Vec<u8>> {
    let batch = |number: i64| allocation::Batch {
        batch_ref: format!("b-{number}"),
        quantity: 10,
        allocated: 3,
        available: 7,
        arrival: number,
        ..Default::default()
    };
    let stock =
        allocation::Stock { sku: "LAMP".to_owned(), batches: (1..5).map(batch).collect(), ..Default::default() };
    let order =
        orders::Order { order_id: ID.to_owned(), customer_id: "c-1".to_owned(), version: 3, ..Default::default() };
    let parked = [&[1][..], &7_u64.to_be_bytes(), &order.encode_to_vec()].concat();
    vec![[vec![0], stock.encode_to_vec()].concat(), [vec![0], order.encode_to_vec()].concat(), parked]
}

pub(super) fn checkpoints() -> Vec<Vec<u8>> {
    let state =
        State { position: 1 << 53, version: 2, views: 7, content: u64::MAX, digest: 3, last_event: 9, ..State::new(1) };
    vec![text(&State::new(1).to_string()), text(&state.to_string())]
}

pub(super) fn page_tokens() -> Vec<Vec<u8>> {
    let member = tally_read_model::list_member(42, ID);
    let tokens = ["customer/c-1", "status/OPEN"].map(|list| format!("{list}\n{}", page_token::encode(list, &member)));
    tokens.iter().map(String::as_str).chain(["stock.42.3"]).map(text).collect()
}

pub(super) fn tokens() -> Vec<Vec<u8>> {
    [0, 1, 1_234, u64::MAX >> 1]
        .into_iter()
        .map(|position| Token { log_id: Uuid::from_u128(7), position }.encode().into_bytes())
        .collect()
}

pub(super) fn stream_ids() -> Vec<Vec<u8>> {
    vec![text("product-LAMP"), text("batch-b-1"), text(&format!("order-{ID}"))]
}

pub(super) fn events() -> Vec<Vec<u8>> {
    vec![
        text("BatchCreated\n{\"batch_ref\":\"b\",\"sku\":\"LAMP\",\"quantity\":10,\"eta\":\"2030-01-02\"}"),
        text(
            "Allocated\n{\"order_id\":\"o\",\"sku\":\"LAMP\",\"quantity\":3,\"batch_ref\":\"b\",\"from_backorder\":false}",
        ),
        text("BatchRefClaimed\n{\"batch_ref\":\"b\",\"sku\":\"LAMP\"}"),
        text("OrderCancelled\n{\"order_id\":\"o\",\"reason\":\"why\"}"),
    ]
}

pub(super) fn snapshots() -> Vec<Vec<u8>> {
    use tally_domain::{Event, StreamId, StreamState};
    let mut state = StreamState::empty(&StreamId::Product("LAMP".to_owned()));
    for event in events() {
        let stored = String::from_utf8(event).unwrap_or_default();
        let Some((event_type, payload)) = stored.split_once('\n') else { continue };
        if let Ok(event @ Event::Product(_)) = Event::from_stored(event_type, payload) {
            state.evolve(&event);
        }
    }
    state.to_snapshot().and_then(|snapshot| serde_json::to_vec(&snapshot).ok()).into_iter().collect()
}

pub(super) fn settings() -> Vec<Vec<u8>> {
    let stores = "--database-url\npostgres://u:p@h/d\n--redis-url\nredis://h/";
    vec![
        text(&format!("command-service\nserve\n{stores}\n--listen\n127.0.0.1:0\n--batch-commands-max\n100")),
        text(&format!("projector\nserve\n{stores}\n--poll-idle-ms\n250")),
        text("query-service\nserve\n--redis-url\nredis://h/\n--database-url\npostgres://u:p@h/d"),
    ]
}
