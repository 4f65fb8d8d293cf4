//! The writing half of the read model: for the projector only.

use bytes::Bytes;
use redis::cmd;
use uuid::Uuid;

use crate::connection::Connection;
use crate::keys::{Keys, ONLY_SHARD};
use crate::{Checkpoint, Error, ReadModel};

/// The most views that are loaded with one command; more are loaded with several.
pub const VIEWS_PER_LOAD_MAX: usize = 500;

/// Writes the read model of the log that it was made for, and no other's. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    pub(crate) model: ReadModel,
    pub(crate) log_id: Uuid,
    pub(crate) connection: Connection,
}

impl Writer {
    pub(crate) fn new(model: ReadModel, log_id: Uuid) -> Self {
        let options = model.0.options;
        let connection = Connection::new(model.0.client.clone(), &options, options.write_timeout);
        Self { model, log_id, connection }
    }

    /// Says in the read model which log it belongs to, if it belongs to none yet. Reads need that before the first event is applied.
    pub async fn claim(&self) -> Result<(), Error> {
        let key = self.keys().log_id(ONLY_SHARD);
        let _: Option<String> =
            self.connection.repeatable(cmd("SET").arg(&key).arg(self.log_id.to_string()).arg("NX")).await?;
        self.check_log_id().await
    }

    /// Reads where a projection stands, or [`Error::ForeignLog`] where the read model is another log's.
    pub async fn read_checkpoint(&self, projection: &str) -> Result<Checkpoint, Error> {
        self.check_log_id().await?;
        self.model.read_checkpoint(projection).await
    }

    async fn check_log_id(&self) -> Result<(), Error> {
        match self.model.log_id().await? {
            Some(id) if id != self.log_id => Err(Error::ForeignLog),
            _ => Ok(()),
        }
    }

    /// Whether Redis is one that the read model is safe in: an eviction could take the checkpoint and leave the views, which would then
    /// be counted twice.
    pub async fn check_settings(&self) -> Result<(), Error> {
        let memory: String = match self.connection.repeatable(cmd("INFO").arg("memory")).await {
            Err(Error::Refused(_)) => return Ok(()),
            answer => answer?,
        };
        let setting = |name| memory.lines().find_map(|line| line.strip_prefix(name));
        match (setting("maxmemory:"), setting("maxmemory_policy:")) {
            (None | Some("0"), _) | (_, None | Some("noeviction")) => Ok(()),
            _ => Err(Error::Settings("Redis may evict keys; set its maxmemory-policy to noeviction")),
        }
    }

    /// Loads views of a generation, in the order of the keys. They may be from after a checkpoint that was read before: then
    /// [`Writer::apply`] from that checkpoint writes nothing.
    pub async fn load_views(
        &self,
        projection: &str,
        generation: u64,
        keys: &[String],
    ) -> Result<Vec<Option<Bytes>>, Error> {
        let prefix = self.keys().views(ONLY_SHARD, projection, generation);
        let mut views = Vec::with_capacity(keys.len());
        for keys in keys.chunks(VIEWS_PER_LOAD_MAX) {
            let mut command = cmd("MGET");
            for key in keys {
                command.arg(format!("{prefix}{key}"));
            }
            views.extend(self.connection.repeatable::<Vec<Option<Bytes>>>(&mut command).await?);
        }
        Ok(views)
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.model.0.keys
    }
}
