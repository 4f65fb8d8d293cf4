//! The tree's own rules, so that style is a check and not a promise.

use std::path::{Path, PathBuf};
use std::process::Command;

use system_tests::{binary, root};

mod dependencies;
mod licences;

/// Lines in a file of source.
const LINES_MAX: usize = 450;
/// Lines in a main.rs.
const MAIN_LINES_MAX: usize = 30;
/// Each program, and what it can be told to do.
const PROGRAMS: [(&str, &[&str]); 3] = [
    ("command-service", &["serve", "migrate", "restored"]),
    ("projector", &PROJECTOR_COMMANDS),
    ("query-service", &["serve"]),
];
const PROJECTOR_COMMANDS: [&str; 11] = [
    "serve",
    "status",
    "rebuild",
    "promote",
    "rollback",
    "pause",
    "resume",
    "parked",
    "explain-lag",
    "verify",
    "reshard",
];

/// A file of the repository.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn is_under(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    /// Tests may look at everything.
    fn is_test(&self) -> bool {
        self.path.iter().any(|part| part == "tests" || part == "tests.rs")
    }

    fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }
}

/// All files that git knows or would take, with one of these endings.
fn sources(extensions: &[&str]) -> Vec<Source> {
    let output = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).unwrap();
    let wanted = |path: &&str| {
        Path::new(path).extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
    };
    let paths = listed.lines().filter(wanted).map(PathBuf::from);
    // A file that was deleted and not committed is listed still.
    let sources =
        paths.filter_map(|path| Some(Source { text: std::fs::read_to_string(root().join(&path)).ok()?, path }));
    sources.filter(|source| !source.path.iter().any(|part| part == "third_party")).collect()
}

/// Fails with all that `fault` finds.
fn none_has(what: &str, sources: Vec<Source>, fault: impl Fn(&Source) -> Option<String>) {
    assert!(!sources.is_empty(), "there is something to look at");
    let faults: Vec<String> =
        sources.iter().filter_map(|source| Some(format!("{}: {}", source.path.display(), fault(source)?))).collect();
    assert!(faults.is_empty(), "{what}:\n{}", faults.join("\n"));
}

/// The first line of a source that has one of `texts`, whatever its case.
fn line_with(source: &Source, texts: &[&str]) -> Option<String> {
    let has = |line: &&str| texts.iter().any(|text| line.to_lowercase().contains(text));
    source.text.lines().find(has).map(|line| line.trim().to_owned())
}

#[test]
fn files_are_small() {
    none_has("files that are too long", sources(&["rs", "sql", "lua", "proto", "py", "sh"]), |source| {
        let lines = source.text.lines().count();
        (lines > LINES_MAX).then(|| format!("{lines} lines"))
    });
}

#[test]
fn a_module_is_a_file_beside_its_folder() {
    none_has("mod.rs", sources(&["rs"]), |source| {
        (source.name() == "mod.rs").then(|| "use NAME.rs beside NAME/".to_owned())
    });
}

#[test]
fn a_main_only_starts() {
    none_has("main.rs is for starting", sources(&["rs"]), |source| {
        let lines = source.text.lines().count();
        (source.name() == "main.rs" && lines >= MAIN_LINES_MAX).then(|| format!("{lines} lines"))
    });
}

#[test]
fn no_module_is_a_drawer() {
    let drawers = ["util", "utils", "common", "helper", "helpers", "misc"];
    none_has("names that say nothing", sources(&["rs", "py"]), |source| {
        let stem = source.path.file_stem()?.to_str()?;
        drawers.contains(&stem).then(|| "say what is in it".to_owned())
    });
}

#[test]
fn only_the_event_store_has_sql_on_events() {
    let words = [
        "from events",
        "into events",
        "update events",
        "join events",
        "from log_head",
        "update log_head",
        "append_batch(",
        "from commands",
        "from snapshots",
    ];
    let others = sources(&["rs", "sql"])
        .into_iter()
        .filter(|source| !source.is_under("shared/event-store") && !source.is_test());
    none_has("SQL on events", others.collect(), |source| line_with(source, &words));
}

#[test]
fn only_the_read_model_names_redis_keys() {
    let others =
        sources(&["rs", "lua"]).into_iter().filter(|source| !source.is_under("shared/read-model") && !source.is_test());
    none_has("names of keys", others.collect(), |source| line_with(source, &["\"tally:", "tally:{"]));
}

