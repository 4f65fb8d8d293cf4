//! Migrations run while services of the version before are at work, and those stay at work after a rollback.

use sqlx::{Connection, PgConnection};
use system_tests::client::{RustClient, TallyClient};
use system_tests::health::{LIVENESS, READINESS, is_serving};
use system_tests::{eventually, root};
use tonic::Code;

use super::rendered::overlay;
use super::started::{Programs, Started};

/// What takes away, or changes, something that the version before relies on. Of a constraint it may rely on that there is none.
const NOT_ADDING: [&str; 12] = [
    "drop ",
    "rename ",
    "alter column ",
    "truncate ",
    "or replace ",
    "revoke ",
    "add constraint ",
    "add check ",
    "add unique ",
    "add primary key ",
    "add foreign key ",
    "create unique index ",
];

/// What of a migration is not adding.
fn not_adding(sql: &str) -> Option<&'static str> {
    let code = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
    let words: Vec<String> = code.flat_map(str::split_whitespace).map(str::to_lowercase).collect();
    let text = words.join(" ");
    let statements: Vec<&str> = text.split(';').filter(|statement| !closes_what_it_makes(statement, &text)).collect();
    let found = NOT_ADDING.into_iter().find(|words| statements.iter().any(|statement| statement.contains(words)));
    // The version before tells nothing of a column that it doesn't know.
    let needs_a_value = |statement: &str| {
        statement.contains("add column ") && statement.contains(" not null") && !statement.contains(" default ")
    };
    found.or_else(|| text.split(';').any(needs_a_value).then_some("add column … not null"))
}

/// Of functions that are made here nobody relies on what everybody may do by default.
fn closes_what_it_makes(statement: &str, text: &str) -> bool {
    let names =
        statement.trim().strip_prefix("revoke all on function ").and_then(|rest| rest.strip_suffix(" from public"));
    names.is_some_and(|names| names.split(", ").all(|name| text.contains(&format!("create function {name}("))))
}

#[test]
fn migrations_only_add() {
    let folder = root().join("shared/event-store/migrations");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    // Before the first there is nothing to rely on.
    let (first, later) = files.split_first().unwrap();
    assert!(first.ends_with("0001_log.sql"));
    for file in later {
        assert_eq!(not_adding(&std::fs::read_to_string(file).unwrap()), None, "{}", file.display());
    }
}

#[test]
fn what_is_not_adding_is_found() {
    for sql in [
        "ALTER TABLE events DROP CONSTRAINT events_stream_version",
        "DROP INDEX an_index",
        "drop\n  TRIGGER a_trigger ON events",
        "DROP SCHEMA a_schema",
        "CREATE OR REPLACE FUNCTION append_batch() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "REVOKE SELECT ON events FROM tally_main_read",
        "REVOKE ALL ON FUNCTION append_batch FROM PUBLIC",
        "CREATE FUNCTION a() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION a, b FROM PUBLIC",
        "ALTER TABLE events ADD CONSTRAINT short CHECK (length(type) < 9)",
        "ALTER TABLE events ADD UNIQUE (command_id)",
        "CREATE UNIQUE INDEX ON events (command_id)",
        "ALTER TABLE events ALTER COLUMN actor SET NOT NULL",
        "ALTER TABLE events RENAME TO event",
        "ALTER TABLE events ADD COLUMN region text NOT NULL",
    ] {
        assert!(not_adding(sql).is_some(), "{sql}");
    }
    for sql in [
        "ALTER TABLE events ADD COLUMN region text NOT NULL DEFAULT ''; -- never drop it",
        "CREATE TABLE archived (position bigint PRIMARY KEY, payload jsonb NOT NULL)",
        "CREATE FUNCTION append_batch_2() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE INDEX ON events (command_id)",
        "CREATE FUNCTION a() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION a FROM PUBLIC;",
        "GRANT SELECT ON archived TO tally_main_read",
    ] {
        assert_eq!(not_adding(sql), None, "{sql}");
    }
}

#[tokio::test]
async fn who_needs_the_log_is_alive_and_not_ready_until_the_job_has_run() {
    let Some(overlay) = overlay("dev") else { return };
    let mut started = Started::with_stores(overlay, Programs::Built).await;
    started.start_services().await;
    let (command, query) = (started.process("command-service"), started.process("query-service"));
    let client = RustClient::new(command.address(), query.address());
    let refused = client.create_batch("early", "LAMP", 1, None).await.unwrap_err();
    assert_eq!(refused.code, Code::Unavailable);
    for process in [command, started.process("projector")] {
        assert!(is_serving(process, LIVENESS).await, "{}", process.name());
        assert!(!is_serving(process, READINESS).await, "{}", process.name());
    }

    assert!(started.migrates().await);
    for (_, process) in &started.processes {
        eventually(process.name(), async || is_serving(process, READINESS).await.then_some(())).await;
    }
    let receipt = client.create_batch("b1", "LAMP", 5, None).await.unwrap();
    assert_eq!(client.get_stock("LAMP", &receipt.seen().or_fail()).await.unwrap().available_now, 5);
}

#[tokio::test]
async fn services_at_work_do_not_notice_that_the_job_runs() {
    let Some(overlay) = overlay("dev") else { return };
    let started = Started::new(overlay, Programs::Built).await;
    let (command, query) = (started.process("command-service"), started.process("query-service"));
    for process in [command, query] {
        eventually(process.name(), async || is_serving(process, READINESS).await.then_some(())).await;
    }
    let client = RustClient::new(command.address(), query.address());
    let commands = async {
        for number in 0..50 {
            client.create_batch(&format!("b{number}"), "LAMP", 1, None).await.unwrap();
        }
    };

    let (first, second, ()) = tokio::join!(started.migrates(), started.migrates(), commands);
    assert!(first && second);

    // A newer version was here: the Job of an older one refuses, as deploy/README.md says of rolling back, and its services go on.
    let mut owner = PgConnection::connect(&started.database_url("migration")).await.unwrap();
    let newer = "INSERT INTO tally_main._sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (9999, 'from the future', true, '', 0)";
    sqlx::query(newer).execute(&mut owner).await.unwrap();
    assert!(!started.migrates().await);
    client.create_batch("after", "LAMP", 1, None).await.unwrap();
    for process in [command, query] {
        assert!(is_serving(process, READINESS).await, "{}", process.name());
    }
}
