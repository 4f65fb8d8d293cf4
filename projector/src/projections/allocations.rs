//! What is allocated to an order's lines, for orders kept here and elsewhere.

use tally_api::allocation::v1::{Allocation, GetAllocationsResponse};
use tally_domain::Event;
use tally_domain::product::Event as ProductEvent;
use tally_read_model::projections;

use crate::projection::{Handles, Projection, Unfoldable, Unread};
use crate::{Recorded, proto};

/// Allocations by order_id.
pub(crate) struct Allocations;

impl Projection for Allocations {
    /// The answer, but for how fresh it is. By SKU; where it would be empty there is none.
    type View = GetAllocationsResponse;

    const NAME: &'static str = projections::ALLOCATIONS;

    const HANDLES: Handles = Handles::Types(&["Allocated", "Deallocated", "Shipped"]);

    fn key(recorded: &Recorded) -> Option<String> {
        match recorded.event.as_ref().ok()? {
            Event::Product(
                ProductEvent::Allocated { order_id, .. }
                | ProductEvent::Deallocated { order_id, .. }
                | ProductEvent::Shipped { order_id, .. },
            ) => Some(order_id.clone()),
            Event::Product(
                ProductEvent::BatchCreated { .. }
                | ProductEvent::BatchQuantityChanged { .. }
                | ProductEvent::BatchReceived { .. }
                | ProductEvent::OutOfStock { .. },
            )
            | Event::Order(_)
            | Event::Batch(_) => None,
        }
    }

    fn key_of_unreadable(recorded: &Recorded) -> Unread {
        match recorded.stream_id.split_once('-') {
            Some(("product", _)) => Unread::view(recorded.named.order_id.as_ref()),
            Some(("order" | "batch", _)) => Unread::Nothing,
            _ => Unread::AnyView,
        }
    }

    fn fold(
        view: Option<GetAllocationsResponse>,
        recorded: &Recorded,
    ) -> Result<Option<GetAllocationsResponse>, Unfoldable> {
        let event = match recorded.event()? {
            Event::Product(event) => event,
            Event::Order(_) | Event::Batch(_) => return Ok(view),
        };
        let mut allocations = view.map(|view| view.allocations).unwrap_or_default();
        match event {
            ProductEvent::Allocated { sku, batch_ref, quantity, .. } => {
                add(&mut allocations, sku, batch_ref, *quantity)?
            }
            ProductEvent::Deallocated { sku, batch_ref: Some(_), .. } | ProductEvent::Shipped { sku, .. } => {
                remove(&mut allocations, sku)?;
            }
            // The line was waiting.
            ProductEvent::Deallocated { batch_ref: None, .. }
            | ProductEvent::BatchCreated { .. }
            | ProductEvent::BatchQuantityChanged { .. }
            | ProductEvent::BatchReceived { .. }
            | ProductEvent::OutOfStock { .. } => {}
        }
        Ok((!allocations.is_empty()).then_some(GetAllocationsResponse { allocations, freshness: None }))
    }
}

fn add(allocations: &mut Vec<Allocation>, sku: &str, batch_ref: &str, quantity: u32) -> Result<(), Unfoldable> {
    match find(allocations, sku) {
        Ok(_) => Err(Unfoldable::Unexpected("the line is allocated already")),
        Err(place) => {
            let allocation =
                Allocation { sku: sku.to_owned(), batch_ref: batch_ref.to_owned(), quantity: proto::pieces(quantity) };
            allocations.insert(place, allocation);
            Ok(())
        }
    }
}

fn remove(allocations: &mut Vec<Allocation>, sku: &str) -> Result<(), Unfoldable> {
    let place = find(allocations, sku).map_err(|_| Unfoldable::Unexpected("the line is not allocated"))?;
    allocations.remove(place);
    Ok(())
}

fn find(allocations: &[Allocation], sku: &str) -> Result<usize, usize> {
    allocations.binary_search_by(|allocation| allocation.sku.as_str().cmp(sku))
}

#[cfg(test)]
mod tests;
