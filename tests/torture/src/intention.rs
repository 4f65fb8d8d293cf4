//! What a client wants: one command, the same however often it is sent.

use system_tests::client::{Answer, Date, NewOrder, Outcome, RustClient, TallyClient};

/// A command with its content.
#[derive(Clone, Debug)]
pub(crate) enum Intention {
    CreateBatch { batch_ref: String, sku: String, quantity: i32, eta: Option<Date> },
    ReceiveBatch { batch_ref: String },
    ChangeQuantity { batch_ref: String, quantity: i32 },
    Allocate { order_id: String, sku: String, quantity: i32 },
    Deallocate { order_id: String, sku: String },
    CreateOrder(NewOrder),
    CancelOrder { order_id: String },
    ShipOrder { order_id: String },
}

impl Intention {
    /// Its name in the history.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::CreateBatch { .. } => "CreateBatch",
            Self::ReceiveBatch { .. } => "ReceiveBatch",
            Self::ChangeQuantity { .. } => "ChangeBatchQuantity",
            Self::Allocate { .. } => "Allocate",
            Self::Deallocate { .. } => "Deallocate",
            Self::CreateOrder(_) => "CreateOrder",
            Self::CancelOrder { .. } => "CancelOrder",
            Self::ShipOrder { .. } => "ShipOrder",
        }
    }

    /// Sends it through a client that has the command id.
    pub(crate) async fn send(&self, client: &RustClient) -> Answer<Outcome> {
        match self {
            Self::CreateBatch { batch_ref, sku, quantity, eta } => {
                client.create_batch(batch_ref, sku, *quantity, *eta).await
            }
            Self::ReceiveBatch { batch_ref } => client.receive_batch(batch_ref).await,
            Self::ChangeQuantity { batch_ref, quantity } => client.change_batch_quantity(batch_ref, *quantity).await,
            Self::Allocate { order_id, sku, quantity } => client.allocate(order_id, sku, *quantity).await,
            Self::Deallocate { order_id, sku } => client.deallocate(order_id, sku).await,
            Self::CreateOrder(order) => client.create_order(order).await,
            Self::CancelOrder { order_id } => client.cancel_order(order_id, "torture").await,
            Self::ShipOrder { order_id } => client.ship_order(order_id).await,
        }
    }
}
