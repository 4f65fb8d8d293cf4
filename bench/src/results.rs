//! What is kept of a bench: a file of JSON. Its shape is a contract with whatever compares two of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;
use time::OffsetDateTime;

use crate::row::{Outcome, Row};
use crate::statistics::Better;

/// A bench.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    /// `-changed` behind it says that the tree was not what was committed.
    pub(crate) commit: String,
    pub(crate) date: String,
    pub(crate) rows: Vec<RowResult>,
}

/// Where it was.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) system: &'static str,
    pub(crate) architecture: &'static str,
    pub(crate) cores: usize,
    pub(crate) processor: Option<String>,
    pub(crate) postgres: String,
    /// How much of the cores' time others had meanwhile. With more than a few per cent of that, numbers say little and ratios somewhat more.
    pub(crate) others_percent: Option<f64>,
}

/// A row, with its outcome or the error that it has instead.
#[derive(Debug, Serialize)]
pub(crate) struct RowResult {
    pub(crate) id: &'static str,
    pub(crate) metric: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) ours: Option<f64>,
    pub(crate) baseline: Option<f64>,
    /// Null where there is no baseline: then `low`, `high` and `target` are in `unit`.
    pub(crate) ratio: Option<f64>,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    pub(crate) rounds: usize,
    pub(crate) target: f64,
    pub(crate) better: Better,
    pub(crate) met: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl RowResult {
    pub(crate) fn of(row: &Row, outcome: Option<Outcome>, failure: Option<&str>) -> Self {
        // A row with one run that went wrong has no outcome.
        let outcome = outcome.filter(|_| failure.is_none());
        let error = match (&outcome, failure) {
            (Some(_), _) => None,
            (None, failure) => Some(failure.unwrap_or("it was not measured").to_owned()),
        };
        Self {
            id: row.id,
            metric: row.metric,
            unit: row.unit,
            ours: outcome.map(|outcome| outcome.ours),
            baseline: outcome.and_then(|outcome| outcome.baseline),
            ratio: outcome.and_then(|outcome| outcome.ratio),
            low: outcome.map(|outcome| outcome.low),
            high: outcome.map(|outcome| outcome.high),
            rounds: outcome.map_or(0, |outcome| outcome.rounds),
            target: row.target,
            better: row.better,
            met: outcome.is_some_and(|outcome| outcome.met),
            error,
        }
    }
}

impl Results {
    pub(crate) fn new(postgres: String, others_percent: Option<f64>, rows: Vec<RowResult>) -> Self {
        let machine = Machine {
            system: std::env::consts::OS,
            architecture: std::env::consts::ARCH,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: processor(),
            postgres,
            others_percent,
        };
        Self { machine, commit: commit(), date: OffsetDateTime::now_utc().date().to_string(), rows }
    }

    /// Writes them. Some rows alone don't take the place of all of them.
    pub(crate) fn write(&self, folder: &Path, only: &[String]) -> Result<PathBuf> {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        let ids: String = only.iter().filter(|id| !id.trim().is_empty()).map(|id| format!("-{}", id.trim())).collect();
        let path = folder.join(format!("{}-{}{ids}.json", self.date, self.commit));
        let text = serde_json::to_string_pretty(self)?;
        fs::write(&path, format!("{text}\n")).with_context(|| format!("can't write {}", path.display()))?;
        Ok(path)
    }
}

fn commit() -> String {
    let git = |args: &[&str]| -> Option<String> {
        let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=10", "HEAD"]) else { return "unknown".to_owned() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    if changed { format!("{commit}-changed") } else { commit }
}

/// As Linux names it.
fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rows::chosen;

    fn row() -> Row {
        chosen(&["P1".to_owned()]).unwrap()[0]
    }

    #[test]
    fn a_row_has_what_its_readers_expect() {
        let outcome = Outcome {
            ours: 30_000.0,
            baseline: Some(10_000.0),
            ratio: Some(3.0),
            low: 2.5,
            high: 3.5,
            rounds: 5,
            met: true,
        };
        let json = serde_json::to_value(RowResult::of(&row(), Some(outcome), None)).unwrap();
        let expected = json!({
            "id": "P1", "metric": row().metric, "unit": "commands/s", "ours": 30_000.0, "baseline": 10_000.0, "ratio": 3.0,
            "low": 2.5, "high": 3.5, "rounds": 5, "target": 2.5, "better": "higher", "met": true,
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn a_row_that_failed_has_no_numbers() {
        let outcome = Outcome { ours: 1.0, baseline: None, ratio: None, low: 1.0, high: 1.0, rounds: 1, met: true };
        let json = serde_json::to_value(RowResult::of(&row(), Some(outcome), Some("refused"))).unwrap();
        assert_eq!((&json["error"], &json["met"], &json["ours"]), (&json!("refused"), &json!(false), &json!(null)));
    }

    #[test]
    fn results_say_where_and_when() {
        let json = serde_json::to_value(Results::new("15".to_owned(), None, vec![])).unwrap();
        for field in ["machine", "commit", "date", "rows"] {
            assert!(!json[field].is_null(), "{field}");
        }
    }
}
