//! A log of millions of events, made by its owner with a few statements: through the API it would take longer than all else here. It is the only
//! thing beside the event store that writes to a log's tables, so it names their schema each time.

use anyhow::Result;
use tally_event_store::migrate;

use crate::servers::{connect, execute};
use crate::stage::Stage;
use crate::subjects::tally::log_name;

const DATABASE: &str = "tally_long";
const STREAMS: u64 = 100_000;
/// Statements at a time: as many as the machine that this was written for has cores.
const PARALLEL: u64 = 2;
const APPEND: &str = include_str!("long_log/append.sql");
const FINISH: &str = include_str!("long_log/finish.sql");

/// The URL of a database that holds such a log.
pub(crate) async fn make(stage: &Stage) -> Result<String> {
    let url = stage.servers.empty_database(DATABASE).await?;
    migrate(&url, &log_name()?).await?;

    let events = stage.args.long_log_events;
    run_in_parallel(stage, &url, APPEND, (1, events), &[("streams", STREAMS)], events).await?;
    Ok(url)
}

/// Runs `append` in several sessions, each for a part of the numbers from `first` to `last`; then the log ends at `head`.
pub(crate) async fn run_in_parallel(
    stage: &Stage,
    url: &str,
    append: &str,
    (first, last): (u64, u64),
    numbers: &[(&str, u64)],
    head: u64,
) -> Result<()> {
    let schema = log_name()?.schema();
    let count = last - first + 1;
    let mut parts = Vec::new();
    for part in 0..PARALLEL {
        let bounds = [("first", first + count * part / PARALLEL), ("last", first + count * (part + 1) / PARALLEL - 1)];
        let statements = filled_in(&filled_in(append, &schema, &bounds), &schema, numbers);
        let url = url.to_owned();
        parts.push(tokio::spawn(async move { run(&url, &statements).await }));
    }
    for part in parts {
        part.await??;
    }
    for statement in FINISH.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        run(url, &filled_in(statement, &schema, &[("last", head)])).await?;
    }
    stage.servers.checkpoint().await
}

async fn run(url: &str, statement: &str) -> Result<()> {
    let mut connection = connect(url).await?;
    // Nobody waits for one of these events; what is measured later commits as ever.
    execute(&mut connection, "SET synchronous_commit = off").await?;
    execute(&mut connection, statement).await
}

/// `:schema` becomes the schema, and each other `:name` its number.
fn filled_in(statement: &str, schema: &str, numbers: &[(&str, u64)]) -> String {
    let statement = statement.replace(":schema", schema);
    numbers.iter().fold(statement, |text, (name, number)| text.replace(&format!(":{name}"), &number.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_filled_in_and_casts_are_left_alone() {
        let filled = filled_in("SELECT :first::bigint, :last FROM :schema.t", "s", &[("first", 1), ("last", 20)]);
        assert_eq!(filled, "SELECT 1::bigint, 20 FROM s.t");
    }
}
