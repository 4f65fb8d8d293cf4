//! One read, consistent as its caller wants it: look, and if the projection is not there yet wait, and look again.
//!
//! View and checkpoint come from Redis together, so each answer knows the position that it holds as of. Nearly every read is one look.

mod versions;

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tally_api::consistency::v1::Freshness;
use tally_read_model::{Found, ReadModel, Unit, projections};
use tally_receipt::Token;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::ServeArgs;
use crate::limited_wait::{LimitedWait, Place};
use crate::metrics::{Counted, METRICS};
use crate::read_after::{After, BEFORE_ANY_LOG, ReadAfter, is_of_another_log};
use crate::status::{Failure, Wanted};
use crate::watched::Watched;
use versions::VersionSeen;

/// How long a call may take whose caller sets no deadline. Above the longest wait that there is, so that it cuts nothing but a store that hangs.
const CALL_MAX: Duration = Duration::from_secs(90);
/// What of a caller's deadline is kept for the look after the wait, if that much is left.
const LAST_LOOK_MAX: Duration = Duration::from_millis(50);

/// Reads views, as fresh as asked.
pub(crate) struct Reader {
    model: ReadModel,
    streams: Watched,
    log_id: RwLock<Option<Uuid>>,
    reading: Semaphore,
    waiting: Semaphore,
    stopping: CancellationToken,
}

/// What a read found, and how fresh that is.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    pub(crate) value: T,
    pub(crate) freshness: Freshness,
}

/// What one look found.
struct Look<T> {
    position: u64,
    /// The shard whose position that is.
    shard: u16,
    may_be_stale: bool,
    parked: Option<u64>,
    value: T,
}

/// Says whether what was found has the version of a stream that is asked for.
type HasVersion<T> = fn(&T) -> Result<bool, Failure>;

/// Of what holds no version of a stream.
fn no_version<T>() -> Option<HasVersion<T>> {
    None
}

impl Reader {
    /// Waits end early when `stopping` is cancelled: who drains can't keep them.
    pub(crate) fn new(model: ReadModel, args: &ServeArgs, stopping: CancellationToken) -> Self {
        Self {
            streams: Watched::new(&model, projections::STREAMS, args.wait_poll_interval()),
            model,
            log_id: RwLock::new(None),
            reading: Semaphore::new(args.reads_in_flight_max as usize),
            waiting: Semaphore::new(args.waiters_max as usize),
            stopping,
        }
    }

