//! What can be lost is noticed, named and made again.

use tally_api::projections::v1::*;
use tally_read_model::{Error, Found, LAYOUT, Unit, bucket_of_view, projections};

use crate::outward::published_up_to;
use crate::support::{Fixture, Projector, eventually, fixture, sharded, with_servers};

/// Some of those that random commands are about.
const SKUS: [&str; 5] = ["sku-0", "sku-1", "sku-2", "sku-3", "sku-4"];

async fn facts(projector: &Projector, name: &str) -> Projection {
    let all = projector.admin().await.list_projections(ListProjectionsRequest {}).await.unwrap().into_inner();
    all.projections.into_iter().find(|projection| projection.name == name).unwrap()
}

/// Until a loss of this kind is told of.
async fn noticed(projector: &Projector, name: &str, kind: &str) -> Loss {
    eventually(&format!("{name}: {kind}"), async || {
        facts(projector, name).await.losses.into_iter().find(|loss| loss.kind == kind)
    })
    .await
}

async fn mended(f: &Fixture, before: &crate::support::Views) {
    eventually("it is mended", async || {
        for projection in projections::ALL {
            for unit in f.model.units(projection) {
                let look = f.writer().await.look(unit).await.ok()?;
                let whole = look.live_state().is_some_and(|(_, state)| state.is_complete() && state.position == f.head);
                if !whole || look.in_role(tally_read_model::Role::Repair).is_some() {
                    return None;
                }
            }
        }
        Some(())
    })
    .await;
    assert_eq!(f.views().await, *before);
}

/// Until each of the SKUs is known as of the end of the log: what was taken away while others were made again already takes another time.
async fn made_again(f: &Fixture) {
    eventually("made again", async || {
        let found = f.model.get_many(projections::STOCK, &SKUS).await;
        let is_known = |found: &Result<Found, Error>| found.as_ref().is_ok_and(|found| found.position == f.head);
        found.iter().all(is_known).then_some(())
    })
    .await;
}

/// What was published can't be taken back: nothing more is, until somebody has looked.
async fn another_past_is_published(projector: &Projector) {
    let reason = projector.halted("line_events").await;
    assert!(reason.contains("is not the one that was published"), "{reason}");
}

#[tokio::test]
async fn a_view_that_was_evicted_is_made_again_and_until_then_nobody_says_that_it_is_not_there() {
    let mut f = fixture().await;
    f.append_random(100).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    let before = f.views().await;
    let key = f.key(projections::STOCK, 0, &format!("views:{}", bucket_of_view("sku-0"))).await;
    redis::cmd("DEL").arg(key).exec_async(&mut f.redis().await).await.unwrap();
    assert_eq!(f.model.get(projections::STOCK, "sku-0").await, Err(Error::Lost));
    assert!(f.model.get(projections::STOCK, "sku-1").await.is_ok(), "the others are read as ever");
    f.model.ring_missed(Unit { projection: projections::STOCK, shard: 0 }).await.unwrap();
    noticed(&projector, "stock", "views_missing").await;
    mended(&f, &before).await;
    assert!(f.model.get(projections::STOCK, "sku-0").await.unwrap().value.is_some());
}

#[tokio::test]
async fn a_view_that_somebody_removed_is_made_again_though_nobody_reads_it() {
    let mut f = fixture().await;
    f.append_random(100).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    let before = f.views().await;
    let bucket = f.key(projections::STOCK, 0, &format!("views:{}", bucket_of_view("sku-0"))).await;
    redis::cmd("HDEL").arg(bucket).arg("vsku-0").exec_async(&mut f.redis().await).await.unwrap();
    noticed(&projector, "stock", "views_missing").await;
    mended(&f, &before).await;
}

#[tokio::test]
async fn each_kind_of_key_that_was_evicted_is_noticed_by_name_and_made_again() {
    let mut f = fixture().await;
    f.append_random(100).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    let before = f.views().await;
    let list = tally_read_model::lists::status("OPEN");
    let summaries = |rest: String| (projections::ORDER_SUMMARIES, "views_missing", rest);
    let writer = f.writer().await;
    let build = async |projection| {
        let look = writer.look(Unit { projection, shard: 0 }).await.unwrap();
        look.live.unwrap().to_string()
    };
    let of_unit = |projection: &str, rest: &str| format!("tally:{log}:{{{log}:r0}}:{projection}:{rest}", log = f.log);
    let cases = [
        summaries(format!("{}:list:{list}", build(projections::ORDER_SUMMARIES).await)),
        (projections::ORDER, "emptied", format!("{}:checkpoint", build(projections::ORDER).await)),
        (projections::STOCK, "emptied", "live".to_owned()),
        (projections::STREAMS, "plan_missing", "plan".to_owned()),
    ];
    for (projection, kind, rest) in cases {
        let removed: u64 =
            redis::cmd("DEL").arg(of_unit(projection, &rest)).query_async(&mut f.redis().await).await.unwrap();
        assert_eq!(removed, 1, "{projection} {rest}");
        if kind == "views_missing" {
            // Who reads finds it before the projector has looked through all.
            assert_eq!(f.model.page(projection, &list, None, 10).await, Err(Error::Lost));
            f.model.ring_missed(Unit { projection, shard: 0 }).await.unwrap();
        }
        noticed(&projector, projection, kind).await;
        mended(&f, &before).await;
    }
}

