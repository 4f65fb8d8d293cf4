//! What each field of the API may hold, and for each rule the values that break it.

use prost_reflect::{FieldDescriptor, Kind};
use serde_json::{Value, json};

/// Entries in an order, lines of an address.
const ITEMS_MAX: usize = 200;
const ADDRESS_LINES_MAX: usize = 10;
/// Characters in an identifier, a reason, a text of an address, a token.
const IDENTIFIER_MAX: usize = 128;
const REASON_MAX: usize = 500;
const ADDRESS_TEXT_MAX: usize = 200;
const STREAM_ID_MAX: usize = IDENTIFIER_MAX + "product-".len();
const TOKEN_MAX: usize = 512;
/// Entries in a subscription's filter.
const FILTER_MAX: usize = 50;
/// What nobody sends by mistake.
const FAR_TOO_LONG: usize = 200_000;

/// What a field may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rule {
    /// Anything that its type can hold.
    Any,
    Text {
        max: usize,
        needed: bool,
    },
    /// A UUID, hyphenated.
    Uuid {
        needed: bool,
    },
    /// From `min` to a million.
    Quantity {
        min: i32,
    },
    /// From 0 or from 1.
    AtLeast(i64),
    /// Below a billion.
    Nanos,
    Currency,
    Region,
    /// One of a date's numbers; each bad one makes the date bad.
    Year,
    Month,
    Day,
    /// A message, with fields of its own.
    Nested {
        needed: bool,
    },
    List {
        max: usize,
        needed: bool,
    },
    StreamId,
    Token,
    /// Where a list goes on; empty at its beginning.
    PageToken,
    /// Above 0 s and at most 60 s.
    Timeout,
    Enum,
}

/// The rule of a field. A new field must be given one here.
pub(super) fn rule(field: &FieldDescriptor) -> Rule {
    use Rule::*;
    let identifier = Text { max: IDENTIFIER_MAX, needed: true };
    match (field.parent_message().name(), field.name()) {
        (_, "command_id") | ("CreateOrderRequest", "order_id") => Uuid { needed: false },
        (_, "validate_only") | ("PostalAddress", "revision") => Any,
        (_, "expected_version" | "page_size") => AtLeast(0),
        ("CancelOrderRequest" | "ShipOrderRequest", "order_id") => Uuid { needed: true },
        ("GetOrderRequest" | "GetOrderHistoryRequest" | "WatchOrderRequest", "order_id") => Uuid { needed: true },
        ("ListBackordersRequest", "sku") => Text { max: IDENTIFIER_MAX, needed: false },
        ("AllocateRequest" | "DeallocateRequest" | "GetAllocationsRequest", "order_id") => identifier,
        ("ListOrdersRequest", "customer_id") => Text { max: IDENTIFIER_MAX, needed: false },
        (_, "customer_id" | "sku" | "batch_ref") => identifier,
        ("CancelOrderRequest", "reason") => Text { max: REASON_MAX, needed: true },
        ("ChangeBatchQuantityRequest", "quantity") => Quantity { min: 0 },
        (_, "quantity") => Quantity { min: 1 },
        ("CreateOrderRequest", "items") => List { max: ITEMS_MAX, needed: true },
        ("CreateOrderRequest", "shipping_address") | ("Item", "unit_price") => Nested { needed: true },
        ("Money", "currency_code") => Currency,
        ("Money", "units") => AtLeast(0),
        ("Money", "nanos") => Nanos,
        ("PostalAddress", "region_code") => Region,
        ("PostalAddress", "address_lines") => List { max: ADDRESS_LINES_MAX, needed: true },
        ("PostalAddress", "recipients") => List { max: ADDRESS_LINES_MAX, needed: false },
        ("PostalAddress", _) => Text { max: ADDRESS_TEXT_MAX, needed: false },
        ("CreateBatchRequest", "eta") | (_, "read_after") | ("ReadAfter", "stream_version") => Nested { needed: false },
        ("Date", "year") => Year,
        ("Date", "month") => Month,
        ("Date", "day") => Day,
        ("ReadAfter", "token") => Token,
        ("ReadAfter", "position") => AtLeast(0),
        ("ReadAfter", "timeout") => Timeout,
        ("ReadAfter", "on_timeout") | ("ListOrdersRequest", "status") => Enum,
        ("StreamVersion", "stream_id") => StreamId,
        ("StreamVersion", "version") => AtLeast(1),
        (_, "page_token") => PageToken,
        ("ReadStreamRequest", "stream_id") => StreamId,
        ("ReadStreamRequest", "direction") => Enum,
        ("ReadStreamRequest", "from_version") | ("SubscribeRequest", "after_position") => AtLeast(0),
        ("SubscribeRequest", "after_token") => Token,
        ("SubscribeRequest", "only_new") => Any,
        ("SubscribeRequest", "event_types" | "stream_id_prefixes") => List { max: FILTER_MAX, needed: false },
        ("ListParkedEventsRequest", "projection") => Text { max: IDENTIFIER_MAX, needed: false },
        (_, "projection") => identifier,
        ("RebuildProjectionRequest", "wait_for_promotion") => Any,
        ("RetryParkedEventRequest", "position") => AtLeast(1),
        (message, field) => panic!("{message}.{field} has no rule: say what it may hold"),
    }
}

