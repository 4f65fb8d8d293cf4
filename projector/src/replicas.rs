//! Who of several projectors works at which unit. Each counts the others and takes its share; leases in Redis see to it that a unit has one
//! owner at a time, and end by themselves with an owner that says nothing any more.

use std::collections::BTreeSet;
use std::time::Duration;

use tally_read_model::Unit;

use crate::retry::Failure;
use crate::stores::Views;

/// How long a projector that says nothing keeps its units.
pub(crate) const LEASE: Duration = Duration::from_secs(3);
/// How often it says something.
pub(crate) const TEND_EVERY: Duration = Duration::from_millis(500);

/// The name of a new member: what tells it from all others, and the versions of its projections.
pub(crate) fn member(unique: &str, projections: &[(&'static str, u32)]) -> String {
    projections.iter().fold(unique.to_owned(), |name, (projection, version)| format!("{name};{projection}={version}"))
}

/// What tells a member from all others.
pub(crate) fn unique_name(member: &str) -> &str {
    member.split_once(';').map_or(member, |(unique, _)| unique)
}

/// The projections and their versions that a member has.
fn projections(member: &str) -> impl Iterator<Item = (&str, u32)> {
    let parts = member.split(';').skip(1).filter_map(|part| part.split_once('='));
    parts.filter_map(|(name, version)| Some((name, version.parse().ok()?)))
}

/// The units that `member` is to work at: of each projection those are shared out that have its version of it. Of all units together
/// each gets about as many. All members share out alike, whatever projections each of them has.
pub(crate) fn share(own: &[(&'static str, u32)], shards: u16, members: &[String], member: &str) -> BTreeSet<Unit> {
    let names: BTreeSet<&str> = members.iter().flat_map(|it| projections(it)).map(|(name, _)| name).collect();
    let mut units = BTreeSet::new();
    for &(projection, version) in own {
        let has_it = |it: &&String| projections(it).any(|its| its == (projection, version));
        let alike: Vec<&String> = members.iter().filter(has_it).collect();
        let Some(place) = alike.iter().position(|it| *it == member) else { continue };
        let number = names.iter().take_while(|name| **name < projection).count();
        let is_own = |shard: &u16| (usize::from(*shard) * names.len() + number) % alike.len() == place;
        units.extend((0..shards).filter(is_own).map(|shard| Unit { projection, shard }));
    }
    units
}

/// Says that this projector runs, and takes, keeps and gives back leases until it has its share. Returns the units that it owns now.
pub(crate) async fn tend(
    views: &dyn Views,
    projections: &[(&'static str, u32)],
    member: &str,
) -> Result<BTreeSet<Unit>, Failure> {
    let members = views.join(member, LEASE).await?;
    let wanted = share(projections, views.shards(), &members, member);
    let mut owned = BTreeSet::new();
    for shard in 0..views.shards() {
        let is_wanted = |projection| wanted.contains(&Unit { projection, shard });
        let leases: Vec<_> = projections.iter().map(|&(name, version)| (name, version, is_wanted(name))).collect();
        let held = views.tend(shard, &leases, member, LEASE).await?;
        let held = leases.iter().zip(held).filter(|(_, held)| *held);
        owned.extend(held.map(|((projection, ..), _)| Unit { projection, shard }));
    }
    Ok(owned)
}

/// Gives back every lease and says that this projector stops.
pub(crate) async fn leave(views: &dyn Views, projections: &[(&'static str, u32)], member: &str) -> Result<(), Failure> {
    let unwanted: Vec<_> = projections.iter().map(|&(name, version)| (name, version, false)).collect();
    for shard in 0..views.shards() {
        views.tend(shard, &unwanted, member, LEASE).await?;
    }
    views.leave(member).await?;
    Ok(views.ring_projectors().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECTIONS: [(&str, u32); 4] = [("a", 1), ("b", 1), ("c", 2), ("d", 1)];

    #[test]
    fn every_unit_has_one_owner_and_the_shares_are_even() {
        for (count, shards) in [(1, 1), (2, 1), (3, 1), (3, 3), (5, 3), (7, 2)] {
            let members: Vec<String> = (0..count).map(|number| member(&format!("m{number}"), &PROJECTIONS)).collect();
            let shares: Vec<_> = members.iter().map(|it| share(&PROJECTIONS, shards, &members, it)).collect();
            let all: BTreeSet<Unit> = shares.iter().flatten().copied().collect();
            let units = PROJECTIONS.len() * usize::from(shards);
            assert_eq!((all.len(), shares.iter().map(BTreeSet::len).sum::<usize>()), (units, units));
            let sizes = shares.iter().map(BTreeSet::len);
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
        }
    }

    #[test]
    fn two_versions_of_a_projection_are_shared_out_apart() {
        let old = [("a", 1), ("c", 1)];
        let new = [("a", 1), ("c", 2)];
        let members = [member("m0", &old), member("m1", &new)];
        assert_eq!(members, ["m0;a=1;c=1", "m1;a=1;c=2"]);
        assert_eq!(unique_name(&members[1]), "m1");
        let shares = [share(&old, 1, &members, &members[0]), share(&new, 1, &members, &members[1])];
        let names = shares.map(|share| share.into_iter().map(|unit| unit.projection).collect::<Vec<_>>());
        assert_eq!(names, [vec!["a", "c"], vec!["c"]]);
    }

    #[test]
    fn one_who_has_fewer_projections_shares_out_as_the_others_do() {
        let one = [PROJECTIONS[1]];
        let members = [member("m0", &PROJECTIONS), member("m1", &one), member("m2", &PROJECTIONS)];
        let shares = [&PROJECTIONS[..], &one, &PROJECTIONS].into_iter().zip(&members);
        let shares: Vec<_> = shares.map(|(own, it)| share(own, 3, &members, it)).collect();
        let all: BTreeSet<Unit> = shares.iter().flatten().copied().collect();
        assert_eq!((all.len(), shares.iter().map(BTreeSet::len).sum::<usize>()), (12, 12));
    }

    #[test]
    fn who_is_not_counted_owns_nothing() {
        assert!(share(&PROJECTIONS, 1, &["m".to_owned()], "other").is_empty());
    }
}
