//! What the roles may not do.

use std::time::Duration;

use anyhow::Result;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tally_event_store::{AppendStore, Basis, LogName, NewSnapshot, Reached, ReadOptions, ReadRole, ReadStore};
use tally_servers::{fresh_database, unique_log_name};

use crate::fixture::{EVENTS_MAX, Log, append_options, batch, command, known};

const APPEND: &str =
    "SELECT * FROM append_batch('{order-2}', '{1}', '{Tested}', ARRAY['{}'], ARRAY['{}'], ARRAY[gen_random_uuid()],
    ARRAY[gen_random_uuid()], ARRAY['\\x00'::bytea], '{1}', '{1}', '{null}', '{null}', '{null}', '{}', '{}')";

const FORBIDDEN_TO_ALL: [&str; 38] = [
    "INSERT INTO events SELECT * FROM events",
    "INSERT INTO events (position, version, recorded_at, command_id, stream_id, event_type, payload, metadata)
        VALUES (99, 1, now(), gen_random_uuid(), 'order-x', 'Forged', '{}', '{}')",
    "UPDATE events SET payload = '{}'",
    "UPDATE events SET position = position + 1",
    "DELETE FROM events",
    "TRUNCATE events",
    "SELECT * FROM events FOR UPDATE",
    "DO 'BEGIN LOCK TABLE events IN EXCLUSIVE MODE; END'",
    "COPY events FROM STDIN",
    "UPDATE log_head SET position = 99",
    "UPDATE log_head SET log_id = gen_random_uuid()",
    "INSERT INTO log_head DEFAULT VALUES",
    "DELETE FROM log_head",
    "TRUNCATE log_head",
    "SELECT * FROM log_head FOR UPDATE",
    "INSERT INTO commands SELECT * FROM commands",
    "UPDATE commands SET position = 99",
    "DELETE FROM commands",
    "TRUNCATE commands",
    "SELECT * FROM commands FOR UPDATE",
    "UPDATE commands_pruned SET position = 0",
    "INSERT INTO snapshots SELECT * FROM snapshots",
    "UPDATE snapshots SET version = 99",
    "DELETE FROM snapshots",
    "TRUNCATE snapshots",
    "INSERT INTO reached VALUES ('stock', 0, 1, '1', 9)",
    "UPDATE reached SET position = 0",
    "DELETE FROM reached",
    "TRUNCATE reached",
    "ALTER TABLE events DISABLE TRIGGER ALL",
    "ALTER TABLE events DROP CONSTRAINT events_stream_version",
    "DROP TABLE events",
    "DROP FUNCTION lock_head",
    "CREATE OR REPLACE FUNCTION lock_head() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'",
    "CREATE TABLE mine (a integer)",
    "CREATE TRIGGER mine BEFORE INSERT ON events EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "SELECT * FROM _sqlx_migrations",
    "DO 'BEGIN DELETE FROM events; END'",
];

const APPEND_FITTING: &str = "SELECT append_fitting(0, 9, '{order-2}', '{0}', '{0}', '{0}', '{0}', '{}', '{order-2}', '{1}', '{Tested}',
    ARRAY['{}'], ARRAY['{}'], ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()], ARRAY['\\x00'::bytea], '{1}', '{1}', '{}', '{}', '{}',
    '{}', '{}')";

const FORBIDDEN_TO_READ: [&str; 8] = [
    APPEND,
    APPEND_FITTING,
    "SELECT lock_head()",
    "SELECT take_head(0, 9)",
    "SELECT prune_commands(now(), 1)",
    "SELECT save_snapshots(0, '{a}', '{1}', '{1}', '{x}')",
    "SELECT * FROM commands",
    "SELECT * FROM snapshots",
];

const FORBIDDEN_TO_ALL_BUT_TAIL: [&str; 2] =
    ["SELECT * FROM reached", "SELECT note_reached(gen_random_uuid(), 1, '{stock}', '{0}', '{1}', '{9}')"];

