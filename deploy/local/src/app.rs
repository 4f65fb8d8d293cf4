use std::process::ExitCode;

use crate::args::{Args, Command};
use crate::install::install;
use crate::run::run;
use crate::sbom;
use crate::screen::Screen;

/// Does what the arguments say, and shows what went wrong.
pub async fn app(args: Args) -> ExitCode {
    let screen = Screen::new();
    let done = match args.command {
        Command::Install(args) => install(&screen, args.tests).await,
        Command::Run(args) => run(&screen, &args).await,
        Command::Sbom => sbom::write().map(|path| screen.line(&format!("✓ {}", path.display()))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen.error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
