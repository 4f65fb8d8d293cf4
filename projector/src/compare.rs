//! How many views of a new generation differ from those that are read, and how.

use std::collections::BTreeMap;

use tally_read_model::{BuildId, State, StoredView, Unit};

use crate::plan::{Comparison, Difference};
use crate::retry::Failure;
use crate::stores::Views;

/// How many differences are shown.
const SAMPLE_MAX: usize = 10;
/// How often both are read again because the two builds were not at the same position.
const TRIES_MAX: usize = 50;

/// Compares the live build and the new one of each unit. Both go on meanwhile; only what is read of both at the same position is compared.
pub(crate) async fn compare(views: &dyn Views, pairs: &[(Unit, BuildId, BuildId)]) -> Result<Comparison, Failure> {
    let mut comparison = Comparison::default();
    for &(unit, live, new) in pairs {
        let Some((before, now)) = states(views, unit, (live, new)).await? else { continue };
        comparison.views += now.views;
        if (before.position, before.views, before.content) != (now.position, now.views, now.content) {
            compare_unit(views, unit, (live, new), &mut comparison).await?;
        }
    }
    Ok(comparison)
}

/// The states of both, at the same position if that is ever seen: then nothing but a difference makes them differ.
async fn states(
    views: &dyn Views,
    unit: Unit,
    (live, new): (BuildId, BuildId),
) -> Result<Option<(State, State)>, Failure> {
    let mut tries = 0;
    loop {
        let look = views.look(unit).await?;
        let state = |build| look.builds.get(&build).copied().flatten();
        let (Some(before), Some(now)) = (state(live), state(new)) else { return Ok(None) };
        tries += 1;
        if before.position == now.position || tries == TRIES_MAX {
            return Ok(Some((before, now)));
        }
    }
}

async fn compare_unit(
    views: &dyn Views,
    unit: Unit,
    (live, new): (BuildId, BuildId),
    comparison: &mut Comparison,
) -> Result<(), Failure> {
    for bucket in 0..views.buckets() {
        let mut tries = 0;
        let (before, now) = loop {
            let (before, now) = (views.scan(unit, live, bucket).await?, views.scan(unit, new, bucket).await?);
            tries += 1;
            let positions = [&before, &now].map(|scanned| scanned.state.map(|state| state.position));
            if positions[0] == positions[1] || tries == TRIES_MAX {
                break (before, now);
            }
        };
        let mut before: BTreeMap<String, StoredView> = before.views.into_iter().collect();
        for (view, stored) in now.views {
            match before.remove(&view) {
                Some(old) if old == stored => {}
                Some(old) => differs(comparison, view, how(&old, &stored)),
                None => differs(comparison, view, "only in the new generation".to_owned()),
            }
        }
        for view in before.into_keys() {
            differs(comparison, view, "only in the live generation".to_owned());
        }
    }
    Ok(())
}

/// Where they differ, and not what they say, where personal data may be.
fn how(old: &StoredView, new: &StoredView) -> String {
    let bytes = |stored: &StoredView| stored.to_bytes().unwrap_or_default();
    let (old, new) = (bytes(old), bytes(new));
    let place = old.iter().zip(&new).position(|(old, new)| old != new).unwrap_or(old.len().min(new.len()));
    format!("{} bytes instead of {}, from byte {place} on", new.len(), old.len())
}

fn differs(comparison: &mut Comparison, view: String, how: String) {
    comparison.differing += 1;
    if comparison.sample.len() < SAMPLE_MAX {
        comparison.sample.push(Difference { view, how });
    }
}
