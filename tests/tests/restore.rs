//! docs/runbooks/backup-and-restore.md, step by step.

use std::process::Command;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::client::{NewOrder, TallyClient};
use system_tests::health::until_ready;
use system_tests::{Tally, eventually, views_equal_fold};
use tally_api::projections::v1::ListProjectionsRequest;
use tally_api::projections::v1::projection_admin_service_client::ProjectionAdminServiceClient;
use tally_servers::find;
use tonic::Code;

pub(crate) fn run(program: &str, arguments: &[&str]) {
    // Beside the server, where it isn't only linked into PATH.
    let beside = find::postgres_bin_dir().unwrap().join(program);
    let program = if beside.is_file() { beside } else { find::program(&[program]).expect("Postgres' tools") };
    let output = Command::new(&program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
}

/// What stands in the log of a process.
fn says(service: &system_tests::Service, text: &str) -> bool {
    std::fs::read_to_string(service.log()).unwrap().contains(text)
}

#[tokio::test]
async fn a_log_that_was_restored_is_another_log_and_its_views_are_made_right() {
    let tally = Tally::start_on_own_servers().await;
    let client = tally.client();
    tally.stocked("b1", "LAMP", 100).await;
    let saved = client.create_order(&NewOrder::of("c-1", &[("LAMP", 3)])).await.unwrap();
    client.get_order(&saved.order_id, &saved.seen()).await.unwrap();

    // Backed up while writing goes on.
    let dump = tally.folder().join("tally.dump");
    let dump = dump.to_str().unwrap();
    run("pg_dump", &["--format=custom", "--file", dump, tally.database_url()]);
    let lost = client.create_order(&NewOrder::of("c-2", &[("LAMP", 5)])).await.unwrap();
    client.get_order(&lost.order_id, &lost.seen()).await.unwrap();

    // The server is lost, and 1 to 3: writing stopped, restored, another identity.
    tally.command.stop().await;
    tally.projector.stop().await;
    let (server, database) = tally.database_url().rsplit_once('/').unwrap();
    let mut admin = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
    admin.execute(AssertSqlSafe(format!("DROP DATABASE {database} WITH (FORCE)"))).await.unwrap();
    admin.execute(AssertSqlSafe(format!("CREATE DATABASE {database}"))).await.unwrap();
    run("pg_restore", &["--no-owner", "--dbname", tally.database_url(), dump]);
    let (status, said) = tally.restored().await;
    assert!(status.success() && said.contains("a new identity"), "{said}");

    // 4: commands are accepted, the projector sees that the views are of another log.
    tally.command.start_again().await;
    tally.projector.start_again().await;
    eventually("the projector says whose the views are", async || {
        says(&tally.projector, "the read model belongs to another log of this name").then_some(())
    })
    .await;
    until_ready(&tally.projector, false).await;
    let client = tally.client();
    let again = client.create_order(&NewOrder::of("c-3", &[("LAMP", 7)])).await.unwrap();
    assert_eq!(
        again.receipt.as_ref().unwrap().position,
        lost.receipt.as_ref().unwrap().position,
        "the lost position is given out again: that is the hazard"
    );

    // 5: the views are made anew.
    tally.projector.stop().await;
    let mut redis = tally.redis().await;
    let keys: Vec<String> =
        redis::cmd("KEYS").arg(format!("tally:{}:*", tally.log)).query_async(&mut redis).await.unwrap();
    assert!(!keys.is_empty());
    let _: i64 = redis::cmd("UNLINK").arg(keys).query_async(&mut redis).await.unwrap();
    tally.projector.start_again().await;
    tally.query.restart().await;
    let client = tally.client();
    eventually("the views are of the restored log", async || {
        client.get_order(&again.order_id, &again.seen()).await.ok()
    })
    .await;
    for gone in [&lost, &saved] {
        let refused = client.get_stock("LAMP", &gone.seen()).await.unwrap_err();
        assert_eq!(refused.code, Code::InvalidArgument);
        let (field, why) = &refused.violations[0];
        assert_eq!(field, "read_after.token");
        assert!(why.contains("another log"), "{why}");
    }
    assert_eq!(client.get_order(&lost.order_id, &again.seen()).await.unwrap_err().code, Code::NotFound);
    assert_eq!(client.get_order(&saved.order_id, &again.seen()).await.unwrap().customer_id, "c-1");
    views_equal_fold(&tally).await;
    // What was removed by hand is not told of as lost.
    let mut admin = ProjectionAdminServiceClient::new(tally.projector.channel());
    let told = admin.list_projections(ListProjectionsRequest {}).await.unwrap().into_inner();
    for projection in told.projections {
        assert_eq!(projection.losses, [], "{}", projection.name);
    }
}