#[tokio::test]
async fn a_bucket_of_the_names_of_lists_that_was_evicted_is_made_again() {
    let mut f = fixture().await;
    f.append_random(100).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    let before = f.views().await;
    let key = f.key(projections::ORDER_SUMMARIES, 0, "lists:7").await;
    let removed: u64 = redis::cmd("DEL").arg(key).query_async(&mut f.redis().await).await.unwrap();
    assert_eq!(removed, 1);
    noticed(&projector, "order_summaries", "views_missing").await;
    mended(&f, &before).await;
}

#[tokio::test]
async fn an_event_about_a_view_that_was_evicted_finds_it_out() {
    let mut f = fixture().await;
    f.append_random(100).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    let mut redis = f.redis().await;
    for sku in SKUS {
        let key = f.key(projections::STOCK, 0, &format!("views:{}", bucket_of_view(sku))).await;
        redis::cmd("DEL").arg(key).exec_async(&mut redis).await.unwrap();
    }
    f.append_random(60).await;
    noticed(&projector, "stock", "views_missing").await;
    made_again(&f).await;
    f.projected(f.head).await;
    assert_eq!(f.views().await, f.views_by_the_book().await);
}

#[tokio::test]
async fn one_shard_that_was_emptied_is_made_again_and_the_others_are_left_alone() {
    let mut f = sharded(tally_servers::fresh_database().await, tally_servers::test_redis().await.url(), 3).await;
    f.append_random(150).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    let before = f.views().await;
    let (writer, unit) = (f.writer().await, |shard| Unit { projection: projections::ORDER, shard });
    let untouched = [writer.look(unit(0)).await.unwrap(), writer.look(unit(2)).await.unwrap()];
    f.empty(1).await;
    let loss = noticed(&projector, "order", "emptied").await;
    assert_eq!(loss.shard, 1);
    mended(&f, &before).await;
    assert_eq!([writer.look(unit(0)).await.unwrap(), writer.look(unit(2)).await.unwrap()], untouched);
}

#[tokio::test]
async fn a_shard_that_begins_after_the_others_has_lost_nothing() {
    let mut f = sharded(tally_servers::fresh_database().await, tally_servers::test_redis().await.url(), 2).await;
    f.append_random(50).await;
    let order = |wanted| [(projections::ORDER, 1 + LAYOUT, wanted)];
    let lasts = std::time::Duration::from_secs(60);
    assert_eq!(f.writer().await.tend(1, &order(true), "another", lasts).await.unwrap(), [true]);
    let projector = f.projector(&[]).await;
    eventually("the first shard has come far", async || {
        let first = f.model.read_checkpoint(Unit { projection: projections::ORDER, shard: 0 }).await.ok()?;
        (first.state.position == f.head).then_some(())
    })
    .await;
    f.writer().await.tend(1, &order(false), "another", lasts).await.unwrap();
    f.projected(f.head).await;
    assert_eq!(facts(&projector, "order").await.losses, []);
}

#[tokio::test]
async fn the_shard_with_the_plans_can_be_emptied_too() {
    let mut f = sharded(tally_servers::fresh_database().await, tally_servers::test_redis().await.url(), 2).await;
    f.append_random(100).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    f.rebuild(projections::STOCK).await;
    let before = f.views().await;
    f.empty(0).await;
    noticed(&projector, "order", "emptied").await;
    mended(&f, &before).await;
    assert_eq!(f.checkpoint(projections::STOCK).await.generation, 2, "the other shard knows the generation");
}

#[tokio::test]
async fn a_key_that_was_overwritten_is_made_again() {
    let mut f = fixture().await;
    f.append_random(100).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    let mut redis = f.redis().await;
    for sku in SKUS {
        let key = f.key(projections::STOCK, 0, &format!("views:{}", bucket_of_view(sku))).await;
        redis::cmd("DEL").arg(&key).exec_async(&mut redis).await.unwrap();
        redis::cmd("RPUSH").arg(key).arg("no view").exec_async(&mut redis).await.unwrap();
    }
    f.append_random(60).await;
    noticed(&projector, "stock", "damaged").await;
    made_again(&f).await;
    f.projected(f.head).await;
    assert_eq!(f.views().await, f.views_by_the_book().await);
}

