//! What must hold with any number of replicas on one log.

#[path = "replicas/cluster.rs"]
mod cluster;

use cluster::{Cluster, allocate, batch};
use futures::future::join_all;
use tally_api::allocation::v1::{AllocateRequest, DeallocateRequest, LineStatus};
use tally_api::google::r#type::{Money, PostalAddress};
use tally_api::orders::v1::{CancelOrderRequest, CreateOrderRequest, Item};
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

fn order(order_id: Uuid, sku: &str) -> CreateOrderRequest {
    CreateOrderRequest {
        order_id: order_id.to_string(),
        customer_id: "c-1".into(),
        items: vec![Item {
            sku: sku.into(),
            quantity: 1,
            unit_price: Some(Money { currency_code: "EUR".into(), units: 1, nanos: 0 }),
        }],
        shipping_address: Some(PostalAddress {
            region_code: "DE".into(),
            address_lines: vec!["Chausseestr. 1".into()],
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[tokio::test]
async fn replicas_that_race_for_one_sku_never_oversell_and_no_command_fails() {
    let cluster = Cluster::start(4, &[]).await;
    let mut first = cluster.replicas[0].allocation.clone();
    first.create_batch(batch("b-1", "HOT", 150)).await.expect("a batch");
    let calls = (0..200).map(|n| {
        let mut client = cluster.replicas[n % 4].allocation.clone();
        async move { client.allocate(allocate(&format!("o-{n}"), "HOT", 1)).await }
    });
    let mut statuses = Vec::new();
    let mut positions = Vec::new();
    for answer in join_all(calls).await {
        let answer = answer.expect("no command fails").into_inner();
        statuses.push(answer.line.expect("a line").status());
        positions.push(answer.receipt.expect("a receipt").position);
    }
    assert_eq!(statuses.iter().filter(|status| **status == LineStatus::Allocated).count(), 150);
    assert_eq!(statuses.iter().filter(|status| **status == LineStatus::Backordered).count(), 50);
    positions.sort_unstable();
    assert_eq!(positions, (3..=202).collect::<Vec<i64>>());
    assert_eq!(cluster.event_count().await, 202);
}

#[tokio::test]
async fn what_one_replica_wrote_another_does_not_refuse_from_memory() {
    let cluster = Cluster::start(2, &[]).await;
    let (mut one, mut two) = (cluster.replicas[0].orders.clone(), cluster.replicas[1].orders.clone());
    cluster.replicas[0].allocation.clone().create_batch(batch("b-1", "SKU", 5)).await.expect("a batch");
    let id = Uuid::now_v7();
    let cancel = CancelOrderRequest { order_id: id.to_string(), reason: "no".into(), ..Default::default() };
    // Now the second replica knows that there is no such order.
    let refused = two.cancel_order(cancel.clone()).await.expect_err("no such order");
    assert_eq!(refused.code(), Code::NotFound);
    one.create_order(order(id, "SKU")).await.expect("an order");
    two.cancel_order(cancel).await.expect("the order is there");
}

#[tokio::test]
async fn a_version_from_one_replica_is_met_at_another() {
    let cluster = Cluster::start(2, &[]).await;
    let (mut one, mut two) = (cluster.replicas[0].allocation.clone(), cluster.replicas[1].allocation.clone());
    one.create_batch(batch("b-1", "SKU", 5)).await.expect("a batch");
    two.allocate(allocate("o-1", "SKU", 1)).await.expect("allocated");
    let version =
        one.allocate(allocate("o-2", "SKU", 1)).await.expect("allocated").into_inner().receipt.unwrap().stream_version;
    let expecting = |expected| AllocateRequest { expected_version: Some(expected), ..allocate("o-3", "SKU", 1) };
    two.allocate(expecting(version)).await.expect("the version is met");
    let refused = one.allocate(expecting(version)).await.expect_err("the stream has moved on");
    assert_eq!(refused.code(), Code::Aborted);
    let metadata = refused.get_error_details().error_info().expect("details").metadata.clone();
    assert_eq!(metadata["expected"], version.to_string());
    assert_eq!(metadata["actual"], (version + 1).to_string());
}

#[tokio::test]
async fn one_command_id_at_all_replicas_at_once_has_one_effect_and_one_answer() {
    let cluster = Cluster::start(3, &[]).await;
    cluster.replicas[0].allocation.clone().create_batch(batch("b-1", "SKU", 50)).await.expect("a batch");
    let request = AllocateRequest { command_id: Uuid::now_v7().to_string(), ..allocate("o-1", "SKU", 3) };
    let calls = (0..30).map(|n| {
        let (mut client, request) = (cluster.replicas[n % 3].allocation.clone(), request.clone());
        async move { client.allocate(request).await.expect("an answer").into_inner() }
    });
    let answers = join_all(calls).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(cluster.event_count().await, 3);

    let later = cluster.replica(&[]).await;
    assert_eq!(later.allocation.clone().allocate(request.clone()).await.expect("an answer").into_inner(), answers[0]);
    let other = AllocateRequest { quantity: 4, ..request };
    let refused = later.allocation.clone().allocate(other).await.expect_err("other content");
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert_eq!(refused.get_error_details().error_info().unwrap().reason, "COMMAND_ID_REUSED");
}

#[tokio::test]
async fn a_command_that_changed_nothing_changes_nothing_when_it_comes_again_either() {
    let cluster = Cluster::start(1, &[]).await;
    let mut client = cluster.replicas[0].allocation.clone();
    client.create_batch(batch("b-1", "SKU", 50)).await.expect("a batch");
    client.allocate(allocate("o-1", "SKU", 3)).await.expect("allocated");
    let again = AllocateRequest { command_id: Uuid::now_v7().to_string(), ..allocate("o-1", "SKU", 3) };
    let first = client.allocate(again.clone()).await.expect("nothing to do").into_inner();
    assert_eq!(first.receipt.as_ref().expect("a receipt").position, 3);
    let free = DeallocateRequest { order_id: "o-1".into(), sku: "SKU".into(), ..Default::default() };
    client.deallocate(free).await.expect("freed");
    for replica in [&cluster.replicas[0], &cluster.replica(&[]).await] {
        let repeated = replica.allocation.clone().allocate(again.clone()).await.expect("the first answer").into_inner();
        assert_eq!(repeated, first);
    }
    assert_eq!(cluster.event_count().await, 4);
}

#[tokio::test]
async fn a_refused_command_leaves_its_neighbours_in_the_batch_alone() {
    let cluster = Cluster::start(1, &[]).await;
    let client = &cluster.replicas[0].allocation;
    client.clone().create_batch(batch("b-1", "SKU", 500)).await.expect("a batch");
    let calls = (0..300).map(|n| {
        let mut client = client.clone();
        let sku = if n % 3 == 0 { "UNKNOWN" } else { "SKU" };
        async move { (n, client.allocate(allocate(&format!("o-{n}"), sku, 1)).await) }
    });
    for (n, answer) in join_all(calls).await {
        match answer {
            Ok(_) => assert_ne!(n % 3, 0),
            Err(status) => assert_eq!((n % 3, status.message()), (0, "Invalid sku UNKNOWN")),
        }
    }
    assert_eq!(cluster.event_count().await, 202);
}

#[tokio::test]
async fn validate_only_says_what_would_happen_and_does_nothing() {
    let cluster = Cluster::start(1, &[]).await;
    let mut client = cluster.replicas[0].allocation.clone();
    client.create_batch(batch("b-1", "SKU", 2)).await.expect("a batch");
    let ask = AllocateRequest { validate_only: true, ..allocate("o-1", "SKU", 2) };
    for _ in 0..2 {
        let answer = client.allocate(ask.clone()).await.expect("an answer").into_inner();
        assert_eq!(answer.receipt, None);
        assert_eq!(answer.line.expect("a line").status(), LineStatus::Allocated);
    }
    assert_eq!(cluster.event_count().await, 2);
}

#[tokio::test]
async fn a_tiny_cache_makes_it_slower_and_nothing_else() {
    let cluster = Cluster::start(2, &["--state-cache-mib-max", "0", "--batch-commands-max", "8"]).await;
    let first = &cluster.replicas[0].allocation;
    for n in 0..20 {
        first.clone().create_batch(batch(&format!("b-{n}"), &format!("SKU-{n}"), 4)).await.expect("a batch");
    }
    let calls = (0..200).map(|n| {
        let mut client = cluster.replicas[n % 2].allocation.clone();
        async move { client.allocate(allocate(&format!("o-{n}"), &format!("SKU-{}", n % 20), 1)).await }
    });
    let lines: Vec<_> = join_all(calls).await.into_iter().map(|answer| answer.expect("an answer")).collect();
    let allocated = lines.iter().filter(|line| line.get_ref().line.as_ref().unwrap().status() == LineStatus::Allocated);
    assert_eq!(allocated.count(), 80);
    assert_eq!(cluster.event_count().await, 240);
}

#[tokio::test]
async fn over_the_limit_a_command_is_refused_at_once() {
    let cluster = Cluster::start(1, &["--commands-in-flight-max", "2"]).await;
    let client = &cluster.replicas[0].allocation;
    let calls = (0..100).map(|n| {
        let mut client = client.clone();
        async move { client.create_batch(batch(&format!("b-{n}"), "SKU", 1)).await }
    });
    let answers = join_all(calls).await;
    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(!refused.is_empty() && refused.len() < 100, "{} refused", refused.len());
    for status in &refused {
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.get_error_details().retry_info().is_some());
    }
    let accepted = 100 - refused.len();
    assert_eq!(cluster.event_count().await, 2 * i64::try_from(accepted).unwrap());
}
