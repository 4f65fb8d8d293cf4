//! What the further reads answer: histories, backorders, and the log itself. Read from the JSON form of the protos.

#![allow(missing_docs, reason = "the fields are the protos'")]

use serde::Deserialize;

use super::Freshness;
use super::types::int64;

/// Which page of what.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageOf<'a> {
    /// An order_id or a SKU.
    pub id: &'a str,
    pub page_size: i32,
    pub page_token: &'a str,
}

/// One thing that happened to an order. Times are in RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OrderChange {
    #[serde(deserialize_with = "int64")]
    pub position: i64,
    pub change_time: Option<String>,
    pub event_type: String,
    pub description: String,
    pub sku: String,
    pub quantity: i32,
    pub batch_ref: String,
    pub command_id: String,
}

/// A page of an order's history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HistoryPage {
    pub changes: Vec<OrderChange>,
    pub next_page_token: String,
    pub freshness: Freshness,
}

/// A line that waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Backorder {
    pub order_id: String,
    pub sku: String,
    pub quantity: i32,
    #[serde(deserialize_with = "int64")]
    pub position: i64,
}

/// A page of lines that wait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BackorderPage {
    pub backorders: Vec<Backorder>,
    pub next_page_token: String,
    pub freshness: Freshness,
}

/// Where an event came from, as far as tests look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EventMetadata {
    pub command_id: String,
}

/// An event of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Event {
    #[serde(deserialize_with = "int64")]
    pub position: i64,
    pub stream_id: String,
    #[serde(deserialize_with = "int64")]
    pub version: i64,
    pub event_type: String,
    pub payload_json: String,
    pub metadata: EventMetadata,
}

/// A page of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EventPage {
    pub events: Vec<Event>,
    #[serde(deserialize_with = "int64")]
    pub next_version: i64,
    pub freshness: Freshness,
}
