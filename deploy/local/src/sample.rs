use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tally_api::allocation::v1::CreateBatchRequest;
use tally_api::allocation::v1::allocation_command_service_client::AllocationCommandServiceClient;
use tally_api::google::r#type::{Date, Money, PostalAddress};
use tally_api::orders::v1::order_command_service_client::OrderCommandServiceClient;
use tally_api::orders::v1::{CreateOrderRequest, Item};
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

const CALL_WITHIN: Duration = Duration::from_secs(10);
/// The command ids are fixed: a sample that was interrupted is put in again, and what is there already stays as it is.
const FIRST_COMMAND_ID: u128 = 0x0192_f0c1_7e1b_7c11_8d2e_0000_0000_0000;

const TABLE: &str = "SMALL-TABLE";
const CHAIR: &str = "RED-CHAIR";
const LAMP: &str = "TALL-LAMP";
const DUE: Date = Date { year: 2035, month: 1, day: 2 };

/// Puts a few batches and orders in, through the public API.
pub(crate) async fn put(command_service: SocketAddr) -> Result<()> {
    let endpoint = Endpoint::try_from(format!("http://{command_service}"))?.timeout(CALL_WITHIN);
    let channel = endpoint.connect().await.context("can't reach command-service")?;
    put_batches(channel.clone()).await?;
    put_orders(channel).await
}

async fn put_batches(channel: Channel) -> Result<()> {
    let mut client = AllocationCommandServiceClient::new(channel);
    let batches = [(TABLE, 100, None), (TABLE, 50, Some(DUE)), (CHAIR, 20, None), (LAMP, 10, Some(DUE))];
    for (number, (sku, quantity, eta)) in (1..).zip(batches) {
        let batch = CreateBatchRequest {
            command_id: command_id(number),
            batch_ref: format!("{sku}-{number}"),
            sku: sku.to_owned(),
            quantity,
            eta,
            ..CreateBatchRequest::default()
        };
        client.create_batch(batch).await.with_context(|| format!("a batch of {sku} was refused"))?;
    }
    Ok(())
}

/// The third one waits: there are not as many chairs.
async fn put_orders(channel: Channel) -> Result<()> {
    let mut client = OrderCommandServiceClient::new(channel);
    let orders = [
        ("c-17", vec![item(TABLE, 2, 49), item(CHAIR, 8, 19)]),
        ("c-17", vec![item(LAMP, 1, 35)]),
        ("c-23", vec![item(CHAIR, 25, 19), item(TABLE, 1, 49)]),
    ];
    for (number, (customer, items)) in (101..).zip(orders) {
        let order = CreateOrderRequest {
            command_id: command_id(number),
            customer_id: customer.to_owned(),
            items,
            shipping_address: Some(PostalAddress {
                region_code: "DE".to_owned(),
                postal_code: "10115".to_owned(),
                locality: "Berlin".to_owned(),
                address_lines: vec!["Chausseestr. 1".to_owned()],
                ..PostalAddress::default()
            }),
            ..CreateOrderRequest::default()
        };
        client.create_order(order).await.with_context(|| format!("an order of {customer} was refused"))?;
    }
    Ok(())
}

fn command_id(number: u128) -> String {
    Uuid::from_u128(FIRST_COMMAND_ID + number).to_string()
}

fn item(sku: &str, quantity: i32, euros: i64) -> Item {
    let unit_price = Money { currency_code: "EUR".to_owned(), units: euros, nanos: 900_000_000 };
    Item { sku: sku.to_owned(), quantity, unit_price: Some(unit_price) }
}
