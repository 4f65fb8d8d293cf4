//! TLS to the stores: with whom an authority of one's own vouches for, and with nobody else.

use sqlx::{Connection, PgConnection, Row};
use system_tests::client::{ReadAfter, RustClient, TallyClient};
use system_tests::credentials::{Authority, Pem};
use system_tests::health::{READINESS, is_serving, until_ready};
use system_tests::{Launch, Service, Tally, run_to_end};
use tally_servers::{Postgres, Redis, RedisCluster, Tls};
use tonic::Code;

use super::{Folder, borrowed};

/// What a server shows that this authority vouches for.
fn server(authority: &Authority) -> Tls {
    let Pem { certificate, key } = authority.peer();
    Tls { certificate, key, authority: authority.pem() }
}

/// The files that a client of these servers has, as a URL names them.
struct Files {
    authority: String,
    stranger: String,
    certificate: String,
    key: String,
}

impl Files {
    fn new(folder: &Folder, authority: &Authority) -> Self {
        let Pem { certificate, key } = authority.client();
        Self {
            authority: folder.write("authority.pem", &authority.pem()),
            stranger: folder.write("stranger.pem", &Authority::new().pem()),
            certificate: folder.write("client.pem", &certificate),
            key: folder.write("client.key", &key),
        }
    }

    fn redis(&self, url: &str) -> String {
        let Self { authority, certificate, key, .. } = self;
        format!("{url}?sslrootcert={authority}&sslcert={certificate}&sslkey={key}")
    }
}

/// A service of a Tally on these stores.
async fn start(folder: &Folder, program: &'static str, database_url: &str, redis_url: &str, name: &str) -> Service {
    let launch = launch(program, "serve", database_url, redis_url);
    Service::start(launch, folder.path(name).into()).await.unwrap_or_else(|error| panic!("{program}: {error:#}"))
}

fn launch(program: &'static str, action: &str, database_url: &str, redis_url: &str) -> Launch {
    let free = || "127.0.0.1:0".to_owned();
    let environment = vec![
        ("TALLY_LOG_FORMAT", "text".to_owned()),
        ("DATABASE_URL", database_url.to_owned()),
        ("REDIS_URL", redis_url.to_owned()),
        ("COMMAND_LISTEN", free()),
        ("PROJECTOR_LISTEN", free()),
        ("QUERY_LISTEN", free()),
    ];
    Launch { program, arguments: vec![action.to_owned()], environment }
}

#[tokio::test]
async fn tally_speaks_tls_with_both_stores_and_trusts_its_authority_alone() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let tls = server(&authority);
    let (postgres, redis) =
        tokio::try_join!(Postgres::temporary_with_tls(&tls), Redis::temporary_with_tls(&tls)).unwrap();
    postgres.create_database("tally").await.unwrap();
    let files = Files::new(&folder, &authority);
    let plain = postgres.url("tally");
    let database = |trusted: &str| {
        format!("{}?sslmode=verify-full&sslrootcert={trusted}", plain.replace("@127.0.0.1:", "@localhost:"))
    };
    let (database_url, redis_url) = (database(&files.authority), files.redis(&redis.tls_url().unwrap()));
    let migrate = launch("command-service", "migrate", &database_url, &redis_url);
    let (status, said) = run_to_end(&migrate, folder.path("migrate.log").as_ref()).await.unwrap();
    assert!(status.success(), "{said}");

    let of = async |program, name| start(&folder, program, &database_url, &redis_url, name).await;
    let command = of("command-service", "command.log").await;
    let _projector = of("projector", "projector.log").await;
    let query = of("query-service", "query.log").await;
    let client = RustClient::new(command.address(), query.address());
    until_ready(&command, true).await;
    let receipt = client.create_batch("b1", "LAMP", 5, None).await.unwrap();
    let stock = client.get_stock("LAMP", &receipt.seen().or_fail()).await.unwrap();
    assert_eq!(stock.available_now, 5);
    client.subscribe(0, 1).await.unwrap();

    // All of them, by the server's own word; Redis has no other port in that URL.
    let mut admin = PgConnection::connect(&plain).await.unwrap();
    let sessions = "SELECT count(*) FILTER (WHERE version = 'TLSv1.3') AS tls, count(*) AS all
        FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = 'tally' AND pid <> pg_backend_pid()";
    let sessions = sqlx::query(sessions).fetch_one(&mut admin).await.unwrap();
    let (tls, all): (i64, i64) = (sessions.get("tls"), sessions.get("all"));
    assert!(all >= 3 && tls == all, "{tls} of {all}");

    // Who trusts another authority does not speak to them at all.
    let another = format!("{}?sslrootcert={}", redis.tls_url().unwrap(), files.stranger);
    let distrusts = start(&folder, "command-service", &database(&files.stranger), &redis_url, "distrusts.log").await;
    let refused = RustClient::new(distrusts.address(), query.address()).create_batch("b2", "LAMP", 5, None).await;
    assert_eq!(refused.unwrap_err().code, Code::Unavailable);
    assert!(!is_serving(&distrusts, READINESS).await);
    // Nor does one without a certificate of its own get in, where Redis asks for one.
    let nobody = format!("{}?sslrootcert={}", redis.tls_url().unwrap(), files.authority);
    for (number, url) in [another, nobody].iter().enumerate() {
        let name = format!("query-{number}.log");
        let reader = start(&folder, "query-service", &database_url, url, &name).await;
        let refused =
            RustClient::new(command.address(), reader.address()).get_stock("LAMP", &ReadAfter::nothing()).await;
        assert_eq!(refused.unwrap_err().code, Code::Unavailable, "{number}");
    }
}

#[tokio::test]
async fn a_redis_cluster_is_spoken_to_over_tls_node_by_node() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let cluster = RedisCluster::temporary_with_tls(&server(&authority)).await.unwrap();
    let url = Files::new(&folder, &authority).redis(&cluster.tls_url().unwrap());
    let environment = [("REDIS_URL", url), ("READ_SHARDS", "6".to_owned())];
    let tally = Tally::start_with_environment(&borrowed(&environment)).await;
    for number in 0..12 {
        let sku = format!("LAMP-{number}");
        let receipt = tally.client().create_batch(&format!("b{number}"), &sku, 5, None).await.unwrap();
        let stock = tally.client().get_stock(&sku, &receipt.seen().or_fail()).await.unwrap();
        assert_eq!(stock.available_now, 5);
    }
}

#[tokio::test]
async fn a_certificate_that_is_half_or_away_ends_the_start_by_name() {
    let folder = Folder::new();
    for (url, named) in [
        ("rediss://localhost:1/?sslrootcert=no-such-file", "can't be read"),
        ("rediss://localhost:1/?sslcert=Cargo.toml", "needs both"),
        ("redis://localhost:1/?sslrootcert=Cargo.toml", "only rediss://"),
    ] {
        let launch = launch("query-service", "serve", "postgres://localhost:1/none", url);
        let log = folder.path(&format!("{}.log", uuid::Uuid::new_v4().simple()));
        let (status, said) = run_to_end(&launch, log.as_ref()).await.unwrap();
        assert!(!status.success() && said.contains(named), "{url}: {said}");
    }
}
