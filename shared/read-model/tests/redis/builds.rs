use redis::cmd;
use tally_read_model::{Applied, Back, Batch, BuildId, Error, Role, Started, State, Switched, Unit};

use crate::support::{FIRST, P, START, at, fixture, listed, view};

#[tokio::test]
async fn a_build_beside_the_live_one_is_read_by_nobody_until_it_is_switched_to() {
    let f = fixture().await.begun().await;
    f.apply(START, 5, &[listed("a", "1", "l", 1)]).await.unwrap();
    let next = f.build_next(2, FIRST).await;
    f.apply_to(next, START, 4, &[view("a", "2")]).await.unwrap();
    assert_eq!(f.model.get("p", "a").await.unwrap().value.unwrap(), "1");

    assert_eq!(f.writer.switch(P, (FIRST, next), true, Back::Never).await.unwrap(), Switched::Behind);
    f.apply_to(next, at(4), 5, &[]).await.unwrap();
    assert_eq!(f.writer.switch(P, (FIRST, next), true, Back::Never).await.unwrap(), Switched::Done);
    assert_eq!(f.model.get("p", "a").await.unwrap().value.unwrap(), "2");
    assert_eq!(f.model.page("p", "l", None, 9).await.unwrap().entries, []);

    let look = f.writer.look(P).await.unwrap();
    assert_eq!((look.live, look.roles.clone()), (Some(next), [(Role::Kept, FIRST)].into()));
    assert_eq!(look.unused().count(), 0);
    // And back.
    assert_eq!(f.writer.switch(P, (next, FIRST), false, Back::Freely).await.unwrap(), Switched::Done);
    assert_eq!(f.model.get("p", "a").await.unwrap().value.unwrap(), "1");
    assert_eq!(f.writer.look(P).await.unwrap().unused().collect::<Vec<_>>(), [next]);
    // What has no role any more is never read again.
    assert_eq!(f.writer.switch(P, (FIRST, next), true, Back::Freely).await.unwrap(), Switched::Moved);
}

#[tokio::test]
async fn a_step_to_what_was_live_finds_that_it_moved() {
    let f = fixture().await.begun().await;
    f.apply(START, 5, &[view("a", "1")]).await.unwrap();
    let next = f.build_next(2, FIRST).await;
    f.apply_to(next, START, 5, &[view("a", "2")]).await.unwrap();
    assert_eq!(f.writer.switch(P, (FIRST, next), true, Back::Never).await.unwrap(), Switched::Done);
    assert_eq!(f.apply_to(FIRST, at(5), 6, &[view("a", "3")]).await.unwrap(), Applied::Moved);
    assert_eq!(f.writer.look(P).await.unwrap().in_role(Role::Kept), Some((FIRST, State { edits: 1, ..at(5) })));
}

#[tokio::test]
async fn positions_of_different_lengths_are_compared_as_numbers() {
    let f = fixture().await.begun().await;
    f.apply(START, 9, &[]).await.unwrap();
    let next = f.build_next(2, FIRST).await;
    f.apply_to(next, START, 10, &[]).await.unwrap();
    assert_eq!(f.writer.switch(P, (FIRST, next), false, Back::Never).await.unwrap(), Switched::Done);
    let third = f.build_next(3, next).await;
    f.apply_to(third, START, 9, &[]).await.unwrap();
    assert_eq!(f.writer.switch(P, (next, third), false, Back::Never).await.unwrap(), Switched::Behind);
}

#[tokio::test]
async fn a_build_that_is_behind_says_so_from_the_moment_it_is_read() {
    // Readers were answered from where the live build stands, or stood before something was lost.
    for seen in [at(9), State { fresh_from: 9, ..at(4) }, State { complete_from: 9, ..at(4) }] {
        let f = fixture().await.begun().await;
        f.apply(START, 3, &[view("a", "1")]).await.unwrap();
        let next = f.build_next(2, FIRST).await;
        f.writer.apply(P, next, None, (&START, &seen), &Batch::default()).await.unwrap();
        f.writer.switch(P, (FIRST, next), true, Back::Freely).await.unwrap();
        assert_eq!(f.writer.switch(P, (next, FIRST), false, Back::Freely).await.unwrap(), Switched::Done, "{seen:?}");
        let found = f.model.get("p", "a").await.unwrap();
        assert_eq!((found.position, found.may_be_stale), (3, true), "{seen:?}");
        let now = f.writer.look(P).await.unwrap().live_state().unwrap().1;
        assert_eq!(now, State { fresh_from: 9, edits: 1, ..at(3) });
    }
}

