//! Fingerprints: of an event, of the events that were applied in a range of positions, of a view. None is a secret's keeper; they are
//! there to notice what was skipped, doubled, reordered or changed.

use tally_event_store::StoredEvent;
use tally_read_model::{State, StoredView, ViewChange};

use crate::Recorded;

/// How many positions have one digest: what is wrong is found as exactly as this.
pub(crate) const RANGE: u64 = 4096;

/// Odd, and as good as random: the fraction of the golden ratio.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Which range a position is in.
pub(crate) fn range_of(position: u64) -> u64 {
    position.saturating_sub(1) / RANGE
}

/// The fingerprint of an event. Stored format: digests and states hold it.
pub(crate) fn event(stored: &StoredEvent) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [stored.stream_id.as_bytes(), stored.event_type.as_bytes(), stored.payload.as_bytes()] {
        hasher.update(part);
        hasher.update(&[0xff]);
    }
    hasher.update(stored.command_id.as_bytes());
    hasher.update(&stored.version.to_be_bytes());
    // To the microsecond, as Postgres has it.
    let recorded_at = (stored.recorded_at.unix_timestamp_nanos() / 1_000) as u64;
    mix(mix(stored.position) ^ recorded_at) ^ u64::from(hasher.finalize())
}

/// The digest of a range with one more event at its end.
pub(crate) fn chained(digest: u64, event: &Recorded) -> u64 {
    mix(digest.rotate_left(5) ^ event.fingerprint).wrapping_add(event.position)
}

/// What a stored view adds to the sum over all views.
pub(crate) fn view(key: &str, stored: &[u8]) -> u64 {
    mix(u64::from(crc32fast::hash(stored)) << 32 | u64::from(crc32fast::hash(key.as_bytes())))
}

/// Keeps a state's sum over all views.
pub(crate) fn count(to: &mut State, change: &ViewChange, before: &StoredView) {
    if let Some(bytes) = before.to_bytes() {
        to.views = to.views.saturating_sub(1);
        to.content = to.content.wrapping_sub(view(&change.key, &bytes));
    }
    if let Some(bytes) = change.now.to_bytes() {
        to.views += 1;
        to.content = to.content.wrapping_add(view(&change.key, &bytes));
    }
}

/// Spreads every bit over all of them.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 32)).wrapping_mul(MULTIPLIER);
    let value = (value ^ (value >> 29)).wrapping_mul(MULTIPLIER);
    value ^ (value >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::testing::external;

    fn digest(positions: &[u64]) -> u64 {
        positions.iter().fold(0, |digest, at| chained(digest, &external("o").at(*at).recorded()))
    }

    #[test]
    fn what_is_skipped_doubled_or_reordered_shows() {
        let right = digest(&[1, 2, 3]);
        for wrong in [&[1, 3][..], &[1, 2, 2, 3], &[2, 1, 3], &[1, 2, 3, 4], &[1, 2], &[]] {
            assert_ne!(digest(wrong), right, "{wrong:?}");
        }
        assert_eq!(digest(&[1, 2, 3]), right);
    }

    #[test]
    fn ranges_follow_each_other() {
        assert_eq!([0, 1, RANGE, RANGE + 1, 2 * RANGE, 2 * RANGE + 1].map(range_of), [0, 0, 0, 1, 1, 2]);
    }
}
