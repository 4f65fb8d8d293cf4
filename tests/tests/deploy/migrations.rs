//! Migrations run while services of the version before are at work, and those stay at work after a rollback.

use sqlx::{Connection, PgConnection};
use system_tests::client::{RustClient, TallyClient};
use system_tests::health::{READINESS, is_serving};
use system_tests::{eventually, root};

use super::rendered::overlay;
use super::started::{Programs, Started};

/// What takes away, or changes, something that the version before relies on.
const NOT_ADDING: [&str; 7] =
    ["drop table", "drop column", "drop function", "rename", "alter column", "set not null", "truncate"];

#[test]
fn migrations_only_add() {
    let folder = root().join("shared/event-store/migrations");
    let mut count = 0;
    for file in folder.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
        let sql = std::fs::read_to_string(&file).unwrap().to_lowercase();
        let found = NOT_ADDING.iter().find(|words| sql.contains(**words));
        assert_eq!(found, None, "{}", file.display());
        count += 1;
    }
    assert!(count > 0);
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
