//! What others read of lines: a Redis stream, each event once and in order, and a channel for who only wants to hear.
//!
//! The stream has a checkpoint of its own that moves with it in one step, and no generations: a rebuild of views publishes nothing anew.

use std::sync::LazyLock;

use redis::{Script, cmd};
use uuid::Uuid;

use crate::apply::refusal;
use crate::connection::{Call, Connection};
use crate::{Error, ReadModel};

static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    let script = include_str!("publish.lua");
    #[cfg(feature = "planted-faults")]
    let script = &crate::planted::publish_script(script);
    Script::new(script)
});

/// An event as others read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineEvent {
    /// Its place in the log; its id in the stream is `POSITION-0`.
    pub position: u64,
    /// What the entry's one field, `event`, holds, and the channel tells.
    pub text: String,
}

/// How publishing went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// All of it.
    Done,
    /// Nothing: everything up to here is published, and the batch did not begin there.
    Moved(u64),
}

/// The stream and the channel of one log, and no other's. Cheap to clone.
#[derive(Clone)]
pub struct LineEvents {
    model: ReadModel,
    log_id: Uuid,
    connection: Connection,
}

impl LineEvents {
    pub(crate) fn new(model: ReadModel, log_id: Uuid) -> Self {
        let options = model.0.options;
        let connection = Connection::new(model.0.servers.clone(), &options, options.write_timeout);
        Self { model, log_id, connection }
    }

    /// Reads up to which position the log is published, or [`Error::ForeignLog`] where it was another log's events.
    pub async fn read_position(&self) -> Result<u64, Error> {
        let checkpoint = self.model.0.keys.line_events_checkpoint();
        let (log_id, position): (Option<String>, Option<String>) =
            self.connection.repeatable(cmd("HMGET").arg(checkpoint).arg("log_id").arg("position")).await?;
        if log_id.is_some_and(|log_id| log_id != self.log_id.to_string()) {
            return Err(Error::ForeignLog);
        }
        position.map_or(Ok(0), |digits| digits.parse().map_err(|_| Error::Corrupt("a number that is none")))
    }

    /// Publishes those of the events after `from` up to `to` that are for others, if everything up to `from` is published. About
    /// `kept_max` entries stay in the stream, the newest.
    ///
    /// After [`Error::Unavailable`] all of it may be published or nothing, never a part: read the position and go on from there.
    pub async fn publish(&self, from: u64, to: u64, events: &[LineEvent], kept_max: u64) -> Result<Published, Error> {
        let keys = &self.model.0.keys;
        #[cfg(feature = "planted-faults")]
        crate::planted::before_publishing(&self.connection, &keys.line_events_checkpoint(), to).await?;
        let mut call = Call::new(&PUBLISH, 2);
        call.arg(keys.line_events_checkpoint())
            .arg(keys.line_events())
            .arg(self.log_id.to_string())
            .arg(from)
            .arg(to)
            .arg(kept_max)
            .arg(keys.line_allocated());
        for event in events {
            call.arg(event.position).arg(&event.text);
        }
        match self.connection.once::<String>(&call).await?.as_str() {
            "done" => Ok(Published::Done),
            "moved" => Ok(Published::Moved(self.read_position().await?)),
            answer => Err(refusal(answer)),
        }
    }
}
