//! The real process: started, killed, stopped.

use std::process::Stdio;

use tally_read_model::projections;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::support::{DEADLINE, Fixture, eventually, fixture};

fn command(f: &Fixture, action: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_projector"));
    command
        .args(action)
        .env_clear()
        .env("TALLY_LOG", &f.log)
        .env("DATABASE_URL", &f.database_url)
        .env("REDIS_URL", &f.redis_url)
        .env("PROJECTOR_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn signal(child: &Child, signal: &str) {
    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

#[tokio::test]
async fn killed_again_and_again_it_counts_every_event_once() {
    let mut f = fixture().await;
    f.append_random(200).await;
    let mut kills = 0;
    while f.built_to(projections::STREAMS).await < f.head {
        let before = f.built_to(projections::STREAMS).await;
        let mut child = command(&f, &["serve"]).env("PROJECTOR_BATCH_EVENTS_MAX", "2").spawn().unwrap();
        eventually("a few batches", async || {
            let now = f.built_to(projections::STREAMS).await;
            (now > before + 20 || now == f.head).then_some(())
        })
        .await;
        signal(&child, "-KILL");
        child.wait().await.unwrap();
        kills += 1;
    }
    assert!(kills > 2, "it was through before it could be killed");
    f.projector(&[]).await.projected_and_stopped(&f).await;
    assert_eq!(f.views().await, f.views_by_the_book().await);
}

#[tokio::test]
async fn it_says_where_it_listens_and_ends_cleanly_when_told_to() {
    let f = fixture().await;
    let mut child = command(&f, &["serve"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(DEADLINE, lines.next_line()).await.unwrap().unwrap().unwrap();
    let address = line.strip_prefix("listening on ").unwrap();
    assert_ne!(address.parse::<std::net::SocketAddr>().unwrap().port(), 0);
    signal(&child, "-TERM");
    let status = timeout(DEADLINE, child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(lines.next_line().await.unwrap(), None);
}

#[tokio::test]
async fn rebuild_tells_how_far_it_has_come() {
    let mut f = fixture().await;
    f.append_random(100).await;
    let mut child = command(&f, &["rebuild", "stock"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    child.stdout.take().unwrap().read_to_string(&mut told).await.unwrap();
    let status = timeout(DEADLINE, child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert!(told.contains("rebuilt stock"), "{told}");
    assert!(told.contains(&format!("rebuilt stock up to position {}", f.head)), "{told}");
}

#[tokio::test]
async fn rebuild_fails_at_once_where_there_is_no_log() {
    let mut f = fixture().await;
    f.database_url = tally_servers::fresh_database().await;
    let mut child = command(&f, &["rebuild", "stock"]).stderr(Stdio::piped()).spawn().unwrap();
    let status = timeout(DEADLINE, child.wait()).await.unwrap().unwrap();
    assert!(!status.success());
}
