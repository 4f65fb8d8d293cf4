//! How far a build has come, and all else that moves with its views in one step. It is one string, so that comparing it as a whole is the
//! compare of the compare-and-set.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// What a build's views are as of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// Up to which position of the log they are folded.
    pub position: u64,
    /// The version of the projection that folded them.
    pub version: u32,
    /// Before this position the views are not all there, and are not read.
    pub complete_from: u64,
    /// Before this position readers have been answered from later ones already, so an answer says that it may be stale.
    pub fresh_from: u64,
    /// The first event that was parked without knowing which view it is about, so that all of the unit's views may lack it; 0 for none.
    pub parked_from: u64,
    /// Counts the changes that did not move the position.
    pub edits: u64,
    /// How many views there are.
    pub views: u64,
    /// A sum over all views, whatever their order: two builds of the same views have the same.
    pub content: u64,
    /// Of the events that were applied since the range of positions under way began.
    pub digest: u64,
    /// A fingerprint of the event at `position`: another log, or one that lost its end and grew again, has another event there.
    pub last_event: u64,
}

impl State {
    /// Before the first event.
    pub fn new(version: u32) -> Self {
        Self { version, ..Self::default() }
    }

    /// Whether the views may be read at all.
    pub fn is_complete(&self) -> bool {
        self.position >= self.complete_from
    }
}

/// Stored format: the fields in their order, decimal, the last three hexadecimal, with spaces between.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {} {} {} {} {:x} {:x} {:x}",
            self.position,
            self.version,
            self.complete_from,
            self.fresh_from,
            self.parked_from,
            self.edits,
            self.views,
            self.content,
            self.digest,
            self.last_event
        )
    }
}

impl FromStr for State {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut fields = text.split(' ');
        let mut next = |radix| {
            let digits = fields.next().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
            digits
                .and_then(|digits| u64::from_str_radix(digits, radix).ok())
                .ok_or(Error::Corrupt("a checkpoint that is none"))
        };
        let state = Self {
            position: next(10)?,
            version: u32::try_from(next(10)?).map_err(|_| Error::Corrupt("a checkpoint that is none"))?,
            complete_from: next(10)?,
            fresh_from: next(10)?,
            parked_from: next(10)?,
            edits: next(10)?,
            views: next(10)?,
            content: next(16)?,
            digest: next(16)?,
            last_event: next(16)?,
        };
        fields.next().map_or(Ok(state), |_| Err(Error::Corrupt("a checkpoint that is none")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let state = State {
            position: u64::MAX,
            version: 2,
            complete_from: 3,
            fresh_from: 4,
            parked_from: 5,
            edits: 6,
            views: 7,
            content: 0xa,
            digest: 0xff,
            last_event: u64::MAX,
        };
        assert_eq!(state.to_string(), "18446744073709551615 2 3 4 5 6 7 a ff ffffffffffffffff");
        assert_eq!(state.to_string().parse(), Ok(state));
        for text in
            ["", "-1", "1", "1 2 3 4 5 6 7 8 9", "1 2 3 4 5 6 7 8 9 a b", "a 2 3 4 5 6 7 8 9 a", "+1 2 3 4 5 6 7 8 9 a"]
        {
            assert!(text.parse::<State>().is_err(), "{text}");
        }
    }
}
