//! Folds the events about one view, however many, into it.

use std::collections::BTreeSet;
use std::sync::Arc;

use tally_domain::StoredEventError;
use tally_read_model::{LAYOUT, StoredView, ViewChange};

use crate::Recorded;
use crate::projection::{Handles, Projection, Unfoldable, Unread, View};

/// A projection, whatever its views are.
pub(crate) trait Fold: Send + Sync {
    /// The name that it is stored under.
    fn name(&self) -> &'static str;

    /// The version of its code.
    fn version(&self) -> u32;

    /// What an event is about.
    fn concern(&self, event: &Recorded) -> Concern;

    /// What the events, all of them about this view, make of it. Events after one that can't be folded wait behind it.
    ///
    /// # Errors
    /// When the stored view can't be read.
    fn fold(&self, key: &str, stored: &StoredView, events: &[Arc<Recorded>]) -> Result<Folded, Unfoldable>;
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Concern {
    /// Nothing that the projection shows.
    Nothing,
    /// A view.
    View(String),
    /// It can't be read and may be about any view.
    AnyView(Unfoldable),
}

/// What became of a view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Folded {
    /// None: it is as it was.
    pub(crate) change: Option<ViewChange>,
    /// The first event that waits from now on, by its place among the events, and why.
    pub(crate) parked: Option<(usize, Unfoldable)>,
}

impl<P: Projection> Fold for P {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn version(&self) -> u32 {
        P::VERSION + LAYOUT
    }

    fn concern(&self, event: &Recorded) -> Concern {
        let of_key = |key: Option<String>| key.map_or(Concern::Nothing, Concern::View);
        let handled = match (P::HANDLES, &event.event) {
            (Handles::Everything, _) => return of_key(P::key(event)),
            (Handles::Types(types), Ok(_) | Err(StoredEventError::BadShape(_))) => {
                types.contains(&event.event_type.as_str())
            }
            // A later version of Tally knows whether it matters here. To go on would be to skip it for good.
            (Handles::Types(_), Err(StoredEventError::UnknownType(_))) => true,
        };
        match event.event() {
            _ if !handled => Concern::Nothing,
            Ok(_) => of_key(P::key(event)),
            Err(reason) => match P::key_of_unreadable(event) {
                Unread::Nothing => Concern::Nothing,
                Unread::View(key) => Concern::View(key),
                Unread::AnyView => Concern::AnyView(reason),
            },
        }
    }

    fn fold(&self, key: &str, stored: &StoredView, events: &[Arc<Recorded>]) -> Result<Folded, Unfoldable> {
        if stored.parked.is_some() {
            let waits = Unfoldable::Unexpected("an earlier event about the same view is parked");
            return Ok(Folded { change: None, parked: (!events.is_empty()).then_some((0, waits)) });
        }
        let before = stored.view.as_ref().map(|bytes| P::View::from_bytes(bytes)).transpose()?;
        let (mut view, mut parked) = fold_all::<P>(before.clone(), events);
        if let Some((place, reason)) = parked.take() {
            // The view as it was before the event that doesn't fit.
            view = fold_all::<P>(before.clone(), &events[..place]).0;
            parked = Some((place, reason));
        }
        let now = StoredView {
            view: view.as_ref().map(|view| view.to_bytes().into()),
            parked: parked.as_ref().and_then(|(place, _)| events.get(*place)).map(|event| event.position),
        };
        if now == *stored {
            return Ok(Folded { change: None, parked });
        }
        let lists = |view: &Option<P::View>| -> BTreeSet<_> { view.iter().flat_map(P::lists).collect() };
        let (lists_before, lists_now) = (lists(&before), lists(&view));
        let change = ViewChange {
            key: key.to_owned(),
            now,
            lists_added: lists_now.difference(&lists_before).cloned().collect(),
            lists_removed: lists_before.difference(&lists_now).cloned().collect(),
        };
        Ok(Folded { change: Some(change), parked })
    }
}

/// The view after the events, or up to the first that can't be folded.
fn fold_all<P: Projection>(
    mut view: Option<P::View>,
    events: &[Arc<Recorded>],
) -> (Option<P::View>, Option<(usize, Unfoldable)>) {
    for (place, event) in events.iter().enumerate() {
        let folded = match (P::HANDLES, event.event()) {
            (Handles::Types(_), Err(reason)) => Err(reason),
            (Handles::Types(_) | Handles::Everything, _) => P::fold(view.take(), event),
        };
        match folded {
            Ok(now) => view = now,
            Err(reason) => return (None, Some((place, reason))),
        }
    }
    (view, None)
}

#[cfg(test)]
mod tests;
