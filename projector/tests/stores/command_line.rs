//! What an operator sees and does by hand on the command line. (Rebuilding that is cut off, and what it tells meanwhile: `rebuilds.rs`, `process.rs`.)

use serde_json::{Value, json};
use tally_api::projections::v1::ListProjectionsRequest;
use tally_read_model::projections;

use crate::support::{Fixture, eventually, fixture};

#[tokio::test]
async fn the_command_line_tells_how_the_projections_are() {
    let mut f = fixture().await;
    f.append_random(20).await;
    let _projector = f.projector(&[]).await;
    f.projected(f.head).await;
    let table = f.run(&["status"]).await.unwrap();
    for projection in projections::ALL {
        let row = table.lines().find(|line| line.split_whitespace().next() == Some(projection));
        let cells: Vec<&str> = row.unwrap_or_else(|| panic!("{table}")).split_whitespace().collect();
        assert_eq!(cells[1..3], ["CAUGHT_UP", "1"], "{table}");
        assert_eq!(cells[4..6], [f.head.to_string(), f.head.to_string()], "{table}");
    }
    let json = f.run(&["status", "--json"]).await.unwrap();
    for line in json.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["checkpoint"], f.head, "{line}");
    }
    let sentence = f.run(&["explain-lag", "stock"]).await.unwrap();
    assert!(sentence.contains("caught up"), "{sentence}");
    assert_eq!(f.run(&["parked"]).await.unwrap().trim(), "no event is parked");
    assert!(f.run(&["rollback", "stock"]).await.unwrap_err().contains("no earlier generation"));
}

/// What `status --json` says of a projection.
async fn status(f: &Fixture, projection: &str) -> Value {
    let told = f.run(&["status", "--json"]).await.unwrap();
    let lines = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.into_iter().find(|line| line["name"] == projection).expect("it is there")
}

#[tokio::test]
async fn an_operator_pauses_resumes_builds_promotes_and_rolls_back_on_the_command_line() {
    let mut f = fixture().await;
    f.append_random(60).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;

    assert!(f.run(&["pause", "stock"]).await.unwrap().contains("stock is paused"));
    let paused_at = eventually("it is paused", async || {
        let status = status(&f, "stock").await;
        (status["state"] == "PAUSED").then(|| status["checkpoint"].as_u64().unwrap())
    })
    .await;
    let before = f.head;
    f.append_random(10).await;
    // The others go on, and it stays.
    eventually("order has gone on", async || (f.checkpoint(projections::ORDER).await.position == f.head).then_some(()))
        .await;
    let stock = status(&f, "stock").await;
    assert_eq!((stock["checkpoint"].as_u64(), paused_at), (Some(before), before), "{stock}");
    assert_eq!(stock["lag_events"].as_u64(), Some(f.head - before), "{stock}");
    let told: Value = serde_json::from_str(&f.run(&["explain-lag", "stock", "--json"]).await.unwrap()).unwrap();
    assert_eq!(told["reason"], "PAUSED", "{told}");
    let resumed: Value = serde_json::from_str(&f.run(&["resume", "stock", "--json"]).await.unwrap()).unwrap();
    assert_eq!((resumed["projection"].as_str(), resumed["done"].as_str()), (Some("stock"), Some("resumed")));
    f.projected(f.head).await;

    let built = f.run(&["rebuild", "stock", "--wait-for-promotion"]).await.unwrap();
    assert!(built.contains("built generation 2 of stock, 0 views differ"), "{built}");
    let stock = status(&f, "stock").await;
    assert_eq!((&stock["generation"], &stock["rebuild"]["generation"]), (&1.into(), &2.into()), "{stock}");
    assert!(f.run(&["promote", "stock"]).await.unwrap().contains("generation 2 of stock is read now"));
    assert_eq!(f.checkpoint(projections::STOCK).await.generation, 2);
    assert!(f.run(&["rollback", "stock"]).await.unwrap().contains("generation 1 of stock is read again"));
    assert_eq!(f.checkpoint(projections::STOCK).await.generation, 1);
    f.append_random(10).await;
    f.projected(f.head).await;
    assert_eq!(f.views().await, f.views_by_the_book().await);

    let listed = projector.admin().await.list_projections(ListProjectionsRequest {}).await.unwrap().into_inner();
    let stock = listed.projections.iter().find(|facts| facts.name == "stock").expect("it is there");
    let head = i64::try_from(f.head).unwrap();
    assert_eq!((stock.checkpoint, stock.head, stock.lag_events, stock.generation), (head, head, 0, 1));
    assert!(listed.projectors.contains(&stock.shards[0].owner), "{listed:?}");
}

#[tokio::test]
async fn what_is_done_is_told_to_programs_too() {
    let mut f = fixture().await;
    f.append_random(60).await;
    let _projector = f.projector(&[]).await;
    f.projected(f.head).await;
    let done = async |args: &[&str]| {
        let told = f.run(&[args, &["--json"]].concat()).await.unwrap();
        serde_json::from_str::<Value>(told.lines().last().expect("an outcome")).unwrap()
    };
    assert_eq!(done(&["pause", "stock"]).await["done"], "paused");
    assert!(f.run(&["resume", "stock"]).await.unwrap().contains("stock goes on"));
    let built = done(&["rebuild", "stock", "--wait-for-promotion"]).await;
    let expected =
        json!({ "projection": "stock", "outcome": "waits_for_promotion", "generation": 2, "differing_views": 0 });
    assert_eq!(built, expected);
    assert_eq!(done(&["promote", "stock"]).await["done"], "promoted");
    assert_eq!(done(&["rollback", "stock"]).await["done"], "rolled_back");
    let rebuilt = done(&["rebuild", "order"]).await;
    assert_eq!((rebuilt["outcome"].as_str(), rebuilt["generation"].as_u64()), (Some("promoted"), Some(2)));
    let explained = done(&["explain-lag", "order"]).await;
    assert_eq!(explained["reason"], "CAUGHT_UP", "{explained}");
}
