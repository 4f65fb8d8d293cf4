//! Rebuilding: beside projectors that serve and without, cut off, promoted, rolled back.

use tally_api::projections::v1::*;
use tally_read_model::{LAYOUT, Unit, bucket_of_view, projections};
use tonic::Code;

use crate::support::{Fixture, eventually, fixture, sharded};

const READ_EVERY: std::time::Duration = std::time::Duration::from_millis(2);
/// Far more than are projected until a rate is known.
const EVENTS_UNTIL_TIMED_MAX: u64 = 200_000;

/// Old views are removed, but for those that are kept for a rollback.
async fn only_kept_ones_are_left(f: &Fixture) {
    let writer = f.writer().await;
    for projection in projections::ALL {
        for unit in f.model.units(projection) {
            eventually("old views are removed", async || {
                let look = writer.look(unit).await.unwrap();
                (look.unused().count() == 0 && look.builds.len() <= 2).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test]
async fn rebuilt_views_are_the_same_bytes_whether_a_projector_serves_or_not() {
    let mut f = fixture().await;
    f.append_random(200).await;
    let projector = f.projector(&["--batch-events-max", "7"]).await;
    f.projected(f.head).await;
    let before = f.views().await;
    assert!(before.len() > 100, "{}", before.len());
    f.rebuild(projections::STOCK).await;
    assert_eq!(f.checkpoint(projections::STOCK).await.generation, 2);
    projector.stop().await;
    for projection in projections::ALL {
        f.rebuild(projection).await;
    }
    assert_eq!(f.checkpoint(projections::STOCK).await.generation, 3);
    assert_eq!(f.checkpoint(projections::ORDER).await.generation, 2);
    assert_eq!(f.views().await, before);
    let _projector = f.projector(&[]).await;
    only_kept_ones_are_left(&f).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_go_on_during_a_rebuild_under_load_and_never_go_back_in_time() {
    let mut f = sharded(tally_servers::fresh_database().await, tally_servers::test_redis().await.url(), 3).await;
    f.append_random(100).await;
    let projectors = [f.projector(&["--batch-events-max", "3"]).await, f.projector(&[]).await];
    f.projected(f.head).await;
    let (model, projection) = (f.model.clone(), projections::ORDER_SUMMARIES);
    let reading = tokio::spawn(async move {
        let (mut furthest, mut reads) = (0, 0_u64);
        loop {
            let page = model.page(projection, "status/OPEN", None, 1_000).await.expect("reads go on");
            assert!(page.position >= furthest, "{} after {furthest}", page.position);
            furthest = page.position;
            reads += 1;
            if reads > 3 && furthest == u64::MAX {
                return;
            }
            // All in this test share two cores: who reads without a pause leaves none to the others.
            tokio::time::sleep(READ_EVERY).await;
        }
    });
    for _ in 0..2 {
        f.run(&["rebuild", projection]).await.unwrap();
        f.append_random(20).await;
    }
    f.projected(f.head).await;
    assert_eq!(f.checkpoint(projection).await.generation, 3);
    assert!(!reading.is_finished(), "reads failed");
    reading.abort();
    assert_eq!(f.views().await, f.views_by_the_book().await);
    for projector in projectors {
        projector.ready(true).await;
    }
}

#[tokio::test]
async fn a_rebuild_that_was_killed_half_way_is_gone_on_with() {
    let mut f = fixture().await;
    f.append_random(300).await;
    f.projector(&[]).await.projected_and_stopped(&f).await;
    let before = f.views().await;
    let (writer, unit) = (f.writer().await, Unit { projection: projections::STOCK, shard: 0 });
    let args = ["rebuild", "stock", "--rebuild-events-max", "1"];
    let rebuild = f.run(&args);
    let killed = async {
        eventually("the rebuild is half-way", async || {
            let look = writer.look(unit).await.unwrap();
            let (build, state) = look.in_role(tally_read_model::Role::Building)?;
            (state.position > 20).then_some((build, state.position))
        })
        .await
    };
    // Dropping the one that runs kills it.
    let (build, reached) = tokio::select! {
        told = rebuild => panic!("it was through before it could be killed: {told:?}"),
        half_way = killed => half_way,
    };
    assert_eq!(f.checkpoint(projections::STOCK).await.generation, 1, "the old views are read");
    assert_eq!(f.views().await, before);

    let _projector = f.projector(&[]).await;
    eventually("the rebuild goes on and is promoted", async || {
        let look = writer.look(unit).await.unwrap();
        assert!(
            look.builds.get(&build).copied().flatten().is_none_or(|state| state.position >= reached),
            "it began anew"
        );
        (look.live == Some(build)).then_some(())
    })
    .await;
    assert_eq!(f.views().await, before);
}

#[tokio::test]
async fn a_rebuild_tells_its_progress_compares_waits_is_promoted_and_rolled_back() {
    let mut f = fixture().await;
    f.append_random(200).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    projector.ready(true).await;
    let mut admin = projector.admin().await;
    // The log says of one batch something other than it said, and nothing later changes that.
    f.as_owner(
        "UPDATE events SET payload = replace(payload, '\"quantity\":', '\"quantity\":1') WHERE position = (
            SELECT max(position) FROM events AS created
            WHERE event_type = 'BatchCreated' AND position < (SELECT max(position) FROM events) AND NOT EXISTS (
                SELECT FROM events AS changed
                WHERE changed.event_type = 'BatchQuantityChanged' AND changed.stream_id = created.stream_id
                AND changed.payload::json ->> 'batch_ref' = created.payload::json ->> 'batch_ref'))",
    )
    .await;

    let request = RebuildProjectionRequest { projection: "stock".into(), wait_for_promotion: true };
    let mut told = admin.rebuild_projection(request).await.unwrap().into_inner();
    let mut last = None;
    while let Some(message) = told.message().await.unwrap() {
        last = Some(message);
    }
    let last = last.unwrap();
    let rebuild = last.rebuild.unwrap();
    assert!(rebuild.caught_up && !last.promoted);
    assert_eq!((rebuild.done_events, rebuild.total_events), (f.head as i64, f.head as i64));
    let comparison = rebuild.comparison.unwrap();
    assert_eq!(comparison.differing_views, 1);
    assert!(comparison.sample[0].view.starts_with("sku-"), "{:?}", comparison.sample);
    let how = &comparison.sample[0].description;
    assert!(how.contains(" bytes instead of ") && how.contains(", from byte "), "{how}");
    assert!(comparison.views > 1);
    assert_eq!(f.checkpoint(projections::STOCK).await.generation, 1, "it waits");

    let promoted = admin.promote_rebuild(PromoteRebuildRequest { projection: "stock".into() }).await.unwrap();
    assert_eq!(promoted.into_inner().generation, 2);
    assert_eq!(f.checkpoint(projections::STOCK).await.generation, 2);
    let again = admin.promote_rebuild(PromoteRebuildRequest { projection: "stock".into() }).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition);

    f.append_random(50).await;
    f.projected(f.head).await;
    let back = admin.roll_back_rebuild(RollBackRebuildRequest { projection: "stock".into() }).await.unwrap();
    assert_eq!(back.into_inner().generation, 1);
    let found = f.model.get(projections::STOCK, "sku-1").await.unwrap();
    assert!(found.position == f.head || found.may_be_stale, "what is from before says so");
    f.projected(f.head).await;
    assert_eq!(f.checkpoint(projections::STOCK).await.generation, 1);
    let nothing = admin.roll_back_rebuild(RollBackRebuildRequest { projection: "stock".into() }).await.unwrap_err();
    assert_eq!(nothing.code(), Code::FailedPrecondition);
    only_kept_ones_are_left(&f).await;
}

#[tokio::test]
async fn in_the_middle_of_a_rebuild_its_rate_and_the_time_left_are_told() {
    let mut f = fixture().await;
    for _ in 0..5 {
        f.append_random(400).await;
    }
    // One event after the other, and there come more until a rate is known.
    let projector = f.projector(&["--rebuild-events-max", "1"]).await;
    f.projected(f.head).await;
    let head_at_start = f.head as i64;
    let request = RebuildProjectionRequest { projection: "stock".into(), wait_for_promotion: false };
    let mut told = projector.admin().await.rebuild_projection(request).await.unwrap().into_inner();
    let (mut done, mut timed, mut promoted) = (0, 0, false);
    while let Some(message) = told.message().await.unwrap() {
        promoted = message.promoted;
        let Some(rebuild) = message.rebuild else { continue };
        assert!(rebuild.done_events >= done, "{rebuild:?} after {done}");
        assert!((head_at_start..=f.head as i64).contains(&rebuild.total_events), "{rebuild:?}");
        done = rebuild.done_events;
        if let Some(left) = rebuild.time_left.filter(|_| (1..rebuild.total_events).contains(&done)) {
            assert!(rebuild.events_per_second > 0.0, "{rebuild:?}");
            let expected = (rebuild.total_events - done) as f64 / rebuild.events_per_second;
            let left = left.seconds as f64 + f64::from(left.nanos) / 1e9;
            assert!((left - expected).abs() < 0.01, "{left} s left, and {expected} by its rate");
            timed += 1;
        } else if timed == 0 && !promoted && f.head < EVENTS_UNTIL_TIMED_MAX {
            f.append_random(400).await;
        }
    }
    assert!(promoted && timed > 0, "told {timed} times how long it takes, promoted: {promoted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_generation_that_has_caught_up_goes_on_level_with_the_live_one() {
    let mut f = fixture().await;
    f.append_random(50).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    let request = RebuildProjectionRequest { projection: "stock".into(), wait_for_promotion: true };
    let mut told = projector.admin().await.rebuild_projection(request).await.unwrap().into_inner();
    while told.message().await.unwrap().is_some() {}
    let (writer, unit) = (f.writer().await, Unit { projection: projections::STOCK, shard: 0 });
    let (head, log) = (f.head, f.log.clone());
    let watching = tokio::spawn(async move {
        loop {
            let look = writer.look(unit).await.unwrap();
            let (_, live) = look.live_state().unwrap();
            let (_, new) = look.in_role(tally_read_model::Role::Building).unwrap();
            assert!(new.position <= live.position, "{} before {} in {log}", new.position, live.position);
            if new.position > head + 200 {
                return;
            }
        }
    });
    while !watching.is_finished() {
        f.append_random(1).await;
    }
    watching.await.unwrap();
}

#[tokio::test]
async fn what_was_kept_long_enough_is_removed() {
    let mut f = fixture().await;
    f.append_random(50).await;
    let _projector = f.projector(&["--keep-seconds", "0"]).await;
    f.projected(f.head).await;
    f.run(&["rebuild", "stock", "--keep-seconds", "0"]).await.unwrap();
    let writer = f.writer().await;
    eventually("one build is left", async || {
        let look = writer.look(Unit { projection: projections::STOCK, shard: 0 }).await.unwrap();
        (look.builds.len() == 1 && look.live.unwrap().generation == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_paused_stays_where_it_is_until_resumed() {
    let mut f = fixture().await;
    f.append_random(20).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    let mut admin = projector.admin().await;
    admin.pause_projection(PauseProjectionRequest { projection: "order".into() }).await.unwrap();
    eventually("paused", async || (projector.state("order") == projector::State::Paused).then_some(())).await;
    let before = f.checkpoint(projections::ORDER).await;
    f.append_random(20).await;
    eventually("the others go on", async || (f.checkpoint(projections::STOCK).await.position == f.head).then_some(()))
        .await;
    assert_eq!(f.checkpoint(projections::ORDER).await, before);
    let lag = admin.explain_lag(ExplainLagRequest { projection: "order".into() }).await.unwrap().into_inner();
    assert_eq!(lag.reason, "PAUSED", "{}", lag.explanation);
    admin.resume_projection(ResumeProjectionRequest { projection: "order".into() }).await.unwrap();
    f.projected(f.head).await;
}

#[tokio::test]
async fn a_rebuild_of_an_empty_log_ends() {
    let f = fixture().await;
    f.rebuild(projections::STOCK).await;
    assert_eq!(f.checkpoint(projections::STOCK).await.generation, 2);
}

#[tokio::test]
async fn a_rebuild_of_a_log_with_a_hole_says_so() {
    let mut f = fixture().await;
    f.append_random(20).await;
    f.as_owner("DELETE FROM events WHERE position = 5").await;
    let error = f.run(&["rebuild", "stock"]).await.unwrap_err();
    assert!(error.contains("position 5 is missing"), "{error}");
}

#[tokio::test]
async fn what_an_older_program_made_is_made_anew_without_being_asked_for_and_read_until_then() {
    let mut f = fixture().await;
    f.append_random(200).await;
    f.projector(&[]).await.projected_and_stopped(&f).await;
    let mut redis = f.redis().await;
    let (state_key, plan_key) = (
        f.key(projections::STOCK, 0, "checkpoint").await,
        format!("tally:{log}:{{{log}:r0}}:{}:plan", projections::STOCK, log = f.log),
    );
    // As a program before this one leaves it: its number in the state and in the plan, and a view as only that one would have made it.
    let own = 1 + LAYOUT;
    let state: String = redis::cmd("GET").arg(&state_key).query_async(&mut redis).await.unwrap();
    let (position, rest) = state.split_once(&format!(" {own} ")).unwrap();
    let older = format!("{position} {} {rest}", own - 1);
    redis::cmd("SET").arg(&state_key).arg(older).exec_async(&mut redis).await.unwrap();
    let plan: String = redis::cmd("GET").arg(&plan_key).query_async(&mut redis).await.unwrap();
    let older = plan.replace(&format!("\"version\":{own}"), &format!("\"version\":{}", own - 1));
    assert_ne!(older, plan);
    redis::cmd("SET").arg(&plan_key).arg(older).exec_async(&mut redis).await.unwrap();
    let (bucket, field) = (f.key(projections::STOCK, 0, "views:").await, "vsku-0");
    let bucket = format!("{bucket}{}", bucket_of_view("sku-0"));
    redis::cmd("HSET").arg(&bucket).arg(field).arg(b"\0").exec_async(&mut redis).await.unwrap();
    assert_ne!(f.views().await, f.views_by_the_book().await);

    // Whoever reads meanwhile is answered.
    let _projector = f.projector(&[]).await;
    f.append_random(20).await;
    let stands = eventually("the new generation is read", async || {
        let found = f.model.get(projections::STOCK, "sku-0").await.expect("there is always a generation that is read");
        assert!(found.value.is_some(), "and it has the view");
        let stands = f.checkpoint(projections::STOCK).await;
        (stands.generation == 2).then_some(stands)
    })
    .await;
    assert!(stands.position > 0, "{}", stands.position);
    f.projected(f.head).await;
    assert_eq!(f.views().await, f.views_by_the_book().await);

    // Rolled back, it stays so: this version is not made again unasked.
    f.run(&["rollback", "stock"]).await.unwrap();
    assert_eq!(f.checkpoint(projections::STOCK).await.generation, 1);
    let plan: String = redis::cmd("GET").arg(&plan_key).query_async(&mut redis).await.unwrap();
    assert!(plan.contains(&format!("\"held_version\":{own}")) && !plan.contains("building"), "{plan}");
}
