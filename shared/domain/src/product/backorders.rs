use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::iter;
use std::sync::Arc;

/// The lines that wait, by quantity and then by arrival, so that serving them never looks at one that can't fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Backorders {
    by_quantity: BTreeMap<u32, BTreeMap<u64, Arc<str>>>,
    len: usize,
}

impl Backorders {
    pub(super) fn insert(&mut self, quantity: u32, arrival: u64, order_id: Arc<str>) {
        self.by_quantity.entry(quantity).or_default().insert(arrival, order_id);
        self.len += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn remove(&mut self, quantity: u32, arrival: u64) {
        if let Some(queue) = self.by_quantity.get_mut(&quantity) {
            self.len -= usize::from(queue.remove(&arrival).is_some());
            if queue.is_empty() {
                self.by_quantity.remove(&quantity);
            }
        }
    }

    /// The lines that a batch with `free` pieces left serves: first come first served, passing over those that don't fit.
    pub(super) fn served_by(&self, mut free: u32) -> impl Iterator<Item = (&Arc<str>, u32)> {
        let first_of_each_quantity = self
            .by_quantity
            .range(..=free)
            .filter_map(|(&quantity, queue)| queue.first_key_value().map(|(&arrival, _)| Reverse((arrival, quantity))));
        let mut next: BinaryHeap<_> = first_of_each_quantity.collect();
        iter::from_fn(move || {
            while let Some(Reverse((arrival, quantity))) = next.pop() {
                // What no longer fits never will again, nor will those behind it with the same quantity: `free` only shrinks.
                if quantity <= free {
                    free -= quantity;
                    let mut queue = self.by_quantity.get(&quantity)?.range(arrival..);
                    let (_, order_id) = queue.next()?;
                    next.extend(queue.next().map(|(&arrival, _)| Reverse((arrival, quantity))));
                    return Some((order_id, quantity));
                }
            }
            None
        })
    }
}

#[cfg(test)]
impl Backorders {
    /// (quantity, arrival, order id) of each.
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, u64, Arc<str>)> {
        self.by_quantity
            .iter()
            .flat_map(|(&quantity, queue)| queue.iter().map(move |(&arrival, id)| (quantity, arrival, id.clone())))
    }
}
