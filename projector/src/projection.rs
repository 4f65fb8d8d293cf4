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

    /// Goes up by one whenever the same events give other views than before: the views are then made anew beside those that are there.
    const VERSION: u32 = 1;

    /// The types of the events that it folds. All others pass it by, unread; but one of a type that nobody knows is parked.
    const HANDLES: Handles;

    /// The view that an event of such a type is about.
    fn key(recorded: &Recorded) -> Option<String>;

    /// The view that an event is about which can't be read, by what is still understood of it.
    fn key_of_unreadable(_recorded: &Recorded) -> Unread {
        Unread::AnyView
    }

    /// What the event makes of its view. None: there is no view.
    fn fold(view: Option<Self::View>, recorded: &Recorded) -> Result<Option<Self::View>, Unfoldable>;

    /// The lists that a view is in, each with its member; from the view alone, so that it can be taken out again.
    fn lists(_view: &Self::View) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// What an event that can't be read may be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Nothing that this projection will ever show without a new version, which is made anew from the beginning.
    Nothing,
    /// This view.
    View(String),
    /// It can't be told: any.
    AnyView,
}

impl Unread {
    /// The view with this key; any where there is none.
    pub(crate) fn view(key: Option<&String>) -> Self {
        key.map_or(Self::AnyView, |key| Self::View(key.clone()))
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
