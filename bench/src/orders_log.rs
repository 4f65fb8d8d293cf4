//! A log of many orders, each of one line: two events each, behind the batches of some products. Made by its owner with a few statements, as the long
//! log is.

use anyhow::Result;
use tally_event_store::migrate;

use crate::long_log::run_in_parallel;
use crate::stage::Stage;
use crate::subjects::tally::log_name;

const DATABASE: &str = "tally_orders";
/// Products.
pub(crate) const SKUS: u64 = 10_000;
const APPEND: &str = include_str!("orders_log/append.sql");

/// Such a log.
#[derive(Debug)]
pub(crate) struct OrdersLog {
    pub(crate) url: String,
    pub(crate) events: u64,
}

/// Makes it.
pub(crate) async fn make(stage: &Stage) -> Result<OrdersLog> {
    let url = stage.servers.empty_database(DATABASE).await?;
    migrate(&url, &log_name()?).await?;
    let orders = stage.args.orders;
    run_in_parallel(stage, &url, APPEND, (0, orders - 1), &[("skus", SKUS)], SKUS + 2 * orders).await?;
    Ok(OrdersLog { url, events: SKUS + 2 * orders })
}

/// The id of an order of it, counted from 0.
pub(crate) fn order_id(number: u64) -> String {
    format!("00000000-0000-7000-8000-{number:012}")
}
