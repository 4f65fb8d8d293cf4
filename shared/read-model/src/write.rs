//! The writing half of the read model: for the projector only.

use std::sync::LazyLock;

use futures::future::try_join_all;
use redis::{Script, cmd};
use uuid::Uuid;

use crate::connection::Connection;
use crate::fetch::{Fetched, fetch};
use crate::keys::Keys;
use crate::{BuildId, Error, ReadModel, State, StoredView, Unit};

/// The most views that are loaded with one command; more are loaded with several.
pub const VIEWS_PER_LOAD_MAX: usize = 500;

static SETTINGS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("settings.lua")));

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
        let connection = Connection::new(model.0.servers.clone(), &options, options.write_timeout);
        Self { model, log_id, connection }
    }

    /// The reading half.
    pub fn model(&self) -> &ReadModel {
        &self.model
    }

    /// Says in every shard which log it belongs to and how many shards there are, where that is not said yet, and checks it where it is.
    pub async fn claim(&self) -> Result<(), Error> {
        try_join_all((0..self.model.shards()).map(|shard| self.claim_shard(shard))).await.map(drop)
    }

    async fn claim_shard(&self, shard: u16) -> Result<(), Error> {
        let (keys, shards) = (self.keys(), self.model.shards().to_string());
        let mut claims = [(keys.read_shards(shard), shards), (keys.log_id(shard), self.log_id.to_string())];
        for (key, value) in &mut claims {
            let _: Option<String> = self.connection.repeatable(cmd("SET").arg(&*key).arg(&*value).arg("NX")).await?;
            *value = self.connection.repeatable(cmd("GET").arg(&*key)).await?;
        }
        let [(_, shards), (_, log_id)] = claims;
        if log_id != self.log_id.to_string() {
            return Err(Error::ForeignLog);
        }
        self.model.check_shards(&shards)
    }

    /// Whether Redis is one that the read model is safe in: an eviction takes views away.
    pub async fn check_settings(&self, shard: u16) -> Result<(), Error> {
        let memory: String =
            match self.connection.repeatable(SETTINGS.prepare_invoke().key(self.keys().log_id(shard))).await {
                Err(Error::Refused(_)) => return Ok(()),
                answer => answer?,
            };
        let setting = |name| memory.lines().find_map(|line| line.strip_prefix(name));
        match (setting("maxmemory:"), setting("maxmemory_policy:")) {
            (None | Some("0"), _) | (_, None | Some("noeviction")) => Ok(()),
            _ => Err(Error::Settings("Redis may evict keys; set its maxmemory-policy to noeviction")),
        }
    }

    /// Loads views of a build, in the order of the keys; None for what is lost, and instead of all if it is not in the state `as_of`.
    ///
    /// [`Writer::apply`] compares the state too, but later: meanwhile Redis may have gone on and back again. A state says which views there are and, by
    /// a sum, what is in them, so of two moments with the same state only what is lost may differ.
    pub async fn load_views(
        &self,
        unit: Unit,
        build: BuildId,
        as_of: &State,
        keys: &[String],
    ) -> Result<Option<Vec<Option<StoredView>>>, Error> {
        let (checkpoint, as_of) = ([self.keys().checkpoint(unit, build)], as_of.to_string());
        let mut loaded = Vec::with_capacity(keys.len());
        for keys in keys.chunks(VIEWS_PER_LOAD_MAX) {
            let Fetched { texts, views } =
                fetch(&self.connection, self.keys(), &checkpoint, (unit, build), keys).await?;
            if texts.first().is_none_or(|state| state.as_ref() != Some(&as_of)) {
                return Ok(None);
            }
            for view in views {
                loaded.push(view.ok().map(StoredView::from_bytes).transpose()?);
            }
        }
        Ok(Some(loaded))
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.model.0.keys
    }
}
