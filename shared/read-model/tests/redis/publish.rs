//! The stream of what happens to lines.

use futures::StreamExt;
use redis::{Client, cmd};
use tally_read_model::{Error, LineEvent, Published};
use uuid::Uuid;

use crate::support::{DEADLINE, Fixture, fixture};

const KEPT: u64 = 1_000_000;

fn events(positions: impl IntoIterator<Item = u64>) -> Vec<LineEvent> {
    positions.into_iter().map(|position| LineEvent { position, text: format!("event {position}") }).collect()
}

/// Ids and texts.
async fn entries(f: &mut Fixture) -> Vec<(String, String)> {
    let stream = format!("tally:{}:line_events", f.log);
    let entries: Vec<(String, Vec<(String, String)>)> =
        cmd("XRANGE").arg(stream).arg("-").arg("+").query_async(&mut f.raw).await.unwrap();
    entries
        .into_iter()
        .map(|(id, fields)| {
            let [(name, text)] = fields.try_into().unwrap();
            assert_eq!(name, "event");
            (id, text)
        })
        .collect()
}

async fn ids(f: &mut Fixture) -> Vec<String> {
    entries(f).await.into_iter().map(|(id, _)| id).collect()
}

#[tokio::test]
async fn each_event_has_its_position_as_its_id() {
    let mut f = fixture().await;
    let lines = f.model.line_events(f.log_id);
    assert_eq!(lines.read_checkpoint().await.unwrap(), (0, None));
    assert_eq!(lines.publish(0, (4, 77), &events([2, 3]), KEPT).await.unwrap(), Published::Done);
    assert_eq!(lines.publish(4, (7, 77), &events([7]), KEPT).await.unwrap(), Published::Done);
    assert_eq!(lines.read_checkpoint().await.unwrap(), (7, Some(77)));
    let expected = [("2-0", "event 2"), ("3-0", "event 3"), ("7-0", "event 7")];
    assert_eq!(entries(&mut f).await, expected.map(|(id, text)| (id.to_owned(), text.to_owned())));
}

#[tokio::test]
async fn what_an_earlier_version_published_last_is_not_taken_for_what_was_written_down_before() {
    let mut f = fixture().await;
    let lines = f.model.line_events(f.log_id);
    lines.publish(0, (4, 77), &events([2]), KEPT).await.unwrap();
    let checkpoint = format!("tally:{log}:{{tally:{log}:line_events}}:checkpoint", log = f.log);
    let set = cmd("HSET").arg(checkpoint).arg("position").arg(5).to_owned();
    assert_eq!(set.query_async::<u64>(&mut f.raw).await.unwrap(), 0, "it was there");
    assert_eq!(lines.read_checkpoint().await.unwrap(), (5, None));
}

#[tokio::test]
async fn a_batch_that_does_not_follow_publishes_nothing() {
    let mut f = fixture().await;
    let lines = f.model.line_events(f.log_id);
    lines.publish(0, (5, 77), &events([1, 5]), KEPT).await.unwrap();
    for from in [0, 4, 6] {
        assert_eq!(lines.publish(from, (9, 77), &events([6, 8]), KEPT).await.unwrap(), Published::Moved);
    }
    assert_eq!(ids(&mut f).await, ["1-0", "5-0"]);
}

#[tokio::test]
async fn what_the_stream_holds_is_not_doubled_when_its_checkpoint_is_lost() {
    let mut f = fixture().await;
    let lines = f.model.line_events(f.log_id);
    lines.publish(0, (12, 77), &events([2, 9, 12]), KEPT).await.unwrap();
    let checkpoint = format!("tally:{log}:{{tally:{log}:line_events}}:checkpoint", log = f.log);
    cmd("DEL").arg(checkpoint).exec_async(&mut f.raw).await.unwrap();
    assert_eq!(lines.publish(0, (13, 77), &events([2, 9, 12, 13]), KEPT).await.unwrap(), Published::Done);
    assert_eq!(ids(&mut f).await, ["2-0", "9-0", "12-0", "13-0"]);
}

#[tokio::test]
async fn positions_that_a_double_confuses_are_told_apart() {
    let mut f = fixture().await;
    let lines = f.model.line_events(f.log_id);
    let large = 1 << 53;
    lines.publish(0, (large, 77), &events([large]), KEPT).await.unwrap();
    lines.publish(large, (large + 1, 77), &events([large + 1]), KEPT).await.unwrap();
    assert_eq!(lines.publish(large, (large + 2, 77), &[], KEPT).await.unwrap(), Published::Moved);
    assert_eq!(ids(&mut f).await, [format!("{large}-0"), format!("{}-0", large + 1)]);
}

#[tokio::test]
async fn another_logs_projector_publishes_nothing() {
    let mut f = fixture().await;
    f.model.line_events(f.log_id).publish(0, (1, 77), &events([1]), KEPT).await.unwrap();
    let foreign = f.model.line_events(Uuid::new_v4());
    assert_eq!(foreign.read_checkpoint().await, Err(Error::ForeignLog));
    assert_eq!(foreign.publish(1, (2, 77), &events([2]), KEPT).await, Err(Error::ForeignLog));
    assert_eq!(ids(&mut f).await, ["1-0"]);
}

#[tokio::test]
async fn the_oldest_are_trimmed() {
    let mut f = fixture().await;
    let lines = f.model.line_events(f.log_id);
    for batch in 0..20 {
        let (from, to) = (batch * 100, (batch + 1) * 100);
        lines.publish(from, (to, 77), &events(from + 1..=to), 500).await.unwrap();
    }
    let ids = ids(&mut f).await;
    // Redis trims whole nodes of its tree, of a hundred entries.
    assert!((500..700).contains(&ids.len()), "{}", ids.len());
    assert_eq!(ids.last().unwrap(), "2000-0");
}

#[tokio::test]
async fn what_is_published_is_told_on_the_channel() {
    let f = fixture().await;
    let mut pubsub = Client::open(f.url.as_str()).unwrap().get_async_pubsub().await.unwrap();
    pubsub.subscribe(format!("tally:{}:line_allocated", f.log)).await.unwrap();
    f.model.line_events(f.log_id).publish(0, (4, 77), &events([2, 3]), KEPT).await.unwrap();
    let mut heard = pubsub.on_message();
    for expected in ["event 2", "event 3"] {
        let message = tokio::time::timeout(DEADLINE, heard.next()).await.unwrap().unwrap();
        assert_eq!(message.get_payload::<String>().unwrap(), expected);
    }
}

#[tokio::test]
async fn a_key_of_another_type_is_found_before_anything_is_written() {
    let mut f = fixture().await;
    cmd("SET").arg(format!("tally:{}:line_events", f.log)).arg("x").exec_async(&mut f.raw).await.unwrap();
    let before = f.everything().await;
    let published = f.model.line_events(f.log_id).publish(0, (1, 77), &events([1]), KEPT).await;
    assert!(matches!(published, Err(Error::Corrupt(_))), "{published:?}");
    assert_eq!(f.everything().await, before);
}
