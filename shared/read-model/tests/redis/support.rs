use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, cmd};
use tally_read_model::{
    Applied, Batch, BuildId, Error, Options, ReadModel, Role, State, StoredView, Unit, ViewChange, Walk, Writer,
    bucket_of_view, list_member,
};
use tally_servers::{Redis, test_redis, unique_log_name};
use uuid::Uuid;

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// On a busy machine an answer may take long. What is tested of time-outs is tested with others.
pub(crate) const PATIENT: Options = Options {
    connection_timeout: DEADLINE,
    read_timeout: DEADLINE,
    write_timeout: DEADLINE,
    commands_queued_max: 1024,
    read_shards: 1,
};
pub(crate) const P: Unit = Unit { projection: "p", shard: 0 };
pub(crate) const FIRST: BuildId = BuildId::first(1);
pub(crate) const START: State = at(0);

/// One log's read model on a Redis, and a connection that sees its keys as they are.
pub(crate) struct Fixture {
    pub(crate) log: String,
    pub(crate) url: String,
    pub(crate) log_id: Uuid,
    pub(crate) model: ReadModel,
    pub(crate) writer: Writer,
    pub(crate) raw: MultiplexedConnection,
}

/// A log of its own on the Redis that all tests share.
pub(crate) async fn fixture() -> Fixture {
    on(test_redis().await).await
}

pub(crate) async fn on(redis: &Redis) -> Fixture {
    let (log, url, log_id) = (unique_log_name(), redis.url(), Uuid::new_v4());
    let model = ReadModel::connect(&url, &log, PATIENT).unwrap();
    let writer = model.writer(log_id);
    let patient =
        AsyncConnectionConfig::new().set_connection_timeout(Some(DEADLINE)).set_response_timeout(Some(DEADLINE));
    let raw = Client::open(url.as_str()).unwrap().get_multiplexed_async_connection_with_config(&patient).await.unwrap();
    Fixture { log, url, log_id, model, writer, raw }
}

/// A log of its own with this many shards on a Redis, or a cluster.
pub(crate) async fn sharded(url: &str, read_shards: u16) -> (ReadModel, Writer) {
    let model = ReadModel::connect(url, &unique_log_name(), Options { read_shards, ..PATIENT }).unwrap();
    let writer = model.writer(Uuid::new_v4());
    (model, writer)
}

impl Fixture {
    /// With the first build of the projection `p` begun.
    pub(crate) async fn begun(self) -> Self {
        self.begin(P).await;
        self
    }

    pub(crate) async fn begin(&self, unit: Unit) {
        self.writer.claim().await.unwrap();
        self.writer.start_build(unit, None, FIRST, &START, None, None).await.unwrap();
    }

    /// Applies changes to the first build of `p`.
    pub(crate) async fn apply(&self, from: State, to: u64, changes: &[ViewChange]) -> Result<Applied, Error> {
        self.apply_to(FIRST, from, to, changes).await
    }

    pub(crate) async fn apply_to(
        &self,
        build: BuildId,
        from: State,
        to: u64,
        changes: &[ViewChange],
    ) -> Result<Applied, Error> {
        let batch = Batch { views: changes.to_vec(), ..Batch::default() };
        self.writer.apply(P, build, None, (&from, &State { position: to, ..from }), &batch).await
    }

    /// Begins a build of the next generation.
    pub(crate) async fn build_next(&self, generation: u64, live: BuildId) -> BuildId {
        let build = BuildId::first(generation);
        self.writer.start_build(P, Some(live), build, &START, Some(Role::Building), None).await.unwrap();
        build
    }

    pub(crate) fn key(&self, rest: &str) -> String {
        format!("tally:{log}:{{{log}:r0}}:{rest}", log = self.log)
    }

    /// All that Redis holds of this log, but for scripts: what "nothing was written" is measured by.
    pub(crate) async fn everything(&mut self) -> BTreeMap<String, Vec<u8>> {
        let keys: Vec<String> =
            cmd("KEYS").arg(format!("tally:{}:*", self.log)).query_async(&mut self.raw).await.unwrap();
        let mut all = BTreeMap::new();
        for key in keys {
            let dump: Vec<u8> = cmd("DUMP").arg(&key).query_async(&mut self.raw).await.unwrap();
            all.insert(key, dump);
        }
        all
    }

    /// Loses the bucket of a view of the first build of `p`.
    pub(crate) async fn lose(&self, view_key: &str) {
        let bucket = self.key(&format!("p:1:views:{}", bucket_of_view(view_key)));
        cmd("DEL").arg(bucket).exec_async(&mut self.raw.clone()).await.unwrap();
    }

    /// What a walk through the first build of `p` finds to be lost.
    pub(crate) async fn lost(&self) -> BTreeSet<String> {
        let (mut lost, mut next) = (BTreeSet::new(), Some(Walk::default()));
        while let Some(from) = next {
            let found = self.writer.find_losses(P, FIRST, from).await.unwrap();
            lost.extend(found.lost);
            next = found.next;
        }
        lost
    }

    pub(crate) async fn raw_set(&mut self, rest: &str, value: &str) {
        cmd("SET").arg(self.key(rest)).arg(value).exec_async(&mut self.raw).await.unwrap();
    }
}

pub(crate) fn stored(value: &str) -> StoredView {
    StoredView { view: Some(value.as_bytes().to_vec().into()), parked: None }
}

pub(crate) fn view(key: &str, value: &str) -> ViewChange {
    ViewChange { key: key.to_owned(), now: stored(value), ..ViewChange::default() }
}

pub(crate) fn gone(key: &str) -> ViewChange {
    ViewChange { now: StoredView::default(), ..view(key, "") }
}

/// A view that was created at `position` and comes into `list`.
pub(crate) fn listed(key: &str, value: &str, list: &str, position: u64) -> ViewChange {
    ViewChange { lists_added: vec![(list.to_owned(), list_member(position, key))], ..view(key, value) }
}

pub(crate) const fn at(position: u64) -> State {
    State {
        position,
        version: 1,
        complete_from: 0,
        fresh_from: 0,
        parked_from: 0,
        edits: 0,
        views: 0,
        content: 0,
        digest: 0,
        last_event: 0,
    }
}
