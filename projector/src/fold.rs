//! Folds a batch of events in memory: every view is loaded once and written once, however many of the events are about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use tally_domain::StoredEventError;
use tally_read_model::ViewChange;

use crate::Recorded;
use crate::projection::{Handles, Projection, Unfoldable, View};

/// A projection, whatever its views are.
pub(crate) trait Fold: Send + Sync {
    /// The name that it is stored under.
    fn name(&self) -> &'static str;

    /// The views that these events are about, each once.
    fn keys(&self, events: &[Arc<Recorded>]) -> Result<Vec<String>, FoldError>;

    /// What the events make of the views, `stored` as they are now, by key. Only views that end up different are in the answer.
    fn changes(
        &self,
        events: &[Arc<Recorded>],
        stored: BTreeMap<String, Option<Bytes>>,
    ) -> Result<Vec<ViewChange>, FoldError>;
}

/// An event that a projection can't fold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event at position {position}: {reason}")]
pub(crate) struct FoldError {
    pub(crate) position: u64,
    pub(crate) reason: Unfoldable,
}

impl<P: Projection> Fold for P {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn keys(&self, events: &[Arc<Recorded>]) -> Result<Vec<String>, FoldError> {
        let keys: BTreeSet<String> =
            events.iter().filter_map(|event| key::<P>(event).transpose()).collect::<Result<_, _>>()?;
        Ok(keys.into_iter().collect())
    }

    fn changes(
        &self,
        events: &[Arc<Recorded>],
        stored: BTreeMap<String, Option<Bytes>>,
    ) -> Result<Vec<ViewChange>, FoldError> {
        let mut views: BTreeMap<String, Option<P::View>> = BTreeMap::new();
        for event in events {
            let Some(key) = key::<P>(event)? else { continue };
            let failed = |reason| FoldError { position: event.position, reason };
            let view = match views.remove(&key) {
                Some(view) => view,
                None => decode(stored.get(&key)).map_err(failed)?,
            };
            views.insert(key, P::fold(view, event).map_err(failed)?);
        }
        let position = events.last().map_or(0, |event| event.position);
        views
            .into_iter()
            .filter_map(|(key, view)| change::<P>(&stored, key, view).transpose())
            .collect::<Result<_, _>>()
            .map_err(|reason| FoldError { position, reason })
    }
}

/// The view that an event is about; none when the projection doesn't handle its type.
fn key<P: Projection>(event: &Recorded) -> Result<Option<String>, FoldError> {
    let handled = match (P::HANDLES, &event.event) {
        (Handles::Everything, _) => return Ok(P::key(event)),
        (Handles::Types(types), Ok(_)) => types.contains(&event.event_type.as_str()),
        (Handles::Types(types), Err(StoredEventError::BadShape(_))) => types.contains(&event.event_type.as_str()),
        // A later version of Tally knows whether it matters here. To go on would be to skip it for good.
        (Handles::Types(_), Err(StoredEventError::UnknownType(_))) => true,
    };
    match event.event() {
        _ if !handled => Ok(None),
        Ok(_) => Ok(P::key(event)),
        Err(reason) => Err(FoldError { position: event.position, reason }),
    }
}

fn decode<V: View>(stored: Option<&Option<Bytes>>) -> Result<Option<V>, Unfoldable> {
    stored.and_then(Option::as_ref).map(|bytes| V::from_bytes(bytes)).transpose()
}

fn change<P: Projection>(
    stored: &BTreeMap<String, Option<Bytes>>,
    key: String,
    view: Option<P::View>,
) -> Result<Option<ViewChange>, Unfoldable> {
    let bytes_before = stored.get(&key).and_then(Option::as_ref);
    let value = view.as_ref().map(View::to_bytes);
    if value.as_deref() == bytes_before.map(Bytes::as_ref) {
        return Ok(None);
    }
    let lists = |view: &Option<P::View>| -> BTreeSet<_> { view.iter().flat_map(P::lists).collect() };
    let (before, now) = (lists(&decode(bytes_before.cloned().map(Some).as_ref())?), lists(&view));
    Ok(Some(ViewChange {
        key,
        value,
        lists_added: now.difference(&before).cloned().collect(),
        lists_removed: before.difference(&now).cloned().collect(),
    }))
}

#[cfg(test)]
mod tests;
