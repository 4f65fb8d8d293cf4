//! What is published to others, whatever happens to who publishes it.

use redis::cmd;
use serde_json::Value;
use tally_read_model::projections;

use crate::support::{Fixture, eventually, fixture};

/// Ids and CloudEvents in the stream.
async fn published(f: &Fixture) -> Vec<(String, Value)> {
    let entries: Vec<(String, Vec<(String, String)>)> = cmd("XRANGE")
        .arg(format!("tally:{}:line_events", f.log))
        .arg("-")
        .arg("+")
        .query_async(&mut f.redis().await)
        .await
        .unwrap();
    entries.into_iter().map(|(id, fields)| (id, serde_json::from_str(&fields[0].1).unwrap())).collect()
}

pub(crate) async fn published_up_to(f: &Fixture, position: u64) {
    let lines = f.model.line_events(f.store.log_id().await.unwrap());
    eventually("all is published", async || (lines.read_checkpoint().await.ok()?.0 >= position).then_some(())).await;
}

/// What the log says must be there: positions and types.
async fn expected(f: &Fixture) -> Vec<(String, String)> {
    let events = f.read_log().await;
    let of_lines =
        events.into_iter().filter(|event| ["Allocated", "Deallocated", "OutOfStock"].contains(&&*event.event_type));
    of_lines
        .map(|event| (format!("{}-0", event.position), format!("tally.allocation.v1.{}", event.event_type)))
        .collect()
}

async fn assert_each_once(f: &Fixture) {
    published_up_to(f, f.head).await;
    let found: Vec<(String, String)> = published(f)
        .await
        .into_iter()
        .map(|(id, event)| {
            assert_eq!(id, format!("{}-0", event["id"].as_str().unwrap()));
            (id, event["type"].as_str().unwrap().to_owned())
        })
        .collect();
    assert!(!found.is_empty());
    assert_eq!(found, expected(f).await);
}

#[tokio::test]
async fn every_event_of_a_line_is_published_once_and_in_order() {
    let mut f = fixture().await;
    f.append_random(100).await;
    let _projector = f.projector(&["--batch-events-max", "7"]).await;
    for _ in 0..10 {
        f.append_random(10).await;
    }
    assert_each_once(&f).await;
}

#[tokio::test]
async fn as_many_of_the_newest_stay_as_the_setting_says() {
    let mut f = fixture().await;
    f.append_random(600).await;
    let _projector = f.projector(&["--line-events-kept-max", "50"]).await;
    published_up_to(&f, f.head).await;
    let (found, all) = (published(&f).await, expected(&f).await);
    // Redis trims whole nodes of its tree, of a hundred entries.
    assert!(all.len() > 300 && (50..250).contains(&found.len()), "{} of {}", found.len(), all.len());
    let found: Vec<String> = found.into_iter().map(|(id, _)| id).collect();
    let newest: Vec<String> = all.into_iter().map(|(id, _)| id).skip_while(|id| *id != found[0]).collect();
    assert_eq!(found, newest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projectors_side_by_side_and_cut_off_publish_nothing_twice() {
    let mut f = fixture().await;
    let steady = f.projector(&["--batch-events-max", "2"]).await;
    for _ in 0..5 {
        let other = f.projector(&["--batch-events-max", "3"]).await;
        let position = f.append_random(30).await / 2;
        published_up_to(&f, position).await;
        other.crash().await;
    }
    assert_each_once(&f).await;
    steady.crash().await;
    f.append_random(30).await;
    let _next = f.projector(&[]).await;
    assert_each_once(&f).await;
}

#[tokio::test]
async fn a_rebuild_publishes_nothing_anew() {
    let mut f = fixture().await;
    f.append_random(50).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    assert_each_once(&f).await;
    projector.stop().await;
    let before = published(&f).await;
    for projection in projections::ALL {
        f.rebuild(projection).await;
    }
    assert_eq!(published(&f).await, before);
}

#[tokio::test]
async fn a_redis_that_lost_everything_gets_everything_again() {
    let mut f = fixture().await;
    f.append_random(50).await;
    let projector = f.projector(&[]).await;
    assert_each_once(&f).await;
    projector.stop().await;
    let keys: Vec<String> =
        cmd("KEYS").arg(format!("tally:{}:*", f.log)).query_async(&mut f.redis().await).await.unwrap();
    cmd("DEL").arg(keys).exec_async(&mut f.redis().await).await.unwrap();
    let _projector = f.projector(&[]).await;
    assert_each_once(&f).await;
}

#[tokio::test]
async fn a_log_that_lost_what_was_published_is_an_alarm() {
    let mut f = fixture().await;
    f.append_random(50).await;
    let projector = f.projector(&[]).await;
    published_up_to(&f, f.head).await;
    projector.stop().await;
    f.as_owner(&format!("DELETE FROM events WHERE position > {}", f.head - 5)).await;
    let projector = f.projector(&[]).await;
    let reason = projector.halted("line_events").await;
    assert!(reason.contains("published") && reason.contains(&f.head.to_string()), "{reason}");
}
