//! Requests and answers as plain values. What derives `Deserialize` does so from proto3's JSON.

#![allow(missing_docs, reason = "the fields are those of the protos, which document them")]

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::PATIENCE;

/// A calendar date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default)]
pub struct Date {
    pub year: i32,
    pub month: i32,
    pub day: i32,
}

impl Date {
    /// Any three numbers.
    pub fn new(year: i32, month: i32, day: i32) -> Self {
        Self { year, month, day }
    }

    /// Today, in UTC.
    pub fn today() -> Self {
        let today = time::OffsetDateTime::now_utc().date();
        Self::new(today.year(), u8::from(today.month()).into(), today.day().into())
    }
}

/// An amount of money.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Money {
    pub currency_code: String,
    #[serde(deserialize_with = "int64")]
    pub units: i64,
    pub nanos: i32,
}

impl Money {
    /// Euros and their billionths.
    pub fn euros(units: i64, nanos: i32) -> Self {
        Self { currency_code: "EUR".to_owned(), units, nanos }
    }
}

/// Where an order goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Address {
    pub region_code: String,
    pub postal_code: String,
    pub locality: String,
    pub address_lines: Vec<String>,
    pub recipients: Vec<String>,
    pub organization: String,
}

impl Address {
    /// One that every order may have.
    pub fn of_a_test() -> Self {
        Self {
            region_code: "DE".to_owned(),
            postal_code: "10115".to_owned(),
            locality: "Berlin".to_owned(),
            address_lines: vec!["Chausseestr. 1".to_owned()],
            recipients: vec!["A. Muster".to_owned()],
            organization: "Muster GmbH".to_owned(),
        }
    }
}

/// A line of an order that is to be created.
#[derive(Clone, Debug)]
pub struct NewItem {
    pub sku: String,
    pub quantity: i32,
    pub unit_price: Money,
}

/// An order that is to be created.
#[derive(Clone, Debug)]
pub struct NewOrder {
    /// Empty for the service to choose.
    pub order_id: String,
    pub customer_id: String,
    pub items: Vec<NewItem>,
    pub shipping_address: Address,
}

impl NewOrder {
    /// An order of `lines`, each piece at 1.50 euros.
    pub fn of(customer_id: &str, lines: &[(&str, i32)]) -> Self {
        let item = |&(sku, quantity): &(&str, i32)| NewItem {
            sku: sku.to_owned(),
            quantity,
            unit_price: Money::euros(1, 500_000_000),
        };
        Self {
            order_id: String::new(),
            customer_id: customer_id.to_owned(),
            items: lines.iter().map(item).collect(),
            shipping_address: Address::of_a_test(),
        }
    }
}

/// What a command did to the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Receipt {
    pub token: String,
    pub stream_id: String,
    #[serde(deserialize_with = "int64")]
    pub stream_version: i64,
    #[serde(deserialize_with = "int64")]
    pub position: i64,
}

/// What became of one line in a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Line {
    pub order_id: String,
    pub sku: String,
    pub quantity: i32,
    pub status: String,
    pub batch_ref: String,
    pub previous_batch_ref: String,
}

/// The answer to any command. `line` is Allocate's, `lines` are the others'.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Outcome {
    pub receipt: Option<Receipt>,
    pub order_id: String,
    pub line: Option<Line>,
    pub lines: Vec<Line>,
}

impl Outcome {
    /// The receipt.
    ///
    /// # Panics
    /// When there is none, which only `validate_only` may cause.
    pub fn receipt(&self) -> &Receipt {
        self.receipt.as_ref().expect("a command that was carried out has a receipt")
    }

    /// A query that must have seen this command, however busy the machine is.
    pub fn seen(&self) -> ReadAfter {
        ReadAfter::token(&self.receipt().token).at_most(PATIENCE)
    }
}

/// How fresh an answer is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Freshness {
    #[serde(deserialize_with = "int64")]
    pub position: i64,
    pub may_be_stale: bool,
    pub token: String,
}

/// A row of an order's allocations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Allocation {
    pub sku: String,
    pub batch_ref: String,
    pub quantity: i32,
}

impl Allocation {
    /// A row.
    pub fn new(sku: &str, batch_ref: &str, quantity: i32) -> Self {
        Self { sku: sku.to_owned(), batch_ref: batch_ref.to_owned(), quantity }
    }
}

