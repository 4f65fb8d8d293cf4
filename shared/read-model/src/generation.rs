//! Generations of a projection's views: a rebuild projects into a new one and throws the old one away.

use std::sync::LazyLock;

use redis::{Script, cmd};

use crate::apply::refusal;
use crate::keys::ONLY_SHARD;
use crate::read::FIRST_GENERATION;
use crate::{Error, Writer};

/// How many keys Redis looks at in one step of a removal; between two steps it serves others.
const KEYS_PER_STEP: usize = 500;
/// How many generations are tried for the next one. Only a pointer that somebody set back makes one be taken.
const GENERATIONS_TRIED_MAX: u64 = 1000;

static START: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("start.lua")));
static REMOVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("remove.lua")));

impl Writer {
    /// Makes a new, empty generation the live one and returns the old one and the new. In the same step every other projector of this
    /// projection loses its place, and finds it again in the new generation.
    pub async fn start_generation(&self, projection: &str) -> Result<(u64, u64), Error> {
        let keys = self.keys();
        let old = self.read_checkpoint(projection).await?.generation;
        for new in old + 1..=old + GENERATIONS_TRIED_MAX {
            let answer: String = self
                .connection
                .once(
                    START
                        .prepare_invoke()
                        .key(keys.generation(ONLY_SHARD, projection))
                        .key(keys.log_id(ONLY_SHARD))
                        .key(keys.retired(ONLY_SHARD, projection))
                        .key(keys.checkpoint(ONLY_SHARD, projection, new))
                        .arg(old)
                        .arg(FIRST_GENERATION)
                        .arg(self.log_id.to_string())
                        .arg(new),
                )
                .await?;
            match answer.as_str() {
                "done" => return Ok((old, new)),
                "taken" => {}
                "moved" => return Err(Error::Unavailable("another rebuild began at the same time".to_owned())),
                answer => return Err(refusal(answer)),
            }
        }
        Err(Error::Corrupt("no generation is free"))
    }

    /// The generations that were live once and are not removed yet: after a rebuild that was killed there are some.
    pub async fn retired_generations(&self, projection: &str) -> Result<Vec<u64>, Error> {
        let mut retired: Vec<u64> =
            self.connection.repeatable(cmd("SMEMBERS").arg(self.keys().retired(ONLY_SHARD, projection))).await?;
        retired.sort_unstable();
        Ok(retired)
    }

    /// Removes a generation's keys in small steps, which do not block Redis. The live generation is left alone.
    pub async fn remove_generation(&self, projection: &str, generation: u64) -> Result<(), Error> {
        let keys = self.keys();
        let pattern = format!("{}*", keys.of_generation(ONLY_SHARD, projection, generation));
        let mut cursor = "0".to_owned();
        loop {
            let (next, found): (String, Vec<String>) = self
                .connection
                .repeatable(cmd("SCAN").arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(KEYS_PER_STEP))
                .await?;
            let answer: String = self
                .connection
                .once(
                    REMOVE
                        .prepare_invoke()
                        .key(keys.generation(ONLY_SHARD, projection))
                        .key(found)
                        .arg(generation)
                        .arg(FIRST_GENERATION),
                )
                .await?;
            if answer == "live" {
                break;
            }
            if next == "0" {
                break;
            }
            cursor = next;
        }
        self.connection.repeatable(cmd("SREM").arg(keys.retired(ONLY_SHARD, projection)).arg(generation)).await
    }
}
