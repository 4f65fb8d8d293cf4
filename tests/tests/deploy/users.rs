//! The users of deploy/redis/users.acl: enough for the work, and nothing more.

use redis::{Client, RedisResult, Value, cmd};
use system_tests::client::TallyClient;
use system_tests::{Tally, eventually, root};
use tally_servers::Redis;

const USERS: [&str; 3] = ["command", "query", "projector"];
const PASSWORD: &str = "of-a-test";

/// Makes the users of the file, for the log of a test.
async fn make_users(redis: &Redis, log: &str) {
    let file = std::fs::read_to_string(root().join("deploy/redis/users.acl")).unwrap();
    let mut connection = connect(&redis.url()).await;
    let lines = file.lines().filter_map(|line| line.strip_prefix("user "));
    let mut made = 0;
    for line in lines {
        let mut line = line.replace("tally:main:", &format!("tally:{log}:"));
        for user in USERS {
            line = line.replace(&format!("{}_PASSWORD", user.to_uppercase()), PASSWORD);
        }
        let mut set = cmd("ACL");
        set.arg("SETUSER");
        for word in line.split_whitespace() {
            set.arg(word);
        }
        set.query_async::<()>(&mut connection).await.unwrap_or_else(|error| panic!("{line}: {error}"));
        made += 1;
    }
    assert_eq!(made, USERS.len());
}

async fn connect(url: &str) -> redis::aio::MultiplexedConnection {
    Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

fn url_of(redis: &Redis, user: &str) -> String {
    let url = redis.url();
    let (_, place) = url.rsplit_once('@').expect("a test's server has a password");
    format!("redis://tally_{user}:{PASSWORD}@{place}")
}

/// A whole Tally, each process with its own user.
#[tokio::test]
async fn each_user_may_do_its_work() {
    // Processes that start again on a busy machine.
    let patience =
        ["DATABASE_ACQUIRE_MS_MAX", "DATABASE_STATEMENT_MS_MAX", "REDIS_CONNECT_MS_MAX", "REDIS_READ_MS_MAX"];
    let tally = Tally::start_on_own_servers_with_environment(&patience.map(|name| (name, "20000"))).await;
    make_users(tally.servers().redis(), &tally.log).await;
    let as_user = async |service: &system_tests::Service, user: &str| {
        let mut launch = service.launched().clone();
        let url = url_of(tally.servers().redis(), user);
        launch.environment.retain(|(name, _)| *name != "REDIS_URL");
        launch.environment.push(("REDIS_URL", url));
        service.stop().await;
        system_tests::Service::start(launch, tally.folder().join(format!("as-{user}.log"))).await.unwrap()
    };
    let command = as_user(&tally.command, "command").await;
    let projector = as_user(&tally.projector, "projector").await;
    let query = as_user(&tally.query, "query").await;
    let client = system_tests::client::RustClient::new(command.address(), query.address());
    client.create_batch("b1", "LAMP", 10, None).await.unwrap();
    let order = client.create_order(&system_tests::client::NewOrder::of("c-1", &[("LAMP", 2)])).await.unwrap();
    client.get_order(&order.order_id, &order.seen()).await.unwrap();
    client.get_allocations(&order.order_id, &order.seen()).await.unwrap();
    assert_eq!(client.get_stock("LAMP", &order.seen()).await.unwrap().available_now, 8);
    let filter = system_tests::client::OrderFilter { customer_id: "c-1".to_owned(), ..Default::default() };
    assert_eq!(client.list_orders(&filter, &order.seen()).await.unwrap().orders.len(), 1);
    // Nobody was refused anything on the way.
    let mut admin = connect(&tally.servers().redis().url()).await;
    let denied: Vec<Value> = cmd("ACL").arg("LOG").query_async(&mut admin).await.unwrap();
    assert!(denied.is_empty(), "{denied:?}");
    eventually("the projector is ready", async || {
        system_tests::health::is_serving(&projector, system_tests::health::READINESS).await.then_some(())
    })
    .await;
}

#[tokio::test]
async fn each_user_may_do_nothing_more() {
    let redis = Redis::temporary().await.unwrap();
    make_users(&redis, "main").await;
    let view = "tally:main:{main:r0}:order:1:view:x";
    let script = "return redis.call('SET', KEYS[1], '1')";
    let everywhere = [
        "FLUSHALL",
        "CONFIG GET *",
        "ACL LIST",
        "KEYS *",
        "SHUTDOWN NOSAVE",
        "GET another:application",
        "PUBLISH another:channel 1",
        "CLIENT KILL TYPE normal",
        "CLIENT LIST",
    ];
    for user in USERS {
        let mut connection = connect(&url_of(&redis, user)).await;
        let mut more = match user {
            "projector" => vec!["SET another:application 1".to_owned()],
            _ => vec![format!("SET {view} 1"), format!("DEL {view}"), format!("XADD {view} * a b")],
        };
        if user == "command" {
            more.push(format!("GET {view}"));
        }
        let key = if user == "projector" { "another:application" } else { view };
        let mut refused: Vec<Vec<String>> = everywhere
            .into_iter()
            .map(str::to_owned)
            .chain(more)
            .map(|line| line.split(' ').map(str::to_owned).collect())
            .collect();
        refused.push(vec!["EVAL".to_owned(), script.to_owned(), "1".to_owned(), key.to_owned()]);
        for words in refused {
            let outcome: RedisResult<Value> = words[1..]
                .iter()
                .fold(cmd(&words[0]), |mut command, word| {
                    command.arg(word);
                    command
                })
                .query_async(&mut connection)
                .await;
            let error = outcome.expect_err(&format!("{user} may not {words:?}"));
            let said = error.to_string().to_lowercase();
            let is_denied =
                ["noperm", "no permission", "can't run this command"].iter().any(|word| said.contains(word));
            assert!(is_denied, "{user} {words:?}: {error}");
        }
    }
}
