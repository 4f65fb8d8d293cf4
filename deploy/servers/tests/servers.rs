//! The servers as tests and `make run` use them.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tally_servers::{Error, Postgres, Redis, fresh_database, guard, test_servers, unique_log_name};
use tokio::time::{sleep, timeout};

const WITHIN: Duration = Duration::from_secs(20);

/// Waits for a condition, with a deadline.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < WITHIN, "{what} was not so within {WITHIN:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn execute(url: &str, sql: &'static str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(sql).execute(&mut connection).await.map(drop)
}

async fn count(url: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM kept").fetch_one(&mut connection).await.unwrap()
}

async fn redis(server: &Redis) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
    redis::Client::open(server.url())?.get_multiplexed_async_connection().await
}

#[tokio::test]
async fn fresh_databases_are_apart() {
    let (one, other) = tokio::join!(fresh_database(), fresh_database());
    execute(&one, "CREATE TABLE kept (n int)").await.unwrap();
    let missing = execute(&other, "SELECT * FROM kept").await.unwrap_err();
    assert_eq!(missing.as_database_error().unwrap().code().unwrap(), "42P01");
    assert_ne!(unique_log_name(), unique_log_name());
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let servers = test_servers().await;
    let port = servers.postgres.port();
    assert!(execute(&format!("postgres://tally:wrong@127.0.0.1:{port}/postgres"), "SELECT 1").await.is_err());
    let no_password = redis::Client::open(format!("redis://127.0.0.1:{}/", servers.redis.port())).unwrap();
    let mut connection = no_password.get_multiplexed_async_connection().await.unwrap();
    assert!(redis::cmd("PING").query_async::<()>(&mut connection).await.is_err());
}

#[tokio::test]
async fn a_database_that_is_there_is_left_as_it_is() {
    let postgres = test_servers().await.postgres;
    let url = postgres.create_database("same").await.unwrap();
    execute(&url, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)").await.unwrap();
    assert_eq!(postgres.create_database("same").await.unwrap(), url);
    assert_eq!(count(&url).await, 1);
    assert!(postgres.create_database("no\"name").await.is_err());
}

#[tokio::test]
async fn postgres_comes_back_on_its_port_with_its_commits_after_kill_9_and_after_a_stop() {
    let postgres = Postgres::temporary().await.unwrap();
    let url = postgres.create_database("tally").await.unwrap();
    let port = postgres.port();
    execute(&url, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)").await.unwrap();
    // A backend that is busy at the moment of the kill.
    let busy = tokio::spawn({
        let url = url.clone();
        async move { execute(&url, "SELECT pg_sleep(600)").await }
    });

    postgres.kill().await.unwrap();
    assert_eq!(postgres.pid(), None);
    assert!(busy.await.unwrap().is_err());
    postgres.restart().await.unwrap();
    assert_eq!((count(&url).await, postgres.port()), (1, port));

    postgres.stop().await.unwrap();
    assert!(execute(&url, "SELECT 1").await.is_err());
    postgres.restart().await.unwrap();
    assert_eq!((count(&url).await, postgres.port()), (1, port));
}

#[tokio::test]
async fn redis_comes_back_with_what_it_acknowledged_after_kill_9() {
    let server = Redis::temporary().await.unwrap();
    let mut connection = redis(&server).await.unwrap();
    redis::cmd("SET").arg("key").arg(7).query_async::<()>(&mut connection).await.unwrap();
    server.kill().await.unwrap();
    assert!(redis(&server).await.is_err());

    server.restart().await.unwrap();
    let mut connection = redis(&server).await.unwrap();
    assert_eq!(redis::cmd("GET").arg("key").query_async::<i64>(&mut connection).await.unwrap(), 7);
}

#[tokio::test]
async fn a_paused_postgres_answers_nobody_until_it_is_resumed() {
    let postgres = Postgres::temporary().await.unwrap();
    let mut connection = PgConnection::connect(&postgres.url("postgres")).await.unwrap();
    postgres.pause().unwrap();
    let answer = sqlx::query("SELECT 1").execute(&mut connection);
    let mut answer = std::pin::pin!(answer);
    assert!(timeout(Duration::from_millis(300), &mut answer).await.is_err());
    postgres.resume().unwrap();
    timeout(WITHIN, answer).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_kept_server_is_found_again_with_its_data_and_is_not_started_twice() {
    let folder = Scratch::new();
    let path = folder.0.join("postgres");
    let postgres = Postgres::start(&path).await.unwrap();
    let url = postgres.create_database("tally").await.unwrap();
    execute(&url, "CREATE TABLE kept (n int)").await.unwrap();
    let second = timeout(Duration::from_millis(500), Postgres::start(&path)).await;
    assert!(
        second.is_err() || matches!(second, Ok(Err(Error::InUse(_)))),
        "a second one must wait for the first one's end"
    );

    // As when its owner is killed: it stops by itself, and whoever comes next waits for that.
    drop(postgres);
    let postgres = Postgres::start(&path).await.unwrap();
    assert_eq!(postgres.url("tally"), url);
    assert_eq!(count(&url).await, 0);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_port_that_is_taken_is_left_alone_and_another_one_is_used() {
    let folder = Scratch::new();
    let path = folder.0.join("redis");
    let first = Redis::start(&path).await.unwrap();
    let port = first.port();
    first.stop().await.unwrap();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let second = Redis::start(&path).await.unwrap();
    assert_ne!(second.port(), port);
}

#[tokio::test]
async fn data_of_a_postgres_that_is_gone_is_named_and_left_alone() {
    let folder = Scratch::new();
    let data = folder.0.join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("PG_VERSION"), "7\n").unwrap();
    let error = Postgres::start(&folder.0).await.unwrap_err();
    assert!(matches!(&error, Error::VersionGone { version, .. } if version == "7"), "{error}");
    assert!(data.join("PG_VERSION").exists());
}

/// Runs this test program again as a process that starts both servers, and kills that process.
#[tokio::test]
async fn nothing_is_left_of_the_servers_of_a_process_that_was_killed() {
    let folder = Scratch::new();
    let report = folder.0.join("report");
    let mut owner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_that_is_killed", "--ignored"])
        .env("TALLY_SERVERS_REPORT", &report)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("both servers are up", || report.exists()).await;
    let report = std::fs::read_to_string(&report).unwrap();
    let (pids, folders): (Vec<&str>, Vec<&str>) = report.lines().partition(|line| !line.starts_with('/'));
    let pids: Vec<u32> = pids.into_iter().map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.len() == 2 && pids.iter().all(|pid| guard::exists(*pid)));

    owner.kill().unwrap();
    owner.wait().unwrap();
    until("no server is left", || !pids.iter().any(|pid| guard::exists(*pid))).await;
    until("no folder is left", || !folders.iter().any(|folder| Path::new(folder).exists())).await;
}

#[tokio::test]
#[ignore = "a part of another test, which runs it as a process"]
async fn the_process_that_is_killed() {
    let Some(report) = std::env::var_os("TALLY_SERVERS_REPORT").map(PathBuf::from) else { return };
    let servers = test_servers().await;
    let (postgres, redis) = (servers.postgres, servers.redis);
    let (folder, other) = (postgres.folder().display(), redis.folder().display());
    let text = format!("{}\n{}\n{folder}\n{other}", postgres.pid().unwrap(), redis.pid().unwrap());
    std::fs::write(report.with_extension("new"), text).unwrap();
    std::fs::rename(report.with_extension("new"), report).unwrap();
    std::future::pending().await
}

/// A folder that the servers' user can reach, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        let path = std::env::temp_dir().join(unique_log_name());
        std::fs::create_dir(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
