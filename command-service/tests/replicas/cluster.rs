//! Replicas of the service in this process, on one real log.

use clap::Parser;
use command_service::{App, ServeArgs};
use tally_api::allocation::v1::allocation_command_service_client::AllocationCommandServiceClient;
use tally_api::allocation::v1::{AllocateRequest, CreateBatchRequest};
use tally_api::orders::v1::order_command_service_client::OrderCommandServiceClient;
use tally_event_store::LogName;
use tally_runtime::CommonArgs;
use tokio::sync::oneshot;
use tonic::transport::Channel;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    serve: ServeArgs,
}

/// A busy machine is no outage: Postgres is there throughout.
const PATIENT: [&str; 6] =
    ["--database-acquire-ms-max", "60000", "--database-statement-ms-max", "60000", "--command-wait-ms-max", "60000"];

/// A log and the replicas that serve it.
pub(crate) struct Cluster {
    pub(crate) database_url: String,
    pub(crate) log: LogName,
    pub(crate) replicas: Vec<Replica>,
}

/// One of them.
pub(crate) struct Replica {
    pub(crate) allocation: AllocationCommandServiceClient<Channel>,
    pub(crate) orders: OrderCommandServiceClient<Channel>,
    _stop: oneshot::Sender<()>,
}

impl Cluster {
    pub(crate) async fn start(replicas: usize, flags: &[&str]) -> Self {
        let database_url = tally_servers::fresh_database().await;
        let name = tally_servers::unique_log_name();
        let log: LogName = name.parse().expect("a log name");
        tally_event_store::migrate(&database_url, &log).await.expect("a migrated log");
        let mut cluster = Self { database_url, log, replicas: Vec::new() };
        for _ in 0..replicas {
            let replica = cluster.replica(flags).await;
            cluster.replicas.push(replica);
        }
        cluster
    }

    /// One more replica.
    pub(crate) async fn replica(&self, flags: &[&str]) -> Replica {
        let log = self.log.to_string();
        let own = ["command-service", "--listen", "127.0.0.1:0", "--database-url", &self.database_url, "--log", &log];
        let arguments = Arguments::parse_from(own.iter().chain(&PATIENT).chain(flags));
        let app = App::build(&arguments.common, &arguments.serve).await.expect("a service");
        let endpoint = format!("http://{}", app.address());
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(app.run(async move {
            let _ = stopped.await;
        }));
        let channel = Channel::from_shared(endpoint).expect("an endpoint").connect_lazy();
        Replica {
            allocation: AllocationCommandServiceClient::new(channel.clone()),
            orders: OrderCommandServiceClient::new(channel),
            _stop: stop,
        }
    }

    /// How many events the log holds, by the highest position; fails when positions or versions aren't dense.
    pub(crate) async fn event_count(&self) -> i64 {
        let pool = sqlx::PgPool::connect(&self.database_url).await.expect("a connection");
        let schema = self.log.schema();
        let sql = format!(
            "SELECT count(*), coalesce(max(position), 0),
                    (SELECT count(*) FROM (SELECT 1 FROM {schema}.events GROUP BY stream_id HAVING max(version) <> count(*)) AS gaps)
             FROM {schema}.events"
        );
        let (count, last, gaps): (i64, i64, i64) =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_one(&pool).await.expect("the log");
        assert_eq!((count, gaps), (last, 0), "positions and versions are dense");
        count
    }
}

pub(crate) fn batch(batch_ref: &str, sku: &str, quantity: i32) -> CreateBatchRequest {
    CreateBatchRequest { batch_ref: batch_ref.into(), sku: sku.into(), quantity, ..Default::default() }
}

pub(crate) fn allocate(order_id: &str, sku: &str, quantity: i32) -> AllocateRequest {
    AllocateRequest { order_id: order_id.into(), sku: sku.into(), quantity, ..Default::default() }
}
