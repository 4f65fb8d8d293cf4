//! What can be wrong with an order as a whole, and with money.

use serde_json::{Value, json};

use super::requests::good;
use super::wire::{encode, methods};
use super::{Bench, one};

fn item(sku: &str, quantity: i64, currency: &str, units: i64, nanos: i64) -> Value {
    json!({"sku": sku, "quantity": quantity, "unit_price": {"currency_code": currency, "units": units, "nanos": nanos}})
}

/// Sends an order of `items` and expects exactly `fields` to be named.
async fn refused(bench: &mut Bench, what: &str, items: Vec<Value>, fields: &[&str]) {
    let create = methods().into_iter().find(|method| method.name() == "CreateOrder").unwrap();
    let mut request = good(&create.input());
    request["items"] = items.into();
    let fields = fields.iter().map(|&field| field.to_owned()).collect();
    bench.refused(what, &create, encode(&create, &request), "INVALID_FIELDS", &fields).await;
}

#[tokio::test]
async fn an_order_whose_items_do_not_go_together_is_refused() {
    let mut bench = Bench::new().await;
    let lamp = |quantity| item("LAMP", quantity, "EUR", 1, 0);

    refused(&mut bench, "a SKU twice", vec![lamp(1), lamp(2)], &["items[1].sku"]).await;
    refused(&mut bench, "a SKU three times", vec![lamp(1), lamp(2), lamp(1)], &["items[1].sku", "items[2].sku"]).await;
    let mixed = vec![lamp(1), item("TABLE", 1, "USD", 1, 0)];
    refused(&mut bench, "two currencies", mixed, &["items[1].unit_price.currency_code"]).await;
    let both = vec![lamp(0), item("TABLE", 1, "USD", 1, 0)];
    let fields = ["items[0].quantity", "items[1].unit_price.currency_code"];
    refused(&mut bench, "two currencies, and a quantity of none", both, &fields).await;
    let many = (0..10_000).map(|number| item(&format!("S{number}"), 1, "EUR", 1, 0)).collect();
    refused(&mut bench, "10,000 lines", many, &["items"]).await;
    bench.finish().await;
}

#[tokio::test]
async fn a_total_that_money_cannot_hold_is_refused() {
    let mut bench = Bench::new().await;
    let max = i64::MAX;
    let in_one_line = vec![item("LAMP", 2, "EUR", max, 0)];
    refused(&mut bench, "in one line", in_one_line, &["items[0].unit_price"]).await;
    let by_quantity = vec![item("LAMP", 1_000_000, "EUR", max / 999_999, 0)];
    refused(&mut bench, "by the quantity", by_quantity, &["items[0].unit_price"]).await;
    let over_lines = vec![item("LAMP", 1, "EUR", max, 0), item("TABLE", 1, "EUR", 1, 0)];
    refused(&mut bench, "over lines", over_lines, &["items[1].unit_price"]).await;
    let by_nanos = vec![item("LAMP", 1, "EUR", max, 999_999_999), item("TABLE", 1, "EUR", 0, 1)];
    refused(&mut bench, "by one billionth", by_nanos, &["items[1].unit_price"]).await;
    // 7 divides the largest number, so that the billionths alone are too much.
    let by_carry = vec![item("LAMP", 7, "EUR", max / 7, 999_999_999)];
    refused(&mut bench, "by the billionths that are carried", by_carry, &["items[0].unit_price"]).await;
    bench.finish().await;
}

#[tokio::test]
async fn a_date_that_is_not_in_the_calendar_is_refused() {
    let mut bench = Bench::new().await;
    let create = methods().into_iter().find(|method| method.name() == "CreateBatch").unwrap();
    let days = [
        (2011, 2, 30),
        (2011, 2, 29),
        (1900, 2, 29),
        (2011, 4, 31),
        (2011, 13, 1),
        (0, 1, 1),
        (2011, 0, 1),
        (2011, 1, 0),
        (2011, 0, 0),
        (0, 0, 0),
        (0, 2, 3),
        (10_000, 1, 1),
        (-1, 1, 1),
        (2011, -1, -1),
    ];
    for (year, month, day) in days {
        let mut request = good(&create.input());
        request["eta"] = json!({"year": year, "month": month, "day": day});
        let what = format!("{year}-{month}-{day}");
        bench.refused(&what, &create, encode(&create, &request), "INVALID_FIELDS", &one("eta".to_owned())).await;
    }
    bench.finish().await;
}