#[tokio::test]
async fn what_takes_the_place_of_a_build_that_cant_be_read_yet_cant_be_read_yet_either() {
    let f = fixture().await;
    let begun = State { complete_from: 9, ..START };
    f.writer.claim().await.unwrap();
    f.writer.start_build(P, None, FIRST, &begun, None, None).await.unwrap();
    let next = f.build_next(2, FIRST).await;
    f.apply_to(next, START, 8, &[view("a", "1")]).await.unwrap();
    assert_eq!(f.writer.switch(P, (FIRST, next), false, Back::Never).await.unwrap(), Switched::Done);
    let refused = Error::NotBuilt { shard: 0, position: 8, complete_from: 9 };
    assert_eq!(f.model.get("p", "a").await, Err(refused));
    let now = f.writer.look(P).await.unwrap().live_state().unwrap().1;
    f.apply_to(next, now, 9, &[]).await.unwrap();
    assert_eq!(f.model.get("p", "a").await.unwrap().position, 9);
}

#[tokio::test]
async fn a_live_build_whose_state_is_gone_is_not_switched_from() {
    let mut f = fixture().await.begun().await;
    let next = f.build_next(2, FIRST).await;
    cmd("DEL").arg(f.key("p:1:checkpoint")).exec_async(&mut f.raw).await.unwrap();
    let before = f.everything().await;
    for back in [Back::Never, Back::Freely, Back::AfterLoss("it went back")] {
        assert_eq!(f.writer.switch(P, (FIRST, next), true, back).await.unwrap(), Switched::Moved);
    }
    assert_eq!(f.everything().await, before);
}

