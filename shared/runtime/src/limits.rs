//! The limits of what a request may hold, each named once. Protos and docs quote these numbers.

use std::time::Duration;

/// Characters in an identifier that a caller chooses: order_id, customer_id, sku, batch_ref, stream_id.
pub const IDENTIFIER_CHARS_MAX: usize = 128;
/// Characters in a reason for a cancellation.
pub const REASON_CHARS_MAX: usize = 500;
/// Lines in one order.
pub const ITEMS_PER_ORDER_MAX: usize = 200;
/// Pieces in a line or a batch.
pub const QUANTITY_MAX: i32 = 1_000_000;
/// Characters in each text of a postal address.
pub const ADDRESS_TEXT_CHARS_MAX: usize = 200;
/// Entries in each list of a postal address.
pub const ADDRESS_LINES_MAX: usize = 10;
/// Characters in a token of ours that a caller gives back.
pub const TOKEN_CHARS_MAX: usize = 512;
/// Orders in a page when the caller doesn't say.
pub const PAGE_SIZE_DEFAULT: usize = 50;
/// Orders in a page at the most; a larger `page_size` counts as this.
pub const PAGE_SIZE_MAX: usize = 500;
/// How long a query waits for `read_after` when the caller doesn't say.
pub const WAIT_DEFAULT: Duration = Duration::from_secs(5);
/// How long a query may be told to wait.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// Bytes in a request message; tonic's own default, named so that it can be quoted.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Field violations in one error: the rest is counted, so that an error is never larger than what caused it.
pub const VIOLATIONS_MAX: usize = 100;
