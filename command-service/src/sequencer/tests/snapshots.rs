//! Snapshots are a cache: they make loading fast, and change nothing else.

use super::*;

impl Log {
    async fn snapshots(&self) -> i64 {
        let count = "SELECT count(*) FROM snapshots";
        sqlx::query_scalar(count).fetch_one(&mut self.owner().await).await.expect("a count")
    }

    /// They are written by a task of its own.
    async fn until_snapshotted(&self) {
        let began = Instant::now();
        while self.snapshots().await == 0 {
            assert!(began.elapsed() < DEADLINE, "no snapshot is written");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn change_snapshots(&self, change: &'static str) {
        self.owner().await.execute(change).await.expect("changed");
    }

    /// What a sequencer that knows nothing yet says there is.
    async fn available(&self) -> u32 {
        let sequencer = self.sequencer();
        let (mut fits, mut too_much) = (0, 1_000);
        while too_much - fits > 1 {
            let quantity = (fits + too_much) / 2;
            let ask = Submission { validate_only: true, ..submission(allocate("asks", "LONG", quantity)) };
            match lines(&sequencer.submit(ask).await.expect("an answer"))[..] {
                ["Allocated"] => fits = quantity,
                ["OutOfStock"] => too_much = quantity,
                ref other => panic!("{other:?}"),
            }
        }
        fits
    }
}

/// A log with one long product, of which 7 pieces are left, and its snapshot.
async fn snapshotted() -> Log {
    let log = Log::fresh().await;
    log.product_with_a_past("LONG", 9, 1_000).await;
    let sequencer = log.sequencer();
    done(&sequencer, allocate("o-1", "LONG", 1)).await;
    log.until_snapshotted().await;
    done(&sequencer, allocate("o-2", "LONG", 1)).await;
    log
}

#[tokio::test]
async fn a_long_stream_gets_a_snapshot_and_without_it_nothing_is_different() {
    let log = snapshotted().await;
    assert_eq!(log.available().await, 7);
    log.change_snapshots("DELETE FROM snapshots").await;
    assert_eq!(log.available().await, 7);
}

#[tokio::test]
async fn a_stream_is_loaded_from_its_snapshot_and_what_came_after_it() {
    let log = snapshotted().await;
    // A snapshot that says something else than the events shows that it is read.
    log.change_snapshots(r#"UPDATE snapshots SET state = replace(state, '["LONG",9,null]', '["LONG",109,null]')"#)
        .await;
    assert_eq!(log.available().await, 107);
}

#[tokio::test]
async fn a_snapshot_that_can_not_be_read_or_is_of_another_history_is_passed_over() {
    for change in [
        "UPDATE snapshots SET state = 'not JSON'",
        "UPDATE snapshots SET state = '{}'",
        r#"UPDATE snapshots SET state = replace(state, '["LONG",9,null]', '["LONG",109,null]'), position = position - 1"#,
        r#"UPDATE snapshots SET state = replace(state, '["LONG",9,null]', '["LONG",109,null]'), format = format + 1"#,
    ] {
        let log = snapshotted().await;
        log.change_snapshots(change).await;
        assert_eq!(log.available().await, 7, "{change}");
    }
}

/// One that was taken of events that then did not commit would be a lie about those that came instead.
#[tokio::test]
async fn a_snapshot_is_written_only_of_what_is_committed() {
    let log = Log::fresh().await;
    let sequencer = log.sequencer();
    done(&sequencer, create_batch("LONG", 9)).await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE 'refused' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse()";
    log.owner().await.execute(refuse).await.expect("a trigger");
    let answers: Vec<Answer> =
        (0..500).map(|line| hand_in(&sequencer, submission(allocate(&format!("o-{line}"), "LONG", 1)))).collect();
    for answer in answers {
        assert!(answer.await.is_err());
    }
    log.change_snapshots("DROP TRIGGER refuse ON events").await;
    // The same versions again, with other events.
    for _ in 0..100 {
        done(&sequencer, allocate("o-1", "LONG", 1)).await;
        done(&sequencer, Command::Deallocate { order_id: "o-1".to_owned(), sku: "LONG".to_owned() }).await;
    }
    log.until_snapshotted().await;
    assert_eq!(log.available().await, 9);
}
