//! Where an order goes is in its event and its view, and nowhere else.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use system_tests::client::{Address, NewOrder, OrderFilter, PageOf, ReadAfter, TallyClient};
use system_tests::credentials::Issuer;
use system_tests::otlp::Receiver;
use system_tests::{Samples, Tally, dump, eventually};
use tonic::Code;

use crate::security::{Folder, ISSUER, all_scopes, borrowed, listed, trusting};

/// A text that is in nothing but the address.
const MARK: &str = "Geheimgasse";
/// What a caller gives as the reason for cancelling.
const REASON: &str = "weil-mein-Hund-krank-ist";
/// Texts that are in nothing but what is personal.
const PERSONAL: [&str; 6] =
    [MARK, "Kanarienstadt", "98765-CANARY", "Empfaenger-Kanarienvogel", "Kanarien-GmbH", REASON];
/// Whose orders they are. It may well be a name, so it is treated as one.
const CUSTOMER: &str = "erika.canary@example.com";
/// A token that stands in a file.
const LISTED: &str = "a-listed-token-that-nobody-may-see";
/// What is sent as a token, and is none.
const MALFORMED: &str = "no-token.but-perhaps.a-password";

fn canary_address() -> Address {
    let [street, city, postal_code, recipient, organization, _] = PERSONAL;
    Address {
        address_lines: vec![format!("{street} 7")],
        locality: city.to_owned(),
        postal_code: postal_code.to_owned(),
        recipients: vec![recipient.to_owned()],
        organization: organization.to_owned(),
        ..Address::of_a_test()
    }
}

fn holds_mark(bytes: &[u8]) -> bool {
    holds(bytes, MARK)
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn an_address_is_in_one_event_and_one_view_and_in_no_log() {
    let tally = Tally::start_with_environment(&[("RUST_LOG", "debug")]).await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 10).await;
    let address = Address { address_lines: vec![format!("{MARK} 7")], ..Address::of_a_test() };
    let order = NewOrder { shipping_address: address, ..NewOrder::of("c-1", &[("LAMP", 1)]) };

    let created = client.create_order(&order).await.unwrap();
    client.command_id(&created.order_id).create_order(&order).await.unwrap_err();
    let mut wrong = order.clone();
    wrong.shipping_address.region_code.clear();
    let refused = client.create_order(&wrong).await.unwrap_err();
    assert!(!format!("{refused:?}").contains(MARK));
    let cancelled = client.cancel_order(&created.order_id, "no").await.unwrap();
    client.get_order(&created.order_id, &cancelled.seen()).await.unwrap();
    client.get_allocations(&created.order_id, &ReadAfter::nothing()).await.ok();

    let database = tally.database().await;
    let types: Vec<String> = sqlx::query_scalar("SELECT event_type FROM events WHERE payload::text LIKE $1")
        .bind(format!("%{MARK}%"))
        .fetch_all(&database)
        .await
        .unwrap();
    assert_eq!(types, ["OrderCreated"]);
    let views = dump(&mut tally.redis().await, &tally.log).await;
    let marked: Vec<&String> =
        views.iter().filter(|(_, values)| values.iter().any(|value| holds_mark(value))).map(|(key, _)| key).collect();
    assert_eq!(marked, [&format!("order:view:{}", created.order_id)]);
    for service in tally.services() {
        let log = std::fs::read(service.log()).unwrap();
        assert!(!log.is_empty(), "{} logs", service.name());
        assert!(!holds_mark(&log), "{} logs an address", service.name());
    }
}

