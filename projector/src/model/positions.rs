//! A projection of which every view can be checked.

use std::sync::Arc;

use super::world::NAME;
use crate::Recorded;
use crate::fold::Fold;
use crate::projection::{Handles, Projection, Unfoldable, View};

/// A projection whose views say which events made them: the positions, in order.
pub(super) struct Positions;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Seen(Vec<u8>);

impl View for Seen {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Unfoldable> {
        Ok(Self(bytes.to_vec()))
    }
}

impl Projection for Positions {
    type View = Seen;
    const NAME: &'static str = NAME;
    const HANDLES: Handles = Handles::Everything;

    fn key(recorded: &Recorded) -> Option<String> {
        Some(recorded.stream_id.clone())
    }

    fn fold(view: Option<Seen>, recorded: &Recorded) -> Result<Option<Seen>, Unfoldable> {
        let mut seen = view.unwrap_or_default();
        seen.0.push(recorded.position as u8);
        Ok(Some(seen))
    }
}

pub(super) fn fold() -> Arc<dyn Fold> {
    Arc::new(Positions)
}
