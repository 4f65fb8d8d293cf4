//! Rebuilding, alone, beside a projector that serves, and cut off.

use tally_read_model::projections;

use crate::support::{Fixture, eventually, fixture};

async fn all_retired_are_removed(f: &Fixture) {
    let writer = f.model.writer(f.store.log_id().await.unwrap());
    for projection in projections::ALL {
        eventually("the old generations are removed", async || {
            writer.retired_generations(projection).await.unwrap().is_empty().then_some(())
        })
        .await;
        let generation = f.checkpoint(projection).await.generation;
        for old in 1..generation {
            let pattern = format!("tally:{log}:{{{log}:r0}}:{projection}:{old}:*", log = f.log);
            let left: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut f.redis().await).await.unwrap();
            assert_eq!(left, [""; 0]);
        }
    }
}

#[tokio::test]
async fn rebuilt_views_are_the_same_bytes() {
    let mut f = fixture().await;
    f.append_random(200).await;
    let projector = f.projector(&["--batch-events-max", "7"]).await;
    f.projected(f.head).await;
    projector.stop().await;
    let before = f.views().await;
    assert!(before.len() > 100, "{}", before.len());

    for projection in projections::ALL {
        f.rebuild(projection).await;
        assert_eq!(f.checkpoint(projection).await.generation, 2);
    }
    assert_eq!(f.views().await, before);
    all_retired_are_removed(&f).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_works_beside_projectors_that_serve_while_events_come_in() {
    let mut f = fixture().await;
    f.append_random(100).await;
    let projectors = [f.projector(&["--batch-events-max", "3"]).await, f.projector(&[]).await];
    f.projected(f.head).await;
    for round in 0..3 {
        for projection in projections::ALL {
            let (common, args) = f.rebuild_args(projection, &["--batch-events-max", "5"]);
            let (rebuilt, _) = tokio::join!(projector::rebuild(&common, &args), f.append_random(5));
            rebuilt.unwrap();
            assert_eq!(f.checkpoint(projection).await.generation, 2 + round);
        }
    }
    f.projected(f.head).await;
    assert_eq!(f.views().await, f.views_by_the_book().await);
    all_retired_are_removed(&f).await;
    for projector in projectors {
        projector.ready(true).await;
    }
}

/// Runs a rebuild until it has begun to project, and cuts it off.
async fn begin_rebuild(f: &Fixture, projection: &str) {
    let generation = f.checkpoint(projection).await.generation;
    let (common, args) = f.rebuild_args(projection, &["--batch-events-max", "1"]);
    let rebuild = tokio::spawn(async move { projector::rebuild(&common, &args).await });
    eventually("the rebuild has begun", async || {
        let now = f.checkpoint(projection).await;
        (now.generation > generation && now.position > 0).then_some(())
    })
    .await;
    assert!(!rebuild.is_finished(), "it was through before it could be cut off");
    rebuild.abort();
    let _ = rebuild.await;
}

#[tokio::test]
async fn after_a_rebuild_was_killed_the_serving_projector_goes_on() {
    let mut f = fixture().await;
    f.append_random(200).await;
    let projector = f.projector(&["--batch-events-max", "3"]).await;
    f.projected(f.head).await;
    let before = f.views().await;
    begin_rebuild(&f, projections::STOCK).await;
    begin_rebuild(&f, projections::ORDERS_BY_CUSTOMER).await;
    f.projected(f.head).await;
    assert_eq!(f.views().await, before);
    all_retired_are_removed(&f).await;
    projector.ready(true).await;
}

#[tokio::test]
async fn after_a_rebuild_was_killed_the_next_projector_goes_on() {
    let mut f = fixture().await;
    f.append_random(200).await;
    f.projector(&[]).await.projected_and_stopped(&f).await;
    let before = f.views().await;
    begin_rebuild(&f, projections::STOCK).await;
    let interrupted = f.checkpoint(projections::STOCK).await;
    assert!(interrupted.position < f.head);

    f.projector(&[]).await.projected_and_stopped(&f).await;
    assert_eq!(f.views().await, before);
    assert_eq!(f.checkpoint(projections::STOCK).await.generation, interrupted.generation);
    all_retired_are_removed(&f).await;
}

#[tokio::test]
async fn a_rebuild_repairs_views_that_were_damaged() {
    let mut f = fixture().await;
    f.append_random(100).await;
    f.projector(&[]).await.projected_and_stopped(&f).await;
    let before = f.views().await;
    let key = format!("tally:{log}:{{{log}:r0}}:stock:1:view:sku-0", log = f.log);
    redis::cmd("SET").arg(key).arg("damaged").exec_async(&mut f.redis().await).await.unwrap();
    assert_ne!(f.views().await, before);
    f.rebuild(projections::STOCK).await;
    assert_eq!(f.views().await, before);
}

#[tokio::test]
async fn a_rebuild_of_a_log_with_a_hole_says_so() {
    let mut f = fixture().await;
    f.append_random(20).await;
    f.as_owner("DELETE FROM events WHERE position = 5").await;
    let (common, args) = f.rebuild_args(projections::STOCK, &[]);
    let error = projector::rebuild(&common, &args).await.unwrap_err();
    assert!(format!("{error:#}").contains("position 5 is missing"), "{error:#}");
}

#[tokio::test]
async fn a_rebuild_of_an_empty_log_ends() {
    let f = fixture().await;
    f.rebuild(projections::STOCK).await;
    assert_eq!(f.checkpoint(projections::STOCK).await.generation, 2);
}