#[tokio::test]
async fn a_loss_is_kept_with_what_makes_it_good_and_only_then() {
    let f = fixture().await.begun().await;
    let batch = Batch { loss: Some("of writes".to_owned()), ..Batch::default() };
    let to = |position| (START, State { position, ..START });
    let (from, five) = to(5);
    assert_eq!(f.writer.apply(P, FIRST, None, (&from, &five), &batch).await.unwrap(), Applied::Done);
    assert_eq!(f.writer.apply(P, FIRST, None, (&from, &five), &batch).await.unwrap(), Applied::Moved);
    let (next, repaired) = (BuildId::first(2), BuildId { generation: 1, repair: 7 });
    let start = async |live, build, loss| f.writer.start_build(P, live, build, &START, None, Some(loss)).await.unwrap();
    assert_eq!(start(Some(FIRST), repaired, "of all").await, Started::Done);
    assert_eq!(start(Some(FIRST), next, "of nothing").await, Started::Moved);
    assert_eq!(start(Some(repaired), repaired, "of nothing").await, Started::Taken);
    let building = f.build_next(3, repaired).await;
    let switch = async || f.writer.switch(P, (repaired, building), false, Back::AfterLoss("of events")).await.unwrap();
    assert_eq!(switch().await, Switched::Done);
    assert_eq!(switch().await, Switched::Moved);
    let other = Unit { shard: 0, projection: "pp" };
    assert_eq!(f.writer.losses(P).await.unwrap(), ["of events", "of all", "of writes"]);
    assert_eq!(f.writer.losses(other).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn of_all_losses_the_last_twenty_are_kept() {
    let f = fixture().await.begun().await;
    let mut from = START;
    for position in 1..=23 {
        let batch = Batch { loss: Some(position.to_string()), ..Batch::default() };
        let to = State { position, ..from };
        assert_eq!(f.writer.apply(P, FIRST, None, (&from, &to), &batch).await.unwrap(), Applied::Done);
        from = to;
    }
    let last: Vec<String> = (4..=23).rev().map(|position: u64| position.to_string()).collect();
    assert_eq!(f.writer.losses(P).await.unwrap(), last);
}

#[tokio::test]
async fn a_switch_that_rests_on_another_live_build_changes_nothing() {
    let mut f = fixture().await.begun().await;
    let next = f.build_next(2, FIRST).await;
    let before = f.everything().await;
    let gone = BuildId { generation: 1, repair: 7 };
    assert_eq!(f.writer.switch(P, (next, FIRST), true, Back::Freely).await.unwrap(), Switched::Moved);
    assert_eq!(f.writer.switch(P, (FIRST, gone), true, Back::Freely).await.unwrap(), Switched::Moved);
    let start = f.writer.start_build(P, Some(next), BuildId::first(3), &START, Some(Role::Building), None).await;
    assert_eq!(start.unwrap(), Started::Moved);
    assert_eq!(f.writer.start_build(P, Some(FIRST), next, &START, None, None).await.unwrap(), Started::Taken);
    assert_eq!(f.everything().await, before);
}

#[tokio::test]
async fn removing_a_large_build_leaves_every_other_key_alone() {
    let f = fixture().await.begun().await;
    let many: Vec<_> = (0..5_000).map(|n| listed(&format!("k{n}"), "v", &format!("l{}", n % 1777), n)).collect();
    f.apply(START, 1, &many).await.unwrap();
    // Build 1 must not be taken for 11, nor the projection p for pp.
    let pp = Unit { projection: "pp", shard: 0 };
    f.begin(pp).await;
    let eleventh = f.build_next(11, FIRST).await;
    f.apply_to(eleventh, START, 1, &[view("a", "p")]).await.unwrap();
    assert_eq!(f.writer.switch(P, (FIRST, eleventh), false, Back::Never).await.unwrap(), Switched::Done);

    let mut raw = f.raw.clone();
    let of_another_layout = f.key("p:1:view:k1");
    cmd("SET").arg(of_another_layout).arg("v").exec_async(&mut raw).await.unwrap();
    f.writer.sweep(P, FIRST).await.unwrap();
    assert_eq!(f.model.get("p", "a").await.unwrap().value.unwrap(), "p");
    assert_eq!(f.model.get("pp", "a").await.unwrap().position, 0);
    let left: Vec<String> = cmd("KEYS").arg(f.key("p:1:*")).query_async(&mut raw).await.unwrap();
    assert_eq!(left, [""; 0]);
    assert_eq!(f.writer.look(P).await.unwrap().builds.into_keys().collect::<Vec<_>>(), [eleventh]);
}

#[tokio::test]
async fn a_build_that_is_used_is_never_removed() {
    let mut f = fixture().await.begun().await;
    f.apply(START, 5, &[view("a", "1")]).await.unwrap();
    let next = f.build_next(2, FIRST).await;
    let before = f.everything().await;
    f.writer.sweep(P, FIRST).await.unwrap();
    f.writer.sweep(P, next).await.unwrap();
    // Whoever looked long ago takes the role from nobody else.
    f.writer.drop_role(P, Role::Building, BuildId { repair: 7, ..next }).await.unwrap();
    f.writer.drop_role(P, Role::Kept, next).await.unwrap();
    assert_eq!(f.everything().await, before);
    f.writer.drop_role(P, Role::Building, next).await.unwrap();
    f.writer.sweep(P, next).await.unwrap();
    assert_eq!(f.apply_to(next, START, 1, &[view("a", "2")]).await.unwrap(), Applied::Moved);
}

#[tokio::test]
async fn views_that_are_not_all_there_are_not_read() {
    let f = fixture().await;
    f.writer.claim().await.unwrap();
    let state = State { complete_from: 7, ..START };
    f.writer.start_build(P, None, FIRST, &state, None, None).await.unwrap();
    f.apply(state, 6, &[view("a", "1")]).await.unwrap();
    let not_yet = Error::NotBuilt { shard: 0, position: 6, complete_from: 7 };
    assert_eq!(f.model.get("p", "a").await, Err(not_yet.clone()));
    assert_eq!(f.model.page("p", "l", None, 9).await, Err(not_yet));
    f.apply(State { position: 6, ..state }, 7, &[]).await.unwrap();
    assert_eq!(f.model.get("p", "a").await.unwrap().value.unwrap(), "1");
}

#[tokio::test]
async fn a_plan_is_changed_by_whoever_knows_it() {
    let f = fixture().await;
    assert_eq!(f.writer.plan("p").await.unwrap(), None);
    let change = async |from, to| f.writer.change_plan("p", from, to, None).await.unwrap();
    assert_eq!(change(None, "one").await, (true, Some("one".to_owned())));
    assert_eq!(change(None, "two").await, (false, Some("one".to_owned())));
    assert_eq!(change(Some("one"), "two").await, (true, Some("two".to_owned())));
    assert_eq!(f.writer.plan("p").await.unwrap().as_deref(), Some("two"));
}

#[tokio::test]
async fn a_projector_that_says_nothing_any_more_is_forgotten() {
    let f = fixture().await;
    let (brief, long) = (std::time::Duration::from_millis(50), std::time::Duration::from_secs(60));
    assert_eq!(f.writer.join("b", long).await.unwrap(), ["b"]);
    f.writer.join("a", brief).await.unwrap();
    let begun = std::time::Instant::now();
    while f.writer.join("b", long).await.unwrap() != ["b"] {
        assert!(begun.elapsed() < crate::support::DEADLINE, "it is still counted");
    }
    f.writer.leave("b").await.unwrap();
    assert_eq!(f.writer.members().await.unwrap(), [""; 0]);
}
