//! Appending with the head row held from before the first read.
//!
//! For who appends beside others: with the head held nobody can append, so what is read stays true until the commit and the
//! attempt cannot lose. It is a transaction with several statements, the very thing that must never be left open
//! in a pooled session, so its session goes back only after the commit. Dropping it closes the session, and the server rolls back; a
//! server that does not notice does so after `idle_in_transaction_session_timeout`.

use std::fmt;
use std::sync::Arc;

use sqlx::Executor;
use uuid::Uuid;

use crate::append::{self, Appended, News};
use crate::batch::Batch;
use crate::commands::{self, StoredCommand};
use crate::connection::{ExclusiveSession, Sessions, in_own_task};
use crate::error::Error;
use crate::event::signed;
use crate::load::{self, KnownStream, StoredStream};

/// The head of the log, held: nobody else appends until this appends or is dropped.
pub struct ExclusiveAppend {
    exclusive: ExclusiveSession,
    sessions: Arc<Sessions>,
    snapshot_format: i32,
    head: u64,
    news: Option<News>,
}

impl ExclusiveAppend {
    pub(crate) async fn begin(
        sessions: Arc<Sessions>,
        snapshot_format: i32,
        seen: u64,
        news_max: u64,
    ) -> Result<Self, sqlx::Error> {
        let mut exclusive = sessions.acquire_exclusive().await?;
        sessions.answer(exclusive.connection().execute("BEGIN")).await?;
        let take = sqlx::query_scalar::<_, Vec<String>>("SELECT take_head($1, $2)");
        let take = take.bind(signed(seen)?).bind(signed(news_max)?).fetch_one(exclusive.connection());
        let mut texts = sessions.answer(take).await?;
        let events = texts.split_off(1);
        let head: u64 = texts.first().and_then(|head| head.parse().ok()).ok_or_else(append::unreadable)?;
        let news = append::news(seen, events)?;
        let is_all = news.len() as u64 == head.saturating_sub(seen);
        Ok(Self { exclusive, sessions, snapshot_format, head, news: is_all.then_some(news) })
    }

    /// The position of the log's last event.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// All events that came after those that were known; none where those were too many. Only the first call gives them.
    pub fn take_news(&mut self) -> Option<News> {
        self.news.take()
    }

    /// As [`AppendStore::load`](crate::AppendStore::load); what is read stays true until the append.
    pub async fn load(&mut self, known: Vec<KnownStream>, events_max: usize) -> Result<Vec<StoredStream>, Error> {
        let load = load::load(self.exclusive.connection(), self.snapshot_format, &known, events_max);
        Ok(self.sessions.answer(load).await?)
    }

    /// As [`AppendStore::find_commands`](crate::AppendStore::find_commands).
    pub async fn find_commands(&mut self, command_ids: &[Uuid]) -> Result<Vec<StoredCommand>, Error> {
        let find = commands::find_commands(self.exclusive.connection(), command_ids);
        Ok(self.sessions.answer(find).await?)
    }

    /// Appends and commits. Once polled it goes on even if the future is dropped.
    pub async fn append(self, batch: Batch) -> Result<Appended, append::Error> {
        let Self { mut exclusive, sessions, .. } = self;
        let append = in_own_task(async move {
            let appended = sessions.answer(append::append(exclusive.connection(), &batch)).await?;
            sessions.answer(exclusive.connection().execute("COMMIT")).await?;
            sessions.put_back_exclusive(exclusive);
            Ok(appended)
        });
        Ok(append.await?)
    }
}

impl fmt::Debug for ExclusiveAppend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExclusiveAppend").field("head", &self.head).finish_non_exhaustive()
    }
}
