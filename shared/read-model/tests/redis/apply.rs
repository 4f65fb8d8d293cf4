use std::collections::BTreeSet;

use redis::cmd;
use tally_read_model::{
    Applied, Batch, DigestChange, Error, ParkedChange, Skipped, State, StoredView, ViewChange, Walk, bucket_of_view,
    list_member,
};
use tally_servers::Redis;
use uuid::Uuid;

use crate::support::{FIRST, P, START, at, fixture, gone, listed, on, stored, view};

#[tokio::test]
async fn views_lists_and_checkpoint_move_together() {
    let f = fixture().await.begun().await;
    let first = [listed("a", "a1", "l", 1), view("b", "b1")];
    assert_eq!(f.apply(START, 2, &first).await.unwrap(), Applied::Done);

    let a = f.model.get("p", "a").await.unwrap();
    assert_eq!((a.position, a.value.unwrap().as_ref()), (2, b"a1".as_slice()));
    assert_eq!(f.model.page("p", "l", None, 10).await.unwrap().entries.len(), 1);
    assert_eq!(f.model.read_checkpoint(P).await.unwrap().state, at(2));

    let moved = ViewChange {
        lists_removed: vec![("l".into(), list_member(1, "a"))],
        lists_added: vec![("m".into(), list_member(1, "a"))],
        ..view("a", "a2")
    };
    assert_eq!(f.apply(at(2), 3, &[moved, gone("b")]).await.unwrap(), Applied::Done);

    assert_eq!(f.model.page("p", "l", None, 10).await.unwrap().entries, []);
    let m = f.model.page("p", "m", None, 10).await.unwrap();
    assert_eq!((m.position, m.entries), (3, vec![(list_member(1, "a"), "a2".into())]));
    let b = f.model.get("p", "b").await.unwrap();
    assert_eq!((b.position, b.value), (3, None));
}

#[tokio::test]
async fn a_batch_that_rests_on_another_position_writes_nothing() {
    let mut f = fixture().await.begun().await;
    f.apply(START, 5, &[listed("a", "1", "l", 1)]).await.unwrap();
    let before = f.everything().await;
    let batch = [view("a", "2"), listed("b", "2", "l", 6)];
    for stale in [START, at(4), at(6)] {
        assert_eq!(f.apply(stale, 7, &batch).await.unwrap(), Applied::Moved);
    }
    assert_eq!(f.everything().await, before);
}

#[tokio::test]
async fn positions_that_a_double_confuses_are_told_apart() {
    let f = fixture().await.begun().await;
    let (large, next) = (1 << 53, (1 << 53) + 1);
    f.apply(START, next, &[view("a", "1")]).await.unwrap();
    assert_eq!(f.apply(at(large), next + 1, &[]).await.unwrap(), Applied::Moved);
    assert_eq!(f.apply(at(next), i64::MAX as u64, &[]).await.unwrap(), Applied::Done);
    assert_eq!(f.model.get("p", "a").await.unwrap().position, i64::MAX as u64);
}

#[tokio::test]
async fn a_batch_without_changes_still_moves_the_checkpoint() {
    let f = fixture().await.begun().await;
    assert_eq!(f.apply(START, 9, &[]).await.unwrap(), Applied::Done);
    assert_eq!(f.model.read_checkpoint(P).await.unwrap().state, at(9));
}

#[tokio::test]
async fn any_bytes_and_any_key_come_back_as_they_were() {
    let f = fixture().await.begun().await;
    let keys = ["{x}", "a:b", "a b", "ä", "*", "1:view:2"];
    let bytes: Vec<u8> = (0..=255).collect();
    let changes: Vec<_> = keys
        .iter()
        .map(|key| ViewChange { now: StoredView { view: Some(bytes.clone().into()), parked: None }, ..view(key, "") })
        .collect();
    f.apply(START, 1, &changes).await.unwrap();
    f.apply(at(1), 2, &[view("empty", "")]).await.unwrap();
    for key in keys {
        assert_eq!(f.model.get("p", key).await.unwrap().value.unwrap(), bytes, "{key}");
    }
    assert_eq!(f.model.get("p", "empty").await.unwrap().value.unwrap(), "");
}

