//! The users of deploy/postgres/roles.sql: enough for the work, and nothing more.

use std::collections::BTreeSet;

use sqlx::{Connection, Executor, PgConnection};

use super::rendered::overlay;
use super::started::{Programs, Started};

/// Not allowed.
const DENIED: &str = "42501";

async fn refused(url: &str, statement: &'static str) -> bool {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let outcome = connection.execute(statement).await;
    match outcome {
        Err(error) if error.as_database_error().and_then(|error| error.code()).as_deref() == Some(DENIED) => true,
        Err(error) => panic!("{statement}: {error}"),
        Ok(_) => false,
    }
}

#[tokio::test]
async fn each_user_may_do_its_work_and_nothing_more() {
    let Some(overlay) = overlay("dev") else { return };
    // It has migrated and started with these users by now.
    let started = Started::new(overlay, Programs::Built).await;
    let [owner, appender, tailer, reader] =
        ["migration", "command-service", "projector", "query-service"].map(|workload| started.database_url(workload));
    let urls = [&owner, &appender, &tailer, &reader];
    assert_eq!(urls.into_iter().collect::<BTreeSet<_>>().len(), urls.len(), "each is a user of its own");

    for url in [&appender, &tailer, &reader] {
        assert!(!refused(url, "SELECT count(*) FROM tally_main.events").await);
        for table in
            ["INSERT INTO tally_main.commands DEFAULT VALUES", "INSERT INTO tally_main.snapshots DEFAULT VALUES"]
        {
            assert!(refused(url, table).await);
        }
        assert!(refused(url, "UPDATE tally_main.log_head SET position = 7").await);
        assert!(refused(url, "DELETE FROM tally_main.events").await);
        assert!(refused(url, "CREATE SCHEMA another").await);
        assert!(refused(url, "DROP TABLE tally_main.events").await);
        assert!(refused(url, "TRUNCATE tally_main.events").await);
        assert!(refused(url, "ALTER TABLE tally_main.events ADD forged text").await);
        assert!(refused(url, "UPDATE tally_main.events SET payload = '{}'").await);
        assert!(refused(url, "UPDATE tally_main.log_head SET log_id = gen_random_uuid()").await);
        assert!(refused(url, "CREATE FUNCTION tally_main.forge() RETURNS int LANGUAGE sql AS 'SELECT 1'").await);
        assert!(refused(url, "COPY tally_main.events TO PROGRAM 'true'").await);
        assert!(refused(url, "SET ROLE tally_main_owner").await);
        assert!(refused(url, "SELECT pg_read_file('PG_VERSION')").await);
    }
    assert!(!refused(&appender, "SELECT tally_main.lock_head()").await);
    for url in [&tailer, &reader] {
        assert!(refused(url, "SELECT tally_main.lock_head()").await);
    }
    // What the tail and the event log's API need, and not what command-service alone needs.
    for table in ["SELECT count(*) FROM tally_main.commands", "SELECT count(*) FROM tally_main.snapshots"] {
        assert!(!refused(&appender, table).await);
        assert!(refused(&tailer, table).await && refused(&reader, table).await);
    }
    // Only the projector may note how far it has seen the read model come, and that by the one function.
    assert!(!refused(&tailer, "SELECT count(*) FROM tally_main.reached").await);
    for url in [&appender, &tailer, &reader] {
        assert!(refused(url, "DELETE FROM tally_main.reached").await);
    }
    for url in [&appender, &reader] {
        assert!(
            refused(url, "SELECT tally_main.note_reached(gen_random_uuid(), 1, '{stock}', '{0}', '{1}', '{9}')").await
        );
    }
    for url in urls {
        assert!(refused(url, "CREATE ROLE another").await);
        assert!(refused(url, "CREATE DATABASE another").await);
    }
}
