//! All lines of the table, a file for each family.

mod commands;
mod cost;
mod growth;
mod latency;
mod overload;
mod reads;
mod telemetry;

use anyhow::{Result, bail};

use crate::row::Row;

/// The rows that a user asks for, all of them when none is named, in the order of their numbers.
///
/// # Errors
/// When there is none of a name.
pub(crate) fn chosen(only: &[String]) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> =
        [commands::ROWS, latency::ROWS, cost::ROWS, growth::ROWS, overload::ROWS, reads::ROWS, telemetry::ROWS]
            .into_iter()
            .flatten()
            .copied()
            .collect();
    rows.sort_by_key(|row| order(row.id));
    let only: Vec<&str> = only.iter().map(|id| id.trim()).filter(|id| !id.is_empty()).collect();
    if let Some(unknown) = only.iter().find(|id| !rows.iter().any(|row| row.is_called(id))) {
        let ids: Vec<&str> = rows.iter().map(|row| row.id).collect();
        bail!("there is no row {unknown}, only {}", ids.join(", "));
    }
    rows.retain(|row| only.is_empty() || only.iter().any(|id| row.is_called(id)));
    Ok(rows)
}

/// P2 comes before P11, and P11b after it.
fn order(id: &str) -> (u32, &str) {
    let rest = id.trim_start_matches('P');
    let digits = rest.trim_end_matches(|c: char| !c.is_ascii_digit());
    (digits.parse().unwrap_or(u32::MAX), &rest[digits.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(only: &[&str]) -> Vec<&'static str> {
        let only: Vec<String> = only.iter().map(|id| (*id).to_owned()).collect();
        chosen(&only).unwrap().iter().map(|row| row.id).collect()
    }

    #[test]
    fn all_rows_come_in_order_and_each_once() {
        let all = ids(&[]);
        assert_eq!(
            all,
            [
                "P1",
                "P1-limit",
                "P1b",
                "P1c",
                "P2",
                "P3",
                "P4",
                "P4-limit",
                "P4b",
                "P4b-limit",
                "P5",
                "P5b",
                "P6",
                "P6-limit",
                "P6b",
                "P6c",
                "P6d",
                "P7",
                "P7b",
                "P8",
                "P8-limit",
                "P9",
                "P10",
                "P10-limit",
                "P11",
                "P11-limit",
                "P11b",
                "P11c",
                "P11d",
                "P11e",
                "P11f",
                "P11g",
                "P12",
                "P12-limit",
                "P13",
                "P13b",
                "P13c",
                "P13d",
                "P14",
                "P15",
                "P15b",
                "P15c",
                "P15d",
                "P16"
            ]
        );
    }

    #[test]
    fn only_what_is_named_is_chosen() {
        assert_eq!(ids(&["P3", "p1"]), ["P1", "P3"]);
        assert_eq!(ids(&[""]).len(), ids(&[]).len());
        assert!(chosen(&["P99".to_owned()]).unwrap_err().to_string().contains("P13b"));
    }
}