#[tokio::test]
async fn a_batch_of_many_thousand_views_is_one_step() {
    let f = fixture().await.begun().await;
    let keys: Vec<String> = (0..20_000).map(|n| format!("k{n}")).collect();
    let changes: Vec<_> = keys.iter().map(|key| listed(key, key, "l", 1)).collect();
    assert_eq!(f.apply(START, 1, &changes).await.unwrap(), Applied::Done);
    let views = f.writer.load_views(P, FIRST, &at(1), &keys).await.unwrap().unwrap();
    assert!(keys.iter().zip(views).all(|(key, view)| view == Some(stored(key))));
}

#[tokio::test]
async fn views_of_another_state_are_not_loaded() {
    let f = fixture().await.begun().await;
    f.apply(START, 1, &[view("a", "1")]).await.unwrap();
    f.apply(at(1), 2, &[view("a", "2")]).await.unwrap();
    assert_eq!(f.writer.load_views(P, FIRST, &at(1), &["a".into()]).await, Ok(None));
    assert_eq!(f.writer.load_views(P, FIRST, &at(2), &["a".into()]).await, Ok(Some(vec![Some(stored("2"))])));
}

#[tokio::test]
async fn what_is_left_out_as_lost_must_not_be_there() {
    let f = fixture().await.begun().await;
    f.apply(START, 1, &[listed("a", "1", "l", 1)]).await.unwrap();
    let without = async |name: &str, stored: Option<&[u8]>| {
        let skipped = Skipped { name: name.to_owned(), stored: stored.map(<[u8]>::to_vec) };
        let batch = Batch { skipped: vec![skipped], ..Batch::default() };
        f.writer.apply(P, FIRST, None, (&at(1), &at(2)), &batch).await.unwrap()
    };
    for (name, stored) in [("va", None), ("ll", None), ("va", Some(b"\x002".as_slice())), ("vb", Some(b"\x002"))] {
        assert_eq!(without(name, stored).await, Applied::Moved, "{name}, {stored:?}");
    }
    assert_eq!(f.model.get("p", "a").await.unwrap().position, 1);
    assert_eq!(without("va", Some(b"\x001")).await, Applied::Done);
    f.lose("a").await;
    let skipped = Skipped { name: "va".to_owned(), stored: None };
    let batch = Batch { skipped: vec![skipped], ..Batch::default() };
    assert_eq!(f.writer.apply(P, FIRST, None, (&at(2), &at(3)), &batch).await.unwrap(), Applied::Done);
}

#[tokio::test]
async fn two_writers_at_once_count_every_event_once() {
    let f = fixture().await.begun().await;
    let count = async |writer: tally_read_model::Writer| loop {
        let from = writer.model().read_checkpoint(P).await.unwrap().state;
        if from.position == 200 {
            return;
        }
        let Some(before) = writer.load_views(P, FIRST, &from, &["n".into()]).await.unwrap() else { continue };
        let before = before[0].as_ref().unwrap();
        let count: u64 = before.view.as_ref().map_or(0, |view| str::from_utf8(view).unwrap().parse().unwrap());
        let batch = Batch { views: vec![view("n", &(count + 1).to_string())], ..Batch::default() };
        let to = State { position: from.position + 1, ..from };
        writer.apply(P, FIRST, None, (&from, &to), &batch).await.unwrap();
    };
    let other = f.model.writer(f.log_id);
    tokio::join!(count(f.writer.clone()), count(other.clone()), count(other));
    assert_eq!(f.model.get("p", "n").await.unwrap().value.unwrap(), "200");
}

