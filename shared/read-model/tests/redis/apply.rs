use redis::cmd;
use tally_read_model::{Applied, Checkpoint, Error, ViewChange, list_member};
use tally_servers::Redis;
use uuid::Uuid;

use crate::support::{START, at, fixture, gone, listed, on, view};

#[tokio::test]
async fn views_lists_and_checkpoint_move_together() {
    let f = fixture().await;
    let first = [listed("a", "a1", "l", 1), view("b", "b1")];
    assert_eq!(f.writer.apply("p", START, 2, &first).await.unwrap(), Applied::Done);

    let a = f.model.get("p", "a").await.unwrap();
    assert_eq!((a.position, a.value.unwrap().as_ref()), (2, b"a1".as_slice()));
    assert_eq!(f.model.page("p", "l", None, 10).await.unwrap().entries.len(), 1);
    assert_eq!(f.writer.read_checkpoint("p").await.unwrap(), at(2));

    let moved = ViewChange {
        lists_removed: vec![("l".into(), list_member(1, "a"))],
        lists_added: vec![("m".into(), list_member(1, "a"))],
        ..view("a", "a2")
    };
    assert_eq!(f.writer.apply("p", at(2), 3, &[moved, gone("b")]).await.unwrap(), Applied::Done);

    assert_eq!(f.model.page("p", "l", None, 10).await.unwrap().entries, []);
    let m = f.model.page("p", "m", None, 10).await.unwrap();
    assert_eq!((m.position, m.entries), (3, vec![(list_member(1, "a"), "a2".into())]));
    let b = f.model.get("p", "b").await.unwrap();
    assert_eq!((b.position, b.value), (3, None));
}

#[tokio::test]
async fn a_batch_that_rests_on_another_position_writes_nothing() {
    let mut f = fixture().await;
    f.writer.apply("p", START, 5, &[listed("a", "1", "l", 1)]).await.unwrap();
    let before = f.everything().await;
    let batch = [view("a", "2"), listed("b", "2", "l", 6), gone("a")];
    for stale in [START, at(4), at(6)] {
        assert_eq!(f.writer.apply("p", stale, 7, &batch).await.unwrap(), Applied::Moved(at(5)));
    }
    assert_eq!(f.everything().await, before);
}

#[tokio::test]
async fn a_batch_for_another_generation_writes_nothing() {
    let mut f = fixture().await;
    f.writer.apply("p", START, 5, &[view("a", "1")]).await.unwrap();
    assert_eq!(f.writer.start_generation("p").await.unwrap(), (1, 2));
    let before = f.everything().await;
    let new = Checkpoint { generation: 2, position: 0 };
    assert_eq!(f.writer.apply("p", at(5), 6, &[view("a", "2")]).await.unwrap(), Applied::Moved(new));
    assert_eq!(f.everything().await, before);
}

#[tokio::test]
async fn positions_that_a_double_confuses_are_told_apart() {
    let f = fixture().await;
    let (large, next) = (1 << 53, (1 << 53) + 1);
    f.writer.apply("p", START, next, &[view("a", "1")]).await.unwrap();
    assert_eq!(f.writer.apply("p", at(large), next + 1, &[]).await.unwrap(), Applied::Moved(at(next)));
    assert_eq!(f.writer.apply("p", at(next), i64::MAX as u64, &[]).await.unwrap(), Applied::Done);
    assert_eq!(f.model.get("p", "a").await.unwrap().position, i64::MAX as u64);
}

#[tokio::test]
async fn a_batch_without_changes_still_moves_the_checkpoint() {
    let f = fixture().await;
    assert_eq!(f.writer.apply("p", START, 9, &[]).await.unwrap(), Applied::Done);
    assert_eq!(f.writer.read_checkpoint("p").await.unwrap(), at(9));
}

#[tokio::test]
async fn any_bytes_and_any_key_come_back_as_they_were() {
    let f = fixture().await;
    let keys = ["{x}", "a:b", "a b", "ä", "*", "1:view:2"];
    let bytes: Vec<u8> = (0..=255).collect();
    let changes: Vec<_> = keys.iter().map(|key| ViewChange { value: Some(bytes.clone()), ..view(key, "") }).collect();
    f.writer.apply("p", START, 1, &changes).await.unwrap();
    f.writer.apply("p", at(1), 2, &[view("empty", "")]).await.unwrap();
    for key in keys {
        assert_eq!(f.model.get("p", key).await.unwrap().value.unwrap(), bytes, "{key}");
    }
    assert_eq!(f.model.get("p", "empty").await.unwrap().value.unwrap(), "");
}