/// An order's allocations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Allocations {
    pub allocations: Vec<Allocation>,
    pub freshness: Freshness,
}

/// A batch in a SKU's stock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Batch {
    pub batch_ref: String,
    pub quantity: i32,
    pub allocated: i32,
    pub available: i32,
    pub eta: Option<Date>,
    #[serde(deserialize_with = "int64")]
    pub arrival: i64,
}

/// What can be promised by a date.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AvailableByDate {
    pub date: Date,
    #[serde(deserialize_with = "int64")]
    pub available: i64,
}

/// A SKU's stock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Stock {
    pub sku: String,
    pub batches: Vec<Batch>,
    #[serde(deserialize_with = "int64")]
    pub available_now: i64,
    pub available_by_date: Vec<AvailableByDate>,
    #[serde(deserialize_with = "int64")]
    pub allocated: i64,
    #[serde(deserialize_with = "int64")]
    pub backordered: i64,
    #[serde(deserialize_with = "int64")]
    pub version: i64,
    #[serde(skip)]
    pub freshness: Freshness,
}

impl Stock {
    /// A batch of it.
    ///
    /// # Panics
    /// When it isn't there.
    pub fn batch(&self, batch_ref: &str) -> &Batch {
        self.batches
            .iter()
            .find(|batch| batch.batch_ref == batch_ref)
            .unwrap_or_else(|| panic!("no batch {batch_ref} in {self:?}"))
    }
}

/// A line of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OrderItem {
    pub sku: String,
    pub quantity: i32,
    pub unit_price: Money,
    pub status: String,
    pub batch_ref: String,
}

/// An order. Times are in RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Order {
    pub order_id: String,
    pub customer_id: String,
    pub items: Vec<OrderItem>,
    pub shipping_address: Address,
    pub status: String,
    pub total: Money,
    pub create_time: Option<String>,
    pub ship_time: Option<String>,
    pub cancel_time: Option<String>,
    pub cancel_reason: String,
    #[serde(deserialize_with = "int64")]
    pub version: i64,
    #[serde(skip)]
    pub freshness: Freshness,
}

/// An order as a list shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OrderSummary {
    pub order_id: String,
    pub customer_id: String,
    pub status: String,
    pub total: Money,
    pub item_count: i32,
    pub create_time: Option<String>,
    #[serde(deserialize_with = "int64")]
    pub version: i64,
}

/// Which orders to list.
#[derive(Clone, Debug, Default)]
pub struct OrderFilter {
    pub customer_id: String,
    /// The enum's name, such as `ORDER_STATUS_OPEN`; empty for all.
    pub status: String,
    pub page_size: i32,
    pub page_token: String,
}

/// A page of orders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OrderPage {
    pub orders: Vec<OrderSummary>,
    pub next_page_token: String,
    pub freshness: Freshness,
}

/// What a query must have seen.
#[derive(Clone, Debug, Default)]
pub enum WaitFor {
    /// Anything.
    #[default]
    Nothing,
    /// A receipt's token.
    Token(String),
    /// A position of the log.
    Position(i64),
    /// A stream at a version.
    StreamVersion(String, i64),
}

/// What a query must have seen, and what it does when that takes too long.
#[derive(Clone, Debug, Default)]
pub struct ReadAfter {
    pub wait_for: WaitFor,
    pub timeout: Option<Duration>,
    pub or_fail: bool,
}

impl ReadAfter {
    /// Answer at once.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Wait for a token.
    pub fn token(token: &str) -> Self {
        Self { wait_for: WaitFor::Token(token.to_owned()), ..Self::default() }
    }

    /// Wait for a position.
    pub fn position(position: i64) -> Self {
        Self { wait_for: WaitFor::Position(position), ..Self::default() }
    }

    /// Wait for a stream's version.
    pub fn stream_version(stream_id: &str, version: i64) -> Self {
        Self { wait_for: WaitFor::StreamVersion(stream_id.to_owned(), version), ..Self::default() }
    }

    /// Wait no longer than this.
    #[must_use]
    pub fn at_most(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Fail when the wait is over.
    #[must_use]
    pub fn or_fail(self) -> Self {
        Self { or_fail: true, ..self }
    }
}

/// proto3's JSON writes 64-bit numbers as texts.
pub(super) fn int64<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}
