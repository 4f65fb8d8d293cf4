//! The rules once more: slow, obvious and on plain lists, with no thought of events. The properties compare it with the real thing.

use std::collections::BTreeMap;

use crate::product::{BatchPicture, Picture};
use crate::{Command, Item, is_own_order_id};

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) stock: BTreeMap<String, Picture>,
    pub(super) orders: BTreeMap<String, Kept>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kept {
    Elsewhere,
    Open(Vec<Item>),
    Cancelled,
    Shipped,
}

type Reason = &'static str;

impl Model {
    /// Does what the command asks, or says why not.
    pub(super) fn execute(&mut self, command: &Command) -> Result<(), Reason> {
        match command.clone() {
            Command::CreateBatch { batch_ref, sku, quantity, eta } => {
                if self.sku_of(&batch_ref).is_some() {
                    return Err("BATCH_EXISTS");
                }
                let picture = self.stock.entry(sku).or_default();
                picture.batches.push(BatchPicture { batch_ref, quantity, eta, lines: vec![] });
                picture.serve();
            }
            Command::ReceiveBatch { batch_ref } => {
                let sku = self.sku_of(&batch_ref).ok_or("BATCH_NOT_FOUND")?;
                self.picture(&sku).batch(&batch_ref).eta = None;
            }
            Command::ChangeBatchQuantity { batch_ref, quantity } => {
                let sku = self.sku_of(&batch_ref).ok_or("BATCH_NOT_FOUND")?;
                let picture = self.picture(&sku);
                let batch = picture.batch(&batch_ref);
                batch.quantity = quantity;
                let mut taken = vec![];
                while batch.allocated() > quantity {
                    taken.push(batch.lines.pop().expect("something is allocated"));
                }
                for line in taken.into_iter().rev() {
                    picture.place(line);
                }
                picture.serve();
            }
            Command::Allocate { order_id, sku, quantity } => {
                if !self.stock.contains_key(&sku) {
                    return Err("INVALID_SKU");
                }
                match self.orders.get(&order_id) {
                    None if is_own_order_id(&order_id) => {
                        self.orders.insert(order_id.clone(), Kept::Elsewhere);
                    }
                    None | Some(Kept::Elsewhere) => {}
                    Some(Kept::Cancelled) => return Err("ORDER_CANCELLED"),
                    Some(Kept::Shipped) => return Err("ORDER_SHIPPED"),
                    Some(Kept::Open(items)) => match items.iter().find(|item| item.sku == sku) {
                        None => return Err("NOT_IN_ORDER"),
                        Some(item) if item.quantity != quantity => return Err("LINE_DIFFERS"),
                        Some(_) => {}
                    },
                }
                let picture = self.picture(&sku);
                match picture.quantity_of(&order_id) {
                    None => picture.place((order_id, quantity)),
                    Some(same) if same == quantity => {}
                    Some(_) => return Err("LINE_DIFFERS"),
                }
            }
            Command::Deallocate { order_id, sku } => {
                if !self.stock.contains_key(&sku) {
                    return Err("INVALID_SKU");
                }
                match self.orders.get(&order_id) {
                    Some(Kept::Cancelled) => return Err("ORDER_CANCELLED"),
                    Some(Kept::Shipped) => return Err("ORDER_SHIPPED"),
                    None | Some(Kept::Elsewhere | Kept::Open(_)) => {}
                }
                let picture = self.picture(&sku);
                picture.quantity_of(&order_id).ok_or("ALLOCATION_NOT_FOUND")?;
                picture.remove(&order_id);
                picture.serve();
            }
            Command::CreateOrder { order_id, items, .. } => {
                if self.orders.contains_key(&order_id) {
                    return Err("ORDER_EXISTS");
                }
                if items.iter().any(|item| !self.stock.contains_key(&item.sku)) {
                    return Err("INVALID_SKU");
                }
                for Item { sku, quantity, .. } in &items {
                    self.picture(sku).place((order_id.clone(), *quantity));
                }
                self.orders.insert(order_id, Kept::Open(items));
            }
            Command::CancelOrder { order_id, .. } => match self.orders.get(&order_id).cloned() {
                None | Some(Kept::Elsewhere) => return Err("ORDER_NOT_FOUND"),
                Some(Kept::Shipped) => return Err("ORDER_SHIPPED"),
                Some(Kept::Cancelled) => {}
                Some(Kept::Open(items)) => {
                    for Item { sku, .. } in items {
                        self.picture(&sku).remove(&order_id);
                        self.picture(&sku).serve();
                    }
                    self.orders.insert(order_id, Kept::Cancelled);
                }
            },
            Command::ShipOrder { order_id } => match self.orders.get(&order_id).cloned() {
                None | Some(Kept::Elsewhere) => return Err("ORDER_NOT_FOUND"),
                Some(Kept::Cancelled) => return Err("ORDER_CANCELLED"),
                Some(Kept::Shipped) => {}
                Some(Kept::Open(items)) => {
                    if !items.iter().all(|item| self.picture(&item.sku).holds_in_warehouse(&order_id)) {
                        return Err("ITEMS_NOT_IN_STOCK");
                    }
                    for Item { sku, quantity, .. } in items {
                        self.picture(&sku).batch_of(&order_id).quantity -= quantity;
                        self.picture(&sku).remove(&order_id);
                    }
                    self.orders.insert(order_id, Kept::Shipped);
                }
            },
        }
        Ok(())
    }

