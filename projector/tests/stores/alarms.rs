//! What a projector must not get past.

use tally_read_model::{BuildId, State, Unit, projections};
use uuid::Uuid;

use crate::support::{fixture, with_servers};

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
async fn a_read_model_of_another_log_is_left_alone() {
    let mut f = fixture().await;
    f.append_random(5).await;
    let theirs = f.model.writer(Uuid::new_v4());
    theirs.claim().await.unwrap();
    let unit = Unit { projection: projections::ORDER, shard: 0 };
    theirs.start_build(unit, None, BuildId::first(1), &State::new(1), None, None).await.unwrap();
    let before = theirs.look(unit).await.unwrap();
    let projector = f.projector(&[]).await;
    for projection in projections::ALL {
        let reason = projector.halted(projection).await;
        assert!(reason.contains("belongs to another log"), "{reason}");
    }
    assert_eq!(theirs.look(unit).await.unwrap(), before);
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
async fn another_log_behind_an_outage_that_somebody_else_met_halts_everything() {
    let mut f = fixture().await;
    f.append_random(5).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    projector.ready(true).await;
    // Nothing that the projector asks for fails.
    f.as_owner(&format!("UPDATE tally_{}.log_head SET log_id = gen_random_uuid()", f.log)).await;
    for projection in projections::ALL {
        let reason = projector.halted(projection).await;
        assert!(reason.contains("was replaced"), "{reason}");
    }
    projector.ready(false).await;
}