/// A log with one event, and a URL of a user who has nothing but one of its roles.
async fn log_with_member(role: impl Fn(&LogName) -> String) -> Result<(Log, String)> {
    let log = Log::at(fresh_database().await, unique_log_name().parse()?).await?;
    log.given(&[("order-1", 1)]).await?;
    let member = format!("member_{}", log.name);
    let make = format!("CREATE ROLE {member} LOGIN PASSWORD 'secret' IN ROLE {}", role(&log.name));
    log.owner().await?.execute(AssertSqlSafe(make)).await?;
    let (_, host) = log.url.split_once('@').expect("a URL with a password");
    let url = format!("postgres://{member}:secret@{host}");
    Ok((log, url))
}

async fn session(log: &Log, url: &str) -> Result<PgConnection> {
    let mut session = PgConnection::connect(url).await?;
    let path = format!("SET search_path = {}", log.name.schema());
    session.execute(AssertSqlSafe(path)).await?;
    Ok(session)
}

async fn ensure_forbidden(session: &mut PgConnection, statements: &[&'static str]) {
    for &statement in statements {
        let result = session.execute(statement).await;
        let state = result.as_ref().err().and_then(|error| error.as_database_error()?.code());
        assert_eq!(state.as_deref(), Some("42501"), "{statement}: {result:?}");
    }
}

#[tokio::test]
async fn the_append_role_can_append_and_read_and_nothing_else() -> Result<()> {
    let (log, url) = log_with_member(LogName::append_role).await?;
    let store = AppendStore::connect(&url, &log.name, append_options()).await?;
    store.append(batch([command(&[("order-1", 2)])])).await?;
    assert_eq!(store.load(known([("order-1", 0)]), EVENTS_MAX).await?[0].events.len(), 2);
    let snapshot = NewSnapshot { stream_id: "order-1".to_owned(), version: 2, position: 2, state: "two".to_owned() };
    store.save_snapshots(vec![snapshot]).await?;
    store.prune_commands(Duration::ZERO, 10).await?;
    store.begin_exclusive(0, 0).await?.append(batch([command(&[("order-1", 3)])])).await?;
    let basis = Basis { stream_id: "order-1".to_owned(), version: 3, group: 0 };
    store.append_fitting(batch([command(&[("order-1", 4)])]), vec![basis], 0, 9).await?;

    let mut session = session(&log, &url).await?;
    ensure_forbidden(&mut session, &FORBIDDEN_TO_ALL).await;
    ensure_forbidden(&mut session, &FORBIDDEN_TO_ALL_BUT_TAIL).await;
    assert_eq!(log.events().await?.len(), 4);
    Ok(())
}

#[tokio::test]
async fn the_read_role_can_read_and_nothing_else() -> Result<()> {
    let (log, url) = log_with_member(LogName::read_role).await?;
    let store = ReadStore::connect(&url, &log.name, ReadOptions::default()).await?;
    assert_eq!(store.read_after(0, 10).await?.len(), 1);

    let mut session = session(&log, &url).await?;
    ensure_forbidden(&mut session, &FORBIDDEN_TO_ALL).await;
    ensure_forbidden(&mut session, &FORBIDDEN_TO_READ).await;
    ensure_forbidden(&mut session, &FORBIDDEN_TO_ALL_BUT_TAIL).await;
    assert_eq!(log.events().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn the_tail_role_can_read_and_note_how_far_views_have_come_and_nothing_else() -> Result<()> {
    let (log, url) = log_with_member(LogName::tail_role).await?;
    let options = ReadOptions { role: ReadRole::Tail, ..ReadOptions::default() };
    let store = ReadStore::connect(&url, &log.name, options).await?;
    assert_eq!(store.read_after(0, 10).await?.len(), 1);
    let reached = |shard, build: &str, position| Reached {
        projection: "stock".to_owned(),
        shard,
        build: build.to_owned(),
        position,
    };
    let log_id = store.log_id().await?;
    log.given(&[("order-1", 2), ("order-1", 3)]).await?;
    store.note_reached(log_id, 2, &[reached(0, "1", 2), reached(1, "1", 3)]).await?;
    // One build never goes back; another one begins where it is.
    store.note_reached(log_id, 2, &[reached(0, "1", 1), reached(1, "2", 1)]).await?;
    assert_eq!(store.reached("stock", 0, 2).await?, Some(reached(0, "1", 2)));
    assert_eq!(store.reached("stock", 1, 2).await?, Some(reached(1, "2", 1)));
    assert_eq!(store.reached("order", 0, 2).await?, None, "of another projection");
    assert_eq!(store.reached("stock", 0, 3).await?, None, "of another read model");
    store.note_reached(uuid::Uuid::new_v4(), 2, &[reached(0, "9", 3)]).await?;
    assert_eq!(store.reached("stock", 0, 2).await?, Some(reached(0, "1", 2)), "another log's are not noted");
    store.note_reached(log_id, 2, &[reached(0, "1", 99)]).await?;
    assert_eq!(store.reached("stock", 0, 2).await?, Some(reached(0, "1", 3)), "the log ends there");
    store.note_reached(log_id, 1, &[reached(0, "1", 1)]).await?;
    store.note_reached(log_id, 2, &[reached(0, "1", 1)]).await?;
    assert_eq!(store.reached("stock", 1, 2).await?, None, "forgotten when there was one shard");

    let mut session = session(&log, &url).await?;
    ensure_forbidden(&mut session, &FORBIDDEN_TO_ALL).await;
    ensure_forbidden(&mut session, &FORBIDDEN_TO_READ).await;
    assert_eq!(log.events().await?.len(), 3);
    Ok(())
}

#[tokio::test]
async fn users_of_one_log_have_no_rights_in_another() -> Result<()> {
    let (log, url) = log_with_member(LogName::append_role).await?;
    let other = Log::at(log.url.clone(), unique_log_name().parse()?).await?;
    let mut session = session(&other, &url).await?;
    let unqualified = "SELECT * FROM events";
    let state = session
        .execute(unqualified)
        .await
        .err()
        .and_then(|error| Some(error.as_database_error()?.code()?.into_owned()));
    // A schema that one may not use is not even searched.
    assert_eq!(state.as_deref(), Some("42P01"));
    let store = AppendStore::connect(&url, &other.name, append_options()).await?;
    assert!(matches!(store.ping().await, Err(tally_event_store::Error::Refused(_))));
    Ok(())
}

/// Even with the owner's URL, the stores' sessions have only the rights of their role.
#[tokio::test]
async fn the_stores_of_an_owner_act_as_the_roles() -> Result<()> {
    let log = Log::fresh().await?;
    log.append.ping().await?;
    log.read.ping().await?;
    let mut owner = log.owner().await?;
    let probe = "CREATE FUNCTION whoami_probe() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO seen VALUES (current_setting('role')); RETURN NEW; END $$;
        CREATE TABLE seen (role text);
        CREATE TRIGGER probe AFTER INSERT ON events EXECUTE FUNCTION whoami_probe()";
    owner.execute(probe).await?;
    log.given(&[("order-1", 1)]).await?;
    let seen: Vec<String> = sqlx::query_scalar("SELECT role FROM seen").fetch_all(&mut owner).await?;
    assert_eq!(seen, ["tally_main_append"]);
    Ok(())
}

/// The function has its owner's rights: a caller's temporary tables must not get between it and the log.
#[tokio::test]
async fn temporary_tables_of_a_caller_do_not_stand_in_for_the_log() -> Result<()> {
    let (log, url) = log_with_member(LogName::append_role).await?;
    let mut session = session(&log, &url).await?;
    session
        .execute(
            "CREATE TEMP TABLE log_head AS SELECT * FROM log_head;
             CREATE TEMP TABLE events AS SELECT * FROM events",
        )
        .await?;
    session.execute(APPEND).await?;
    assert_eq!(log.events().await?.len(), 2);
    Ok(())
}