    /// Which log is read here, as far as that is known without asking.
    pub(crate) fn known_log_id(&self) -> Option<Uuid> {
        *self.log_id.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks which log is read here: also the proof that the store answers.
    pub(crate) async fn refresh_log_id(&self) -> Result<Option<Uuid>, tally_read_model::Error> {
        let answer = self.model.log_id().await;
        let log_id = match &answer {
            Ok(log_id) => *log_id,
            // The views are divided otherwise by now: what was known is of others, and nothing is answered on it.
            Err(tally_read_model::Error::Layout { .. }) => None,
            Err(_) => return answer,
        };
        *self.log_id.write().unwrap_or_else(PoisonError::into_inner) = log_id;
        answer
    }

    /// The view with this key, if there is one. `time_left` is the caller's.
    pub(crate) async fn view<M: Message + Default>(
        &self,
        from: &Watched,
        key: &str,
        asked: &ReadAfter,
        time_left: Option<Duration>,
    ) -> Result<Answer<Option<M>>, Failure> {
        let Answer { value, freshness } = self.encoded_view(from, key, asked, time_left).await?;
        Ok(Answer { value: value.map(decode).transpose()?, freshness })
    }

    /// As [`Reader::view`], as it is stored.
    pub(crate) async fn encoded_view(
        &self,
        from: &Watched,
        key: &str,
        asked: &ReadAfter,
        time_left: Option<Duration>,
    ) -> Result<Answer<Option<Bytes>>, Failure> {
        self.read(from, asked, time_left, || self.look(from, key), no_version()).await
    }

    /// As [`Reader::encoded_view`], of a view that has the version of a stream, whose id is `kind` and the key: who asks for a version of that stream
    /// waits for this view, and not for all that was appended before.
    pub(crate) async fn encoded_view_of_stream<M: Message + Default>(
        &self,
        from: &Watched,
        key: &str,
        (kind, version_of): (&str, fn(&M) -> i64),
        asked: &ReadAfter,
        time_left: Option<Duration>,
    ) -> Result<Answer<Option<Bytes>>, Failure> {
        let version = match &asked.after {
            After::StreamVersion { stream_id, version } if stream_id.strip_prefix(kind) == Some(key) => Some(*version),
            _ => None,
        };
        let has_it = version.map(|version| {
            move |view: &Option<Bytes>| match view {
                Some(view) => Ok(u64::try_from(version_of(&decode(view.clone())?)).is_ok_and(|seen| seen >= version)),
                None => Ok(false),
            }
        });
        self.read(from, asked, time_left, || self.look(from, key), has_it).await
    }

    /// A part of a list: at most `limit` entries after the member `after`, with their members.
    pub(crate) async fn page<M: Message + Default>(
        &self,
        from: &Watched,
        (list, after, limit): (&str, Option<&str>, usize),
        asked: &ReadAfter,
        time_left: Option<Duration>,
    ) -> Result<Answer<Vec<(String, M)>>, Failure> {
        let look = || async {
            match self.model.page(from.projection, list, after, limit).await {
                Ok(page) => Ok(Look {
                    position: page.position,
                    shard: page.shard,
                    may_be_stale: page.may_be_stale,
                    parked: page.parked,
                    value: page.entries,
                }),
                Err(error) => Err(self.missed(self.model.units(from.projection), error).await),
            }
        };
        let Answer { value, freshness } = self.read(from, asked, time_left, look, no_version()).await?;
        let decoded = value.into_iter().map(|(member, view)| Ok((member, decode(view)?)));
        Ok(Answer { value: decoded.collect::<Result<_, Failure>>()?, freshness })
    }

    async fn look(&self, from: &Watched, key: &str) -> Result<Look<Option<Bytes>>, Failure> {
        let unit = self.model.unit_of(from.projection, key);
        let found = from.lookups.get(key).await;
        #[cfg(feature = "planted-faults")]
        let found = crate::planted::without_its_checkpoint(found, &from.lookups, key).await;
        match found {
            // It may be there and lack its first event.
            Ok(Found { value: None, parked: Some(parked), .. }) => {
                Err(Failure::Incomplete { projection: from.projection, parked })
            }
            Ok(found) => Ok(Look {
                position: found.position,
                shard: unit.shard,
                may_be_stale: found.may_be_stale,
                parked: found.parked,
                value: found.value,
            }),
            Err(error) => Err(self.missed(std::iter::once(unit), error).await),
        }
    }

    /// Tells the projector of what is lost: it would find out by itself, but later.
    async fn missed(&self, units: impl Iterator<Item = Unit>, error: tally_read_model::Error) -> Failure {
        if error == tally_read_model::Error::Lost {
            for unit in units {
                if let Err(error) = self.model.ring_missed(unit).await {
                    tracing::debug!(%error, "the projector can't be told of a lost view");
                }
            }
        }
        error.into()
    }

    async fn read<T: Send, F>(
        &self,
        from: &Watched,
        asked: &ReadAfter,
        time_left: Option<Duration>,
        look: impl Fn() -> F + Send + Sync,
        has_it: Option<impl Fn(&T) -> Result<bool, Failure> + Send + Sync>,
    ) -> Result<Answer<T>, Failure>
    where
        F: Future<Output = Result<Look<T>, Failure>> + Send,
    {
        let begun = Instant::now();
        let time_left = time_left.map_or(CALL_MAX, |left| left.min(CALL_MAX));
        let wait = asked.timeout.min(time_left - LAST_LOOK_MAX.min(time_left / 4));
        let is_asked_for = asked.after != After::Nothing;
        let mut wait = LimitedWait::new(begun + wait, &self.waiting, &self.stopping, is_asked_for);
        timeout_at(begun + time_left, self.read_in_time(from, asked, &mut wait, look, has_it))
            .await
            .unwrap_or(Err(Failure::StoreUnavailable))
    }

    async fn read_in_time<T: Send, F>(
        &self,
        from: &Watched,
        asked: &ReadAfter,
        wait: &mut LimitedWait<'_>,
        look: impl Fn() -> F + Send + Sync,
        has_it: Option<impl Fn(&T) -> Result<bool, Failure> + Send + Sync>,
    ) -> Result<Answer<T>, Failure>
    where
        F: Future<Output = Result<Look<T>, Failure>> + Send,
    {
        let mut may_be_stale = false;
        let wanted = match &asked.after {
            After::Nothing => 0,
            After::Position(position) => *position,
            After::Token(token) => {
                self.refuse_other_log(token).await?;
                token.position
            }
            After::StreamVersion { stream_id, version } => {
                match self.version_seen((stream_id, *version), (from, &look, has_it.as_ref()), wait).await? {
                    VersionSeen::InItself(seen) => return self.answer(from, asked, seen, 0, false).await,
                    VersionSeen::At(position) => position,
                    VersionSeen::NotYet { position } if asked.fail_on_timeout => {
                        let wanted = Wanted::StreamVersion { stream_id: stream_id.clone(), version: *version };
                        return Err(Failure::NotYetVisible { projection: self.streams.projection, position, wanted });
                    }
                    VersionSeen::NotYet { .. } => {
                        may_be_stale = true;
                        0
                    }
                }
            }
        };
        let (seen, reached) = self.settle(from, wait, look, |seen| (seen.position < wanted).then_some(wanted)).await?;
        // There may have been no log when the wait began.
        if let After::Token(token) = &asked.after {
            self.refuse_other_log(token).await?;
        }
        if !reached && asked.fail_on_timeout {
            let wanted = Wanted::Position(wanted);
            return Err(Failure::NotYetVisible { projection: from.projection, position: seen.position, wanted });
        }
        self.answer(from, asked, seen, wanted, may_be_stale || !reached).await
    }

    async fn answer<T>(
        &self,
        from: &Watched,
        asked: &ReadAfter,
        seen: Look<T>,
        wanted: u64,
        may_be_stale: bool,
    ) -> Result<Answer<T>, Failure> {
        if let Some(parked) = seen.parked
            && asked.fail_on_timeout
            && wanted >= parked
        {
            return Err(Failure::Incomplete { projection: from.projection, parked });
        }
        let may_be_stale = may_be_stale || seen.may_be_stale;
        if may_be_stale {
            METRICS.stale(from.projection);
        }
        let freshness = self.freshness(seen.position, may_be_stale, seen.parked).await?;
        Ok(Answer { value: seen.value, freshness })
    }

    /// Looks until `behind` no longer names a position to wait for, or the wait is over; says which of both it was.
    async fn settle<T: Send, F>(
        &self,
        from: &Watched,
        wait: &mut LimitedWait<'_>,
        look: impl Fn() -> F + Send + Sync,
        behind: impl Fn(&Look<T>) -> Option<u64> + Send + Sync,
    ) -> Result<(Look<T>, bool), Failure>
    where
        F: Future<Output = Result<Look<T>, Failure>> + Send,
    {
        loop {
            let seen = match self.look_once(wait, &look).await {
                Err(Failure::Recovering { shard, complete_from }) if wait.is_asked_for && !wait.is_over() => {
                    wait.for_position(Place { from, shard, position: complete_from }).await?;
                    continue;
                }
                seen => seen?,
            };
            let Some(wanted) = behind(&seen) else { return Ok((seen, true)) };
            if wait.is_over() {
                return Ok((seen, false));
            }
            wait.for_position(Place { from, shard: seen.shard, position: wanted }).await?;
        }
    }

    async fn look_once<T, F>(&self, wait: &LimitedWait<'_>, look: impl Fn() -> F) -> Result<Look<T>, Failure>
    where
        F: Future<Output = Result<Look<T>, Failure>>,
    {
        let _room = self.room(wait).await?;
        let _counted = Counted::in_gauge(&METRICS.reading);
        look().await
    }

    /// Room for one more read. Who has waited already waits for that too: a ring may wake more at once than may read at once.
    async fn room(&self, wait: &LimitedWait<'_>) -> Result<SemaphorePermit<'_>, Failure> {
        let room = if wait.has_begun() { self.reading.acquire().await.ok() } else { self.reading.try_acquire().ok() };
        room.ok_or(Failure::Overloaded { limit: "reads_in_flight_max" })
    }

    async fn log_id(&self) -> Result<Option<Uuid>, Failure> {
        match self.known_log_id() {
            Some(log_id) => Ok(Some(log_id)),
            None => Ok(self.refresh_log_id().await?),
        }
    }

    async fn refuse_other_log(&self, token: &Token) -> Result<(), Failure> {
        match self.log_id().await? {
            Some(log_id) if is_of_another_log(token, log_id) => Err(Failure::TokenOfAnotherLog),
            Some(_) | None => Ok(()),
        }
    }

    /// What an answer as of this position says of its age.
    pub(crate) async fn freshness(
        &self,
        position: u64,
        may_be_stale: bool,
        parked: Option<u64>,
    ) -> Result<Freshness, Failure> {
        let token = self.log_id().await?.map_or(BEFORE_ANY_LOG, |log_id| Token { log_id, position });
        let number = |position| i64::try_from(position).map_err(|_| Failure::Unreadable);
        let (position, parked_position) = (number(position)?, number(parked.unwrap_or(0))?);
        let may_be_stale = may_be_stale || parked.is_some();
        #[cfg(feature = "planted-faults")]
        let may_be_stale = crate::planted::flag(may_be_stale);
        Ok(Freshness { position, may_be_stale, token: token.encode(), parked_position })
    }
}

/// Whether it can be a message at all: that its fields follow each other to its end. What a view says is the projector's matter; this is against
/// what was never a view, and costs next to nothing.
pub(crate) fn check(view: &Bytes) -> Result<(), Failure> {
    let mut rest = view.as_ref();
    while !rest.is_empty() {
        let skipped = prost::encoding::decode_key(&mut rest)
            .and_then(|(tag, wire_type)| prost::encoding::skip_field(wire_type, tag, &mut rest, Default::default()));
        skipped.map_err(|error| {
            tracing::error!(%error, "a view is no message");
            Failure::Unreadable
        })?;
    }
    Ok(())
}

/// A view from its stored form.
pub(crate) fn decode<M: Message + Default>(view: Bytes) -> Result<M, Failure> {
    M::decode(view).map_err(|error| {
        tracing::error!(%error, "a view can't be decoded");
        Failure::Unreadable
    })
}
