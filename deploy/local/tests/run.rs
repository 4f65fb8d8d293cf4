//! `make run`, as a user sees it: the real launcher, services and servers, and the lines of its banner pasted into a shell.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "run/launcher.rs"]
mod launcher;

use std::time::{Duration, Instant};

use launcher::{Launcher, Scratch, call, processes_of};
use rustix::process::Signal;
use tally_servers::{guard, test_servers, unique_log_name};

/// From Ctrl-C to the end.
const STOP_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn every_line_of_the_banner_works_when_pasted_and_pasted_again() {
    let scratch = Scratch::new();
    let launcher = Launcher::start(&scratch, &[]);
    let banner = launcher.wait_for_banner();
    let calls: Vec<&str> = banner
        .iter()
        .map(|line| line.trim())
        .filter(|line| line.contains(" -plaintext ") || line.contains(" curl ") || line.contains(" rebuild "))
        .collect();
    assert!(calls.len() >= 9, "{banner:#?}");
    for line in calls.iter().chain(&calls) {
        let answer = call(line);
        assert!(answer.is_ok(), "{line}: {answer:?}");
    }
    let orders = call(calls.iter().find(|line| line.contains("ListOrders")).unwrap()).unwrap();
    assert_eq!(orders.matches("\"orderId\"").count(), 2, "the sample has two orders of c-17: {orders}");
    assert!(banner.iter().any(|line| line.contains(&scratch.path().display().to_string()) && line.contains("kept")));
}

#[test]
fn it_stops_at_ctrl_c_and_leaves_nothing_and_a_second_run_finds_its_data_again() {
    let scratch = Scratch::new();
    let mut launcher = Launcher::start(&scratch, &[]);
    let banner = launcher.wait_for_banner();
    let get_stock = paste(&banner, "GetStock");
    for line in [paste(&banner, "CreateBatch"), paste(&banner, "Allocate")] {
        call(&line).unwrap();
    }
    let processes = processes_of(&scratch);
    assert_eq!(processes.len(), 5, "three services, Postgres and Redis: {processes:?}");

    launcher.signal(Signal::INT);
    let began = Instant::now();
    assert_eq!(launcher.ended(), 0);
    assert!(began.elapsed() < STOP_WITHIN);
    assert!(processes.iter().all(|process| !guard::exists(process.pid)), "{processes:?}");
    assert!(call(&get_stock).is_err());

    let mut launcher = Launcher::start(&scratch, &[]);
    let banner = launcher.wait_for_banner();
    assert!(!launcher.output().iter().any(|line| line.contains("sample")), "the sample is for the first start");
    let stock = launcher::until_ok(&paste(&banner, "GetStock"), |answer| answer.contains("OAK-DESK-1"));
    assert!(stock.contains("\"allocated\": 3") || stock.contains("\"allocated\": \"3\""), "{stock}");
    launcher.signal(Signal::TERM);
    assert_eq!(launcher.ended(), 0);
}

#[test]
fn a_service_or_server_that_crashes_is_shown_and_started_again_at_its_address() {
    let scratch = Scratch::new();
    let launcher = Launcher::start(&scratch, &[]);
    let get_stock = {
        let banner = launcher.wait_for_banner();
        call(&paste(&banner, "CreateBatch")).unwrap();
        paste(&banner, "GetStock")
    };
    for name in ["query-service", "command-service", "projector", "redis-server", "postgres"] {
        let process = processes_of(&scratch).into_iter().find(|process| process.name == name).unwrap();
        process.kill();
        let shown = match name {
            "redis-server" => "Redis",
            "postgres" => "Postgres",
            service => service,
        };
        launcher.wait_for(&format!("! {shown} "));
        launcher.wait_for(&format!("✓ {shown} is back"));
    }
    launcher::until_ok(&get_stock, |answer| answer.contains("OAK-DESK-1"));
}

#[test]
fn a_second_run_beside_the_first_says_where_the_first_one_is() {
    let scratch = Scratch::new();
    let launcher = Launcher::start(&scratch, &[]);
    launcher.wait_for_banner();
    let mut second = Launcher::start(&scratch, &[]);
    assert_eq!(second.ended(), 1);
    let said = second.output().join("\n");
    assert!(said.contains("running already"), "{said}");
    assert!(said.contains(&format!("process {}", launcher.pid())), "{said}");
    assert!(said.contains("Tally runs."), "the first one's banner: {said}");
}

#[test]
fn nothing_is_left_when_it_is_killed_and_the_next_run_starts() {
    let scratch = Scratch::new();
    let mut launcher = Launcher::start(&scratch, &[]);
    launcher.wait_for_banner();
    let processes = processes_of(&scratch);
    assert_eq!(processes.len(), 5);
    launcher.signal(Signal::KILL);
    launcher.ended();
    launcher::until("all processes are gone", || processes.iter().all(|process| !guard::exists(process.pid)));
    Launcher::start(&scratch, &[]).wait_for_banner();
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_ones_own_are_used_and_left_running_and_the_sample_goes_only_into_an_empty_log() {
    let servers = test_servers().await;
    let database = tally_servers::fresh_database().await;
    let redis = servers.redis.url();
    let log = unique_log_name();
    let own = [("DATABASE_URL", database.as_str()), ("REDIS_URL", redis.as_str()), ("TALLY_LOG", log.as_str())];
    for sample in [true, false] {
        // Another folder: that the sample is in is known from the log itself.
        let scratch = Scratch::new();
        let mut launcher = Launcher::start(&scratch, &own);
        launcher.wait_for_banner();
        assert_eq!(launcher.output().iter().any(|line| line.contains("sample")), sample);
        let processes = processes_of(&scratch);
        assert_eq!(processes.len(), 3, "{processes:?}");
        launcher.signal(Signal::INT);
        assert_eq!(launcher.ended(), 0);
    }
    assert!(servers.postgres.pid().is_some() && servers.redis.pid().is_some());
}

#[test]
fn servers_of_ones_own_that_do_not_answer_are_named_without_their_password() {
    let scratch = Scratch::new();
    let closed = tally_servers::free_port().unwrap();
    let url = format!("redis://:secret@127.0.0.1:{closed}/");
    let mut launcher = Launcher::start(&scratch, &[("REDIS_URL", &url)]);
    assert_eq!(launcher.ended(), 1);
    let said = launcher.output().join("\n");
    assert!(said.contains("error: REDIS_URL"), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

/// The banner's line with this call in it, by grpcurl.
fn paste(banner: &[String], method: &str) -> String {
    let line = banner.iter().find(|line| line.trim_end().ends_with(&format!("/{method}")));
    line.unwrap_or_else(|| panic!("no line for {method} in {banner:#?}")).trim().to_owned()
}
