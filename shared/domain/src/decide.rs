//! From a command to events, over all streams that it touches: what is in one stream alone is decided in that aggregate's module.

use crate::batch::{self, Batch};
use crate::order::{self, Order};
use crate::product::{self, Placement, Product};
use crate::{Command, Date, Event, Item, PostalAddress, Rejection, States, StreamId, StreamState, is_own_order_id};

/// How many batches a SKU may have.
pub const BATCHES_PER_SKU_MAX: usize = 10_000;
/// How many events a command may make.
pub const EVENTS_PER_COMMAND_MAX: usize = 100_000;

/// What a command comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The stream that the receipt names.
    pub stream: StreamId,
    /// To append, in this order. Empty: it changes nothing.
    pub events: Vec<(StreamId, Event)>,
    /// Where `events` is empty: what holds already, for the answer; not to append.
    pub standing: Vec<Event>,
}

/// The streams that `command` needs and `states` lacks. Empty: [`decide`] may be called. Ask again after loading: what is found in
/// one may name others.
pub fn missing_streams(command: &Command, states: &impl States) -> Vec<StreamId> {
    let mut streams = needed_streams(command, states);
    streams.retain(|id| states.get(id).is_none());
    streams
}

/// Decides a command.
///
/// # Panics
///
/// When a stream that [`missing_streams`] names was not loaded: a decision on less would be a wrong one.
pub fn decide(command: &Command, states: &impl States) -> Result<Decision, Rejection> {
    let decision = match command {
        Command::CreateBatch { batch_ref, sku, quantity, eta } => {
            create_batch(states, batch_ref, sku, *quantity, *eta)?
        }
        Command::ReceiveBatch { batch_ref } => {
            let sku = sku_of(states, batch_ref)?;
            let received = product(states, sku).receive_batch(batch_ref)?;
            Decision::of_product(sku, received)
        }
        Command::ChangeBatchQuantity { batch_ref, quantity } => {
            let sku = sku_of(states, batch_ref)?;
            let events = product(states, sku).change_batch_quantity(batch_ref, *quantity)?;
            Decision::of_product(sku, events)
        }
        Command::Allocate { order_id, sku, quantity } => allocate(states, order_id, sku, *quantity)?,
        Command::Deallocate { order_id, sku } => deallocate(states, order_id, sku)?,
        Command::CreateOrder { order_id, customer_id, items, shipping_address } => {
            create_order(states, order_id, customer_id, items, shipping_address)?
        }
        Command::CancelOrder { order_id, reason } => cancel_order(states, order_id, reason)?,
        Command::ShipOrder { order_id } => ship_order(states, order_id)?,
    };
    if decision.events.len() > EVENTS_PER_COMMAND_MAX {
        return Err(Rejection::CommandTooLarge);
    }
    Ok(decision)
}

fn create_batch(
    states: &impl States,
    batch_ref: &str,
    sku: &str,
    quantity: u32,
    eta: Option<Date>,
) -> Result<Decision, Rejection> {
    if batch(states, batch_ref).sku().is_some() {
        return Err(Rejection::BatchExists { batch_ref: batch_ref.to_owned() });
    }
    let claimed = batch::Event::BatchRefClaimed { batch_ref: batch_ref.to_owned(), sku: sku.to_owned() };
    let mut decision = Decision::on(StreamId::Product(sku.to_owned()));
    decision.add(&StreamId::Batch(batch_ref.to_owned()), [Event::Batch(claimed)]);
    decision.add_to_product(sku, product(states, sku).create_batch(batch_ref, quantity, eta)?);
    Ok(decision)
}

fn allocate(states: &impl States, order_id: &str, sku: &str, quantity: u32) -> Result<Decision, Rejection> {
    let product = product(states, sku);
    product.check_known()?;
    let mut decision = Decision::on(StreamId::Product(sku.to_owned()));
    if is_own_order_id(order_id) {
        let registered = order(states, order_id).admit(order_id, sku, quantity)?;
        decision.add(&StreamId::Order(order_id.to_owned()), registered.map(Event::Order));
    }
    match product.allocate(order_id, quantity)? {
        Placement::New(event) => decision.add_to_product(sku, [event]),
        Placement::Standing(event) => decision.standing.push(Event::Product(event)),
    }
    Ok(decision)
}

fn deallocate(states: &impl States, order_id: &str, sku: &str) -> Result<Decision, Rejection> {
    let product = product(states, sku);
    product.check_known()?;
    if is_own_order_id(order_id) {
        order(states, order_id).check_not_closed(order_id)?;
    }
    Ok(Decision::of_product(sku, product.deallocate(order_id)?))
}

fn create_order(
    states: &impl States,
    order_id: &str,
    customer_id: &str,
    items: &[Item],
    shipping_address: &PostalAddress,
) -> Result<Decision, Rejection> {
    let created = order(states, order_id).create(order_id, customer_id, items, shipping_address)?;
    let mut decision = Decision::of_order(order_id, [created]);
    for Item { sku, quantity, unit_price: _ } in items {
        let product = product(states, sku);
        product.check_known()?;
        decision.add_to_product(sku, [product.place(order_id, *quantity)]);
    }
    Ok(decision)
}

fn cancel_order(states: &impl States, order_id: &str, reason: &str) -> Result<Decision, Rejection> {
    let order = order(states, order_id);
    let mut decision = Decision::of_order(order_id, order.cancel(order_id, reason)?);
    for line in order.open_lines() {
        decision.add_to_product(&line.sku, product(states, &line.sku).free(order_id));
        if decision.events.len() > EVENTS_PER_COMMAND_MAX {
            break;
        }
    }
    Ok(decision)
}

