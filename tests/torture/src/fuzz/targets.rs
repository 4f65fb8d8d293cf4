//! What is decoded from outside or from the stores. Each target says whether its input was good.

use clap::Parser;
use prost::Message;
use query_service::page_token::{self, PageToken};
use tally_api::{
    allocation::v1 as allocation, events::v1 as events, orders::v1 as orders, projections::v1 as projections,
};
use tally_domain::{Event, Snapshot, StreamId, StreamState};
use tally_read_model::{State, StoredView};
use tally_receipt::Token;

use super::seeds;

/// Something to be fed.
pub(super) struct Target {
    pub(super) name: &'static str,
    /// Of all executions, relative to the other targets: those that are slow get fewer.
    pub(super) share: u64,
    pub(super) seeds: fn() -> Vec<Vec<u8>>,
    pub(super) decode: fn(&[u8]) -> bool,
}

pub(super) const TARGETS: [Target; 9] = [
    Target { name: "requests", share: 40, seeds: seeds::requests, decode: request },
    Target { name: "tokens", share: 30, seeds: seeds::tokens, decode: token },
    Target { name: "page tokens", share: 20, seeds: seeds::page_tokens, decode: page_token },
    Target { name: "stream ids", share: 10, seeds: seeds::stream_ids, decode: stream_id },
    Target { name: "stored events", share: 20, seeds: seeds::events, decode: stored_event },
    Target { name: "stored snapshots", share: 8, seeds: seeds::snapshots, decode: snapshot },
    Target { name: "stored views", share: 20, seeds: seeds::views, decode: view },
    Target { name: "stored checkpoints", share: 10, seeds: seeds::checkpoints, decode: checkpoint },
    Target { name: "settings", share: 1, seeds: seeds::settings, decode: settings },
];

/// Decodes as one message after the other, and encodes what is good: it must be good again, and the same.
macro_rules! any_of {
    ($bytes:expr; $($message:ty),* $(,)?) => {
        [$(round::<$message>($bytes)),*].into_iter().any(|good| good)
    };
}

fn round<M: Message + Default + PartialEq>(bytes: &[u8]) -> bool {
    let Ok(message) = M::decode(bytes) else { return false };
    let again = M::decode(message.encode_to_vec().as_slice());
    // Not equal to itself is what holds a float that is none; there is no float in the API.
    assert!(again.is_ok_and(|again| again == message), "what was decoded isn't the same when it is decoded again");
    true
}

fn request(bytes: &[u8]) -> bool {
    match bytes.first().map_or(0, |first| first % 5) {
        0 => any_of!(bytes; allocation::CreateBatchRequest, allocation::ReceiveBatchRequest,
            allocation::ChangeBatchQuantityRequest, allocation::AllocateRequest, allocation::DeallocateRequest),
        1 => any_of!(bytes; orders::CreateOrderRequest, orders::CancelOrderRequest, orders::ShipOrderRequest),
        2 => any_of!(bytes; allocation::GetAllocationsRequest, allocation::GetStockRequest,
            allocation::ListBackordersRequest, allocation::WatchStockRequest, orders::GetOrderRequest),
        3 => any_of!(bytes; projections::RebuildProjectionRequest, projections::PromoteRebuildRequest,
            projections::ListParkedEventsRequest, projections::RetryParkedEventRequest, projections::ExplainLagRequest),
        _ => any_of!(bytes; orders::ListOrdersRequest, orders::GetOrderHistoryRequest, orders::WatchOrderRequest,
            events::ReadStreamRequest, events::SubscribeRequest),
    }
}

/// As a query reads it, and then as whoever asked does.
fn view(bytes: &[u8]) -> bool {
    let Ok(stored) = StoredView::from_bytes(Some(bytes.to_vec().into())) else { return false };
    assert_eq!(stored.to_bytes().as_deref(), Some(bytes), "a stored view is its bytes");
    let view = stored.view.unwrap_or_default();
    any_of!(&view[..]; orders::Order, orders::OrderSummary, orders::GetOrderHistoryResponse, allocation::Stock,
        allocation::GetAllocationsResponse, allocation::Backorder)
}

fn checkpoint(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(state) = text.parse::<State>() else { return false };
    assert_eq!(state.to_string().parse(), Ok(state), "a checkpoint that isn't itself");
    true
}

fn token(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(token) = Token::decode(text) else { return false };
    assert!(Token::decode(&token.encode()).is_ok_and(|again| again == token), "a token that isn't itself");
    true
}

/// A list, a line feed, a token of it or of another.
fn page_token(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Some((list, token)) = text.split_once('\n') else { return projector::is_page_token(text) };
    let Ok(place) = PageToken::decode(token).and_then(|token| token.place_in(list)) else { return false };
    let again = PageToken::decode(&page_token::encode(list, &place)).and_then(|token| token.place_in(list));
    assert_eq!(again.as_ref(), Ok(&place), "a place that isn't itself");
    true
}

fn stream_id(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(id) = text.parse::<StreamId>() else { return false };
    assert_eq!(id.to_string(), text, "a stream's id is its text");
    true
}

/// Its type, a line feed, its payload. What can be read is evolved, too.
fn stored_event(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Some((event_type, payload)) = text.split_once('\n') else { return false };
    let Ok(event) = Event::from_stored(event_type, payload) else { return false };
    let again = Event::from_stored(event.event_type(), &event.payload());
    assert!(again.is_ok_and(|again| again == event), "an event that isn't itself");
    true
}

fn snapshot(bytes: &[u8]) -> bool {
    let Ok(snapshot) = serde_json::from_slice::<Snapshot>(bytes) else { return false };
    StreamState::from_snapshot(snapshot);
    true
}

/// Arguments, a line each.
fn settings(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let arguments = || text.lines();
    command_service::CommandLine::try_parse_from(arguments()).is_ok()
        | projector::CommandLine::try_parse_from(arguments()).is_ok()
        | query_service::CommandLine::try_parse_from(arguments()).is_ok()
}
