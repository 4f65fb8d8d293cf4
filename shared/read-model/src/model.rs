//! The read model of one log, as its readers know it.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use redis::{Client, cmd};
use uuid::Uuid;

use crate::bell::{Bell, Bells};
use crate::connection::{self, Connection};
use crate::keys::{Keys, ONLY_SHARD};
use crate::{Error, LineEvents, Options, Writer};

/// The read model of one log. Cheap to clone.
#[derive(Clone)]
pub struct ReadModel(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) keys: Keys,
    pub(crate) client: Client,
    pub(crate) options: Options,
    pub(crate) connection: Connection,
    /// By projection: the live generation as last seen. Only a guess, checked in every read.
    pub(crate) generations: RwLock<HashMap<String, u64>>,
    bells: Bells,
}

impl ReadModel {
    /// Checks the settings and connects when first needed, so a process can start while Redis is away.
    pub fn connect(redis_url: &str, log: &str, options: Options) -> Result<Self, Error> {
        let keys = Keys::new(log)?;
        let client = connection::client(redis_url)?;
        Ok(Self(Arc::new(Inner {
            connection: Connection::new(client.clone(), &options, options.read_timeout),
            generations: RwLock::default(),
            bells: Bells::new(client.clone(), options.connection_timeout),
            keys,
            client,
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

    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), Error> {
        self.0.connection.repeatable(&mut cmd("PING")).await
    }

    /// Which log the views were made from; none as long as nothing has been written.
    pub async fn log_id(&self) -> Result<Option<Uuid>, Error> {
        let stored: Option<String> =
            self.0.connection.repeatable(cmd("GET").arg(self.0.keys.log_id(ONLY_SHARD))).await?;
        stored.map(|id| id.parse().map_err(|_| Error::Corrupt("a log id that is none"))).transpose()
    }

    /// Hears of the positions that a projection reaches.
    pub fn subscribe(&self, projection: &str) -> Bell {
        self.0.bells.hang(self.0.keys.bell(ONLY_SHARD, projection))
    }

    /// Hears of the positions that the log reaches.
    pub fn subscribe_log(&self) -> Bell {
        self.0.bells.hang(self.0.keys.log_bell())
    }

    /// Tells that the log has reached a position. Whoever does not hear it finds out by polling.
    pub async fn ring_log(&self, position: u64) -> Result<(), Error> {
        self.0.connection.repeatable(cmd("PUBLISH").arg(self.0.keys.log_bell()).arg(position)).await
    }
}
