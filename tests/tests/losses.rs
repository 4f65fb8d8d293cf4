//! What the read model, or the log behind it, can lose: named in the metrics and in ListProjections, and made again, whether a projector ran when it
//! happened or not. Until then an answer is refused, or says that it may be stale.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sqlx::{Connection, Executor, PgConnection};
use system_tests::client::{ReadAfter, Stock, TallyClient};
use system_tests::health::until_ready;
use system_tests::{Samples, Tally, bucket_of, eventually, evict, views_equal_fold};
use tally_api::projections::v1::projection_admin_service_client::ProjectionAdminServiceClient;
use tally_api::projections::v1::{ListProjectionsRequest, Loss};
use tonic::Code;

/// On, and on a port of its own.
const METRICS: (&str, &str) = ("TALLY_METRICS_LISTEN", "127.0.0.1:0");
const SKU: &str = "LAMP";
/// All that a loss may be named.
const KINDS: [&str; 5] = ["emptied", "writes_lost", "views_missing", "damaged", "log_went_back"];

async fn losses_of_stock(tally: &Tally) -> Option<Vec<Loss>> {
    let request = ListProjectionsRequest {};
    let mut admin = ProjectionAdminServiceClient::new(tally.projector.channel());
    let all = admin.list_projections(request).await.ok()?.into_inner().projections;
    all.into_iter().find(|projection| projection.name == "stock").map(|stock| stock.losses)
}

async fn counted(tally: &Tally, kind: &str) -> f64 {
    let labels = ["projection=\"stock\"", &format!("kind=\"{kind}\"")];
    Samples::of(&tally.projector).await.sum("tally_projection_losses_total", &labels)
}

/// Until a loss is told of by name, in both places, and everything is right again; what was told.
async fn named_and_mended(tally: &Tally, kind: &str, counted_before: f64) -> Loss {
    let told = named(tally, kind, counted_before).await;
    until_ready(&tally.projector, true).await;
    views_equal_fold(tally).await;
    told
}

async fn named(tally: &Tally, kind: &str, counted_before: f64) -> Loss {
    let told = eventually(&format!("{kind} is told of"), async || {
        losses_of_stock(tally).await?.into_iter().find(|loss| loss.kind == kind)
    })
    .await;
    assert!(counted(tally, kind).await > counted_before, "{kind} is counted");
    told
}

/// Reads until the answer is as good as ever; before, none hides that something is amiss.
async fn right_again(tally: &Tally, seen: i64) -> Stock {
    let client = tally.client();
    eventually("the stock is known again", async || match client.get_stock(SKU, &ReadAfter::nothing()).await {
        Ok(stock) if stock.freshness.may_be_stale => None,
        Ok(stock) => {
            assert!(stock.freshness.position >= seen, "{stock:?} hides that {seen} was seen");
            Some(stock)
        }
        Err(error) => {
            assert_eq!(error.code, Code::Unavailable, "{error:?}");
            None
        }
    })
    .await
}

/// Allocates a piece more and waits until it is seen; its position.
async fn one_more(tally: &Tally, order: usize) -> i64 {
    let client = tally.client();
    let receipt = client.allocate(&format!("o{order}"), SKU, 1).await.unwrap();
    client.get_stock(SKU, &receipt.seen().or_fail()).await.unwrap();
    receipt.receipt.unwrap().position
}

/// Until it is written down that stock has come to this position: what came in the last moment before a projector ends may not be.
async fn written_down(tally: &Tally, position: i64) -> i64 {
    let database = tally.database().await;
    eventually("it is written down", async || {
        let reached = "SELECT position FROM reached WHERE projection = 'stock'";
        let reached: Option<i64> = sqlx::query_scalar(reached).fetch_optional(&database).await.unwrap();
        (reached == Some(position)).then_some(position)
    })
    .await
}

async fn command(redis: &mut MultiplexedConnection, words: &[&str]) {
    redis::cmd(words[0]).arg(&words[1..]).exec_async(redis).await.unwrap();
}

/// Everything that Redis holds at one moment, to be put back later, but for what ends by itself.
async fn copy(redis: &mut MultiplexedConnection) -> Vec<(String, Vec<u8>)> {
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(redis).await.unwrap();
    let mut all = redis::pipe();
    all.atomic();
    for key in &keys {
        all.cmd("PTTL").arg(key).cmd("DUMP").arg(key);
    }
    let told: Vec<redis::Value> = all.query_async(redis).await.unwrap();
    let told = keys.into_iter().zip(told.chunks(2)).filter_map(|(key, told)| match told {
        [redis::Value::Int(..0), redis::Value::BulkString(value)] => Some((key, value.clone())),
        _ => None,
    });
    told.collect()
}

/// In one step, as a failover to a replica that lagged does it.
async fn put_back(redis: &mut MultiplexedConnection, copied: Vec<(String, Vec<u8>)>) {
    let mut all = redis::pipe();
    all.atomic().cmd("FLUSHALL").ignore();
    for (key, value) in copied {
        all.cmd("RESTORE").arg(key).arg(0).arg(value).ignore();
    }
    all.query_async::<()>(redis).await.unwrap();
}

/// A Tally on servers of its own, of which stock has been seen.
async fn stocked() -> Tally {
    let tally = Tally::start_on_own_servers_with_environment(&[METRICS]).await;
    tally.stocked("b1", SKU, 1000).await;
    one_more(&tally, 0).await;
    tally
}