#[tokio::test]
async fn a_log_that_ends_before_the_views_has_them_made_again() {
    let mut f = fixture().await;
    let projector = f.projector(&[]).await;
    f.append_random(60).await;
    f.projected(f.head).await;
    // As after a restore from a backup.
    let kept = f.head - 20;
    f.as_owner(&format!(
        "DELETE FROM events WHERE position > {kept}; UPDATE tally_{}.log_head SET position = {kept}",
        f.log
    ))
    .await;
    f.head = kept;
    for projection in projections::ALL {
        let loss = noticed(&projector, projection, "log_went_back").await;
        assert!(loss.position > kept as i64);
    }
    eventually("the views are those of the log", async || {
        for projection in projections::ALL {
            if f.checkpoint(projection).await.position != kept {
                return None;
            }
        }
        Some(())
    })
    .await;
    assert_eq!(f.views().await, f.views_by_the_book().await);
}

#[tokio::test]
async fn a_log_that_went_back_and_grew_again_while_no_projector_looked_is_noticed() {
    let mut f = fixture().await;
    f.append_random(60).await;
    let projector = f.projector(&[]).await;
    published_up_to(&f, f.head).await;
    projector.projected_and_stopped(&f).await;
    f.as_owner("UPDATE events SET recorded_at = recorded_at + interval '1 second' WHERE position > 10").await;
    let projector = f.projector(&[]).await;
    for projection in projections::ALL {
        noticed(&projector, projection, "log_went_back").await;
    }
    // It is told before it is mended.
    f.is_by_the_book().await;
    f.append_random(1).await;
    another_past_is_published(&projector).await;
}

#[tokio::test]
async fn a_log_that_became_another_and_grew_under_a_running_projector_is_noticed() {
    let mut f = fixture().await;
    let projector = f.projector(&[]).await;
    f.append_random(60).await;
    f.projected(f.head).await;
    published_up_to(&f, f.head).await;
    f.as_owner("UPDATE events SET recorded_at = recorded_at + interval '1 second' WHERE position > 10").await;
    // What comes next fits the position that the views stand at.
    f.append_random(1).await;
    for projection in projections::ALL {
        noticed(&projector, projection, "log_went_back").await;
    }
    // It is told before it is mended.
    f.is_by_the_book().await;
    another_past_is_published(&projector).await;
}

#[tokio::test]
async fn writes_that_redis_lost_are_made_again_and_answers_say_that_they_may_be_stale() {
    let (mut f, _postgres, redis) = with_servers().await;
    f.append_random(60).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    // What a failover to a replica that lagged leaves: an earlier state of everything.
    let mut raw = f.redis().await;
    let dumped = dump(&mut raw).await;
    let unit = Unit { projection: projections::STOCK, shard: 0 };
    let live = f.writer().await.look(unit).await.unwrap().live;
    f.append_random(40).await;
    f.projected(f.head).await;
    redis.pause().unwrap();
    redis.resume().unwrap();
    let reached = f.head;
    restore(&mut raw, dumped).await;
    // Nobody has mended anything yet: what was written is held back since then.
    let found = f.model.get(projections::STOCK, "sku-0").await.unwrap();
    assert!(found.may_be_stale && found.position < reached, "{found:?}");
    redis::cmd("CLIENT").arg("UNPAUSE").exec_async(&mut raw).await.unwrap();
    noticed(&projector, "stock", "writes_lost").await;
    f.projected(f.head).await;
    let found = f.model.get(projections::STOCK, "sku-0").await.unwrap();
    assert!(!found.may_be_stale && found.position >= reached, "{found:?}");
    assert_eq!(f.writer().await.look(unit).await.unwrap().live, live, "what is there is gone on with");
    assert_eq!(f.views().await, f.views_by_the_book().await);
}

type Dump = Vec<(String, Vec<u8>)>;

async fn dump(redis: &mut redis::aio::MultiplexedConnection) -> Dump {
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(redis).await.unwrap();
    let mut dumped = Vec::new();
    for key in keys {
        if let Some(value) = redis::cmd("DUMP").arg(&key).query_async::<Option<Vec<u8>>>(redis).await.unwrap() {
            dumped.push((key, value));
        }
    }
    dumped
}

/// Afterwards nothing is written until that is allowed again.
async fn restore(redis: &mut redis::aio::MultiplexedConnection, dumped: Dump) {
    let mut all = redis::pipe();
    all.atomic().cmd("FLUSHDB").ignore();
    for (key, value) in dumped {
        all.cmd("RESTORE").arg(key).arg(0).arg(value).ignore();
    }
    all.cmd("CLIENT").arg("PAUSE").arg(60_000).arg("WRITE").ignore();
    all.query_async::<()>(redis).await.unwrap();
}
