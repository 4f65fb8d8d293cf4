//! A SKU's stock: its batches, and what is available, allocated and waited for.

use tally_api::allocation::v1::{AvailableByDate, Batch, Stock};
use tally_domain::Event;
use tally_domain::product::Event as ProductEvent;
use tally_read_model::projections;

use crate::projection::{Handles, Projection, Unfoldable, Unread};
use crate::{Recorded, proto};

/// Stock by SKU.
pub(crate) struct Stocks;

impl Projection for Stocks {
    type View = Stock;

    const NAME: &'static str = projections::STOCK;

    const HANDLES: Handles = Handles::Types(&[
        "BatchCreated",
        "BatchQuantityChanged",
        "BatchReceived",
        "Allocated",
        "Deallocated",
        "OutOfStock",
        "Shipped",
    ]);

    fn key(recorded: &Recorded) -> Option<String> {
        match recorded.event.as_ref().ok()? {
            Event::Product(
                ProductEvent::BatchCreated { sku, .. }
                | ProductEvent::BatchQuantityChanged { sku, .. }
                | ProductEvent::BatchReceived { sku, .. }
                | ProductEvent::Allocated { sku, .. }
                | ProductEvent::Deallocated { sku, .. }
                | ProductEvent::OutOfStock { sku, .. }
                | ProductEvent::Shipped { sku, .. },
            ) => Some(sku.clone()),
            Event::Order(_) | Event::Batch(_) => None,
        }
    }

    fn key_of_unreadable(recorded: &Recorded) -> Unread {
        match recorded.stream_id.split_once('-') {
            Some(("product", sku)) => Unread::View(sku.to_owned()),
            Some(("order" | "batch", _)) => Unread::Nothing,
            _ => Unread::AnyView,
        }
    }

    fn fold(view: Option<Stock>, recorded: &Recorded) -> Result<Option<Stock>, Unfoldable> {
        let event = match recorded.event()? {
            Event::Product(event) => event,
            Event::Order(_) | Event::Batch(_) => return Ok(view),
        };
        let mut stock = match (view, event) {
            (Some(stock), _) => stock,
            (None, ProductEvent::BatchCreated { sku, .. }) => Stock { sku: sku.clone(), ..Stock::default() },
            (None, _) => return Err(Unfoldable::Unexpected("the SKU has no batch yet")),
        };
        change(&mut stock, event, recorded)?;
        sum_up(&mut stock);
        stock.version = proto::number(recorded.version);
        Ok(Some(stock))
    }
}

fn change(stock: &mut Stock, event: &ProductEvent, recorded: &Recorded) -> Result<(), Unfoldable> {
    match event {
        ProductEvent::BatchCreated { batch_ref, quantity, eta, .. } => {
            if stock.batches.iter().any(|batch| batch.batch_ref == *batch_ref) {
                return Err(Unfoldable::Unexpected("the batch is there already"));
            }
            let batch = Batch {
                batch_ref: batch_ref.clone(),
                quantity: proto::pieces(*quantity),
                eta: eta.map(proto::date),
                arrival: proto::number(recorded.position),
                ..Batch::default()
            };
            insert(stock, batch);
        }
        ProductEvent::BatchReceived { batch_ref, .. } => {
            let place = find(stock, batch_ref)?;
            let batch = stock.batches.remove(place);
            insert(stock, Batch { eta: None, ..batch });
        }
        ProductEvent::BatchQuantityChanged { batch_ref, quantity, .. } => {
            batch(stock, batch_ref)?.quantity = proto::pieces(*quantity);
        }
        ProductEvent::Allocated { batch_ref, quantity, from_backorder, .. } => {
            batch(stock, batch_ref)?.allocated += proto::pieces(*quantity);
            if *from_backorder {
                stock.backordered -= i64::from(*quantity);
            }
        }
        ProductEvent::Deallocated { batch_ref: Some(batch_ref), quantity, .. } => {
            batch(stock, batch_ref)?.allocated -= proto::pieces(*quantity);
        }
        ProductEvent::Deallocated { batch_ref: None, quantity, .. } => stock.backordered -= i64::from(*quantity),
        ProductEvent::OutOfStock { quantity, .. } => stock.backordered += i64::from(*quantity),
        ProductEvent::Shipped { batch_ref, quantity, .. } => {
            let batch = batch(stock, batch_ref)?;
            batch.quantity -= proto::pieces(*quantity);
            batch.allocated -= proto::pieces(*quantity);
        }
    }
    Ok(())
}

/// Puts a batch where it is used: in stock first, then the earliest due, ties by arrival.
fn insert(stock: &mut Stock, batch: Batch) {
    let place = stock.batches.partition_point(|other| rank(other) < rank(&batch));
    stock.batches.insert(place, batch);
}

fn rank(batch: &Batch) -> (Option<(i32, i32, i32)>, i64) {
    // None is less than Some.
    (batch.eta.map(|eta| (eta.year, eta.month, eta.day)), batch.arrival)
}

fn find(stock: &Stock, batch_ref: &str) -> Result<usize, Unfoldable> {
    let place = stock.batches.iter().position(|batch| batch.batch_ref == batch_ref);
    place.ok_or(Unfoldable::Unexpected("the SKU has no such batch"))
}

fn batch<'a>(stock: &'a mut Stock, batch_ref: &str) -> Result<&'a mut Batch, Unfoldable> {
    let place = find(stock, batch_ref)?;
    Ok(&mut stock.batches[place])
}

/// Everything that follows from the batches.
fn sum_up(stock: &mut Stock) {
    stock.allocated = 0;
    stock.available_now = 0;
    stock.available_by_date.clear();
    let mut available = 0;
    for batch in &mut stock.batches {
        batch.available = batch.quantity - batch.allocated;
        available += i64::from(batch.available);
        stock.allocated += i64::from(batch.allocated);
        let Some(date) = batch.eta else {
            stock.available_now = available;
            continue;
        };
        match stock.available_by_date.last_mut() {
            Some(row) if row.date == Some(date) => row.available = available,
            _ => stock.available_by_date.push(AvailableByDate { date: Some(date), available }),
        }
    }
}

#[cfg(test)]
mod tests;
