use std::collections::BTreeMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, cmd};
use tally_read_model::{Checkpoint, Options, ReadModel, ViewChange, Writer, list_member};
use tally_servers::{Redis, test_redis, unique_log_name};
use uuid::Uuid;

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// On a busy machine an answer may take long. What is tested of time-outs is tested with others.
pub(crate) const PATIENT: Options = Options {
    connection_timeout: DEADLINE,
    read_timeout: DEADLINE,
    write_timeout: DEADLINE,
    commands_queued_max: 1024,
};
pub(crate) const START: Checkpoint = Checkpoint { generation: 1, position: 0 };

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

impl Fixture {
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

    pub(crate) async fn raw_set(&mut self, rest: &str, value: &str) {
        cmd("SET").arg(self.key(rest)).arg(value).exec_async(&mut self.raw).await.unwrap();
    }
}

pub(crate) fn view(key: &str, value: &str) -> ViewChange {
    ViewChange {
        key: key.to_owned(),
        value: Some(value.as_bytes().to_vec()),
        lists_added: Vec::new(),
        lists_removed: Vec::new(),
    }
}

pub(crate) fn gone(key: &str) -> ViewChange {
    ViewChange { value: None, ..view(key, "") }
}

/// A view that was created at `position` and comes into `list`.
pub(crate) fn listed(key: &str, value: &str, list: &str, position: u64) -> ViewChange {
    ViewChange { lists_added: vec![(list.to_owned(), list_member(position, key))], ..view(key, value) }
}

pub(crate) fn at(position: u64) -> Checkpoint {
    Checkpoint { position, ..START }
}