/// The rule of an entry of a list of texts.
pub(super) fn entry_rule(field: &FieldDescriptor) -> Option<Rule> {
    let max = match field.name() {
        "event_types" => IDENTIFIER_MAX,
        "stream_id_prefixes" => STREAM_ID_MAX,
        _ => ADDRESS_TEXT_MAX,
    };
    matches!(field.kind(), Kind::String).then_some(Rule::Text { max, needed: true })
}

impl Rule {
    /// Whether leaving the field out breaks it.
    pub(super) fn is_needed(self) -> bool {
        match self {
            Self::Text { needed, .. } | Self::Uuid { needed } | Self::Nested { needed } | Self::List { needed, .. } => {
                needed
            }
            Self::Quantity { min } => min > 0,
            Self::AtLeast(least) => least > 0,
            Self::Currency | Self::Region | Self::Year | Self::Month | Self::Day | Self::StreamId => true,
            Self::Any | Self::Nanos | Self::Token | Self::PageToken | Self::Timeout | Self::Enum => false,
        }
    }

    /// Values that break it. `good` is one that doesn't.
    pub(super) fn bad_values(self, good: &Value) -> Vec<Value> {
        match self {
            Self::Any | Self::Nested { .. } => vec![],
            Self::Text { max, needed } => texts(max, needed),
            Self::StreamId => {
                let mut bad = texts(STREAM_ID_MAX, true);
                bad.extend(["nonsense", "product-", "order-", "customer-1", "-LAMP"].map(Value::from));
                bad
            }
            Self::Uuid { needed } => {
                let mut bad = texts(36, needed);
                bad.extend(
                    [
                        "not-a-uuid",
                        "0192f0c17e1b7c118d2e1f2a3b4c5d6e",
                        "{0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5d6e}",
                        "urn:uuid:0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5d6e",
                        "0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5d6",
                        "0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5d6eA",
                        "0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5d6g",
                        "0192f0c1_7e1b_7c11_8d2e_1f2a3b4c5d6e",
                        "0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5dé",
                    ]
                    .map(Value::from),
                );
                bad
            }
            Self::Quantity { min } => [min - 1, -1, -1_000_000, i32::MIN, 1_000_001, i32::MAX].map(Value::from).into(),
            Self::AtLeast(least) => [least - 1, -1, i64::from(i32::MIN)].map(Value::from).into(),
            Self::Nanos => [-1, 1_000_000_000, i32::MIN, i32::MAX].map(Value::from).into(),
            Self::Currency => ["", "eur", "EU", "EURO", "E R", "€", "12A", "E\0R", "ÄÖÜ"].map(Value::from).into(),
            Self::Region => ["", "D", "DEU", "de", "D\0", "€", "d1"].map(Value::from).into(),
            Self::Year => [0, -1, 10_000, i32::MIN, i32::MAX].map(Value::from).into(),
            Self::Month => [0, -1, 13, i32::MIN, i32::MAX].map(Value::from).into(),
            // The good date is in February of a year that has no 29th.
            Self::Day => [0, -1, 29, 30, 32, i32::MIN, i32::MAX].map(Value::from).into(),
            Self::List { max, needed } => {
                let entry = &good[0];
                let of = |count: usize| Value::from(vec![entry.clone(); count]);
                let mut bad = vec![of(max + 1), of(10_000)];
                bad.extend(needed.then(|| of(0)));
                bad
            }
            Self::Token => {
                let mut bad = tokens();
                bad.push("".into());
                bad
            }
            Self::PageToken => tokens(),
            Self::Timeout => ["0s", "-1s", "-0.5s", "61s", "60.000000001s", "315576000000s"].map(Value::from).into(),
            Self::Enum => [99, -1, i32::MAX, i32::MIN].map(Value::from).into(),
        }
    }
}

fn texts(max: usize, needed: bool) -> Vec<Value> {
    let mut bad =
        ["a\0b", "\0", "a\nb", "a\tb", "\u{7}", "a\u{7f}", "a\u{85}b", "\u{1b}[31m"].map(Value::from).to_vec();
    bad.push("x".repeat(max + 1).into());
    bad.push("ü".repeat(max + 1).into());
    bad.push("x".repeat(FAR_TOO_LONG).into());
    bad.extend(needed.then(|| json!("")));
    bad
}

fn tokens() -> Vec<Value> {
    let mut bad = ["x", "garbage", "====", "AAAA", "\0", "a b", "ü", "AQ", "tally:main"].map(Value::from).to_vec();
    bad.push("A".repeat(TOKEN_MAX + 1).into());
    bad.push("A".repeat(FAR_TOO_LONG).into());
    bad
}