#[tokio::test]
async fn a_batch_of_many_thousand_views_is_one_step() {
    let f = fixture().await;
    let keys: Vec<String> = (0..20_000).map(|n| format!("k{n}")).collect();
    let changes: Vec<_> = keys.iter().map(|key| listed(key, key, "l", 1)).collect();
    assert_eq!(f.writer.apply("p", START, 1, &changes).await.unwrap(), Applied::Done);
    let views = f.writer.load_views("p", 1, &keys).await.unwrap();
    assert!(keys.iter().zip(views).all(|(key, view)| view.unwrap() == key.as_bytes()));
}

#[tokio::test]
async fn two_writers_at_once_count_every_event_once() {
    let f = fixture().await;
    let count = async |writer: tally_read_model::Writer| loop {
        let from = writer.read_checkpoint("p").await.unwrap();
        if from.position == 200 {
            return;
        }
        let count: u64 = match writer.load_views("p", from.generation, &["n".into()]).await.unwrap().remove(0) {
            Some(view) => str::from_utf8(&view).unwrap().parse().unwrap(),
            None => 0,
        };
        writer.apply("p", from, from.position + 1, &[view("n", &(count + 1).to_string())]).await.unwrap();
    };
    let other = f.model.writer(f.log_id);
    tokio::join!(count(f.writer.clone()), count(other.clone()), count(other));
    assert_eq!(f.model.get("p", "n").await.unwrap().value.unwrap(), "200");
}

#[tokio::test]
async fn another_logs_projector_writes_nothing() {
    let mut f = fixture().await;
    assert_eq!(f.model.log_id().await.unwrap(), None);
    f.writer.apply("p", START, 1, &[view("a", "1")]).await.unwrap();
    assert_eq!(f.model.log_id().await.unwrap(), Some(f.log_id));

    let before = f.everything().await;
    let foreign = f.model.writer(Uuid::new_v4());
    assert_eq!(foreign.claim().await, Err(Error::ForeignLog));
    assert_eq!(foreign.apply("p", at(1), 2, &[view("a", "2")]).await, Err(Error::ForeignLog));
    assert_eq!(foreign.apply("q", START, 2, &[view("a", "2")]).await, Err(Error::ForeignLog));
    assert_eq!(foreign.start_generation("p").await, Err(Error::ForeignLog));
    assert_eq!(foreign.read_checkpoint("p").await, Err(Error::ForeignLog));
    assert_eq!(f.everything().await, before);
}

#[tokio::test]
async fn a_claimed_read_model_says_whose_it_is_before_anything_is_applied() {
    let f = fixture().await;
    f.writer.claim().await.unwrap();
    f.writer.claim().await.unwrap();
    assert_eq!(f.model.log_id().await.unwrap(), Some(f.log_id));
}

#[tokio::test]
async fn a_redis_that_forgot_its_scripts_is_taught_them_again() {
    // Its own: forgetting is felt by all that use a server.
    let redis = Redis::temporary().await.unwrap();
    let mut f = on(&redis).await;
    f.writer.apply("p", START, 1, &[listed("a", "1", "l", 1)]).await.unwrap();
    f.model.page("p", "l", None, 1).await.unwrap();
    cmd("SCRIPT").arg("FLUSH").exec_async(&mut f.raw).await.unwrap();
    assert_eq!(f.writer.apply("p", at(1), 2, &[]).await.unwrap(), Applied::Done);
    assert_eq!(f.model.page("p", "l", None, 1).await.unwrap().position, 2);
}

#[tokio::test]
async fn a_flushed_redis_begins_anew() {
    let mut f = fixture().await;
    f.writer.apply("p", START, 5, &[view("a", "1")]).await.unwrap();
    f.writer.start_generation("p").await.unwrap();
    for key in f.everything().await.into_keys() {
        cmd("DEL").arg(key).exec_async(&mut f.raw).await.unwrap();
    }
    let stale = Checkpoint { generation: 2, position: 0 };
    assert_eq!(f.writer.apply("p", stale, 6, &[view("a", "2")]).await.unwrap(), Applied::Moved(START));
    assert_eq!(f.everything().await.len(), 0);
    assert_eq!(f.writer.apply("p", START, 6, &[view("a", "2")]).await.unwrap(), Applied::Done);
    assert_eq!(f.model.log_id().await.unwrap(), Some(f.log_id));
}
