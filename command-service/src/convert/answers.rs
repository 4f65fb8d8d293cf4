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

#[cfg(test)]
mod tests {
    use super::*;

    fn allocated(order_id: &str, batch_ref: &str, from_backorder: bool) -> Event {
        Event::Product(product::Event::Allocated {
            order_id: order_id.into(),
            sku: "SKU".into(),
            batch_ref: batch_ref.into(),
            quantity: 2,
            from_backorder,
        })
    }

    fn deallocated(order_id: &str, batch_ref: Option<&str>) -> Event {
        Event::Product(product::Event::Deallocated {
            order_id: order_id.into(),
            sku: "SKU".into(),
            quantity: 2,
            batch_ref: batch_ref.map(str::to_owned),
        })
    }

    #[test]
    fn a_line_that_moves_is_one_outcome_that_says_from_where_to_where() {
        let outcomes = line_outcomes(&[deallocated("o-1", Some("b-1")), allocated("o-1", "b-2", false)]);
        let [line] = outcomes.as_slice() else { panic!("one line: {outcomes:?}") };
        assert_eq!((line.status(), line.batch_ref.as_str()), (LineStatus::Allocated, "b-2"));
        assert_eq!(line.previous_batch_ref, "b-1");
    }

    #[test]
    fn a_line_that_falls_back_has_no_batch_any_more() {
        let backordered = product::Event::OutOfStock { order_id: "o-1".into(), sku: "SKU".into(), quantity: 2 };
        let outcomes = line_outcomes(&[deallocated("o-1", Some("b-1")), Event::Product(backordered)]);
        let [line] = outcomes.as_slice() else { panic!("one line: {outcomes:?}") };
        assert_eq!((line.status(), line.batch_ref.as_str()), (LineStatus::Backordered, ""));
        assert_eq!(line.previous_batch_ref, "b-1");
    }

    #[test]
    fn the_freed_line_comes_first_then_those_that_got_its_stock() {
        let outcomes = line_outcomes(&[deallocated("o-1", Some("b-1")), allocated("o-2", "b-1", true)]);
        let statuses: Vec<_> = outcomes.iter().map(|line| (line.order_id.as_str(), line.status())).collect();
        assert_eq!(statuses, [("o-1", LineStatus::Released), ("o-2", LineStatus::Allocated)]);
    }
}
