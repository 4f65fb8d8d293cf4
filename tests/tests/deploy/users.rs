//! The users of deploy/redis/users.acl: enough for the work, and nothing more.

use std::process::Stdio;

use redis::{Client, RedisResult, Value, cmd};
use system_tests::client::{NewOrder, OrderFilter, RustClient, TallyClient};
use system_tests::{Service, Tally, eventually, root, target_dir};
use tally_servers::{Redis, find, free_port};
use tokio::process::Command;

use super::rendered::{Variable, list, overlay, text};

const USERS: [&str; 3] = ["command", "query", "projector"];
const PASSWORD: &str = "of a/test & no other's";

/// The variables by which users.sh is told the passwords, all of them the same.
pub(super) fn of_tests() -> [(&'static str, String); 3] {
    ["TALLY_COMMAND_PASSWORD", "TALLY_PROJECTOR_PASSWORD", "TALLY_QUERY_PASSWORD"].map(|it| (it, PASSWORD.to_owned()))
}

/// What users.sh writes, for the log of a test.
fn lines(passwords: [(&str, String); 3], log: &str) -> Vec<String> {
    let script = root().join("deploy/redis/users.sh");
    let output = std::process::Command::new("sh").arg(script).envs(passwords).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap().replace("tally:main:", &format!("tally:{log}:"));
    lines.lines().map(str::to_owned).collect()
}

/// Makes the users, as deploy/README.md says.
pub(super) async fn make_users(redis: &Redis, passwords: [(&str, String); 3], log: &str) {
    let mut connection = connect(&redis.url()).await;
    let lines = lines(passwords, log);
    assert_eq!(lines.len(), USERS.len());
    for line in lines {
        let words = line.strip_prefix("user ").unwrap().split_whitespace();
        let mut set = cmd("ACL");
        set.arg("SETUSER").arg(words.collect::<Vec<_>>());
        set.query_async::<()>(&mut connection).await.unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

async fn connect(url: &str) -> redis::aio::MultiplexedConnection {
    Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// A URL of `place`, for one of the users.
fn url_at(place: &str, user: &str) -> String {
    format!("redis://tally_{user}:{}@{place}", PASSWORD.replace(' ', "%20").replace('/', "%2F"))
}

fn url_of(redis: &Redis, user: &str) -> String {
    let url = redis.url();
    let (_, place) = url.rsplit_once('@').expect("a test's server has a password");
    url_at(place, user)
}

/// The process, started again as that user of what is at `place`.
pub(super) async fn as_user(tally: &Tally, service: &Service, place: &str, user: &str) -> Service {
    let mut launch = service.launched().clone();
    launch.environment.retain(|(name, _)| *name != "REDIS_URL");
    launch.environment.push(("REDIS_URL", url_at(place, user)));
    service.stop().await;
    Service::start(launch, tally.folder().join(format!("as-{user}.log"))).await.unwrap()
}

/// A whole Tally, each process with its own user.
#[tokio::test]
async fn each_user_may_do_its_work() {
    // Processes that start again on a busy machine.
    let patience =
        ["DATABASE_ACQUIRE_MS_MAX", "DATABASE_STATEMENT_MS_MAX", "REDIS_CONNECT_MS_MAX", "REDIS_READ_MS_MAX"];
    let tally = Tally::start_on_own_servers_with_environment(&patience.map(|name| (name, "20000"))).await;
    let redis = tally.servers().redis();
    make_users(redis, of_tests(), &tally.log).await;
    let place = format!("127.0.0.1:{}", redis.port());
    let command = as_user(&tally, &tally.command, &place, "command").await;
    let projector = as_user(&tally, &tally.projector, &place, "projector").await;
    let query = as_user(&tally, &tally.query, &place, "query").await;
    let client = RustClient::new(command.address(), query.address());
    client.create_batch("b1", "LAMP", 10, None).await.unwrap();
    let order = client.create_order(&NewOrder::of("c-1", &[("LAMP", 2)])).await.unwrap();
    client.get_order(&order.order_id, &order.seen()).await.unwrap();
    client.get_allocations(&order.order_id, &order.seen()).await.unwrap();
    assert_eq!(client.get_stock("LAMP", &order.seen()).await.unwrap().available_now, 8);
    let filter = OrderFilter { customer_id: "c-1".to_owned(), ..Default::default() };
    assert_eq!(client.list_orders(&filter, &order.seen()).await.unwrap().orders.len(), 1);
    // Nobody was refused anything on the way.
    let mut admin = connect(&redis.url()).await;
    let denied: Vec<Value> = cmd("ACL").arg("LOG").query_async(&mut admin).await.unwrap();
    assert!(denied.is_empty(), "{denied:?}");
    eventually("the projector is ready", async || {
        system_tests::health::is_serving(&projector, system_tests::health::READINESS).await.then_some(())
    })
    .await;
}

/// The server as the manifests start it, and what it says to whom.
#[tokio::test]
async fn a_server_that_is_started_with_the_users_knows_them_and_nobody_else() {
    let Some(overlay) = overlay("dev") else { return };
    let pod = &overlay.find("Deployment", "redis").unwrap()["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let secret = text(&container["envFrom"][0]["secretRef"]["name"]);
    let password = |variable: &str| overlay.secret(secret, variable).unwrap();
    let [shell, script, server] = list(&container["command"]).map(text).collect::<Vec<_>>()[..] else {
        panic!("{container}")
    };
    assert_eq!((shell, script, server), ("sh", "/etc/redis-users/users.sh", "valkey-server"));
    let arguments = list(&container["args"]).map(|it| match text(it) {
        "$(REDIS_PASSWORD)" => password("REDIS_PASSWORD"),
        other => other.to_owned(),
    });
    let folder = target_dir().join("system-tests").join(format!("redis-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir_all(&folder).unwrap();
    let port = free_port().unwrap();
    let _server = Command::new(shell)
        .arg(root().join("deploy/redis/users.sh"))
        .arg(find::redis_server().unwrap())
        .args(arguments)
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir", folder.to_str().unwrap()])
        .envs(of_tests().map(|(variable, _)| (variable, password(variable))))
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let may_ping = async |user: &str, password: &str| {
        let client = Client::open(format!("redis://{user}:{password}@127.0.0.1:{port}/")).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        cmd("PING").query_async::<()>(&mut connection).await.ok()
    };
    eventually("the server answers its administrator", async || may_ping("", &password("REDIS_PASSWORD")).await).await;
    for workload in overlay.ours().into_iter().filter(|it| it.stores().contains(&"redis")) {
        let user = workload.name().trim_end_matches("-service");
        let of_user = password(&format!("TALLY_{}_PASSWORD", user.to_uppercase()));
        assert!(may_ping(&format!("tally_{user}"), &of_user).await.is_some(), "{user}");
        let told = workload.variables().into_iter().find_map(|(variable, value)| match value {
            Variable::Secret { name, key } if variable == "REDIS_URL" => overlay.secret(&name, &key),
            _ => None,
        });
        assert_eq!(told, Some(format!("redis://tally_{user}:{of_user}@redis:6379/")));
    }
    assert!(may_ping("tally_query", &password("TALLY_COMMAND_PASSWORD")).await.is_none());
    let mut admin = connect(&format!("redis://:{}@127.0.0.1:{port}/", password("REDIS_PASSWORD"))).await;
    let known: Vec<String> = cmd("ACL").arg("LIST").query_async(&mut admin).await.unwrap();
    assert!(known.len() == USERS.len() + 1 && !known.iter().any(|user| user.contains("nopass")), "{known:?}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn each_user_may_do_nothing_more() {
    let redis = Redis::temporary().await.unwrap();
    make_users(&redis, of_tests(), "main").await;
    let view = "tally:main:{main:r0}:order:1:views:1";
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
        if user != "projector" {
            let others = ["line_allocated", "projectors:bell", "{main:r0}:stock:bell"];
            more.extend(others.map(|channel| format!("PUBLISH tally:main:{channel} 1")));
            more.push("SUBSCRIBE tally:main:line_allocated".to_owned());
        }
        if user == "command" {
            more.push(format!("GET {view}"));
            more.push("PUBLISH tally:main:{main:r0}:stock:missed:bell 1".to_owned());
        }
        if user == "query" {
            more.push("PUBLISH tally:main:log:bell 1".to_owned());
            more.push("EVAL return(redis.call('PUBLISH','tally:main:log:bell','1')) 0".to_owned());
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
            let is_denied = ["noperm", "no permission", "can't run this command", "can't publish"]
                .iter()
                .any(|word| said.contains(word));
            assert!(is_denied, "{user} {words:?}: {error}");
        }
    }
    // The channels that are theirs.
    for (user, channel) in [("command", "log:bell"), ("query", "{main:r0}:stock:missed:bell")] {
        let mut connection = connect(&url_of(&redis, user)).await;
        let rung: RedisResult<()> =
            cmd("PUBLISH").arg(format!("tally:main:{channel}")).arg(1).query_async(&mut connection).await;
        rung.unwrap_or_else(|error| panic!("{user} {channel}: {error}"));
    }
}