#[test]
fn the_domain_reads_no_clock_and_does_no_io() {
    let domain = sources(&["rs"]).into_iter().filter(|source| source.is_under("shared/domain/src"));
    let words = [
        "std::time",
        "systemtime",
        "instant::",
        "std::fs",
        "std::net",
        "std::env",
        "std::io",
        "async fn",
        "tokio",
        "prost",
    ];
    none_has("the outside world", domain.collect(), |source| line_with(source, &words));
}

#[test]
fn nothing_is_left_to_do() {
    let words = ["todo!(", "unimplemented!(", "dbg!(", "fixme"];
    let others =
        sources(&["rs", "sql", "lua", "proto", "py", "sh"]).into_iter().filter(|source| source.name() != "tidy.rs");
    none_has("unfinished", others.collect(), |source| line_with(source, &words));
}

#[test]
fn no_error_is_just_internal() {
    let others = sources(&["rs"]).into_iter().filter(|source| !source.is_test());
    none_has("an error without a reason", others.collect(), |source| {
        // tonic's own statuses stand in the tests beside the code.
        let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        code.lines().find(|line| line.contains("Status::internal(")).map(|line| line.trim().to_owned())
    });
}

#[test]
fn every_rpc_says_what_it_promises() {
    let mut count = 0;
    for source in sources(&["proto"]) {
        let mut comment = String::new();
        for line in source.text.lines().map(str::trim) {
            if let Some(text) = line.strip_prefix("//") {
                comment.push_str(text);
            } else if let Some(rpc) = line.strip_prefix("rpc ") {
                count += 1;
                let promises = comment.contains("Errors:")
                    && (comment.contains("Idempotent") || source.text.contains("has no effect, so it can be repeated"));
                assert!(
                    promises && comment.contains("Example:"),
                    "{}: {rpc} lacks Errors, Idempotent or an Example",
                    source.path.display()
                );
            } else {
                comment.clear();
            }
        }
    }
    assert_eq!(count, 27, "RPCs");
}

/// What a program says of itself.
fn help(program: &str, arguments: &[&str]) -> String {
    // Wide, so that nothing of a flag is on another line.
    let output = Command::new(binary(program)).args(arguments).arg("--help").env("COLUMNS", "1000").output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_flag_has_a_variable_and_is_described() {
    for (program, actions) in PROGRAMS {
        for action in actions {
            let help = help(program, &[action]);
            let options = help.split_once("Options:").unwrap_or_else(|| panic!("{program} {action}: {help}")).1;
            // An option and the lines that belong to it.
            let options =
                options.split("\n  -").filter(|option| !option.contains("--help") && !option.contains("--version"));
            let mut count = 0;
            for option in options.filter(|option| option.contains("--") || option.trim_start().starts_with('-')) {
                count += 1;
                assert!(option.contains("[env: "), "{program} {action}: a flag without a variable: {option}");
                assert!(
                    option.split_whitespace().count() > 5,
                    "{program} {action}: a flag without a description: {option}"
                );
            }
            assert!(count > 0, "{program} {action} has flags: {help}");
        }
    }
}

#[test]
fn passwords_are_not_shown_by_help() {
    for (program, actions) in PROGRAMS {
        for action in actions {
            let mut command = Command::new(binary(program));
            command
                .args([action, "--help"])
                .env("DATABASE_URL", "postgres://u:SECRET@h/d")
                .env("REDIS_URL", "redis://:SECRET@h/");
            let output = command.output().unwrap();
            assert!(!String::from_utf8_lossy(&output.stdout).contains("SECRET"), "{program} {action}");
        }
    }
}

#[test]
fn a_wrong_setting_is_said_before_anything_starts() {
    for (program, actions) in PROGRAMS {
        let mut command = Command::new(binary(program));
        command.args([actions[0], "--log", "No-Log"]);
        command.env("DATABASE_URL", "postgres://u:p@127.0.0.1:1/d").env("REDIS_URL", "redis://:p@127.0.0.1:1/");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{program} took it");
        assert!(!said.contains("panicked") && said.contains("log"), "{program}: {said}");
    }
}
