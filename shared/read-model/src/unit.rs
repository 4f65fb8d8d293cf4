//! What a read model consists of: units, and in each of them builds of its views.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// The most parts that a read model may be divided into.
pub const READ_SHARDS_MAX: u16 = 1024;

/// One read shard of one projection: what has a checkpoint of its own, and what one projector at a time works at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Unit {
    /// The projection.
    pub projection: &'static str,
    /// The shard, from 0.
    pub shard: u16,
}

/// One set of keys with a unit's views. A rebuild makes a build of the next generation in every shard; the repair of one unit makes
/// another build of the same generation there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BuildId {
    /// Which rebuild of the projection it belongs to, from 1.
    pub generation: u64,
    /// 0 for the first build of a generation, a random number for each later one, so that none ever meets the keys of another.
    pub repair: u32,
}

impl BuildId {
    /// The first build of a generation.
    pub const fn first(generation: u64) -> Self {
        Self { generation, repair: 0 }
    }
}

/// Stored format: `3`, or `3.0a1b2c3d` for a repair.
impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.repair {
            0 => write!(f, "{}", self.generation),
            repair => write!(f, "{}.{repair:08x}", self.generation),
        }
    }
}

impl FromStr for BuildId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (generation, repair) = text.split_once('.').unwrap_or((text, "0"));
        match (generation.parse(), u32::from_str_radix(repair, 16)) {
            (Ok(generation), Ok(repair)) => Ok(Self { generation, repair }),
            _ => Err(Error::Corrupt("a build that is none")),
        }
    }
}

/// Which of `shards` a view key belongs to.
pub fn shard_of(view_key: &str, shards: u16) -> u16 {
    match shards {
        0 | 1 => 0,
        shards => (crc32fast::hash(view_key.as_bytes()) % u32::from(shards)) as u16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_read_as_it_was_written() {
        for (build, text) in [(BuildId::first(7), "7"), (BuildId { generation: 7, repair: 0xab }, "7.000000ab")] {
            assert_eq!(build.to_string(), text);
            assert_eq!(text.parse(), Ok(build));
        }
        for text in ["", "x", "1.", "1.xyz", "-1", "1.2.3"] {
            assert!(text.parse::<BuildId>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_shard_of_a_key_is_a_stored_format() {
        let shards: Vec<u16> = ["order-1", "SMALL-TABLE", "", "ä"].iter().map(|key| shard_of(key, 8)).collect();
        assert_eq!(shards, ["order-1", "SMALL-TABLE", "", "ä"].map(|key| (crc32fast::hash(key.as_bytes()) % 8) as u16));
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926, "CRC-32 as everybody computes it");
        assert_eq!(shard_of("anything", 1), 0);
    }
}