#[tokio::test]
async fn another_logs_projector_writes_nothing() {
    let mut f = fixture().await;
    assert_eq!(f.model.log_id().await.unwrap(), None);
    f.begin(P).await;
    assert_eq!(f.model.log_id().await.unwrap(), Some(f.log_id));

    let before = f.everything().await;
    let foreign = f.model.writer(Uuid::new_v4());
    let batch = Batch { views: vec![view("a", "2")], ..Batch::default() };
    assert_eq!(foreign.claim().await, Err(Error::ForeignLog));
    assert_eq!(foreign.apply(P, FIRST, None, (&at(0), &at(2)), &batch).await, Err(Error::ForeignLog));
    assert_eq!(foreign.start_build(P, Some(FIRST), FIRST, &START, None, None).await, Err(Error::ForeignLog));
    assert_eq!(foreign.look(P).await, Err(Error::ForeignLog));
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
    let mut f = on(&redis).await.begun().await;
    f.apply(START, 1, &[listed("a", "1", "l", 1)]).await.unwrap();
    f.model.page("p", "l", None, 1).await.unwrap();
    cmd("SCRIPT").arg("FLUSH").exec_async(&mut f.raw).await.unwrap();
    assert_eq!(f.apply(at(1), 2, &[]).await.unwrap(), Applied::Done);
    assert_eq!(f.model.page("p", "l", None, 1).await.unwrap().position, 2);
}

#[tokio::test]
async fn after_everything_is_gone_nothing_is_applied_to_what_was() {
    let mut f = fixture().await.begun().await;
    f.apply(START, 5, &[view("a", "1")]).await.unwrap();
    for key in f.everything().await.into_keys() {
        cmd("DEL").arg(key).exec_async(&mut f.raw).await.unwrap();
    }
    assert_eq!(f.apply(at(5), 6, &[view("a", "2")]).await.unwrap(), Applied::Moved);
    assert_eq!(f.everything().await.len(), 0);
    assert!(
        matches!(f.model.get("p", "a").await, Err(Error::NotBuilt { .. })),
        "nobody says that there is no such view"
    );
}

#[tokio::test]
async fn only_the_owner_of_a_unit_applies() {
    let f = fixture().await.begun().await;
    let lasts = std::time::Duration::from_secs(60);
    let batch = Batch { views: vec![view("a", "1")], ..Batch::default() };
    let apply = async |owner, position| {
        let (from, to) = (at(position), at(position + 1));
        f.writer.apply(P, FIRST, Some(owner), (&from, &to), &batch).await.unwrap()
    };
    assert_eq!(apply("one", 0).await, Applied::NotOwner, "nobody owns it");
    assert_eq!(f.writer.tend(0, &[("p", 1, true)], "one", lasts).await.unwrap(), [true]);
    assert_eq!(f.writer.tend(0, &[("p", 1, true)], "other", lasts).await.unwrap(), [false]);
    assert_eq!(apply("other", 0).await, Applied::NotOwner);
    assert_eq!(apply("one", 0).await, Applied::Done);
    assert_eq!(f.writer.tend(0, &[("p", 1, false)], "one", lasts).await.unwrap(), [false]);
    assert_eq!(f.writer.tend(0, &[("p", 1, true)], "other", lasts).await.unwrap(), [true]);
    let again = Batch { views: vec![view("a", "2")], ..Batch::default() };
    assert_eq!(f.writer.apply(P, FIRST, Some("one"), (&at(1), &at(2)), &again).await, Ok(Applied::NotOwner));
    assert_eq!(f.model.get("p", "a").await.unwrap().value.unwrap(), "1");
}

