//! What a projection is: a pure fold from (view, event) to view.
//!
//! The same events must give the same bytes, or a rebuild could not be compared with what it replaces: so no clock, no random, no order of
//! a hash map. prost encodes the same message to the same bytes.

use tally_domain::Event;

use crate::Recorded;

/// A pure fold from (view, event) to view.
pub(crate) trait Projection: Send + Sync + 'static {
    /// What a query answers from.
    type View: View;

    /// The name that it is stored under.
    const NAME: &'static str;

    /// The types of the events that it folds. All others pass it by, unread; but one of a type that nobody knows stops it.
    const HANDLES: Handles;

    /// The view that an event of such a type is about.
    fn key(recorded: &Recorded) -> Option<String>;

    /// What the event makes of its view. None: there is no view.
    fn fold(view: Option<Self::View>, recorded: &Recorded) -> Result<Option<Self::View>, Unfoldable>;

    /// The lists that a view is in, each with its member; from the view alone, so that it can be taken out again.
    fn lists(_view: &Self::View) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// Which events a projection folds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Handles {
    /// Every one, and none of their fields.
    Everything,
    /// Those of these types.
    Types(&'static [&'static str]),
}

/// A view as it is stored.
pub(crate) trait View: Clone + Send + Sized {
    /// To its stored form.
    fn to_bytes(&self) -> Vec<u8>;
    /// From its stored form.
    fn from_bytes(bytes: &[u8]) -> Result<Self, Unfoldable>;
}

impl<M: prost::Message + Clone + Default> View for M {
    fn to_bytes(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Unfoldable> {
        Self::decode(bytes).map_err(|_| Unfoldable::View)
    }
}

/// Why an event can't be folded. Says nothing of what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfoldable {
    /// It can't be read.
    #[error(transparent)]
    Event(#[from] tally_domain::StoredEventError),
    /// The stored view can't be read.
    #[error("the stored view can't be read")]
    View,
    /// It does not follow from what the view says.
    #[error("the event does not fit its view: {0}")]
    Unexpected(&'static str),
}

impl Recorded {
    /// What happened.
    pub(crate) fn event(&self) -> Result<&Event, Unfoldable> {
        self.event.as_ref().map_err(|error| error.clone().into())
    }
}