/// Every line that any process of a whole run writes, with all that can be switched on, in the format of containers; every span, and every
/// metric. In that run calls are refused, tokens are bad, and both stores go away and come back.
#[tokio::test]
async fn no_log_no_span_and_no_metric_has_a_canary() {
    let (folder, issuer) = (Folder::new(), Issuer::new(ISSUER));
    let (receiver, collector) = Receiver::start().await;
    let scopes = all_scopes();
    let tokens = json!({"tokens": [listed("a program", LISTED, &scopes.split(' ').collect::<Vec<_>>(), None)]});
    let mut environment = trusting(&issuer, &folder);
    environment.extend([
        ("TALLY_TOKENS", folder.write("tokens.json", &tokens.to_string())),
        ("RUST_LOG", "debug".to_owned()),
        ("TALLY_LOG_FORMAT", "json".to_owned()),
        ("TALLY_METRICS_LISTEN", "127.0.0.1:0".to_owned()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}")),
        ("OTEL_BSP_SCHEDULE_DELAY", "50".to_owned()),
    ]);
    let tally = Tally::start_on_own_servers_with_environment(&borrowed(&environment)).await;
    let with = |token: &str| tally.client().with_header("authorization", &format!("Bearer {token}"));
    let (token, bound) = (issuer.token(&scopes), issuer.bound_token(&scopes, CUSTOMER));
    let strange = Issuer::new(ISSUER).token(&scopes);
    let client = with(&token);
    client.create_batch("b1", "LAMP", 10, None).await.unwrap();
    let order = NewOrder { shipping_address: canary_address(), ..NewOrder::of(CUSTOMER, &[("LAMP", 1)]) };
    let created = client.create_order(&order).await.unwrap();
    with(&bound).create_order(&order).await.unwrap();

    // Refusals, repetitions and reads log, too.
    client.command_id(&created.order_id).create_order(&order).await.unwrap_err();
    let mut wrong = order.clone();
    wrong.shipping_address.region_code.clear();
    client.create_order(&wrong).await.unwrap_err();
    client
        .create_order(&NewOrder { items: NewOrder::of("", &[("NO-SUCH", 1)]).items, ..order.clone() })
        .await
        .unwrap_err();
    for bad in [MALFORMED, &strange] {
        assert_eq!(with(bad).create_order(&order).await.unwrap_err().code, Code::Unauthenticated);
    }
    with(LISTED).get_order(&created.order_id, &created.seen()).await.unwrap();
    let of_customer = OrderFilter { customer_id: CUSTOMER.to_owned(), ..OrderFilter::default() };
    with(&bound).list_orders(&of_customer, &created.seen()).await.unwrap();
    client.watch_order(&created.order_id, &created.seen()).await.unwrap();
    client.read_stream_backwards(&format!("order-{}", created.order_id), 10).await.unwrap();
    let cancelled = client.cancel_order(&created.order_id, REASON).await.unwrap();
    client.get_order(&created.order_id, &cancelled.seen()).await.unwrap();
    let history = PageOf { id: &created.order_id, ..PageOf::default() };
    client.get_order_history(history, &cancelled.seen()).await.unwrap();

    let hasty = client.deadline(Duration::from_secs(2));
    tally.servers().redis().stop().await.unwrap();
    tally.servers().postgres().stop().await.unwrap();
    for _ in 0..3 {
        hasty.create_order(&order).await.unwrap_err();
        hasty.cancel_order(&created.order_id, REASON).await.unwrap_err();
        hasty.get_order(&created.order_id, &cancelled.seen()).await.unwrap_err();
        hasty.list_orders(&of_customer, &ReadAfter::nothing()).await.unwrap_err();
        hasty.read_stream_backwards(&format!("order-{}", created.order_id), 10).await.unwrap_err();
    }
    tally.servers().postgres().restart().await.unwrap();
    tally.servers().redis().restart().await.unwrap();
    let again = eventually("orders are taken again", async || client.create_order(&order).await.ok()).await;
    eventually("orders are read again", async || client.get_order(&again.order_id, &again.seen().or_fail()).await.ok())
        .await;
    let (status, _) = tally.rebuild("order").await;
    assert!(status.success());

    let canaries = [&PERSONAL[..], &[CUSTOMER, LISTED, MALFORMED, &token, &bound, &strange]].concat();
    let found = |text: &[u8]| canaries.iter().find(|canary| holds(text, canary)).copied();
    for service in tally.services() {
        let metrics = Samples::of(service).await.text;
        assert_eq!(found(metrics.as_bytes()), None, "metrics of {}", service.name());
        service.stop().await;
    }
    let log_of_events: String = sqlx::query_scalar("SELECT string_agg(payload::text, '') FROM events")
        .fetch_one(&tally.database().await)
        .await
        .unwrap();
    for canary in PERSONAL.iter().chain([&CUSTOMER]) {
        assert!(log_of_events.contains(canary), "there was {canary} to be told");
    }
    let spans = receiver.all();
    let services: BTreeSet<&str> = spans.iter().map(|seen| seen.service.as_str()).collect();
    assert_eq!(services.len(), 3, "{services:?}");
    for seen in &spans {
        assert_eq!(found(format!("{seen:?}").as_bytes()), None, "{seen:?}");
    }
    let mut lines = 0;
    for log in tally.folder().read_dir().unwrap().map(|file| file.unwrap().path()) {
        for line in std::fs::read(&log).unwrap().split(|byte| *byte == b'\n') {
            assert_eq!(found(line), None, "{}: {}", log.display(), String::from_utf8_lossy(line));
            lines += 1;
        }
    }
    assert!(lines > 100, "{lines}");
}