#[tokio::test]
async fn a_bucket_of_views_that_was_evicted_is_noticed_by_whoever_reads_or_writes_one_of_them() {
    let mut f = fixture().await.begun().await;
    f.apply(START, 1, &[listed("a", "1", "l", 1), view("b", "1")]).await.unwrap();
    f.lose("a").await;

    assert_eq!(f.model.get("p", "a").await, Err(Error::Lost));
    assert_eq!(f.model.page("p", "l", None, 9).await, Err(Error::Lost));
    let before = f.everything().await;
    let loaded = f.writer.load_views(P, FIRST, &at(1), &["a".into(), "b".into()]).await;
    assert_eq!(loaded, Ok(Some(vec![None, Some(stored("1"))])), "who loads is told");
    for change in [view("a", "2"), gone("a")] {
        assert_eq!(f.apply(at(1), 2, &[view("b", "2"), change]).await, Ok(Applied::Lost(vec!["va".into()])));
    }
    assert_eq!(f.everything().await, before);
    assert_eq!(f.model.get("p", "b").await.unwrap().value.unwrap(), "1", "the others are read as ever");
    assert_eq!(f.model.get("p", "c").await.unwrap().value, None, "and what was never there is not lost");
    let beside = (0..).map(|n| format!("n{n}")).find(|key| bucket_of_view(key) == bucket_of_view("a")).unwrap();
    assert_eq!(f.model.get("p", &beside).await, Err(Error::Lost), "but nobody knows what else was in the bucket");
    let applied = f.apply(at(1), 2, &[view(&beside, "1")]).await;
    assert_eq!(applied, Ok(Applied::Lost(vec![format!("v{beside}")])));
}

#[tokio::test]
async fn all_that_is_lost_is_told_at_once_and_nothing_of_the_batch_is_written() {
    let mut f = fixture().await.begun().await;
    let batch = [listed("a", "1", "l", 1), view("b", "1"), view("c", "1"), view("d", "1")];
    f.apply(START, 1, &batch).await.unwrap();
    for key in ["a", "b", "d"] {
        f.lose(key).await;
    }
    let before = f.everything().await;
    let lost = async |batch: &[ViewChange]| match f.apply(at(1), 2, batch).await {
        Ok(Applied::Lost(names)) => names.into_iter().collect::<BTreeSet<_>>(),
        other => panic!("{other:?}"),
    };
    let new = [listed("e", "1", "m", 2), view("d", "2"), view("f", "1")];
    assert_eq!(lost(&new).await, BTreeSet::from(["vd".into()]));
    let all = [&new[..], &[view("a", "2"), view("c", "2"), gone("b")]].concat();
    assert_eq!(lost(&all).await, ["va", "vb", "vd"].map(str::to_owned).into());
    assert_eq!(f.everything().await, before);
    assert_eq!(f.model.get("p", "e").await.unwrap().value, None, "and what was new still is");
    assert_eq!(f.apply(at(1), 2, &[new[0].clone(), new[2].clone()]).await, Ok(Applied::Done));
}

#[tokio::test]
async fn a_list_that_is_gone_is_lost_and_not_new_also_where_the_bucket_that_names_it_is_gone_too() {
    for written in [listed("a", "1", "l", 1), listed("b", "1", "l", 1)] {
        let mut f = fixture().await.begun().await;
        f.apply(START, 1, &[written]).await.unwrap();
        let buckets: Vec<String> = cmd("KEYS").arg(f.key("p:1:lists:*")).query_async(&mut f.raw).await.unwrap();
        let naming = async |bucket: &String| {
            cmd("HEXISTS").arg(bucket).arg("ll").query_async::<bool>(&mut f.raw.clone()).await.unwrap()
        };
        for also in [false, true] {
            let mut keys = vec![f.key("p:1:list:l")];
            for bucket in &buckets {
                if also && naming(bucket).await {
                    keys.push(bucket.clone());
                }
            }
            assert_eq!(keys.len(), 1 + usize::from(also));
            cmd("DEL").arg(keys).exec_async(&mut f.raw.clone()).await.unwrap();
            let applied = f.apply(at(1), 2, &[listed("c", "2", "l", 1)]).await.unwrap();
            assert_eq!(applied, Applied::Lost(vec!["ll".into()]));
            assert_eq!(f.model.page("p", "l", None, 9).await, Err(Error::Lost));
        }
    }
}

