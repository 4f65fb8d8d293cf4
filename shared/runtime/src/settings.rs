//! The command line and the environment, parsed whole; secrets from files; and what came out of it, to be logged with secrets masked.

use std::ffi::OsStr;
use std::fs;
use std::sync::OnceLock;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, Parser};
use url::Url;

/// What is shown of a secret.
const MASK: &str = "***";
/// What a variable's name ends in that names a file with the value.
const FILE: &str = "_FILE";
/// Bytes of a secret.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

static SETTINGS: OnceLock<String> = OnceLock::new();

/// Parses the command line and the environment of this process, or says what is wrong with them and exits. A setting whose value must not be
/// seen (`hide_env_values`) may also stand in a file, which the variable `NAME_FILE` names.
pub fn parse_arguments<T: Parser>() -> T {
    let mut command = T::command();
    if let Err(problem) = read_secrets(&mut command) {
        command.error(ErrorKind::Io, problem).exit();
    }
    command.build();
    let matches = command.clone().get_matches();
    let _ = SETTINGS.set(describe(&command, &matches));
    T::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
}

/// What was settled on, for the log.
pub(crate) fn settings() -> Option<&'static str> {
    SETTINGS.get().map(String::as_str)
}

fn is_secret(argument: &Arg) -> bool {
    argument.is_hide_env_values_set()
}

/// Gives secrets the values of their files, as if they were defaults, in this command and all below it.
fn read_secrets(command: &mut Command) -> Result<(), String> {
    let variables: Vec<(String, String)> = command
        .get_arguments()
        .filter(|argument| is_secret(argument))
        .filter_map(|argument| Some((argument.get_id().to_string(), argument.get_env()?.to_str()?.to_owned())))
        .collect();
    for (id, variable) in variables {
        let from_file = secret_of(&variable)?;
        *command = std::mem::take(command).mut_arg(&id, |argument| {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let argument = argument.help(format!("{help}. {variable}{FILE} may name a file with it instead"));
            match from_file {
                Some(value) => argument.required(false).default_value(value),
                None => argument,
            }
        });
    }
    command.get_subcommands_mut().try_for_each(read_secrets)
}

fn secret_of(variable: &str) -> Result<Option<String>, String> {
    let name = format!("{variable}{FILE}");
    let Some(path) = std::env::var_os(&name).filter(|path| !path.is_empty()) else { return Ok(None) };
    if std::env::var_os(variable).is_some() {
        return Err(format!("both {variable} and {name} are set: which is meant?"));
    }
    let problem = |error: std::io::Error| format!("{name}: {} can't be read: {error}", path.display());
    if fs::metadata(&path).map_err(problem)?.len() > SECRET_BYTES_MAX {
        return Err(format!("{name}: {} is too large for a secret", path.display()));
    }
    let text = fs::read_to_string(&path).map_err(problem)?;
    // Whoever writes a file with an editor ends it with a line's end.
    Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()))
}

/// Every setting of the command that was called, with its value and where that is from.
fn describe(command: &Command, matches: &ArgMatches) -> String {
    if let Some((name, matches)) = matches.subcommand()
        && let Some(command) = command.find_subcommand(name)
    {
        return describe(command, matches);
    }
    let arguments =
        command.get_arguments().filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"));
    let settings = arguments.filter_map(|argument| {
        let id = argument.get_id().as_str();
        let values = matches.try_get_raw(id).ok().flatten()?;
        let shown: Vec<String> = values
            .map(|value| if is_secret(argument) { masked(value) } else { value.to_string_lossy().into_owned() })
            .collect();
        let source = match matches.value_source(id)? {
            ValueSource::DefaultValue if is_secret(argument) => " (file)",
            ValueSource::DefaultValue => "",
            ValueSource::EnvVariable => " (environment)",
            _ => " (argument)",
        };
        Some(format!("{id}={}{source}", shown.join(",")))
    });
    settings.collect::<Vec<_>>().join(", ")
}

/// A URL without its password, and anything else not at all.
fn masked(value: &OsStr) -> String {
    let Some(mut url) = value.to_str().and_then(|text| Url::parse(text).ok()).filter(Url::has_host) else {
        return MASK.to_owned();
    };
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    // Passwords can stand in there, too.
    url.set_query(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_all_but_its_secrets_is_shown() {
        let shown = |value: &str| masked(OsStr::new(value));
        assert_eq!(
            shown("postgres://tally:geheim@db.example:5433/tally"),
            "postgres://tally:***@db.example:5433/tally"
        );
        assert_eq!(shown("redis://:geheim@cache:6379/"), "redis://:***@cache:6379/");
        assert_eq!(shown("postgres://db/tally?password=geheim"), "postgres://db/tally");
        for other in ["geheim", "mailto:geheim", ""] {
            assert_eq!(shown(other), "***");
        }
    }

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        _action: Action,
    }

    #[derive(clap::Subcommand)]
    enum Action {
        Serve {
            /// Where
            #[arg(long, hide_env_values = true, env = "TALLY_TEST_SETTINGS_URL")]
            url: String,
            /// How many
            #[arg(long, default_value_t = 7)]
            count: u32,
        },
    }

    #[test]
    fn every_setting_is_described_and_secrets_are_masked() {
        let mut command = <Line as clap::CommandFactory>::command();
        read_secrets(&mut command).expect("no files");
        command.build();
        let matches =
            command.clone().try_get_matches_from(["line", "serve", "--url", "redis://:geheim@h:1/"]).expect("good");
        assert_eq!(describe(&command, &matches), "count=7, url=redis://:***@h:1/ (argument)");
    }
}
