//! What a team could have built instead, behind the same API: `bench baseline`.

mod echo;
mod one_commit;
mod serve;

use clap::{Args, Subcommand};

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
        Baseline::Echo => serve::serve_bare(echo::Echo, echo::EchoOrder).await,
        Baseline::OneCommit { database_url } => {
            serve::serve_as_tally(one_commit::OneCommit::connect(&database_url).await?).await
        }
    }
}
