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
    /// Nothing: what is published ends elsewhere than where the batch begins.
    Moved,
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

    /// Reads up to which position the log is published, and which event that was, as far as that was written down; or [`Error::ForeignLog`] where it was
    /// another log's events.
    pub async fn read_checkpoint(&self) -> Result<(u64, Option<u64>), Error> {
        let checkpoint = self.model.0.keys.line_events_checkpoint();
        let fields = ["log_id", "position", "last_event"];
        let (log_id, position, last_event): (Option<String>, Option<String>, Option<String>) =
            self.connection.repeatable(cmd("HMGET").arg(checkpoint).arg(&fields)).await?;
        if log_id.is_some_and(|log_id| log_id != self.log_id.to_string()) {
            return Err(Error::ForeignLog);
        }
        let number = |digits: String| digits.parse().map_err(|_| Error::Corrupt("a number that is none"));
        // An earlier version of the program, which writes none, may have gone on from there.
        let of_it = |it: String| {
            let (at, event) = it.split_once(':')?;
            (Some(at) == position.as_deref()).then(|| event.to_owned())
        };
        let last_event = last_event.and_then(of_it).map(number).transpose()?;
        Ok((position.map_or(Ok(0), number)?, last_event))
    }

    /// Publishes those of the events after `from` up to `to` that are for others, if everything up to `from` is published. About
    /// `kept_max` entries stay in the stream, the newest. `last_event` tells the event at `to` from any other.
    ///
    /// After [`Error::Unavailable`] all of it may be published or nothing, never a part: read the checkpoint and go on from there.
    pub async fn publish(
        &self,
        from: u64,
        (to, last_event): (u64, u64),
        events: &[LineEvent],
        kept_max: u64,
    ) -> Result<Published, Error> {
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
            .arg(keys.line_allocated())
            .arg(last_event);
        for event in events {
            call.arg(event.position).arg(&event.text);
        }
        match self.connection.once::<String>(&call).await?.as_str() {
            "done" => Ok(Published::Done),
            "moved" => Ok(Published::Moved),
            answer => Err(refusal(answer)),
        }
    }
}