#[tokio::test]
async fn each_loss_that_a_projector_sees_is_named_counted_and_mended() {
    let tally = stocked().await;
    let mut redis = tally.redis().await;
    for kind in KINDS {
        assert_eq!(counted(&tally, kind).await, 0.0, "{kind} is there from the start");
    }

    evict(&mut redis, &tally.log, "stock", SKU).await;
    let refused = tally.client().get_stock(SKU, &ReadAfter::nothing()).await.unwrap_err();
    assert_eq!(refused.code, Code::Unavailable, "{refused:?}");
    named_and_mended(&tally, "views_missing", 0.0).await;

    let seen = one_more(&tally, 1).await;
    command(&mut redis, &["FLUSHALL"]).await;
    right_again(&tally, seen).await;
    let told = named_and_mended(&tally, "emptied", 0.0).await;
    assert_eq!(told.position, seen);

    let earlier = copy(&mut redis).await;
    let seen = one_more(&tally, 2).await;
    put_back(&mut redis, earlier).await;
    right_again(&tally, seen).await;
    let told = named_and_mended(&tally, "writes_lost", 0.0).await;
    assert_eq!(told.position, seen);

    // What is no hash takes the place of a part of the views.
    let bucket = bucket_of(&mut redis, &tally.log, "stock", SKU).await;
    let mut both = redis::pipe();
    both.atomic().cmd("DEL").arg(&bucket).ignore().cmd("RPUSH").arg(&bucket).arg("no view").ignore();
    both.query_async::<()>(&mut redis).await.unwrap();
    let seen = tally.client().allocate("o3", SKU, 1).await.unwrap();
    named_and_mended(&tally, "damaged", 0.0).await;
    tally.client().get_stock(SKU, &seen.seen().or_fail()).await.unwrap();
}

#[tokio::test]
async fn what_was_lost_while_no_projector_ran_is_named_by_the_next() {
    let tally = stocked().await;
    let mut redis = tally.redis().await;
    let earlier = copy(&mut redis).await;
    let seen = written_down(&tally, one_more(&tally, 1).await).await;
    tally.projector.stop().await;
    put_back(&mut redis, earlier).await;
    // Who was answered from a later position is told that this is an earlier one.
    let stock = tally.client().get_stock(SKU, &ReadAfter::nothing()).await.unwrap();
    assert!(stock.freshness.may_be_stale && stock.freshness.position < seen, "{stock:?}");
    tally.projector.start_again().await;
    let told = named_and_mended(&tally, "writes_lost", 0.0).await;
    assert_eq!(told.position, seen);
    right_again(&tally, seen).await;

    // Named once, and not again by each that comes.
    tally.projector.restart().await;
    until_ready(&tally.projector, true).await;
    let told = losses_of_stock(&tally).await.unwrap();
    assert_eq!(told.iter().map(|loss| loss.kind.as_str()).collect::<Vec<_>>(), ["writes_lost"]);

    let seen = written_down(&tally, one_more(&tally, 2).await).await;
    tally.projector.stop().await;
    command(&mut redis, &["FLUSHALL"]).await;
    tally.projector.start_again().await;
    let told = named_and_mended(&tally, "emptied", 0.0).await;
    assert_eq!(told.position, seen);

    // Also where it was killed.
    let seen = written_down(&tally, one_more(&tally, 3).await).await;
    tally.projector.kill().await;
    command(&mut redis, &["FLUSHALL"]).await;
    tally.projector.start_again().await;
    let told = named_and_mended(&tally, "emptied", 0.0).await;
    assert_eq!(told.position, seen);
}

/// An outage of Postgres's own during which it went back, without anybody having told Tally of it (docs/runbooks/backup-and-restore.md).
#[tokio::test]
async fn a_log_that_went_back_to_a_backup_without_another_identity_is_noticed() {
    let tally = stocked().await;
    let dump = tally.folder().join("tally.dump");
    let dump = dump.to_str().unwrap();
    crate::restore::run("pg_dump", &["--format=custom", "--file", dump, tally.database_url()]);
    let lost = one_more(&tally, 1).await;
    tally.command.stop().await;
    let (server, database) = tally.database_url().rsplit_once('/').unwrap();
    let mut admin = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
    // Who runs meanwhile meets an outage.
    admin.execute(sqlx::AssertSqlSafe(format!("DROP DATABASE {database} WITH (FORCE)"))).await.unwrap();
    admin.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {database}"))).await.unwrap();
    crate::restore::run("pg_restore", &["--no-owner", "--dbname", tally.database_url(), dump]);
    tally.command.start_again().await;

    let told = named(&tally, "log_went_back", 0.0).await;
    assert_eq!(told.position, lost, "up to where there were views");
    // What was published to others can't be taken back: that is for a person to decide.
    eventually("what publishes has halted", async || {
        let labels = ["projection=\"line_events\"", "state=\"halted\""];
        Samples::of(&tally.projector).await.find("tally_projection_state", &labels).filter(|halted| *halted == 1.0)
    })
    .await;
    // And whatever takes the place of what was lost is seen, and nothing of that.
    let client = tally.client();
    let receipt = client.allocate("o2", SKU, 7).await.unwrap();
    assert_eq!(receipt.receipt.as_ref().unwrap().position, lost, "the position is given out again");
    let stock = eventually("it is seen", async || {
        let stock = client.get_stock(SKU, &receipt.seen().at_most(Duration::from_secs(1)).or_fail()).await.ok()?;
        (stock.allocated == 8).then_some(stock)
    })
    .await;
    assert_eq!((stock.available_now, stock.version), (992, 3), "the batch, and two allocations that are there");
    // Each projection finds out by itself.
    eventually("what was lost is seen no more", async || {
        let gone = client.get_allocations("o1", &receipt.seen().or_fail()).await.err()?;
        (gone.code == Code::NotFound).then_some(())
    })
    .await;
}
