//! The table that a person reads.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};

use crate::results::RowResult;
use crate::statistics::Better;

const NUMBERS: [usize; 5] = [2, 3, 4, 5, 6];

pub(crate) fn table(rows: &[RowResult]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(["", "metric", "ours", "baseline", "ratio", "low..high", "target", "met"]);
    for row in rows {
        table.add_row(cells(row));
    }
    for index in NUMBERS {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn cells(row: &RowResult) -> Vec<Cell> {
    let metric = format!("{}, {}", row.metric, row.unit);
    let sign = match row.better {
        Better::Higher => "≥",
        Better::Lower => "≤",
    };
    let met = match (&row.error, row.met) {
        (Some(_), _) => "FAILED",
        (None, true) => "yes",
        (None, false) => "NO",
    };
    let spread = row.low.zip(row.high).map(|(low, high)| format!("{}..{}", number(low), number(high)));
    let texts = [
        row.id.to_owned(),
        metric,
        row.ours.map(number).unwrap_or_default(),
        row.baseline.map(number).unwrap_or_default(),
        row.ratio.map(number).unwrap_or_default(),
        spread.unwrap_or_default(),
        format!("{sign} {}", row.target),
        met.to_owned(),
    ];
    texts.into_iter().map(Cell::new).collect()
}

/// Three digits, and all before the point.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middling if middling >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Outcome;
    use crate::rows::chosen;

    fn line_of(failure: Option<&str>) -> String {
        let row = chosen(&["P1".to_owned()]).unwrap()[0];
        let outcome = Outcome {
            ours: 30_000.4,
            baseline: Some(10_000.0),
            ratio: Some(3.0),
            low: 2.5,
            high: 13.56,
            rounds: 5,
            met: true,
        };
        table(&[RowResult::of(&row, Some(outcome), failure)]).lines().nth(3).unwrap()
    }

    #[test]
    fn a_row_is_a_line() {
        let line = line_of(None);
        for text in ["P1", "30000", "10000", "3.00", "2.50..13.6", "≥ 2.5", "yes"] {
            assert!(line.contains(text), "{text} in {line}");
        }
    }

    #[test]
    fn a_failure_is_loud() {
        let line = line_of(Some("refused"));
        assert!(line.contains("FAILED") && !line.contains("30000"), "{line}");
    }
}
