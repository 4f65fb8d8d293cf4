//! Applying a batch: views, lists and checkpoint move together or not at all. The hazards are told at the top of `apply.lua`.

use std::sync::LazyLock;

use redis::Script;

use crate::keys::ONLY_SHARD;
use crate::read::FIRST_GENERATION;
use crate::{Checkpoint, Error, Writer};

/// What a batch of events made of one view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewChange {
    /// Which view.
    pub key: String,
    /// What it is now; None: it is gone.
    pub value: Option<Vec<u8>>,
    /// Lists that it is in now and was not before, each with its member ([`crate::list_member`]).
    pub lists_added: Vec<(String, String)>,
    /// Lists that it was in before and is not now, each with its member.
    pub lists_removed: Vec<(String, String)>,
}

/// How applying a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// All of it is written.
    Done,
    /// Nothing was written: the projection stands here now, not where the batch began.
    Moved(Checkpoint),
}

static APPLY: LazyLock<Script> = LazyLock::new(|| {
    let script = include_str!("apply.lua");
    #[cfg(feature = "planted-faults")]
    let script = &crate::planted::apply_script(script);
    Script::new(script)
});

impl Writer {
    /// Writes what the events from after `from` up to `to_position` made of the views, if the projection still stands at `from`.
    ///
    /// After [`Error::Unavailable`] all of it may be written or nothing, never a part: read the checkpoint and go on from there.
    pub async fn apply(
        &self,
        projection: &str,
        from: Checkpoint,
        to_position: u64,
        changes: &[ViewChange],
    ) -> Result<Applied, Error> {
        let keys = self.keys();
        #[cfg(feature = "planted-faults")]
        let changes = crate::planted::changes(changes);
        #[cfg(feature = "planted-faults")]
        let planted = crate::planted::Checkpoint {
            connection: &self.connection,
            key: keys.checkpoint(ONLY_SHARD, projection, from.generation),
            value: to_position.to_string(),
        };
        #[cfg(feature = "planted-faults")]
        planted.before().await?;
        let mut script = APPLY.prepare_invoke();
        script
            .key(keys.generation(ONLY_SHARD, projection))
            .key(keys.log_id(ONLY_SHARD))
            .key(keys.checkpoint(ONLY_SHARD, projection, from.generation))
            .arg(from.generation)
            .arg(FIRST_GENERATION)
            .arg(self.log_id.to_string())
            .arg(from.position)
            .arg(to_position)
            .arg(keys.bell(ONLY_SHARD, projection))
            .arg(changes.len());
        let views = keys.views(ONLY_SHARD, projection, from.generation);
        for change in changes {
            script.key(format!("{views}{}", change.key)).arg(marked(b'=', b'-', change.value.as_deref()));
        }
        for change in changes {
            for (list, member) in &change.lists_removed {
                script.key(keys.list(ONLY_SHARD, projection, from.generation, list)).arg(format!("-{member}"));
            }
            for (list, member) in &change.lists_added {
                script.key(keys.list(ONLY_SHARD, projection, from.generation, list)).arg(format!("+{member}"));
            }
        }
        let answer = self.connection.once::<String>(&mut script).await?;
        #[cfg(feature = "planted-faults")]
        planted.after(&answer).await?;
        match answer.as_str() {
            "done" => Ok(Applied::Done),
            "moved" => Ok(Applied::Moved(self.read_checkpoint(projection).await?)),
            answer => Err(refusal(answer)),
        }
    }
}

/// What the scripts that write answer when they wrote nothing.
pub(crate) fn refusal(answer: &str) -> Error {
    match answer {
        "foreign" => Error::ForeignLog,
        "forbidden" => Error::Refused("permission to write".to_owned()),
        _ => Error::Corrupt("a key of another type"),
    }
}

fn marked(some: u8, none: u8, value: Option<&[u8]>) -> Vec<u8> {
    let mut marked = vec![if value.is_some() { some } else { none }];
    marked.extend_from_slice(value.unwrap_or_default());
    marked
}