#[tokio::test]
async fn a_list_or_a_bucket_that_was_evicted_is_found_by_who_walks_through_all() {
    for (key, name) in [("p:1:list:l", "ll"), ("p:1:views:0", "bucket"), ("p:1:lists:63", "bucket")] {
        let mut f = fixture().await.begun().await;
        f.apply(START, 1, &[listed("a", "1", "l", 1)]).await.unwrap();
        assert_eq!(f.lost().await, BTreeSet::new());
        cmd("DEL").arg(f.key(key)).exec_async(&mut f.raw).await.unwrap();
        assert_eq!(f.lost().await, BTreeSet::from([name.to_owned()]));
        assert_eq!(f.writer.scan(P, FIRST, 0).await.unwrap().is_lost, key == "p:1:views:0");
    }
}

#[tokio::test]
async fn every_list_of_very_many_is_looked_for_and_every_view_is_counted() {
    let mut f = fixture().await.begun().await;
    let many: Vec<_> = (0..20_000).map(|n| listed(&format!("k{n}"), "v", &format!("l{n}"), n)).collect();
    f.apply(START, 1, &many).await.unwrap();
    f.apply(at(1), 2, &[gone("k0")]).await.unwrap();
    assert_eq!(f.lost().await, BTreeSet::new());
    let found = f.writer.find_losses(P, FIRST, Walk::default()).await.unwrap();
    assert_eq!((found.state, found.views), (Some(at(2)), 19_999));

    let evicted: BTreeSet<String> = (0..20_000).step_by(997).map(|n| format!("l{n}")).collect();
    let keys: Vec<String> = evicted.iter().map(|list| f.key(&format!("p:1:list:{list}"))).collect();
    cmd("DEL").arg(keys).exec_async(&mut f.raw).await.unwrap();
    assert_eq!(f.lost().await, evicted.iter().map(|list| format!("l{list}")).collect());
}

#[tokio::test]
async fn parked_events_and_digests_move_with_the_views() {
    let f = fixture().await.begun().await;
    let marked = ViewChange { now: StoredView { parked: Some(3), ..stored("a") }, ..view("a", "") };
    let batch = Batch {
        views: vec![marked],
        skipped: vec![],
        parked: vec![ParkedChange { position: 3, record: Some("why".into()) }],
        digests: vec![DigestChange { range: 0, digest: 0xab }],
        loss: None,
    };
    assert_eq!(f.writer.apply(P, FIRST, None, (&START, &at(5)), &batch).await.unwrap(), Applied::Done);
    let found = f.model.get("p", "a").await.unwrap();
    assert_eq!((found.value.unwrap().as_ref(), found.parked), (b"a".as_slice(), Some(3)));
    assert_eq!(f.writer.parked(P, FIRST).await.unwrap(), [(3, "why".to_owned())].into());
    assert_eq!(f.writer.digests(P, FIRST).await.unwrap(), [(0, 0xab)].into());

    let mended = Batch {
        views: vec![view("a", "a2")],
        skipped: vec![],
        parked: vec![ParkedChange { position: 3, record: None }],
        digests: Vec::new(),
        loss: None,
    };
    let edited = State { edits: 1, ..at(5) };
    assert_eq!(f.writer.apply(P, FIRST, None, (&at(5), &edited), &mended).await.unwrap(), Applied::Done);
    assert_eq!(f.model.get("p", "a").await.unwrap().parked, None);
    assert_eq!(f.writer.parked_count(P, FIRST).await.unwrap(), 0);
    assert_eq!(f.apply(at(5), 6, &[]).await.unwrap(), Applied::Moved, "whoever began before has to look again");
}

#[tokio::test]
async fn a_number_of_shards_that_is_not_the_stored_one_is_refused_by_name() {
    let f = fixture().await.begun().await;
    let options = tally_read_model::Options { read_shards: 2, ..crate::support::PATIENT };
    let other = tally_read_model::ReadModel::connect(&f.url, &f.log, options).unwrap();
    let expected = Error::Layout { stored: 1, configured: 2 };
    assert_eq!(other.log_id().await, Err(expected.clone()));
    assert_eq!(other.writer(f.log_id).claim().await, Err(expected));
}
