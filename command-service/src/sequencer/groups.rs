//! Which commands of a batch have to do with each other: what one is decided on, another may have changed.

use std::collections::HashMap;

use tally_domain::StreamId;
use tally_event_store::{Basis, NO_GROUP};

use super::decide::Decided;

/// The streams that a batch rests on, with the versions that they had before it, and the group of each command. Those that share a stream are of
/// one group.
pub(super) fn groups(decided: &[Decided]) -> (Vec<Basis>, Vec<i32>) {
    let mut streams: Vec<(&StreamId, u64)> = Vec::new();
    let mut places: HashMap<&StreamId, usize> = HashMap::new();
    let mut groups = Groups::default();
    let mut firsts = Vec::with_capacity(decided.len());
    for item in decided {
        let mut first = None;
        for (id, version) in &item.basis {
            // The first to rest on it does so on what was there before.
            let place = *places.entry(id).or_insert_with(|| {
                streams.push((id, *version));
                groups.add()
            });
            groups.join(*first.get_or_insert(place), place);
        }
        firsts.push(first);
    }
    let mut number = |place| i32::try_from(groups.root(place)).unwrap_or(NO_GROUP);
    let basis = streams.into_iter().enumerate().map(|(place, (id, version))| Basis {
        stream_id: id.to_string(),
        version,
        group: number(place),
    });
    let basis = basis.collect();
    (basis, firsts.into_iter().map(|first| first.map_or(NO_GROUP, &mut number)).collect())
}

/// Disjoint sets of numbers: each points to another of its set, or is the one that stands for it.
#[derive(Default)]
struct Groups {
    parents: Vec<usize>,
}

impl Groups {
    fn add(&mut self) -> usize {
        self.parents.push(self.parents.len());
        self.parents.len() - 1
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.parents[other] = one;
    }

    fn root(&mut self, mut place: usize) -> usize {
        while self.parents[place] != place {
            self.parents[place] = self.parents[self.parents[place]];
            place = self.parents[place];
        }
        place
    }
}
