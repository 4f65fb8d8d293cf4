//! What was decided, as responses: always a function of events, so that a first answer and a replayed one can't differ.

use tally_api::allocation::v1::{LineOutcome, LineStatus};
use tally_api::consistency::v1 as consistency;
use tally_domain::{Event, product};
use tally_receipt::Token;

use crate::sequencer::Receipt;

pub(crate) fn receipt(receipt: &Receipt) -> consistency::Receipt {
    consistency::Receipt {
        token: Token { log_id: receipt.log_id, position: receipt.position }.encode(),
        stream_id: receipt.stream_id.clone(),
        stream_version: receipt.stream_version.cast_signed(),
        position: receipt.position.cast_signed(),
    }
}

/// What became of each line that the events touch, in the order in which they first touch it.
pub(crate) fn line_outcomes(events: &[Event]) -> Vec<LineOutcome> {
    let mut lines: Vec<LineOutcome> = Vec::new();
    // A command may touch many thousand lines, so they are found by key and not by a scan.
    let mut index = std::collections::HashMap::new();
    for event in events {
        let Event::Product(event) = event else { continue };
        let Some(line) = touched_line(event) else { continue };
        let key = (line.order_id.clone(), line.sku.clone());
        match index.get(&key).and_then(|at: &usize| lines.get_mut(*at)) {
            Some(known) => {
                known.status = line.status;
                known.batch_ref = line.batch_ref;
            }
            None => {
                index.insert(key, lines.len());
                lines.push(line);
            }
        }
    }
    lines
}

/// The one line that an Allocate is about.
pub(crate) fn line_outcome(events: &[Event]) -> Option<LineOutcome> {
    line_outcomes(events).into_iter().next()
}

fn touched_line(event: &product::Event) -> Option<LineOutcome> {
    match event {
        product::Event::Allocated { order_id, sku, batch_ref, quantity, from_backorder: _ } => {
            Some(line(order_id, sku, *quantity, LineStatus::Allocated, batch_ref))
        }
        product::Event::OutOfStock { order_id, sku, quantity } => {
            Some(line(order_id, sku, *quantity, LineStatus::Backordered, ""))
        }
        product::Event::Deallocated { order_id, sku, quantity, batch_ref } => Some(LineOutcome {
            previous_batch_ref: batch_ref.clone().unwrap_or_default(),
            ..line(order_id, sku, *quantity, LineStatus::Released, "")
        }),
        product::Event::Shipped { order_id, sku, batch_ref, quantity } => {
            Some(line(order_id, sku, *quantity, LineStatus::Shipped, batch_ref))
        }
        product::Event::BatchCreated { .. }
        | product::Event::BatchQuantityChanged { .. }
        | product::Event::BatchReceived { .. } => None,
    }
}

fn line(order_id: &str, sku: &str, quantity: u32, status: LineStatus, batch_ref: &str) -> LineOutcome {
    LineOutcome {
        order_id: order_id.to_owned(),
        sku: sku.to_owned(),
        quantity: quantity.cast_signed(),
        status: status.into(),
        batch_ref: batch_ref.to_owned(),
        previous_batch_ref: String::new(),
    }
}
