//! A trace shows a command's whole way: asserted on what an OTLP receiver gets.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use system_tests::client::{NewOrder, TallyClient};
use system_tests::credentials::{Authority, Pem};
use system_tests::otlp::{Receiver, hex};
use system_tests::{Samples, Tally, eventually, target_dir};
use tokio::net::TcpListener;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

/// Nothing else may look like it.
const CUSTOMER: &str = "a-customer-of-ours";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn environment(address: SocketAddr) -> [(&'static str, String); 2] {
    [("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")), ("OTEL_BSP_SCHEDULE_DELAY", "50".to_owned())]
}

async fn tally(address: SocketAddr, more: &[(&'static str, &str)]) -> Tally {
    let environment = environment(address);
    let environment = environment.iter().map(|(name, value)| (*name, value.as_str()));
    Tally::start_with_environment(&environment.chain(more.iter().copied()).collect::<Vec<_>>()).await
}

#[tokio::test]
async fn one_trace_shows_a_commands_whole_way() {
    let (receiver, address) = Receiver::start().await;
    let tally = tally(address, &[("TALLY_METRICS_LISTEN", "127.0.0.1:0")]).await;
    tally.stocked("b1", "LAMP", 10).await;
    let client = tally.client().with_header("traceparent", &format!("00-{TRACE}-{CALLER}-01"));
    // So that the read has to wait.
    tally.projector.pause();
    let created = client.create_order(&NewOrder::of(CUSTOMER, &[("LAMP", 4)])).await.unwrap();
    let (order_id, seen) = (created.order_id.clone(), created.seen());
    let read = tokio::spawn(async move { client.get_order(&order_id, &seen).await });
    eventually("the read waits", async || {
        (Samples::of(&tally.query).await.sum("tally_reads_waiting", &[]) == 1.0).then_some(())
    })
    .await;
    tally.projector.resume();
    read.await.unwrap().unwrap();

    let wanted: BTreeSet<&str> = BTreeSet::from([
        "tally.orders.v1.OrderCommandService/CreateOrder",
        "decide and commit",
        "project order",
        "project stock",
        "project order_summaries",
        "tally.orders.v1.OrderQueryService/GetOrder",
        "wait for projection",
    ]);
    let spans = eventually("the whole trace has arrived", async || {
        let spans = receiver.of_trace(TRACE);
        let names: BTreeSet<&str> = spans.iter().map(|seen| seen.span.name.as_str()).collect();
        wanted.is_subset(&names).then(|| spans.clone())
    })
    .await;
    let find = |name: &str| {
        let mut found = spans.iter().filter(|seen| seen.span.name == name);
        let one = found.next().unwrap();
        assert!(found.next().is_none(), "{name} is there once");
        one
    };
    let command = find("tally.orders.v1.OrderCommandService/CreateOrder");
    assert_eq!((command.service.as_str(), command.span.kind()), ("command-service", SpanKind::Server));
    assert_eq!(hex(&command.span.parent_span_id), CALLER);
    for (key, value) in
        [("rpc.system", "grpc"), ("rpc.service", "tally.orders.v1.OrderCommandService"), ("rpc.method", "CreateOrder")]
    {
        assert_eq!(command.attribute(key), Some(any_value::Value::StringValue(value.to_owned())), "{key}");
    }
    assert_eq!(command.attribute("rpc.grpc.status_code"), Some(any_value::Value::IntValue(0)));

    let commit = find("decide and commit");
    assert_eq!(commit.span.parent_span_id, command.span.span_id);
    let position = any_value::Value::IntValue(created.receipt.as_ref().unwrap().position);
    assert_eq!(commit.attribute("tally.position"), Some(position));

    let projected = find("project order");
    assert_eq!((projected.service.as_str(), projected.span.kind()), ("projector", SpanKind::Consumer));
    assert_eq!(projected.span.parent_span_id, command.span.span_id, "the event's metadata carried it");
    // Linked with the batch that it was part of, and that one with the command.
    let batch_id = &projected.span.links[0].span_id;
    let batch = receiver.all().into_iter().find(|seen| seen.span.span_id == *batch_id);
    let batch = eventually("the batch's span has arrived", async || {
        batch.clone().or_else(|| receiver.all().into_iter().find(|seen| seen.span.span_id == *batch_id))
    })
    .await;
    assert!(batch.span.links.iter().any(|link| link.span_id == command.span.span_id));

    let query = find("tally.orders.v1.OrderQueryService/GetOrder");
    assert_eq!(query.service, "query-service");
    // Whoever is woken looks, and may have to wait on.
    for wait in spans.iter().filter(|seen| seen.span.name == "wait for projection") {
        assert_eq!(wait.span.parent_span_id, query.span.span_id);
    }
    for seen in receiver.all() {
        assert!(!format!("{seen:?}").contains(CUSTOMER), "no customer: {seen:?}");
    }
}

#[tokio::test]
async fn what_the_caller_does_not_want_followed_is_not() {
    let (receiver, address) = Receiver::start().await;
    let tally = tally(address, &[("OTEL_TRACES_SAMPLER", "parentbased_always_off")]).await;
    tally.stocked("b1", "LAMP", 10).await;
    let unsampled = format!("00-{TRACE}-{CALLER}-00");
    tally.client().with_header("traceparent", &unsampled).allocate("o1", "LAMP", 1).await.unwrap();
    let other = "5bf92f3577b34da6a3ce929d0e0e4737";
    let sampled = format!("00-{other}-{CALLER}-01");
    tally.client().with_header("traceparent", &sampled).allocate("o2", "LAMP", 1).await.unwrap();
    eventually("what is wanted has arrived", async || (!receiver.of_trace(other).is_empty()).then_some(())).await;
    assert!(receiver.of_trace(TRACE).is_empty());
    assert!(receiver.all().iter().all(|seen| hex(&seen.span.trace_id) == other));
    // Carried on all the same, for whoever looks into the log.
    let metadata: Vec<String> = sqlx::query_scalar("SELECT metadata FROM events WHERE metadata LIKE '%traceparent%'")
        .fetch_all(&tally.database().await)
        .await
        .unwrap();
    assert!(metadata.iter().any(|metadata| metadata.contains(&unsampled)), "{metadata:?}");
}

#[tokio::test]
async fn a_receiver_that_is_away_hinders_nobody() {
    let address = { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap() };
    let tally = tally(address, &[]).await;
    tally.stocked("b1", "LAMP", 10).await;
    let receipt = tally.client().allocate("o1", "LAMP", 1).await.unwrap();
    tally.client().get_stock("LAMP", &receipt.seen()).await.unwrap();
    for service in tally.services() {
        assert!(service.stop().await.success());
    }
}

/// The collector wants a certificate of its callers, too.
#[tokio::test]
async fn traces_go_out_over_tls_to_the_collector_that_the_authority_vouches_for() {
    let authority = Authority::new();
    let Pem { certificate, key } = authority.server();
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(certificate, key))
        .client_ca_root(Certificate::from_pem(authority.pem()));
    let (receiver, address) = Receiver::start_on(Server::builder().tls_config(tls).unwrap()).await;
    let folder = target_dir().join("system-tests").join(format!("traces-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir_all(&folder).unwrap();
    let own = authority.client();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    };
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("https://localhost:{}", address.port())),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", write("authority.pem", &authority.pem())),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", write("client.pem", &own.certificate)),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", write("client.key", &own.key)),
        ("OTEL_BSP_SCHEDULE_DELAY", "50".to_owned()),
    ];
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let tally = Tally::start_with_environment(&environment).await;
    let client = tally.client().with_header("traceparent", &format!("00-{TRACE}-{CALLER}-01"));
    client.create_batch("b1", "LAMP", 5, None).await.unwrap();
    eventually("its spans arrive", async || (!receiver.of_trace(TRACE).is_empty()).then_some(())).await;
    std::fs::remove_dir_all(folder).unwrap();
}
