//! Applying a batch: views, lists and state move together or not at all. The hazards are told at the top of `apply.lua`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use redis::Script;

use crate::connection::Call;
use crate::keys::{bucket_of, list_field, view_field};
use crate::notes::LOSSES_MAX;
use crate::{BuildId, Error, State, StoredView, Unit, Writer};

/// What a batch of events made of one view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ViewChange {
    /// Which view.
    pub key: String,
    /// What it is now.
    pub now: StoredView,
    /// Lists that it is in now and was not before, each with its member ([`crate::list_member`]).
    pub lists_added: Vec<(String, String)>,
    /// Lists that it was in before and is not now, each with its member.
    pub lists_removed: Vec<(String, String)>,
}

/// An event that is parked now, or no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedChange {
    /// The event.
    pub position: u64,
    /// What is kept of it; None: it is no longer parked.
    pub record: Option<String>,
}

/// The digest of a range of positions that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestChange {
    /// Which range, from 0.
    pub range: u64,
    /// Its digest.
    pub digest: u64,
}

/// Something that the batch leaves alone because it is lost. That it is still lost is checked in the same step: Redis may have gone back to when
/// it was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its name as in [`Applied::Lost`].
    pub name: String,
    /// What is stored in its place and is of no use; None where nothing is.
    pub stored: Option<Vec<u8>>,
}

/// Everything that is written in one step, beside the state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Each view once.
    pub views: Vec<ViewChange>,
    /// Each view or list once.
    pub skipped: Vec<Skipped>,
    /// Each event once.
    pub parked: Vec<ParkedChange>,
    /// Each range once.
    pub digests: Vec<DigestChange>,
    /// What the unit turns out to have lost, to be kept with what follows from it.
    pub loss: Option<String>,
}

/// How applying a batch went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// All of it is written.
    Done,
    /// Nothing was written: the build is no longer in the state in which the batch began, or it is gone; or what was left out as lost is there.
    Moved,
    /// Nothing was written: another projector works at the unit, or nobody does.
    NotOwner,
    /// Nothing was written: these views or lists are in what is gone. Names are `v` and the view key, or `l` and the list.
    Lost(Vec<String>),
}

static APPLY: LazyLock<Script> = LazyLock::new(|| {
    let script = include_str!("apply.lua");
    #[cfg(feature = "planted-faults")]
    let script = &crate::planted::apply_script(script);
    Script::new(script)
});

impl Writer {
    /// Writes a batch and moves the state, if the build is still in the state `from` and the unit's builds of its version still belong to
    /// `owner`. Without an owner it does not matter whose they are.
    ///
    /// After [`Error::Unavailable`] all of it may be written or nothing, never a part: look, and go on from there.
    pub async fn apply(
        &self,
        unit: Unit,
        build: BuildId,
        owner: Option<&str>,
        (from, to): (&State, &State),
        batch: &Batch,
    ) -> Result<Applied, Error> {
        let keys = self.keys();
        let views = batch.views.as_slice();
        #[cfg(feature = "planted-faults")]
        let views = crate::planted::changes(views);
        #[cfg(feature = "planted-faults")]
        let planted = crate::planted::Checkpoint {
            connection: &self.connection,
            key: keys.checkpoint(unit, build),
            value: to.to_string(),
        };
        #[cfg(feature = "planted-faults")]
        planted.before().await?;
        let mut buckets: BTreeMap<u32, Bucket> = BTreeMap::new();
        let mut lists: BTreeMap<&str, Members<'_>> = BTreeMap::new();
        for change in views {
            let field = view_field(&change.key);
            buckets.entry(bucket_of(&field)).or_default().take(field, change);
            for (list, member) in &change.lists_removed {
                lists.entry(list).or_default().removed.push(member);
            }
            for (list, member) in &change.lists_added {
                lists.entry(list).or_default().added.push(member);
            }
        }
        let own = [
            keys.log_id(unit.shard),
            keys.owner(unit, from.version),
            keys.checkpoint(unit, build),
            keys.parked(unit, build),
            keys.digests(unit, build),
            keys.losses(unit),
        ];
        let mut call = Call::new(&APPLY, own.len() + lists.len());
        call.arg(&own);
        for list in lists.keys() {
            call.arg(keys.list(unit, build, list));
        }
        call.arg(self.log_id.to_string())
            .arg(owner.unwrap_or_default())
            .arg(from.to_string())
            .arg(to.to_string())
            .arg(keys.bell(unit))
            .arg(to.position)
            .arg(keys.build(unit, build))
            .arg(buckets.len())
            .arg(lists.len())
            .arg(batch.skipped.len())
            .arg(batch.parked.len())
            .arg(batch.digests.len())
            .arg(batch.loss.as_deref().unwrap_or_default())
            .arg(LOSSES_MAX);
        for (bucket, Bucket { set, gone }) in buckets {
            call.arg(bucket).arg(set.len()).arg(gone.len());
            for (field, value) in set {
                call.arg(field).arg(value);
            }
            call.arg(gone);
        }
        for (list, Members { removed, added }) in lists {
            let field = list_field(list);
            call.arg(bucket_of(&field)).arg(field);
            call.arg(removed.len()).arg(added.len()).arg(removed).arg(added);
        }
        for Skipped { name, stored } in &batch.skipped {
            let stored = stored.as_ref().map_or_else(Vec::new, |stored| [b"=", stored.as_slice()].concat());
            call.arg(bucket_of(name)).arg(name).arg(stored);
        }
        for change in &batch.parked {
            let record = change.record.as_ref().map_or_else(|| "-".to_owned(), |record| format!("+{record}"));
            call.arg(record).arg(change.position);
        }
        for change in &batch.digests {
            call.arg(change.range).arg(format!("{:016x}", change.digest));
        }
        let mut answer = self.connection.once::<Vec<String>>(&call).await?;
        #[cfg(feature = "planted-faults")]
        planted.after(&answer).await?;
        #[cfg(feature = "planted-faults")]
        planted.again(call);
        match answer.first().map(String::as_str) {
            Some("done") => Ok(Applied::Done),
            Some("moved") => Ok(Applied::Moved),
            Some("not_owner") => Ok(Applied::NotOwner),
            Some("lost") => Ok(Applied::Lost(answer.split_off(1))),
            answer => Err(refusal(answer.unwrap_or_default())),
        }
    }
}

/// What the scripts that write answer when they wrote nothing.
pub(crate) fn refusal(answer: &str) -> Error {
    match answer {
        "foreign" => Error::ForeignLog,
        "forbidden" => Error::Refused("permission to write".to_owned()),
        "moved" => Error::Unavailable("it changed meanwhile".to_owned()),
        _ => Error::Corrupt("a key of another type"),
    }
}

/// What a batch does to the views of a bucket: fields and what is stored in them.
#[derive(Default)]
struct Bucket {
    set: Vec<(String, Vec<u8>)>,
    gone: Vec<String>,
}

impl Bucket {
    fn take(&mut self, field: String, change: &ViewChange) {
        match change.now.to_bytes() {
            None => self.gone.push(field),
            Some(now) => self.set.push((field, now)),
        }
    }
}

/// What a batch does to a list: each member once.
#[derive(Default)]
struct Members<'a> {
    removed: Vec<&'a str>,
    added: Vec<&'a str>,
}
