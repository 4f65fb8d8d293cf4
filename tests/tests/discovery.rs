//! What anybody can find out with the usual tools: health, reflection, grpcurl, buf.

use std::process::Command;

use futures::StreamExt;
use system_tests::client::grpcurl;
use system_tests::health::{LIVENESS, READINESS, is_serving, until_ready};
use system_tests::{Service, Tally, clients_venv, root};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

/// What each process serves, besides health and reflection.
fn api(service: &Service) -> &'static [&'static str] {
    match service.name() {
        "command-service" => &["tally.allocation.v1.AllocationCommandService", "tally.orders.v1.OrderCommandService"],
        "query-service" => &[
            "tally.allocation.v1.AllocationQueryService",
            "tally.events.v1.EventLogService",
            "tally.orders.v1.OrderQueryService",
        ],
        "projector" => &["tally.projections.v1.ProjectionAdminService"],
        _ => &[],
    }
}

#[tokio::test]
async fn every_process_answers_for_its_health() {
    let tally = Tally::start().await;
    for service in tally.services() {
        until_ready(service, true).await;
        for name in api(service).iter().chain(&[LIVENESS, READINESS]) {
            assert!(is_serving(service, name).await, "{} {name}", service.name());
        }
        let request = HealthCheckRequest { service: "nonexistent".to_owned() };
        let unknown = HealthClient::new(service.channel()).check(request).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
    }
}

async fn listed_by_v1(service: &Service) -> Vec<String> {
    use v1::server_reflection_client::ServerReflectionClient;
    use v1::server_reflection_request::MessageRequest;
    use v1::server_reflection_response::MessageResponse;
    let request = v1::ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut client = ServerReflectionClient::new(service.channel());
    let mut answers = client.server_reflection_info(tokio_stream_of(request)).await.unwrap().into_inner();
    match answers.next().await.unwrap().unwrap().message_response {
        Some(MessageResponse::ListServicesResponse(list)) => {
            list.service.into_iter().map(|service| service.name).collect()
        }
        other => panic!("{other:?}"),
    }
}

async fn listed_by_v1alpha(service: &Service) -> Vec<String> {
    use v1alpha::server_reflection_client::ServerReflectionClient;
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;
    let request = v1alpha::ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut client = ServerReflectionClient::new(service.channel());
    let mut answers = client.server_reflection_info(tokio_stream_of(request)).await.unwrap().into_inner();
    match answers.next().await.unwrap().unwrap().message_response {
        Some(MessageResponse::ListServicesResponse(list)) => {
            list.service.into_iter().map(|service| service.name).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn tokio_stream_of<T: Send + 'static>(request: T) -> impl futures::Stream<Item = T> + Send + 'static {
    futures::stream::iter([request])
}

#[tokio::test]
async fn every_process_describes_what_it_serves() {
    let tally = Tally::start().await;
    for service in tally.services() {
        for listed in [listed_by_v1(service).await, listed_by_v1alpha(service).await] {
            let mut of_the_api: Vec<&String> = listed.iter().filter(|name| name.starts_with("tally.")).collect();
            of_the_api.sort();
            assert_eq!(of_the_api, api(service), "{}", service.name());
            assert!(listed.iter().any(|name| name == "grpc.health.v1.Health"), "{} lists {listed:?}", service.name());
        }
    }
}

/// Runs grpcurl against a process, and returns what it printed.
fn ask(service: &Service, arguments: &[&str]) -> String {
    let address = service.address().to_string();
    let (options, rest) = arguments.split_at(arguments.iter().take_while(|argument| argument.starts_with('-')).count());
    let output = grpcurl(&[&["-plaintext"], options, &[&address], rest].concat(), "");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn grpcurl_lists_and_describes() {
    let tally = Tally::start().await;
    for service in tally.services() {
        let listed = ask(service, &["list"]);
        for name in api(service).iter().chain(&["grpc.health.v1.Health"]) {
            assert!(listed.lines().any(|line| line == *name), "{}: {listed}", service.name());
            let methods = ask(service, &["list", name]);
            assert!(methods.contains(&format!("{name}.")), "{methods}");
        }
    }
    let allocate = ask(&tally.command, &["describe", "tally.allocation.v1.AllocationCommandService.Allocate"]);
    assert!(allocate.contains("Allocates stock to the line"), "its comment is there: {allocate}");
    let message = ask(&tally.query, &["describe", "tally.orders.v1.Order"]);
    assert!(message.contains(".google.type.Money total"), "{message}");
}

#[tokio::test]
async fn grpcurl_shows_the_details_of_an_error_as_text() {
    let tally = Tally::start().await;
    let address = tally.command.address().to_string();
    let call = |method: &str, request: &str| {
        let output = grpcurl(
            &["-plaintext", "-d", request, &address, &format!("tally.allocation.v1.AllocationCommandService/{method}")],
            "",
        );
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };

    let refused = call("Allocate", r#"{"order_id": "o1", "sku": "NONEXISTENT", "quantity": 1}"#);
    for part in [
        "Code: FailedPrecondition",
        "Message: Invalid sku NONEXISTENT",
        "google.rpc.ErrorInfo",
        "\"INVALID_SKU\"",
        "\"tally\"",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    let invalid = call("Allocate", r#"{"quantity": -1}"#);
    for part in [
        "Code: InvalidArgument",
        "google.rpc.BadRequest",
        "\"fieldViolations\"",
        "\"order_id\"",
        "\"sku\"",
        "\"quantity\"",
    ] {
        assert!(invalid.contains(part), "{part}: {invalid}");
    }
    assert!(!invalid.contains("Base64"), "{invalid}");
}

/// Runs buf on the protos, and returns what it printed.
fn buf(arguments: &[&str]) -> String {
    let output =
        Command::new(clients_venv().program("buf")).current_dir(root().join("proto")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[tokio::test]
async fn buf_curl_calls() {
    let tally = Tally::start().await;
    let url = |service: &Service, method: &str| format!("http://{}/tally.allocation.v1.{method}", service.address());
    let call = |url: &str, request: &str| {
        buf(&["curl", "--http2-prior-knowledge", "--protocol", "grpc", "--data", request, url])
    };

    let request = r#"{"batch_ref": "b1", "sku": "LAMP", "quantity": 5}"#;
    let created = call(&url(&tally.command, "AllocationCommandService/CreateBatch"), request);
    let created: serde_json::Value = serde_json::from_str(&created).unwrap();
    let token = created["receipt"]["token"].as_str().unwrap();
    let request = serde_json::json!({"sku": "LAMP", "read_after": {"token": token}}).to_string();
    let stock = call(&url(&tally.query, "AllocationQueryService/GetStock"), &request);

    let stock: serde_json::Value = serde_json::from_str(&stock).unwrap();
    assert_eq!(stock["stock"]["availableNow"], "5", "{stock}");
}

#[test]
fn the_protos_pass_buf_lint() {
    assert_eq!(buf(&["lint"]), "");
}
