//! CreateOrder, the one request with depth.

use std::collections::HashSet;

use tally_api::google::r#type as google;
use tally_api::orders::v1 as orders;
use tally_domain::{Command, Item, Money, PostalAddress};
use tally_runtime::{Violations, limits};
use uuid::Uuid;

use super::{IntoCommand, Request};

/// Billionths in one unit of a currency.
const NANOS_PER_UNIT: i32 = 1_000_000_000;
/// Letters in an ISO 4217 currency code.
const CURRENCY_CODE_LENGTH: usize = 3;
/// Letters in a CLDR region code of a country.
const REGION_CODE_LENGTH: usize = 2;

impl IntoCommand for orders::CreateOrderRequest {
    fn into_command(self, violations: &mut Violations) -> Request {
        // Without a command_id nobody can repeat the command, so any fresh id will do for it and for the order.
        let command_id = violations.optional_uuid("command_id", &self.command_id);
        let order_id = violations.optional_uuid("order_id", &self.order_id).or(command_id).unwrap_or_else(Uuid::now_v7);
        violations.identifier("customer_id", &self.customer_id);
        let items = items(violations, self.items);
        let shipping_address = match self.shipping_address {
            Some(value) => address(violations, value),
            None => {
                violations.add("shipping_address", "must be given");
                PostalAddress::default()
            }
        };
        Request {
            command: Command::CreateOrder {
                order_id: order_id.to_string(),
                customer_id: self.customer_id,
                items,
                shipping_address: Box::new(shipping_address),
            },
            command_id,
            expected_version: None,
            validate_only: self.validate_only,
        }
    }
}

fn items(violations: &mut Violations, items: Vec<orders::Item>) -> Vec<Item> {
    if items.is_empty() {
        violations.add("items", "must not be empty");
    }
    if items.len() > limits::ITEMS_PER_ORDER_MAX {
        violations.add("items", format!("must have at most {} entries", limits::ITEMS_PER_ORDER_MAX));
        return Vec::new();
    }
    let before = violations.count();
    let mut skus = HashSet::new();
    let items: Vec<Item> = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| {
            let field = format!("items[{index}]");
            violations.identifier(&format!("{field}.sku"), &item.sku);
            if !skus.insert(item.sku.clone()) {
                violations.add(format!("{field}.sku"), "stands in the order twice");
            }
            Item {
                quantity: violations.quantity(&format!("{field}.quantity"), item.quantity, 1),
                unit_price: price(violations, &format!("{field}.unit_price"), item.unit_price),
                sku: item.sku,
            }
        })
        .collect();
    check_currency(violations, &items);
    // A sum of what is wrong says nothing.
    if violations.count() == before {
        check_total(violations, &items);
    }
    items
}

fn price(violations: &mut Violations, field: &str, value: Option<google::Money>) -> Money {
    let Some(value) = value else {
        violations.add(field, "must be given");
        return Money { currency_code: String::new(), units: 0, nanos: 0 };
    };
    if !is_currency_code(&value.currency_code) {
        violations.add(format!("{field}.currency_code"), "must be an ISO 4217 code such as EUR");
    }
    if value.units < 0 {
        violations.add(format!("{field}.units"), "must not be negative");
    }
    if !(0..NANOS_PER_UNIT).contains(&value.nanos) {
        violations.add(format!("{field}.nanos"), "must be from 0 to 999999999");
    }
    Money { currency_code: value.currency_code, units: value.units, nanos: value.nanos }
}

/// Every item has the currency of the first.
fn check_currency(violations: &mut Violations, items: &[Item]) {
    let code = |item: &Item| item.unit_price.currency_code.clone();
    let first = items.first().map(code).unwrap_or_default();
    for (index, item) in items.iter().enumerate() {
        if is_currency_code(&first) && is_currency_code(&code(item)) && code(item) != first {
            let field = format!("items[{index}].unit_price.currency_code");
            violations.add(field, "every item of an order has the same currency");
        }
    }
}

/// The total is one that money can hold.
fn check_total(violations: &mut Violations, items: &[Item]) {
    let mut total: Option<Money> = None;
    for (index, item) in items.iter().enumerate() {
        let line = item.unit_price.checked_mul(item.quantity);
        let sum = match (total, line) {
            (Some(total), Some(line)) => total.checked_add(&line),
            (None, line) => line,
            (Some(_), None) => None,
        };
        if sum.is_none() {
            let field = format!("items[{index}].unit_price");
            violations.add(field, "the order's total would be more than money can hold");
            return;
        }
        total = sum;
    }
}

fn is_currency_code(code: &str) -> bool {
    code.len() == CURRENCY_CODE_LENGTH && code.bytes().all(|letter| letter.is_ascii_uppercase())
}

fn address(violations: &mut Violations, value: google::PostalAddress) -> PostalAddress {
    let max = limits::ADDRESS_TEXT_CHARS_MAX;
    let path = |field: &str| format!("shipping_address.{field}");
    let region = &value.region_code;
    if region.len() != REGION_CODE_LENGTH || !region.bytes().all(|letter| letter.is_ascii_uppercase()) {
        violations.add(path("region_code"), "must be the two-letter code of a country such as DE");
    }
    for (field, text) in [
        ("language_code", &value.language_code),
        ("postal_code", &value.postal_code),
        ("sorting_code", &value.sorting_code),
        ("administrative_area", &value.administrative_area),
        ("locality", &value.locality),
        ("sublocality", &value.sublocality),
        ("organization", &value.organization),
    ] {
        violations.optional_text(&path(field), text, max);
    }
    if value.address_lines.is_empty() {
        violations.add(path("address_lines"), "must not be empty");
    }
    for (field, lines) in [("address_lines", &value.address_lines), ("recipients", &value.recipients)] {
        if lines.len() > limits::ADDRESS_LINES_MAX {
            violations.add(path(field), format!("must have at most {} entries", limits::ADDRESS_LINES_MAX));
            continue;
        }
        for (index, line) in lines.iter().enumerate() {
            violations.text(&path(&format!("{field}[{index}]")), line, max);
        }
    }
    PostalAddress {
        region_code: value.region_code,
        language_code: value.language_code,
        postal_code: value.postal_code,
        sorting_code: value.sorting_code,
        administrative_area: value.administrative_area,
        locality: value.locality,
        sublocality: value.sublocality,
        address_lines: value.address_lines,
        recipients: value.recipients,
        organization: value.organization,
    }
}
