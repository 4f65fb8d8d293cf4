//! From the domain's values to those of the API.

use prost_types::Timestamp;
use tally_api::google::r#type;
use tally_domain::{Date, Money, PostalAddress};
use time::OffsetDateTime;

pub(crate) fn money(money: &Money) -> r#type::Money {
    r#type::Money { currency_code: money.currency_code.clone(), units: money.units, nanos: money.nanos }
}

pub(crate) fn date(date: Date) -> r#type::Date {
    // A month and a day are far below what an i32 holds.
    r#type::Date { year: date.year(), month: date.month() as i32, day: date.day() as i32 }
}

pub(crate) fn timestamp(time: OffsetDateTime) -> Timestamp {
    // Below 10^9.
    Timestamp { seconds: time.unix_timestamp(), nanos: time.nanosecond() as i32 }
}

pub(crate) fn address(address: &PostalAddress) -> r#type::PostalAddress {
    r#type::PostalAddress {
        revision: 0,
        region_code: address.region_code.clone(),
        language_code: address.language_code.clone(),
        postal_code: address.postal_code.clone(),
        sorting_code: address.sorting_code.clone(),
        administrative_area: address.administrative_area.clone(),
        locality: address.locality.clone(),
        sublocality: address.sublocality.clone(),
        address_lines: address.address_lines.clone(),
        recipients: address.recipients.clone(),
        organization: address.organization.clone(),
    }
}

/// A number of pieces. No quantity is above 1,000,000; one that were would show as the largest.
pub(crate) fn pieces(quantity: u32) -> i32 {
    quantity.try_into().unwrap_or(i32::MAX)
}

/// A version or position; both are i64 in the log, too.
pub(crate) fn number(number: u64) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
