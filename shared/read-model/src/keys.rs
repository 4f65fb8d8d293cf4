//! The only place that names keys.
//!
//! A shard's keys have one hash tag, `{<log>:r<shard>}`, so that on a Redis Cluster a shard is on one node and its scripts can run.
//! The tag stands before anything that a caller chose, so no view key can bring a tag of its own. What belongs to all shards is in the
//! first.

use crate::{BuildId, Error, Unit};

/// The longest name that a log may have.
const LOG_NAME_LENGTH_MAX: usize = 31;
/// Goes up by one when the keys of a build are laid out in another way. Every projection's version rests on it, so that all views are made anew
/// then, beside those that are there. (Who knows another layout than the live views have says that they are lost, UNAVAILABLE, until it has its own.)
pub const LAYOUT: u32 = 1;
/// Into how many hashes a build's views are divided, and into as many others the names of its lists. The fewer there are, the more views of a batch go
/// into one command; the more, the less Redis has to do in one step of a walk through all views.
pub const BUCKETS: u32 = 64;

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
    pub(crate) fn log_id(&self, shard: u16) -> String {
        format!("{}:log_id", self.shard(shard))
    }

    /// How many shards there are.
    pub(crate) fn read_shards(&self, shard: u16) -> String {
        format!("{}:read_shards", self.shard(shard))
    }

    /// The projectors that run, a sorted set by the time until which they count as running.
    pub(crate) fn members(&self) -> String {
        format!("{}:members", self.shard(0))
    }

    /// What is to become of a projection: of its generations above all.
    pub(crate) fn plan(&self, projection: &str) -> String {
        format!("{}:{projection}:plan", self.shard(0))
    }

    /// What of the unit was lost, a list, the newest first.
    pub(crate) fn losses(&self, unit: Unit) -> String {
        format!("{}:losses", self.unit(unit))
    }

    /// Which build of the unit is read.
    pub(crate) fn live(&self, unit: Unit) -> String {
        format!("{}:live", self.unit(unit))
    }

    /// What other builds there are for, a hash.
    pub(crate) fn roles(&self, unit: Unit) -> String {
        format!("{}:roles", self.unit(unit))
    }

    /// All builds of which anything may be there, a set.
    pub(crate) fn builds(&self, unit: Unit) -> String {
        format!("{}:builds", self.unit(unit))
    }

    /// Which projector works at the unit's builds of a version. It ends by itself.
    pub(crate) fn owner(&self, unit: Unit, version: u32) -> String {
        format!("{}:owner:{version}", self.unit(unit))
    }

    /// What the owner says of the unit. It ends by itself.
    pub(crate) fn report(&self, unit: Unit) -> String {
        format!("{}:report", self.unit(unit))
    }

    /// What all keys of a build begin with.
    pub(crate) fn build(&self, unit: Unit, build: BuildId) -> String {
        format!("{}:{build}:", self.unit(unit))
    }

    /// What all keys of a unit's builds begin with, before the build.
    pub(crate) fn of_builds(&self, unit: Unit) -> String {
        format!("{}:", self.unit(unit))
    }

    /// A build's [`crate::State`].
    pub(crate) fn checkpoint(&self, unit: Unit, build: BuildId) -> String {
        format!("{}checkpoint", self.build(unit, build))
    }

    /// What the buckets of a build's views are under, followed by the bucket's number: hashes, each with two fields of its own (`start.lua`).
    pub(crate) fn views(&self, unit: Unit, build: BuildId) -> String {
        format!("{}views:", self.build(unit, build))
    }

    /// One bucket of views.
    pub(crate) fn bucket(&self, unit: Unit, build: BuildId, bucket: u32) -> String {
        format!("{}{bucket}", self.views(unit, build))
    }

    /// One bucket of the names of lists, a hash as those of views.
    pub(crate) fn names(&self, unit: Unit, build: BuildId, bucket: u32) -> String {
        format!("{}lists:{bucket}", self.build(unit, build))
    }

    /// What a build's lists are under, followed by the list.
    pub(crate) fn lists(&self, unit: Unit, build: BuildId) -> String {
        format!("{}list:", self.build(unit, build))
    }

    /// One list of views, a sorted set.
    pub(crate) fn list(&self, unit: Unit, build: BuildId, list: &str) -> String {
        format!("{}{list}", self.lists(unit, build))
    }

    /// The events that could not be folded, a hash by position.
    pub(crate) fn parked(&self, unit: Unit, build: BuildId) -> String {
        format!("{}parked", self.build(unit, build))
    }

    /// The digests of what was applied, a hash by range of positions.
    pub(crate) fn digests(&self, unit: Unit, build: BuildId) -> String {
        format!("{}digests", self.build(unit, build))
    }

    /// The channel on which a unit's new positions are told.
    pub(crate) fn bell(&self, unit: Unit) -> String {
        format!("{}:bell", self.unit(unit))
    }

    /// The channel on which a reader tells that something of a unit is lost.
    pub(crate) fn missed_bell(&self, unit: Unit) -> String {
        format!("{}:missed:bell", self.unit(unit))
    }

    /// The channel on which the log's new positions are told.
    pub(crate) fn log_bell(&self) -> String {
        format!("tally:{}:log:bell", self.log)
    }

    /// The channel on which projectors are told that there is something to look at: a plan, a lease.
    pub(crate) fn projectors_bell(&self) -> String {
        format!("tally:{}:projectors:bell", self.log)
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

    /// What all keys of a shard begin with.
    pub(crate) fn of_shard(&self, shard: u16) -> String {
        format!("{}:", self.shard(shard))
    }

    fn unit(&self, unit: Unit) -> String {
        format!("{}:{}", self.shard(unit.shard), unit.projection)
    }

    fn shard(&self, shard: u16) -> String {
        format!("tally:{log}:{{{log}:r{shard}}}", log = self.log)
    }
}

