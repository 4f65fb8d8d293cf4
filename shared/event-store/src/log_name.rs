//! The name of a log, from which every name in the database comes.

use std::fmt;
use std::str::FromStr;

const LENGTH_MAX: usize = 31;

/// The name of a log: `[a-z][a-z0-9_]{0,30}`, default `main`.
///
/// Being checked once here, the names made from it need no quoting and fit Postgres's 63 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogName(String);

/// The text is not a log name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a log name is a lowercase letter and up to 30 lowercase letters, digits or underscores")]
pub struct InvalidLogName;

impl LogName {
    /// The name as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The Postgres schema that holds the whole log.
    #[must_use]
    pub fn schema(&self) -> String {
        format!("tally_{}", self.0)
    }

    /// The role that may append through the one function, and read.
    #[must_use]
    pub fn append_role(&self) -> String {
        format!("tally_{}_append", self.0)
    }

    /// The role that may only read events and the head.
    #[must_use]
    pub fn read_role(&self) -> String {
        format!("tally_{}_read", self.0)
    }

    /// The role that may read the same and note how far the read model was seen to come.
    #[must_use]
    pub fn tail_role(&self) -> String {
        format!("tally_{}_tail", self.0)
    }
}

impl Default for LogName {
    fn default() -> Self {
        Self("main".to_owned())
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for LogName {
    type Error = InvalidLogName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
        let goes_on_well = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if starts_well && goes_on_well && name.len() <= LENGTH_MAX { Ok(Self(name)) } else { Err(InvalidLogName) }
    }
}

impl FromStr for LogName {
    type Err = InvalidLogName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::try_from(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gives_the_schema_and_the_roles() {
        let log = LogName::default();
        assert_eq!(log.schema(), "tally_main");
        assert_eq!(log.append_role(), "tally_main_append");
        assert_eq!(log.read_role(), "tally_main_read");
        assert_eq!(log.tail_role(), "tally_main_tail");
    }

    #[test]
    fn only_short_lowercase_names_are_taken() {
        for good in ["a", "main", "eu_west_1", "a234567890123456789012345678901"] {
            assert!(good.parse::<LogName>().is_ok(), "{good}");
        }
        for bad in ["", "1a", "_a", "Main", "a-b", "a b", "a\"b", "a\0", "é", "a2345678901234567890123456789012"] {
            assert_eq!(bad.parse::<LogName>(), Err(InvalidLogName), "{bad}");
        }
    }
}
