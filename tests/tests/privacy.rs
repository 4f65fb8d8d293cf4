//! Where an order goes is in its event and its view, and nowhere else.

use system_tests::client::{Address, NewOrder, ReadAfter, TallyClient};
use system_tests::{Tally, dump};

/// A text that is in nothing but the address.
const MARK: &str = "Geheimgasse";

fn holds_mark(bytes: &[u8]) -> bool {
    bytes.windows(MARK.len()).any(|window| window == MARK.as_bytes())
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
