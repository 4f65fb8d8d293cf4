//! Log lines: for people on a terminal and JSON elsewhere, and whatever is written for a call names its trace.

use std::net::TcpListener;

use serde_json::Value;
use system_tests::client::{ReadAfter, RustClient, TallyClient};
use system_tests::{Launch, Screen, Servers, Service, Tally, eventually, run_to_end, target_dir};
use tally_api::projections::v1::ListProjectionsRequest;
use tally_api::projections::v1::projection_admin_service_client::ProjectionAdminServiceClient;
use tonic::transport::Endpoint;
use tonic::{Code, Request};
use uuid::Uuid;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// What begins a colour.
const ESCAPE: char = '\u{1b}';

/// query-service with a log format that is left to itself.
async fn settings() -> Vec<(&'static str, String)> {
    vec![
        ("REDIS_URL", Servers::shared().await.redis().url()),
        ("QUERY_LISTEN", "127.0.0.1:0".to_owned()),
        ("RUST_LOG", "info,tally_runtime=debug".to_owned()),
        ("TALLY_LOG_FORMAT", "auto".to_owned()),
    ]
}

async fn read_something(address: &str) {
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let client = RustClient::over(channel.clone(), channel).with_header("traceparent", TRACEPARENT);
    client.get_stock("LAMP", &ReadAfter::nothing()).await.unwrap_err();
}

#[tokio::test]
async fn on_a_terminal_lines_are_for_people() {
    for (no_color, is_coloured) in [("", true), ("1", false)] {
        let mut environment = settings().await;
        environment.push(("NO_COLOR", no_color.to_owned()));
        let (process, screen) =
            Screen::of(&Launch { program: "query-service", arguments: vec!["serve".to_owned()], environment });
        let address = process.announced_address().unwrap().await.unwrap();
        read_something(&address).await;
        for line in [screen.line("starting").await, screen.line("a call ended").await] {
            assert!(!line.starts_with('{'), "{line}");
            assert!(line.contains("INFO") || line.contains("DEBUG"), "{line}");
            assert_eq!(line.contains(ESCAPE), is_coloured, "{line}");
        }
        let call = screen.line("a call ended").await;
        assert!(call.trim_end().ends_with(&format!("trace_id={TRACE}")), "{call}");
    }
}

#[tokio::test]
async fn elsewhere_every_line_is_json() {
    let environment = settings().await;
    let launch = Launch { program: "query-service", arguments: vec!["serve".to_owned()], environment };
    let log = target_dir().join("system-tests").join(format!("logs-{}.log", Uuid::new_v4().simple()));
    let service = Service::start(launch, log.clone()).await.unwrap();
    read_something(&service.address().to_string()).await;
    eventually("the call's line", async || {
        std::fs::read_to_string(&log).unwrap().contains("a call ended").then_some(())
    })
    .await;
    service.stop().await;
    for line in std::fs::read_to_string(&log).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in ["timestamp", "level", "target"] {
            assert!(line[key].is_string(), "{key} in {line}");
        }
        assert!(line["fields"]["message"].is_string(), "{line}");
    }
    std::fs::remove_file(log).unwrap();
}

/// Wrong settings, stores that are away: what a process ends with is a line like all others, and shows no password.
#[tokio::test]
async fn a_process_that_fails_says_why_in_a_line_of_json() {
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = occupied.local_addr().unwrap().to_string();
    let serve = ["serve", "--listen", &address];
    for (program, arguments, why) in [
        ("command-service", &serve[..], "can't listen on 127.0.0.1"),
        ("projector", &serve, "can't listen on 127.0.0.1"),
        ("query-service", &serve, "can't listen on 127.0.0.1"),
        ("command-service", &["migrate"], "the migration failed"),
        ("command-service", &["restored"], "the log keeps its identity"),
    ] {
        let environment = vec![
            ("DATABASE_URL", "postgres://tally:a-password@127.0.0.1:1/tally".to_owned()),
            ("REDIS_URL", "redis://:a-password@127.0.0.1:1/".to_owned()),
            ("TALLY_LOG_FORMAT", "json".to_owned()),
        ];
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let log = target_dir().join("system-tests").join(format!("logs-{}.log", Uuid::new_v4().simple()));
        let (status, said) = run_to_end(&Launch { program, arguments, environment }, &log).await.unwrap();
        std::fs::remove_file(log).unwrap();
        assert!(!status.success() && !said.contains("a-password"), "{program}: {said}");
        // What still runs when the process ends may have a line of its own after it.
        let of_the_end: Vec<Value> = said
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{program}: {error}: {line}")))
            .filter(|line: &Value| line["level"] == "ERROR")
            .collect();
        let [line] = &of_the_end[..] else { panic!("{program}: one line says why it ended: {said}") };
        assert!(line["fields"]["error"].as_str().is_some_and(|error| error.contains(why)), "{program}: {line}");
    }
}

