//! What a team could have built instead, behind the same API: `bench baseline`.

mod echo;
mod group_commit;
mod one_commit;
mod serve;

use clap::{Args, Parser, Subcommand};

/// What `baseline` is told.
#[derive(Args, Debug)]
pub(crate) struct BaselineArgs {
    #[command(subcommand)]
    baseline: Baseline,
}

#[derive(Debug, Subcommand)]
enum Baseline {
    /// Answers, and does nothing
    Echo,
    /// Commits each command by itself
    OneCommit {
        /// URL of an empty Postgres database
        #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
        database_url: String,
    },
}

/// Serves a baseline until SIGTERM.
///
/// # Errors
/// When it can't be set up, or the transport fails.
pub(crate) async fn serve_baseline(args: BaselineArgs) -> anyhow::Result<()> {
    match args.baseline {
        Baseline::Echo => serve::serve_bare(echo::Echo::default(), echo::EchoOrder).await,
        Baseline::OneCommit { database_url } => {
            serve::serve_as_tally(one_commit::OneCommit::connect(&database_url).await?).await
        }
    }
}

/// What `bench-bare` is told.
#[derive(Debug, Parser)]
#[command(about = "Commits what it is told, many at once, and does nothing else")]
pub struct BareArgs {
    /// URL of a Postgres database, empty but for what another of these made
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: String,
}

/// Serves commands that are committed many at once, and nothing else, until SIGTERM.
///
/// # Errors
/// When it can't be set up, or the transport fails.
pub async fn serve_group_commit(args: BareArgs) -> anyhow::Result<()> {
    let committer = group_commit::Committer::start(&args.database_url).await?;
    serve::serve_as_tally(echo::Echo { committer: Some(committer) }).await
}
