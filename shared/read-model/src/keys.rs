//! The only place that names keys.
//!
//! A shard's keys have one hash tag, `{<log>:r<shard>}`, so that on a Redis Cluster a shard is on one node and its scripts can run.
//! The tag stands before anything that a caller chose, so no view key can bring a tag of its own.

use crate::Error;

/// One of the parts that a log's views are divided into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadShard(pub(crate) u16);

/// All views are in this one for now.
pub(crate) const ONLY_SHARD: ReadShard = ReadShard(0);

/// The longest name that a log may have.
const LOG_NAME_LENGTH_MAX: usize = 31;

/// Makes one log's keys.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    log: String,
}

impl Keys {
    pub(crate) fn new(log: &str) -> Result<Self, Error> {
        let valid = log.len() <= LOG_NAME_LENGTH_MAX
            && log.starts_with(|c: char| c.is_ascii_lowercase())
            && log.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !valid {
            return Err(Error::Settings("a log's name is a lower-case letter, then up to 30 of a-z, 0-9 and _"));
        }
        Ok(Self { log: log.to_owned() })
    }

    /// Which log the shard's views were made from.
    pub(crate) fn log_id(&self, shard: ReadShard) -> String {
        format!("{}:log_id", self.shard(shard))
    }

    /// Which generation of the projection is the live one; absent: the first.
    pub(crate) fn generation(&self, shard: ReadShard, projection: &str) -> String {
        format!("{}:{projection}:generation", self.shard(shard))
    }

    /// Generations that are to be removed, a set.
    pub(crate) fn retired(&self, shard: ReadShard, projection: &str) -> String {
        format!("{}:{projection}:retired", self.shard(shard))
    }

    /// The position that a generation's views hold as of; absent: 0.
    pub(crate) fn checkpoint(&self, shard: ReadShard, projection: &str, generation: u64) -> String {
        format!("{}checkpoint", self.of_generation(shard, projection, generation))
    }

    /// What a generation's views are under, followed by the view key.
    pub(crate) fn views(&self, shard: ReadShard, projection: &str, generation: u64) -> String {
        format!("{}view:", self.of_generation(shard, projection, generation))
    }

    /// One list of views, a sorted set.
    pub(crate) fn list(&self, shard: ReadShard, projection: &str, generation: u64, list: &str) -> String {
        format!("{}list:{list}", self.of_generation(shard, projection, generation))
    }

    /// What all keys of a generation begin with.
    pub(crate) fn of_generation(&self, shard: ReadShard, projection: &str, generation: u64) -> String {
        format!("{}:{projection}:{generation}:", self.shard(shard))
    }

    /// The channel on which a projection's new positions are told.
    pub(crate) fn bell(&self, shard: ReadShard, projection: &str) -> String {
        format!("{}:{projection}:bell", self.shard(shard))
    }

    /// The channel on which the log's new positions are told.
    pub(crate) fn log_bell(&self) -> String {
        format!("tally:{}:log:bell", self.log)
    }

    /// The stream that others read what happens to lines from.
    pub(crate) fn line_events(&self) -> String {
        format!("tally:{}:line_events", self.log)
    }

    /// Up to where the log was published. Its hash tag is the whole key of the stream, so that on a Redis Cluster both are on one node.
    pub(crate) fn line_events_checkpoint(&self) -> String {
        format!("tally:{}:{{{}}}:checkpoint", self.log, self.line_events())
    }

    /// The channel on which the same is told.
    pub(crate) fn line_allocated(&self) -> String {
        format!("tally:{}:line_allocated", self.log)
    }

    fn shard(&self, ReadShard(shard): ReadShard) -> String {
        format!("tally:{log}:{{{log}:r{shard}}}", log = self.log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_a_stored_format() {
        let keys = Keys::new("main").unwrap();
        assert_eq!(keys.log_id(ONLY_SHARD), "tally:main:{main:r0}:log_id");
        assert_eq!(keys.generation(ONLY_SHARD, "order"), "tally:main:{main:r0}:order:generation");
        assert_eq!(keys.retired(ONLY_SHARD, "order"), "tally:main:{main:r0}:order:retired");
        assert_eq!(keys.checkpoint(ONLY_SHARD, "order", 2), "tally:main:{main:r0}:order:2:checkpoint");
        assert_eq!(keys.views(ONLY_SHARD, "order", 2), "tally:main:{main:r0}:order:2:view:");
        assert_eq!(keys.list(ReadShard(7), "order", 2, "status/OPEN"), "tally:main:{main:r7}:order:2:list:status/OPEN");
        assert_eq!(keys.bell(ONLY_SHARD, "order"), "tally:main:{main:r0}:order:bell");
        assert_eq!(keys.log_bell(), "tally:main:log:bell");
        assert_eq!(keys.line_events(), "tally:main:line_events");
        assert_eq!(keys.line_events_checkpoint(), "tally:main:{tally:main:line_events}:checkpoint");
        assert_eq!(keys.line_allocated(), "tally:main:line_allocated");
    }

    #[test]
    fn a_log_name_cannot_reach_outside_its_prefix() {
        for log in ["", "a:b", "Main", "1a", "a-b", "a}", "ä", &"a".repeat(32)] {
            assert!(Keys::new(log).is_err(), "{log}");
        }
        assert!(Keys::new(&"a".repeat(31)).is_ok());
    }
}
