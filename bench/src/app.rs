//! The only place that constructs: rows, what they need, the rounds, and what comes out.

use std::io::Write;

use anyhow::{Result, bail};
use tokio::runtime::{Builder, Runtime};

use crate::args::{Action, CommandLine, RunArgs};
use crate::baselines::serve_baseline;
use crate::load::load;
use crate::neighbours::Neighbours;
use crate::progress::Progress;
use crate::results::{Results, RowResult};
use crate::rounds::{Rounds, subjects_of};
use crate::rows;
use crate::soak::soak;
use crate::stage::Stage;
use crate::table::table;

/// Does what the command line says.
///
/// # Errors
/// When it can't be measured, or a run went wrong. A row that missed its target is none.
pub fn run_command_line(line: CommandLine) -> Result<()> {
    match line.action {
        Action::Run(args) => Runtime::new()?.block_on(run(args)),
        Action::Soak(args) => Runtime::new()?.block_on(soak(&args)),
        // One thread: it costs the least, and what it costs is taken from the servers on the same cores.
        Action::Load(args) => {
            let report = Builder::new_current_thread().enable_all().build()?.block_on(load(&args))?;
            Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?)
        }
        // Tally's own services run on this kind of runtime.
        Action::Baseline(args) => Runtime::new()?.block_on(serve_baseline(args)),
    }
}

/// Measures what the arguments ask for, prints the table and writes the file.
async fn run(args: RunArgs) -> Result<()> {
    let rows = rows::chosen(&args.only)?;
    let subjects = subjects_of(&rows);
    let stage = Stage::set(&args).await?;
    let progress = Progress::new(args.rounds, subjects.len());
    let neighbours = Neighbours::watch();
    let rounds = Rounds::run(&stage, &subjects, &progress).await;
    progress.finish();

    let results: Vec<RowResult> =
        rows.iter().map(|row| RowResult::of(row, row.outcome(&rounds.rounds), rounds.failure_of(row))).collect();
    let others_percent = neighbours.ok().and_then(|neighbours| neighbours.share_percent().ok());
    let results = Results::new(stage.servers.version().await?, others_percent, results);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", table(&results.rows))?;
    for row in &results.rows {
        if let Some(error) = &row.error {
            writeln!(out, "{} FAILED: {error}", row.id)?;
        }
    }
    if let Some(percent) = others_percent {
        writeln!(out, "others had {percent:.0} % of the cores' time meanwhile: the less, the more this says")?;
    }
    writeln!(out, "{}", results.write(&args.results, &args.only)?.display())?;
    stage.clear().await?;
    if !rounds.failures.is_empty() {
        bail!("{} of the runs went wrong", rounds.failures.len());
    }
    Ok(())
}
