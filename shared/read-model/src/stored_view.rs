//! A view as it is stored: what a query returns, after a first byte that says whether an event is missing from it.

use bytes::{Buf, Bytes};

use crate::Error;

const WHOLE: u8 = 0;
const MARKED: u8 = 1;
const MARKED_WITHOUT_VIEW: u8 = 2;

/// A view, and whether an event about it is parked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredView {
    /// What a query returns; None where there is nothing to return.
    pub view: Option<Bytes>,
    /// The position of the first event about it that could not be folded: the view is as of before that.
    pub parked: Option<u64>,
}

impl StoredView {
    /// Its stored form; None where nothing is stored. Stored format: 0 and the view; 1, the position as u64 big-endian and the view; 2 and
    /// the position.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let view = self.view.as_deref();
        Some(match (self.parked, view) {
            (None, None) => return None,
            (None, Some(view)) => [&[WHOLE], view].concat(),
            (Some(position), Some(view)) => [&[MARKED], position.to_be_bytes().as_slice(), view].concat(),
            (Some(position), None) => [&[MARKED_WITHOUT_VIEW], position.to_be_bytes().as_slice()].concat(),
        })
    }

    /// From its stored form.
    pub fn from_bytes(stored: Option<Bytes>) -> Result<Self, Error> {
        const DAMAGED: Error = Error::Corrupt("a view of another form");
        let Some(mut stored) = stored else { return Ok(Self::default()) };
        if stored.is_empty() {
            return Err(DAMAGED);
        }
        let mark = stored.get_u8();
        if mark == WHOLE {
            return Ok(Self { view: Some(stored), parked: None });
        }
        let parked = Some(stored.try_get_u64().map_err(|_| DAMAGED)?);
        match mark {
            MARKED => Ok(Self { view: Some(stored), parked }),
            MARKED_WITHOUT_VIEW if stored.is_empty() => Ok(Self { view: None, parked }),
            _ => Err(DAMAGED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_read_as_it_was_written() {
        for view in [None, Some(Bytes::new()), Some(Bytes::from_static(b"\x01view"))] {
            for parked in [None, Some(0x0102_0304_0506_0708)] {
                let stored = StoredView { view: view.clone(), parked };
                assert_eq!(StoredView::from_bytes(stored.to_bytes().map(Bytes::from)), Ok(stored));
            }
        }
        for damaged in ["", "\u{1}", "\u{1}1234567", "\u{2}", "\u{2}123456789", "\u{3}12345678"] {
            assert!(StoredView::from_bytes(Some(Bytes::from_static(damaged.as_bytes()))).is_err(), "{damaged:?}");
        }
    }
}
