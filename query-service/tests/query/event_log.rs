//! A query-service that is given a database, and a log to fill.

use futures::future::join_all;
use tally_api::events::v1::{SubscribeRequest, SubscribeResponse, subscribe_request::Start};
use tally_event_store::{AppendOptions, AppendStore, Batch, LogName, Metadata, NewCommand, NewEvent, migrate};
use tally_servers::{fresh_database, unique_log_name};
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use crate::system::*;

/// A log, who may append to it, and a query-service that may read it.
pub(crate) struct Logged {
    pub(crate) system: System,
    pub(crate) log: LogName,
    pub(crate) database_url: String,
    store: AppendStore,
    /// By stream.
    versions: std::collections::HashMap<String, u64>,
    pub(crate) head: u64,
}

impl Logged {
    pub(crate) async fn start(flags: &[&str]) -> Self {
        Self::on(&fresh_database().await, &tally_servers::test_redis().await.url(), flags).await
    }

    pub(crate) async fn on(database_url: &str, redis_url: &str, flags: &[&str]) -> Self {
        let log: LogName = unique_log_name().parse().expect("a name");
        migrate(database_url, &log).await.expect("migrated");
        let store = AppendStore::connect(database_url, &log, AppendOptions::default()).await.expect("a store");
        let flags = [&["--database-url", database_url], flags].concat();
        let system = System::with_log(log.as_str(), redis_url, redis_url, &flags).await;
        let database_url = database_url.to_owned();
        Self { system, log, database_url, store, versions: Default::default(), head: 0 }
    }

    pub(crate) async fn log_id(&self) -> Uuid {
        self.store.log_id().await.expect("Postgres is there")
    }

    /// Until appending works again.
    pub(crate) async fn recovers(&self) {
        soon(async { while self.store.ping().await.is_err() {} }).await;
    }

    /// Appends one command with these events: stream, type, payload.
    pub(crate) async fn append(&mut self, events: &[(&str, &'static str, &str)]) -> Uuid {
        let command_id = Uuid::new_v4();
        let events = events.iter().map(|(stream_id, event_type, payload)| {
            let version = self.versions.entry((*stream_id).to_owned()).or_default();
            *version += 1;
            let (stream_id, payload) = ((*stream_id).to_owned(), (*payload).to_owned());
            NewEvent { stream_id, version: *version, event_type, payload }
        });
        let metadata = Metadata {
            correlation_id: Some("correlated".to_owned()),
            causation_id: Some("caused".to_owned()),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            actor: Some("somebody".to_owned()),
        };
        let command =
            NewCommand { command_id, content_hash: [7; 32], metadata, events: events.collect(), unchanged: None };
        let batch = Batch { commands: vec![command], guards: Vec::new() };
        self.head = self.store.append(batch).await.expect("appended").last_position;
        command_id
    }

    /// Appends so many events, to two streams in turn.
    pub(crate) async fn append_many(&mut self, count: usize) {
        for _ in 0..count.div_ceil(100) {
            let events: Vec<_> = (0..100)
                .map(|number| if number % 2 == 0 { ("order-1", "Even", "{}") } else { ("product-1", "Odd", "{}") })
                .collect();
            self.append(&events).await;
        }
    }

    /// As the owner of the database, who can do what no role of Tally's may.
    pub(crate) async fn as_owner(&self, statements: &str) {
        use sqlx::Connection;
        let mut connection = sqlx::PgConnection::connect(&self.database_url).await.expect("a connection");
        let statements = format!("SET search_path = tally_{}; {statements}", self.log);
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut connection).await.expect("done");
    }

    pub(crate) async fn subscribe(&self, request: SubscribeRequest) -> Result<Streaming<SubscribeResponse>, Status> {
        self.system.events.clone().subscribe(request).await.map(tonic::Response::into_inner)
    }
}

pub(crate) fn after(position: u64) -> SubscribeRequest {
    SubscribeRequest { start: Some(Start::AfterPosition(position as i64)), ..Default::default() }
}

pub(crate) async fn next(stream: &mut Streaming<SubscribeResponse>) -> SubscribeResponse {
    soon(stream.message()).await.expect("no error").expect("it goes on")
}

/// The positions of the events, up to the message that says that the log was looked through up to `position`.
pub(crate) async fn positions_up_to(stream: &mut Streaming<SubscribeResponse>, position: u64) -> Vec<u64> {
    let mut positions = Vec::new();
    loop {
        let message = next(stream).await;
        positions.extend(message.events.iter().map(|event| event.position as u64));
        assert!(positions.last().is_none_or(|last| *last <= message.position as u64));
        assert!(message.position <= message.head_position);
        if message.position as u64 >= position {
            return positions;
        }
    }
}

#[tokio::test]
async fn without_a_database_there_is_no_event_log_and_all_else_goes_on() {
    let system = System::start(&[]).await;
    system.apply_order(1, 1).await;
    let refused = system.events.clone().subscribe(after(0)).await.expect_err("not served");
    assert_eq!(refused.code(), Code::Unimplemented);
    assert!(system.get_order(None).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_subscribers_each_get_every_event_once_while_the_log_grows() {
    let mut logged =
        Logged::start(&["--event-log-batch-events-max", "64", "--event-log-window-events-max", "128"]).await;
    logged.append_many(500).await;
    // Some far behind, some in what is in memory, some at the end.
    let starts = [0, 0, 1, 250, 400, 450, 499, 500];
    let mut streams = Vec::new();
    for start in starts {
        streams.push((start, logged.subscribe(after(start)).await.expect("a stream")));
    }
    let head = 500 + 2_000;
    let followed = join_all(streams.into_iter().map(async |(start, mut stream)| {
        let positions = positions_up_to(&mut stream, head).await;
        assert!(positions.iter().copied().eq(start + 1..=head), "from {start}: {positions:?}");
    }));
    let appended = async {
        for _ in 0..20 {
            logged.append_many(100).await;
        }
    };
    tokio::time::timeout(SOON * 6, async { tokio::join!(followed, appended) }).await.expect("it takes too long");
}
