//! The read model of one log, as its readers know it.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use redis::cmd;
use uuid::Uuid;

use crate::bell::{Bell, Bells};
use crate::connection::{Connection, Servers};
use crate::keys::Keys;
use crate::read::Seen;
use crate::{Error, LineEvents, Options, READ_SHARDS_MAX, Unit, Writer, shard_of};

/// The read model of one log. Cheap to clone.
#[derive(Clone)]
pub struct ReadModel(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) keys: Keys,
    pub(crate) servers: Servers,
    pub(crate) options: Options,
    pub(crate) connection: Connection,
    /// What was seen of each unit last.
    pub(crate) seen: RwLock<HashMap<Unit, Seen>>,
    bells: Bells,
}

impl ReadModel {
    /// Checks the settings and connects when first needed, so a process can start while Redis is away.
    pub fn connect(redis_url: &str, log: &str, options: Options) -> Result<Self, Error> {
        if !(1..=READ_SHARDS_MAX).contains(&options.read_shards) {
            return Err(Error::Settings("the read shards are from 1 to 1024"));
        }
        let keys = Keys::new(log)?;
        let servers = Servers::parse(redis_url)?;
        Ok(Self(Arc::new(Inner {
            connection: Connection::new(servers.clone(), &options, options.read_timeout),
            seen: RwLock::default(),
            bells: Bells::new(servers.clone(), options.connection_timeout),
            keys,
            servers,
            options,
        })))
    }

    /// The writing half, for the projector of the log with this id.
    pub fn writer(&self, log_id: Uuid) -> Writer {
        Writer::new(self.clone(), log_id)
    }

    /// What others read of lines, for the projector of the log with this id.
    pub fn line_events(&self, log_id: Uuid) -> LineEvents {
        LineEvents::new(self.clone(), log_id)
    }

    /// How many shards a projection's views are divided into.
    pub fn shards(&self) -> u16 {
        self.0.options.read_shards
    }

    /// The units of a projection, by shard.
    pub fn units(&self, projection: &'static str) -> impl Iterator<Item = Unit> + use<> {
        (0..self.shards()).map(move |shard| Unit { projection, shard })
    }

    /// The unit that a view is in.
    pub fn unit_of(&self, projection: &'static str, view_key: &str) -> Unit {
        Unit { projection, shard: shard_of(view_key, self.shards()) }
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), Error> {
        self.0.connection.repeatable(&mut cmd("PING")).await
    }

    /// Which log the views were made from; none as long as nothing has been written. [`Error::Layout`] where they are divided into another
    /// number of shards.
    pub async fn log_id(&self) -> Result<Option<Uuid>, Error> {
        let keys = &self.0.keys;
        let (log_id, shards): (Option<String>, Option<String>) =
            self.0.connection.repeatable(cmd("MGET").arg(keys.log_id(0)).arg(keys.read_shards(0))).await?;
        if let Some(stored) = shards {
            self.check_shards(&stored)?;
        }
        log_id.map(|id| id.parse().map_err(|_| Error::Corrupt("a log id that is none"))).transpose()
    }

    pub(crate) fn check_shards(&self, stored: &str) -> Result<(), Error> {
        let stored = stored.parse().map_err(|_| Error::Corrupt("a number of shards that is none"))?;
        if stored == self.shards() { Ok(()) } else { Err(Error::Layout { stored, configured: self.shards() }) }
    }

    /// Hears of the positions that a unit reaches.
    pub fn subscribe(&self, unit: Unit) -> Bell {
        self.0.bells.hang(self.0.keys.bell(unit))
    }

    /// Hears of the positions that the log reaches.
    pub fn subscribe_log(&self) -> Bell {
        self.0.bells.hang(self.0.keys.log_bell())
    }

    /// Hears that there is something for projectors to look at.
    pub fn subscribe_projectors(&self) -> Bell {
        self.0.bells.hang(self.0.keys.projectors_bell())
    }

    /// Tells that the log has reached a position. Whoever does not hear it finds out by polling.
    pub async fn ring_log(&self, position: u64) -> Result<(), Error> {
        self.0.connection.repeatable(cmd("PUBLISH").arg(self.0.keys.log_bell()).arg(position)).await
    }

    /// Hears that readers missed something of a unit.
    pub fn subscribe_missed(&self, unit: Unit) -> Bell {
        self.0.bells.hang(self.0.keys.missed_bell(unit))
    }

    /// Tells the projector that something of a unit is lost.
    pub async fn ring_missed(&self, unit: Unit) -> Result<(), Error> {
        self.0.connection.repeatable(cmd("PUBLISH").arg(self.0.keys.missed_bell(unit)).arg(0)).await
    }

    /// Tells projectors that there is something to look at.
    pub async fn ring_projectors(&self) -> Result<(), Error> {
        self.0.connection.repeatable(cmd("PUBLISH").arg(self.0.keys.projectors_bell()).arg(0)).await
    }
}
