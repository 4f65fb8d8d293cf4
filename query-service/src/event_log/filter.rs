//! Which events a subscription wants.

use std::collections::HashSet;

use tally_event_store::StoredEvent;
use tally_runtime::{Violations, limits};

use crate::read_after::STREAM_ID_CHARS_MAX;

/// Event types, or stream prefixes, in one filter. Protos quote it.
const ENTRIES_MAX: usize = 50;

/// Both must fit; an empty one fits all.
#[derive(Debug)]
pub(super) struct Filter {
    event_types: HashSet<String>,
    stream_id_prefixes: Vec<String>,
}

impl Filter {
    /// Notes what is wrong in `violations`; what is returned is good only if nothing was.
    pub(super) fn parse(
        violations: &mut Violations,
        event_types: Vec<String>,
        stream_id_prefixes: Vec<String>,
    ) -> Self {
        check(violations, "event_types", &event_types, limits::IDENTIFIER_CHARS_MAX);
        check(violations, "stream_id_prefixes", &stream_id_prefixes, STREAM_ID_CHARS_MAX);
        Self { event_types: event_types.into_iter().collect(), stream_id_prefixes }
    }

    pub(super) fn passes(&self, event: &StoredEvent) -> bool {
        let is_of_type = self.event_types.is_empty() || self.event_types.contains(&event.event_type);
        let mut prefixes = self.stream_id_prefixes.iter();
        is_of_type && (prefixes.len() == 0 || prefixes.any(|prefix| event.stream_id.starts_with(prefix.as_str())))
    }
}

fn check(violations: &mut Violations, field: &str, entries: &[String], chars_max: usize) {
    if entries.len() > ENTRIES_MAX {
        violations.add(field, format!("must have at most {ENTRIES_MAX} entries"));
        return;
    }
    for (index, entry) in entries.iter().enumerate() {
        violations.text(&format!("{field}[{index}]"), entry, chars_max);
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    fn passes(event_types: &[&str], prefixes: &[&str], (event_type, stream_id): (&str, &str)) -> bool {
        let mut violations = Violations::new();
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let filter = Filter::parse(&mut violations, own(event_types), own(prefixes));
        assert_eq!(violations.count(), 0);
        filter.passes(&StoredEvent {
            position: 1,
            stream_id: stream_id.to_owned(),
            version: 1,
            event_type: event_type.to_owned(),
            payload: "{}".to_owned(),
            metadata: Default::default(),
            command_id: Uuid::nil(),
            recorded_at: OffsetDateTime::UNIX_EPOCH,
        })
    }

    #[test]
    fn an_empty_filter_passes_everything() {
        assert!(passes(&[], &[], ("Allocated", "product-LAMP")));
    }

    #[test]
    fn an_event_must_be_of_one_of_the_types_and_one_of_the_streams() {
        let (types, prefixes) = (["Allocated", "OutOfStock"], ["product-L", "order-"]);
        assert!(passes(&types, &prefixes, ("Allocated", "product-LAMP")));
        assert!(!passes(&types, &prefixes, ("Allocated", "product-TABLE")));
        assert!(!passes(&types, &prefixes, ("Deallocated", "product-LAMP")));
        assert!(passes(&types, &[], ("OutOfStock", "anything")));
        assert!(passes(&[], &prefixes, ("Anything", "order-1")));
    }

    #[test]
    fn a_type_is_a_whole_name() {
        assert!(!passes(&["Alloc"], &[], ("Allocated", "product-LAMP")));
    }
}
