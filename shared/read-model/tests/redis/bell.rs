use tally_read_model::{Batch, Bell, Unit};
use tally_servers::Redis;
use tokio::time::timeout;

use crate::support::{DEADLINE, FIRST, P, START, at, fixture, on};

const Q: Unit = Unit { projection: "q", shard: 0 };

async fn next(bell: &mut Bell) -> Option<u64> {
    timeout(DEADLINE, bell.next()).await.expect("the bell did not ring")
}

/// The bell rings by itself once it hears.
async fn hearing(mut bell: Bell) -> Bell {
    assert_eq!(next(&mut bell).await, Some(0));
    bell
}

#[tokio::test]
async fn an_applied_batch_rings_its_projections_bell_and_no_other() {
    let f = fixture().await.begun().await;
    let mut p = hearing(f.model.subscribe(P)).await;
    let mut q = hearing(f.model.subscribe(Q)).await;
    f.apply(START, 7, &[]).await.unwrap();
    assert_eq!(next(&mut p).await, Some(7));
    f.begin(Q).await;
    f.writer.apply(Q, FIRST, None, (&START, &at(3)), &Batch::default()).await.unwrap();
    assert_eq!(next(&mut q).await, Some(3), "p's ring came here");
}

#[tokio::test]
async fn a_batch_that_was_not_applied_does_not_ring() {
    let f = fixture().await.begun().await;
    f.apply(START, 7, &[]).await.unwrap();
    let mut bell = hearing(f.model.subscribe(P)).await;
    f.apply(START, 8, &[]).await.unwrap();
    f.apply(at(7), 9, &[]).await.unwrap();
    assert_eq!(next(&mut bell).await, Some(9));
}

#[tokio::test]
async fn all_listeners_of_a_bell_hear_it() {
    let f = fixture().await;
    let mut bells = [hearing(f.model.subscribe_log()).await, hearing(f.model.subscribe_log()).await];
    f.model.ring_log(12).await.unwrap();
    for bell in &mut bells {
        assert_eq!(next(bell).await, Some(12));
    }
}

#[tokio::test]
async fn rings_that_nobody_waited_for_are_told_as_one() {
    let f = fixture().await;
    let mut first = hearing(f.model.subscribe_log()).await;
    let mut slow = hearing(f.model.subscribe_log()).await;
    f.model.ring_log(1).await.unwrap();
    f.model.ring_log(2).await.unwrap();
    while next(&mut first).await != Some(2) {}
    assert_eq!(next(&mut slow).await, Some(2));
}

#[tokio::test]
async fn after_redis_was_killed_the_bell_rings_again_by_itself() {
    let redis = Redis::temporary().await.unwrap();
    let f = on(&redis).await;
    let mut bell = hearing(f.model.subscribe_log()).await;
    f.model.ring_log(5).await.unwrap();
    assert_eq!(next(&mut bell).await, Some(5));

    redis.kill().await.unwrap();
    redis.restart().await.unwrap();
    assert_eq!(next(&mut bell).await, Some(5), "it says that it listens anew");
    f.model.ring_log(6).await.unwrap();
    assert_eq!(next(&mut bell).await, Some(6));
}