/// The line of a call's end.
async fn end_of_call(service: &Service, method: &str) -> String {
    eventually(&format!("the end of {method}"), async || {
        let log = std::fs::read_to_string(service.log()).unwrap();
        log.lines().find(|line| line.contains("a call ended") && line.contains(method)).map(str::to_owned)
    })
    .await
}

#[tokio::test]
async fn lines_of_a_call_name_its_trace_in_every_service_and_format() {
    for format in ["text", "json"] {
        let tally = Tally::start_with_environment(&[("RUST_LOG", "debug"), ("TALLY_LOG_FORMAT", format)]).await;
        let client = tally.client().with_header("traceparent", TRACEPARENT);
        client.allocate("o1", "LAMP", 1).await.unwrap_err();
        client.get_stock("LAMP", &ReadAfter::nothing()).await.unwrap_err();
        let mut request = Request::new(ListProjectionsRequest::default());
        request.metadata_mut().insert("traceparent", TRACEPARENT.parse().unwrap());
        ProjectionAdminServiceClient::new(tally.projector.channel()).list_projections(request).await.unwrap();
        let calls = [(&tally.command, "Allocate"), (&tally.query, "GetStock"), (&tally.projector, "ListProjections")];
        for (service, method) in calls {
            let line = end_of_call(service, method).await;
            if format == "json" {
                let line: Value = serde_json::from_str(&line).unwrap();
                assert_eq!(line["trace_id"], TRACE, "{line}");
                assert!(line["fields"]["code"].is_string(), "{line}");
            } else {
                assert!(line.ends_with(&format!(" trace_id={TRACE}")) && !line.contains(ESCAPE), "{line}");
            }
        }
    }
}

#[tokio::test]
async fn a_call_whose_caller_names_no_trace_has_an_id_of_its_own() {
    let tally = Tally::start_with_environment(&[("RUST_LOG", "debug")]).await;
    tally.client().allocate("o1", "LAMP", 1).await.unwrap_err();
    tally.client().deallocate("o1", "LAMP").await.unwrap_err();
    let id = async |method: &str| {
        let line = end_of_call(&tally.command, method).await;
        line.rsplit_once(" trace_id=").map(|(_, id)| id.to_owned()).unwrap_or_else(|| panic!("{line}"))
    };
    let (first, second) = (id("\"Allocate\"").await, id("\"Deallocate\"").await);
    assert!([&first, &second].into_iter().all(|id| id.len() == TRACE.len()), "{first} {second}");
    assert_ne!(first, second);
}

/// What is logged of a failure of ours, at the level that everybody has: the cause where it was seen, and the trace of the call that it hit.
#[tokio::test]
async fn a_command_that_fails_by_our_fault_can_be_found_by_its_trace() {
    let tally = Tally::start_with_environment(&[("TALLY_LOG_FORMAT", "json")]).await;
    tally.stocked("b1", "LAMP", 10).await;
    let broken = "UPDATE events SET payload = '{}' WHERE event_type = 'BatchCreated' AND stream_id = 'product-LAMP'";
    assert_eq!(sqlx::query(broken).execute(&tally.database().await).await.unwrap().rows_affected(), 1);
    tally.command.restart().await;
    let command_id = Uuid::now_v7();
    let client = tally.client().with_header("traceparent", TRACEPARENT).command_id(command_id);
    let error = client.allocate("o1", "LAMP", 1).await.unwrap_err();
    assert!(error.is(Code::Unavailable, "STREAM_UNREADABLE"), "{error:?}");
    let log = std::fs::read_to_string(tally.command.log()).unwrap();
    let errors: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["level"] == "ERROR")
        .collect();
    let of_call = errors.iter().find(|line| line["trace_id"] == TRACE).unwrap_or_else(|| panic!("{log}"));
    assert_eq!(of_call["fields"]["command_id"], command_id.to_string());
    assert!(errors.iter().any(|line| line["fields"]["stream"] == "product-LAMP"), "{errors:?}");
}
