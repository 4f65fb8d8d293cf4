//! Story 7: whatever is killed, no acknowledged command is lost, none counts twice, and the views are the fold of the log.

use std::sync::Arc;

use redis::AsyncCommands;
use system_tests::client::RustClient;
use system_tests::{Log, Service, Tally, views_equal_fold};

use crate::load::{Connect, Load};

const WORKERS: usize = 8;
const COMMANDS: usize = 100;

/// A client of the test's own processes, wherever they listen by now.
pub(crate) fn connect(tally: &Arc<Tally>) -> Connect {
    let tally = Arc::clone(tally);
    Arc::new(move || tally.client())
}

async fn start_load(tally: &Arc<Tally>) -> Load {
    let database = tally.database().await;
    Load::start(&[connect(tally)], WORKERS, COMMANDS, async || Log::read(&database).await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn story_7_kill_9_of_each_service_in_turn_under_load() {
    let tally = Arc::new(Tally::start().await);
    let load = start_load(&tally).await;

    let twice = tally.services().into_iter().chain(tally.services());
    for (turn, service) in twice.enumerate() {
        load.answered(turn + 1, 8).await;
        service.kill_and_start_again().await;
    }

    let done = load.finished().await;
    done.check(&views_equal_fold(&tally).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn story_7_kill_9_of_postgres_and_of_redis_under_load() {
    let tally = Arc::new(Tally::start_on_own_servers().await);
    let load = start_load(&tally).await;

    load.answered(1, 4).await;
    tally.servers().postgres().kill().await.unwrap();
    tally.servers().postgres().restart().await.unwrap();
    load.answered(2, 4).await;
    tally.servers().redis().kill().await.unwrap();
    tally.servers().redis().restart().await.unwrap();
    load.answered(3, 4).await;
    tally.servers().postgres().kill().await.unwrap();
    tally.servers().postgres().restart().await.unwrap();

    let done = load.finished().await;
    done.check(&views_equal_fold(&tally).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn story_7_the_read_model_is_made_again_when_redis_has_lost_all_of_it() {
    let tally = Arc::new(Tally::start_on_own_servers().await);
    let load = start_load(&tally).await;
    load.answered(1, 2).await;
    let mut redis = tally.redis().await;
    let _: () = redis.flushall().await.unwrap();

    let done = load.finished().await;
    done.check(&views_equal_fold(&tally).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn story_7_two_command_services_sell_nothing_twice() {
    let tally = Arc::new(Tally::start().await);
    let other: Arc<Service> = Arc::new(tally.another(&tally.command).await);
    let through_other: Connect = {
        let (tally, other) = (Arc::clone(&tally), Arc::clone(&other));
        Arc::new(move || RustClient::new(other.address(), tally.query.address()))
    };
    let database = tally.database().await;
    let both = [connect(&tally), through_other];
    let load = Load::start(&both, WORKERS, COMMANDS, async || Log::read(&database).await).await;

    load.answered(1, 3).await;
    other.kill_and_start_again().await;
    load.answered(2, 3).await;
    tally.command.kill_and_start_again().await;

    let done = load.finished().await;
    done.check(&views_equal_fold(&tally).await);
}
