//! Where an order goes is in its event and its view, and nowhere else.

use system_tests::client::{Address, NewOrder, ReadAfter, TallyClient};
use system_tests::{Tally, dump};

/// A text that is in nothing but the address.
const MARK: &str = "Geheimgasse";
/// Texts that are in nothing but what people are: no line of any log may have them.
const CANARIES: [&str; 4] = [MARK, "Kanarienstadt", "98765-CANARY", "weil-mein-Hund-krank-ist"];

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

/// Every line that any process of a whole run writes, with all that can be switched on, in the format of containers.
#[tokio::test]
async fn no_line_of_any_log_has_a_canary() {
    let settings = [
        ("RUST_LOG", "debug"),
        ("TALLY_LOG_FORMAT", "json"),
        ("TALLY_METRICS_LISTEN", "127.0.0.1:0"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
    ];
    let tally = Tally::start_with_environment(&settings).await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 10).await;
    let [street, city, postal_code, reason] = CANARIES;
    let address = Address {
        address_lines: vec![format!("{street} 7")],
        locality: city.to_owned(),
        postal_code: postal_code.to_owned(),
        ..Address::of_a_test()
    };
    let order = NewOrder { shipping_address: address, ..NewOrder::of("c-1", &[("LAMP", 1)]) };
    let created = client.create_order(&order).await.unwrap();
    // Refusals, repetitions and reads log, too.
    client.command_id(&created.order_id).create_order(&order).await.unwrap_err();
    let mut wrong = order.clone();
    wrong.shipping_address.region_code.clear();
    client.create_order(&wrong).await.unwrap_err();
    client
        .create_order(&NewOrder {
            shipping_address: order.shipping_address.clone(),
            ..NewOrder::of("c-1", &[("NO-SUCH", 1)])
        })
        .await
        .unwrap_err();
    client.get_order(&created.order_id, &created.seen()).await.unwrap();
    let cancelled = client.cancel_order(&created.order_id, reason).await.unwrap();
    client.get_order(&created.order_id, &cancelled.seen()).await.unwrap();
    let (status, _) = tally.rebuild("order").await;
    assert!(status.success());
    for service in tally.services() {
        service.stop().await;
    }
    let mut lines = 0;
    for log in tally.folder().read_dir().unwrap().map(|file| file.unwrap().path()) {
        for line in std::fs::read(&log).unwrap().split(|byte| *byte == b'\n') {
            let found = CANARIES.into_iter().find(|canary| holds(line, canary));
            assert_eq!(found, None, "{}: {}", log.display(), String::from_utf8_lossy(line));
            lines += 1;
        }
    }
    assert!(lines > 100, "{lines}");
}
