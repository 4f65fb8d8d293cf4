//! Reads that wait for a version of a stream: which position it is at isn't known beforehand.

use bytes::Bytes;

use super::{Look, Reader};
use crate::limited_wait::{LimitedWait, Place};
use crate::read_after::After;
use crate::status::Failure;
use crate::watched::Watched;

/// How a version of a stream was seen.
pub(super) enum VersionSeen<T> {
    /// What is asked for has it.
    InItself(Look<T>),
    /// It is the event at this position.
    At(u64),
    /// Not by the end of the wait: the streams' projection stands here.
    NotYet { position: u64 },
}

/// What the streams projection knows of a stream: 16 bytes, both numbers big-endian.
#[derive(Clone, Copy)]
struct StreamHead {
    version: u64,
    position: u64,
}

impl Reader {
    /// Whether what is as of `position` has seen what was asked for. Where a stream's version stands is looked up once: `after` names the position
    /// from then on.
    pub(crate) async fn has_seen(&self, after: &mut After, position: u64) -> bool {
        if let After::StreamVersion { stream_id, version } = after {
            let Ok(Look { value: Some(head), .. }) = self.look(&self.streams, stream_id).await else { return false };
            match StreamHead::decode(head) {
                Ok(head) if head.version >= *version => *after = After::Position(head.position),
                Ok(_) | Err(_) => return false,
            }
        }
        match after {
            After::Nothing => true,
            After::Position(wanted) => position >= *wanted,
            After::Token(token) => position >= token.position,
            After::StreamVersion { .. } => false,
        }
    }

    /// Until what is asked for says itself that it has the version of the stream, where it can say that, or the streams' projection says at which
    /// position that version is: whichever comes first, or the end of the wait. So who reads an order does not wait for what others do.
    pub(super) async fn version_seen<T: Send, F>(
        &self,
        (stream_id, version): (&str, u64),
        (from, look, has_it): (
            &Watched,
            &(impl Fn() -> F + Send + Sync),
            Option<&(impl Fn(&T) -> Result<bool, Failure> + Send + Sync)>,
        ),
        wait: &mut LimitedWait<'_>,
    ) -> Result<VersionSeen<T>, Failure>
    where
        F: Future<Output = Result<Look<T>, Failure>> + Send,
    {
        loop {
            // Whoever doesn't have it is to come further than it was seen: at which position it will have it isn't known.
            let further = |position: u64| position.saturating_add(1);
            let mut own = None;
            if let Some(has_it) = has_it {
                own = match self.look_once(wait, look).await {
                    Ok(seen) if has_it(&seen.value)? => return Ok(VersionSeen::InItself(seen)),
                    Ok(Look { shard, position, .. }) => Some(Place { from, shard, position: further(position) }),
                    Err(Failure::Recovering { shard, complete_from }) => {
                        Some(Place { from, shard, position: complete_from })
                    }
                    Err(_) => None,
                };
            }
            let from = &self.streams;
            let place = match self.look_once(wait, || self.look(from, stream_id)).await {
                Ok(Look { position, shard, value, .. }) => match value.map(StreamHead::decode).transpose()? {
                    Some(head) if head.version >= version => return Ok(VersionSeen::At(head.position)),
                    Some(_) | None if wait.is_over() => return Ok(VersionSeen::NotYet { position }),
                    Some(_) | None => Place { from, shard, position: further(position) },
                },
                Err(Failure::Recovering { shard, complete_from }) if !wait.is_over() => {
                    Place { from, shard, position: complete_from }
                }
                Err(failure) => return Err(failure),
            };
            wait.for_either(place, own).await?;
        }
    }
}

impl StreamHead {
    fn decode(view: Bytes) -> Result<Self, Failure> {
        let (version, rest) = view.split_first_chunk::<8>().ok_or(Failure::Unreadable)?;
        let position = rest.try_into().map_err(|_| Failure::Unreadable)?;
        Ok(Self { version: u64::from_be_bytes(*version), position: u64::from_be_bytes(position) })
    }
}