fn ship_order(states: &impl States, order_id: &str) -> Result<Decision, Rejection> {
    let order = order(states, order_id);
    let mut decision = Decision::of_order(order_id, order.ship(order_id)?);
    for line in order.open_lines() {
        decision.add_to_product(&line.sku, [product(states, &line.sku).ship(order_id)?]);
    }
    Ok(decision)
}

impl Decision {
    fn on(stream: StreamId) -> Decision {
        Decision { stream, events: Vec::new(), standing: Vec::new() }
    }

    fn of_order(order_id: &str, events: impl IntoIterator<Item = order::Event>) -> Decision {
        let stream = StreamId::Order(order_id.to_owned());
        let mut decision = Decision::on(stream.clone());
        decision.add(&stream, events.into_iter().map(Event::Order));
        decision
    }

    fn of_product(sku: &str, events: impl IntoIterator<Item = product::Event>) -> Decision {
        let mut decision = Decision::on(StreamId::Product(sku.to_owned()));
        decision.add_to_product(sku, events);
        decision
    }

    fn add_to_product(&mut self, sku: &str, events: impl IntoIterator<Item = product::Event>) {
        self.add(&StreamId::Product(sku.to_owned()), events.into_iter().map(Event::Product));
    }

    fn add(&mut self, stream: &StreamId, events: impl IntoIterator<Item = Event>) {
        self.events.extend(events.into_iter().map(|event| (stream.clone(), event)));
    }
}

/// All that is read for a command, as far as the loaded states tell. With nothing missing: all that its decision rests on.
pub fn needed_streams(command: &Command, states: &impl States) -> Vec<StreamId> {
    let product = |sku: &str| StreamId::Product(sku.to_owned());
    match command {
        Command::CreateBatch { batch_ref, sku, .. } => vec![StreamId::Batch(batch_ref.clone()), product(sku)],
        Command::ReceiveBatch { batch_ref } | Command::ChangeBatchQuantity { batch_ref, .. } => {
            let mut streams = vec![StreamId::Batch(batch_ref.clone())];
            if let Some(StreamState::Batch(batch)) = states.get(&streams[0]) {
                streams.extend(batch.sku().map(product));
            }
            streams
        }
        Command::Allocate { order_id, sku, .. } | Command::Deallocate { order_id, sku } => {
            let mut streams = vec![product(sku)];
            streams.extend(is_own_order_id(order_id).then(|| StreamId::Order(order_id.clone())));
            streams
        }
        Command::CreateOrder { order_id, items, .. } => {
            let mut streams = vec![StreamId::Order(order_id.clone())];
            streams.extend(items.iter().map(|item| product(&item.sku)));
            streams
        }
        Command::CancelOrder { order_id, .. } | Command::ShipOrder { order_id } => {
            let mut streams = vec![StreamId::Order(order_id.clone())];
            if let Some(StreamState::Order(order)) = states.get(&streams[0]) {
                streams.extend(order.open_lines().iter().map(|line| product(&line.sku)));
            }
            streams
        }
    }
}

/// The stream whose version a command's receipt names, if it can be told: that of a batch is its product's. All that the command needs must be loaded.
pub fn named_stream(command: &Command, states: &impl States) -> Option<StreamId> {
    match command {
        Command::CreateBatch { sku, .. } | Command::Allocate { sku, .. } | Command::Deallocate { sku, .. } => {
            Some(StreamId::Product(sku.clone()))
        }
        Command::ReceiveBatch { batch_ref } | Command::ChangeBatchQuantity { batch_ref, .. } => {
            batch(states, batch_ref).sku().map(|sku| StreamId::Product(sku.to_owned()))
        }
        Command::CreateOrder { order_id, .. }
        | Command::CancelOrder { order_id, .. }
        | Command::ShipOrder { order_id } => Some(StreamId::Order(order_id.clone())),
    }
}

fn sku_of<'a>(states: &'a impl States, batch_ref: &str) -> Result<&'a str, Rejection> {
    batch(states, batch_ref).sku().ok_or_else(|| Rejection::BatchNotFound { batch_ref: batch_ref.to_owned() })
}

fn order<'a>(states: &'a impl States, order_id: &str) -> &'a Order {
    let id = StreamId::Order(order_id.to_owned());
    match states.get(&id) {
        Some(StreamState::Order(order)) => order,
        Some(StreamState::Product(_) | StreamState::Batch(_)) | None => not_loaded(&id),
    }
}

fn product<'a>(states: &'a impl States, sku: &str) -> &'a Product {
    let id = StreamId::Product(sku.to_owned());
    match states.get(&id) {
        Some(StreamState::Product(product)) => product,
        Some(StreamState::Order(_) | StreamState::Batch(_)) | None => not_loaded(&id),
    }
}

fn batch<'a>(states: &'a impl States, batch_ref: &str) -> &'a Batch {
    let id = StreamId::Batch(batch_ref.to_owned());
    match states.get(&id) {
        Some(StreamState::Batch(batch)) => batch,
        Some(StreamState::Order(_) | StreamState::Product(_)) | None => not_loaded(&id),
    }
}

fn not_loaded(id: &StreamId) -> ! {
    panic!("decide() was called before {id} was loaded")
}