/// How many fields a bucket has that are neither a view nor a name. One of them, whose name is empty, tells readers that the bucket is not lost.
pub(crate) const OWN_FIELDS: u32 = 2;

/// The field of a bucket that holds a view.
pub(crate) fn view_field(view_key: &str) -> String {
    ["v", view_key].concat()
}

/// The field that says that there is a list.
pub(crate) fn list_field(list: &str) -> String {
    ["l", list].concat()
}

/// Which bucket of a build a view is in.
pub fn bucket_of_view(view_key: &str) -> u32 {
    bucket_of(&view_field(view_key))
}

/// Which bucket a field is in. The shard comes from the lower bits of a hash of the same kind: these are others, so that all buckets of a shard are used.
pub(crate) fn bucket_of(field: &str) -> u32 {
    (crc32fast::hash(field.as_bytes()) >> 16) % BUCKETS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_a_stored_format() {
        let keys = Keys::new("main").unwrap();
        let (unit, build) = (Unit { projection: "order", shard: 7 }, BuildId { generation: 2, repair: 0xa });
        assert_eq!(keys.log_id(0), "tally:main:{main:r0}:log_id");
        assert_eq!(keys.read_shards(0), "tally:main:{main:r0}:read_shards");
        assert_eq!(keys.members(), "tally:main:{main:r0}:members");
        assert_eq!(keys.plan("order"), "tally:main:{main:r0}:order:plan");
        assert_eq!(keys.losses(unit), "tally:main:{main:r7}:order:losses");
        assert_eq!(keys.live(unit), "tally:main:{main:r7}:order:live");
        assert_eq!(keys.roles(unit), "tally:main:{main:r7}:order:roles");
        assert_eq!(keys.builds(unit), "tally:main:{main:r7}:order:builds");
        assert_eq!(keys.owner(unit, 3), "tally:main:{main:r7}:order:owner:3");
        assert_eq!(keys.report(unit), "tally:main:{main:r7}:order:report");
        assert_eq!(keys.checkpoint(unit, build), "tally:main:{main:r7}:order:2.0000000a:checkpoint");
        assert_eq!(keys.bucket(unit, BuildId::first(2), 5), "tally:main:{main:r7}:order:2:views:5");
        assert_eq!(keys.names(unit, BuildId::first(2), 5), "tally:main:{main:r7}:order:2:lists:5");
        assert_eq!((bucket_of(&view_field("a")), bucket_of(&list_field("a"))), (9, 36));
        assert_eq!(keys.list(unit, BuildId::first(2), "status/OPEN"), "tally:main:{main:r7}:order:2:list:status/OPEN");
        assert_eq!(keys.parked(unit, BuildId::first(2)), "tally:main:{main:r7}:order:2:parked");
        assert_eq!(keys.digests(unit, BuildId::first(2)), "tally:main:{main:r7}:order:2:digests");
        assert_eq!(keys.bell(unit), "tally:main:{main:r7}:order:bell");
        assert_eq!(keys.log_bell(), "tally:main:log:bell");
        assert_eq!(keys.line_events(), "tally:main:line_events");
        assert_eq!(keys.line_events_checkpoint(), "tally:main:{tally:main:line_events}:checkpoint");
        assert_eq!(keys.line_allocated(), "tally:main:line_allocated");
        assert_eq!(keys.projectors_bell(), "tally:main:projectors:bell");
    }

    #[test]
    fn views_of_one_shard_are_in_all_buckets_alike() {
        for shards in [1, 2, 12, 16, 64] {
            let mut views = [0_u32; BUCKETS as usize];
            for key in
                (0..).map(|number| format!("0192f0c1-7e1b-7c11-8d2e-{number:012x}")).take(usize::from(shards) * 6400)
            {
                if crate::shard_of(&key, shards) == 0 {
                    views[bucket_of_view(&key) as usize] += 1;
                }
            }
            let (least, most) = (views.iter().min().unwrap(), views.iter().max().unwrap());
            assert!(*least > 30 && *most < 300, "{shards} shards: {least} to {most}, 100 if even");
        }
    }

    #[test]
    fn a_log_name_cannot_reach_outside_its_prefix() {
        for log in ["", "a:b", "Main", "1a", "a-b", "a}", "ä", &"a".repeat(32)] {
            assert!(Keys::new(log).is_err(), "{log}");
        }
        assert!(Keys::new(&"a".repeat(31)).is_ok());
    }
}