    fn sku_of(&self, batch_ref: &str) -> Option<String> {
        let has_it = |picture: &Picture| picture.batches.iter().any(|batch| batch.batch_ref == batch_ref);
        self.stock.iter().find(|(_, picture)| has_it(picture)).map(|(sku, _)| sku.clone())
    }

    fn picture(&mut self, sku: &str) -> &mut Picture {
        self.stock.get_mut(sku).expect("a known sku")
    }
}

impl Picture {
    fn batch(&mut self, batch_ref: &str) -> &mut BatchPicture {
        self.batches.iter_mut().find(|batch| batch.batch_ref == batch_ref).expect("a batch")
    }

    fn batch_of(&mut self, order_id: &str) -> &mut BatchPicture {
        self.batches
            .iter_mut()
            .find(|batch| batch.lines.iter().any(|(id, _)| id == order_id))
            .expect("an allocated line")
    }

    fn holds_in_warehouse(&self, order_id: &str) -> bool {
        self.batches.iter().any(|batch| batch.eta.is_none() && batch.lines.iter().any(|(id, _)| id == order_id))
    }

    fn quantity_of(&self, order_id: &str) -> Option<u32> {
        let lines = self.batches.iter().flat_map(|batch| &batch.lines).chain(&self.waiting);
        lines.filter(|(id, _)| id == order_id).map(|(_, quantity)| *quantity).next()
    }

    fn remove(&mut self, order_id: &str) {
        self.batches.iter_mut().for_each(|batch| batch.lines.retain(|(id, _)| id != order_id));
        self.waiting.retain(|(id, _)| id != order_id);
    }

    /// The batch that the rules choose for a line of this quantity.
    pub(super) fn choice(&mut self, quantity: u32) -> Option<&mut BatchPicture> {
        // A stable sort: ties stay by arrival.
        let mut by_preference: Vec<_> = self.batches.iter_mut().collect();
        by_preference.sort_by_key(|batch| (batch.eta.is_some(), batch.eta));
        by_preference.into_iter().find(|batch| batch.free() >= quantity)
    }

    fn place(&mut self, line: (String, u32)) {
        match self.choice(line.1) {
            Some(batch) => batch.lines.push(line),
            None => self.waiting.push(line),
        }
    }

    fn serve(&mut self) {
        for line in std::mem::take(&mut self.waiting) {
            self.place(line);
        }
    }
}
