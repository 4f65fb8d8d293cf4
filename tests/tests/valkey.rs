//! Valkey is Redis to Tally. So is every other test on it: `TALLY_REDIS_SERVER=…/valkey-server make test`.

use std::sync::Arc;

use redis::AsyncCommands;
use system_tests::{Log, Tally, clients_venv, views_equal_fold};

use crate::crash::connect;
use crate::load::Load;
use crate::rebuild::PROJECTIONS;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tally_runs_unchanged_on_valkey_through_rebuilds_a_kill_and_a_loss() {
    let valkey = clients_venv().valkey_server();
    let tally = Arc::new(Tally::start_on_own_servers_with_redis_of(&valkey).await);
    let mut redis = tally.redis().await;
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut redis).await.unwrap();
    assert!(info.contains("server_name:valkey"), "{info}");
    let database = tally.database().await;
    let load = Load::start(&[connect(&tally)], 4, 100, async || Log::read(&database).await).await;

    load.answered(1, 4).await;
    for name in PROJECTIONS {
        let (status, output) = tally.rebuild(name).await;
        assert!(status.success(), "{name}: {output}");
    }
    load.answered(2, 4).await;
    tally.servers().redis().kill().await.unwrap();
    tally.servers().redis().restart().await.unwrap();
    load.answered(3, 4).await;
    let _: () = tally.redis().await.flushall().await.unwrap();

    let done = load.finished().await;
    done.check(&views_equal_fold(&tally).await);
}
