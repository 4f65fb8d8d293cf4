//! How far each stream has come: what a wait for a stream's version looks at.

use tally_read_model::projections;

use crate::Recorded;
use crate::projection::{Handles, Projection, Unfoldable, View};

/// The last version of each stream, by stream id.
pub(crate) struct Streams;

/// A stream's last version and the position of that event. Stored as both numbers, big-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamHead {
    pub(crate) version: u64,
    pub(crate) position: u64,
}

impl View for StreamHead {
    fn to_bytes(&self) -> Vec<u8> {
        [self.version.to_be_bytes(), self.position.to_be_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Unfoldable> {
        let bytes: [u8; 16] = bytes.try_into().map_err(|_| Unfoldable::View)?;
        let both = u128::from_be_bytes(bytes);
        Ok(Self { version: (both >> 64) as u64, position: both as u64 })
    }
}

impl Projection for Streams {
    type View = StreamHead;

    const NAME: &'static str = projections::STREAMS;

    const HANDLES: Handles = Handles::Everything;

    fn key(recorded: &Recorded) -> Option<String> {
        Some(recorded.stream_id.clone())
    }

    fn fold(view: Option<StreamHead>, recorded: &Recorded) -> Result<Option<StreamHead>, Unfoldable> {
        if recorded.version != view.map_or(0, |head| head.version) + 1 {
            return Err(Unfoldable::Unexpected("the stream's versions have a hole"));
        }
        Ok(Some(StreamHead { version: recorded.version, position: recorded.position }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::testing::{Given, external};

    fn event(stream_id: &str, version: u64) -> Given {
        external("o1").of_stream(stream_id, version)
    }

    fn fold(view: Option<StreamHead>, given: Given) -> Result<Option<StreamHead>, Unfoldable> {
        Streams::fold(view, &given.recorded())
    }

    #[test]
    fn a_stream_stands_where_its_last_event_put_it() {
        let first = fold(None, event("order-1", 1).at(10)).unwrap();
        assert_eq!(first, Some(StreamHead { version: 1, position: 10 }));
        let second = fold(first, event("order-1", 2).at(12)).unwrap();
        assert_eq!(second, Some(StreamHead { version: 2, position: 12 }));
    }

    #[test]
    fn a_hole_in_a_streams_versions_is_an_alarm() {
        assert!(fold(None, event("order-1", 2)).is_err());
        assert!(fold(Some(StreamHead { version: 2, position: 9 }), event("order-1", 4)).is_err());
        assert!(fold(Some(StreamHead { version: 2, position: 9 }), event("order-1", 2)).is_err());
    }

    #[test]
    fn every_event_is_handled_whether_it_can_be_read_or_not() {
        let unknown = event("order-1", 1).unreadable("SomethingNew").recorded();
        assert_eq!(Streams::key(&unknown).as_deref(), Some("order-1"));
        assert!(Streams::fold(None, &unknown).unwrap().is_some());
    }

    #[test]
    fn the_stored_form_is_two_big_endian_numbers() {
        let head = StreamHead { version: 2, position: 0x0102_0304_0506_0708 };
        let bytes = head.to_bytes();
        assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(StreamHead::from_bytes(&bytes), Ok(head));
        assert_eq!(StreamHead::from_bytes(&bytes[1..]), Err(Unfoldable::View));
    }
}
