//! What a projector must not get past.

use projector::State;
use tally_read_model::{Applied, Checkpoint, projections};
use uuid::Uuid;

use crate::support::{Fixture, Projector, eventually, fixture, with_servers};

/// The projections that went on, and those that halted, once each has done one or the other.
async fn outcome(f: &Fixture, projector: &Projector) -> (Vec<&'static str>, Vec<&'static str>) {
    let mut outcome = (Vec::new(), Vec::new());
    for projection in projections::ALL {
        let halted = eventually(projection, async || {
            let halted = matches!(projector.state(projection), State::Halted(_));
            (halted || f.checkpoint(projection).await.position == f.head).then_some(halted)
        })
        .await;
        if halted { outcome.1.push(projection) } else { outcome.0.push(projection) }
    }
    outcome
}

#[tokio::test]
async fn a_hole_in_the_positions_halts_every_projection_before_it() {
    let mut f = fixture().await;
    f.append_random(20).await;
    f.as_owner("DELETE FROM events WHERE position = 5").await;
    let projector = f.projector(&["--batch-events-max", "1"]).await;
    for projection in projections::ALL {
        let reason = projector.halted(projection).await;
        assert!(reason.contains("position 5 is missing"), "{reason}");
        assert!(f.checkpoint(projection).await.position < 5);
    }
    projector.ready(false).await;
}

#[tokio::test]
async fn a_hole_that_appears_while_projectors_follow_halts_them() {
    let mut f = fixture().await;
    let projector = f.projector(&[]).await;
    let before = f.append_random(5).await;
    f.projected(before).await;
    projector.ready(true).await;
    // The next position is taken by an event that nobody will ever see.
    f.as_owner(
        "UPDATE tally_log_head SET position = position + 1"
            .replace("tally_log_head", &format!("tally_{}.log_head", f.log))
            .as_str(),
    )
    .await;
    f.append_random(1).await;
    for projection in projections::ALL {
        let reason = projector.halted(projection).await;
        assert!(reason.contains(&format!("position {} is missing", before + 1)), "{reason}");
        assert_eq!(f.checkpoint(projection).await.position, before);
    }
    projector.ready(false).await;
}

#[tokio::test]
async fn a_projection_beyond_the_end_of_the_log_halts_and_the_others_go_on() {
    let mut f = fixture().await;
    let head = f.append_random(20).await;
    let writer = f.model.writer(f.store.log_id().await.unwrap());
    let start = Checkpoint { generation: 1, position: 0 };
    let beyond = writer.apply(projections::STOCK, start, head + 1, &[]).await.unwrap();
    assert_eq!(beyond, Applied::Done);

    let projector = f.projector(&[]).await;
    let reason = projector.halted(projections::STOCK).await;
    assert!(reason.contains("it lost events"), "{reason}");
    assert_eq!(outcome(&f, &projector).await.1, [projections::STOCK]);
    projector.ready(false).await;
}

#[tokio::test]
async fn a_log_that_loses_events_while_it_is_followed_halts_every_projection() {
    let mut f = fixture().await;
    let projector = f.projector(&[]).await;
    let head = f.append_random(20).await;
    f.projected(head).await;
    // As after a failover to a replica that lagged.
    f.as_owner(&format!(
        "DELETE FROM events WHERE position = {head}; UPDATE tally_{}.log_head SET position = {}",
        f.log,
        head - 1
    ))
    .await;
    for projection in projections::ALL {
        let reason = projector.halted(projection).await;
        assert!(reason.contains("it lost events"), "{reason}");
    }
}

#[tokio::test]
async fn an_event_of_an_unknown_type_halts_all_that_read_events() {
    let mut f = fixture().await;
    f.append_random(20).await;
    f.as_owner("UPDATE events SET event_type = 'OrderAmended' WHERE position = 9").await;
    let projector = f.projector(&["--batch-events-max", "1"]).await;
    let (going_on, halted) = outcome(&f, &projector).await;
    assert_eq!(going_on, [projections::STREAMS]);
    assert_eq!(halted.len(), projections::ALL.len() - 1);
    let reason = projector.halted(projections::ORDER).await;
    assert!(reason.contains("position 9") && reason.contains("OrderAmended"), "{reason}");
    projector.ready(false).await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_halts_the_projections_that_handle_it() {
    let mut f = fixture().await;
    f.append_random(60).await;
    f.as_owner("UPDATE events SET payload = '{}' WHERE event_type = 'Allocated'").await;
    let projector = f.projector(&[]).await;
    let (_, halted) = outcome(&f, &projector).await;
    let handle_it = [
        projections::ORDER,
        projections::ALLOCATIONS,
        projections::STOCK,
        projections::ORDER_HISTORY,
        projections::BACKORDERS,
    ];
    assert_eq!(halted, handle_it);
}

#[tokio::test]
async fn a_read_model_of_another_log_is_left_alone() {
    let mut f = fixture().await;
    f.append_random(5).await;
    let theirs = f.model.writer(Uuid::new_v4());
    theirs.apply(projections::ORDER, Checkpoint { generation: 1, position: 0 }, 1, &[]).await.unwrap();
    let before = f.views().await;
    let projector = f.projector(&[]).await;
    for projection in projections::ALL {
        let reason = projector.halted(projection).await;
        assert!(reason.contains("belongs to another log"), "{reason}");
    }
    assert_eq!(f.views().await, before);
    projector.ready(false).await;
}

#[tokio::test]
async fn a_database_that_comes_back_with_another_log_halts_everything() {
    let (mut f, postgres, _redis) = with_servers().await;
    f.append_random(5).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    f.as_owner(&format!("UPDATE tally_{}.log_head SET log_id = gen_random_uuid()", f.log)).await;
    postgres.kill().await.unwrap();
    postgres.restart().await.unwrap();
    for projection in projections::ALL {
        let reason = projector.halted(projection).await;
        assert!(reason.contains("was replaced"), "{reason}");
    }
    projector.ready(false).await;
}

#[tokio::test]
async fn a_damaged_view_halts_its_projection() {
    let mut f = fixture().await;
    f.append_random(60).await;
    let key = format!("tally:{log}:{{{log}:r0}}:stock:1:view:sku-0", log = f.log);
    redis::cmd("RPUSH").arg(key).arg("no view").exec_async(&mut f.redis().await).await.unwrap();
    let projector = f.projector(&[]).await;
    assert_eq!(outcome(&f, &projector).await.1, [projections::STOCK]);
}
