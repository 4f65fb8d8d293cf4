use tally_read_model::{Applied, Checkpoint};

use crate::support::{START, at, fixture, listed, view};

#[tokio::test]
async fn a_new_generation_is_empty_and_the_old_one_waits_for_its_removal() {
    let mut f = fixture().await;
    f.writer.apply("p", START, 5, &[listed("a", "1", "l", 1)]).await.unwrap();
    assert_eq!(f.writer.start_generation("p").await.unwrap(), (1, 2));

    let found = f.model.get("p", "a").await.unwrap();
    assert_eq!((found.position, found.value), (0, None));
    assert_eq!(f.model.page("p", "l", None, 9).await.unwrap().entries, []);
    assert_eq!(f.writer.retired_generations("p").await.unwrap(), [1]);
    assert!(f.everything().await.contains_key(&f.key("p:1:view:a")));

    f.writer.remove_generation("p", 1).await.unwrap();
    assert_eq!(f.writer.retired_generations("p").await.unwrap(), [0_u64; 0]);
    let left: Vec<String> = f.everything().await.into_keys().collect();
    assert_eq!(left, [f.key("log_id"), f.key("p:2:checkpoint"), f.key("p:generation")]);
}

#[tokio::test]
async fn removing_a_large_generation_leaves_every_other_key_alone() {
    let f = fixture().await;
    let many: Vec<_> = (0..5_000).map(|n| view(&format!("k{n}"), "v")).collect();
    f.writer.apply("p", START, 1, &many).await.unwrap();
    // Generation 1 must not be taken for 11, nor the projection p for pp.
    f.writer.apply("pp", START, 1, &[view("a", "pp")]).await.unwrap();
    for _ in 0..10 {
        f.writer.start_generation("p").await.unwrap();
    }
    let eleventh = Checkpoint { generation: 11, position: 0 };
    assert_eq!(f.writer.apply("p", eleventh, 1, &[view("a", "p")]).await.unwrap(), Applied::Done);

    for generation in f.writer.retired_generations("p").await.unwrap() {
        f.writer.remove_generation("p", generation).await.unwrap();
    }
    assert_eq!(f.model.get("p", "a").await.unwrap().value.unwrap(), "p");
    assert_eq!(f.model.get("pp", "a").await.unwrap().value.unwrap(), "pp");
    let old = f.writer.load_views("p", 1, &["k0".into(), "k4999".into()]).await.unwrap();
    assert_eq!(old, [None, None]);
}

#[tokio::test]
async fn the_live_generation_is_never_removed() {
    let mut f = fixture().await;
    f.writer.apply("p", START, 5, &[view("a", "1")]).await.unwrap();
    let before = f.everything().await;
    f.writer.remove_generation("p", 1).await.unwrap();
    assert_eq!(f.everything().await, before);
}

#[tokio::test]
async fn a_generation_that_was_live_before_the_pointer_was_lost_is_not_begun_again() {
    let mut f = fixture().await;
    f.writer.start_generation("p").await.unwrap();
    let second = Checkpoint { generation: 2, position: 0 };
    f.writer.apply("p", second, 5, &[view("a", "1")]).await.unwrap();
    redis::cmd("DEL").arg(f.key("p:generation")).exec_async(&mut f.raw).await.unwrap();
    assert_eq!(f.writer.start_generation("p").await.unwrap(), (1, 3));
    assert_eq!(f.model.get("p", "a").await.unwrap().value, None);
}

#[tokio::test]
async fn each_projection_has_its_own_generation() {
    let f = fixture().await;
    f.writer.apply("q", START, 5, &[view("a", "1")]).await.unwrap();
    f.writer.start_generation("p").await.unwrap();
    assert_eq!(f.writer.read_checkpoint("q").await.unwrap(), at(5));
}
