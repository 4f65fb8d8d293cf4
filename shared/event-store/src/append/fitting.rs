//! The same for a batch of which some may not fit any more, because others append, too: what fits is appended.

use std::collections::HashSet;

use sqlx::postgres::{PgArguments, PgBindIterExt};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row};

use super::columns::{Columns, Groups};
use super::{Appended, bind};
use crate::batch::{Basis, Batch};
use crate::event::signed;
use crate::load::LoadedEvent;

/// What became of a batch of which some may not have fitted, and what came before it.
#[derive(Debug)]
pub struct Fitted {
    /// Where the rest of it went.
    pub appended: Appended,
    /// The groups that were left out, because a stream of theirs has moved.
    pub left_out: HashSet<i32>,
    /// What others appended after the position that was known, by position, up to the batch.
    pub news: News,
}

/// Events with their streams, by position.
pub type News = Vec<(String, LoadedEvent)>;

const APPEND_FITTING: &str = "SELECT append_fitting($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
    $16, $17, $18, $19, $20, $21, $22, $23)";

/// As `append`, of what fits.
pub(crate) async fn append_fitting(
    connection: &mut PgConnection,
    batch: &Batch,
    basis: &[Basis],
    seen: u64,
    news_max: u64,
) -> Result<Fitted, sqlx::Error> {
    let (statement, of_events) = statement(batch, basis, signed(seen)?, signed(news_max)?)?;
    let row = statement.fetch_one(connection).await?;
    let mut texts = row.try_get::<Vec<String>, _>(0)?.into_iter();
    let mut number = || texts.next().and_then(|text| text.parse::<i64>().ok()).ok_or_else(unreadable);
    let last_position = u64::try_from(number()?).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let mut left_out = HashSet::new();
    for _ in 0..number()? {
        left_out.insert(i32::try_from(number()?).map_err(|error| sqlx::Error::Decode(error.into()))?);
    }
    let appended = of_events.iter().filter(|group| !left_out.contains(group)).count() as u64;
    let appended = Appended { first_position: last_position + 1 - appended, last_position };
    let news = news(seen, texts.collect())?;
    // Positions of news are counted.
    match seen + news.len() as u64 == appended.first_position - 1 {
        true => Ok(Fitted { appended, left_out, news }),
        false => Err(unreadable()),
    }
}

/// What `take_head` gives of events after a position.
pub(crate) fn news(seen: u64, mut texts: Vec<String>) -> Result<News, sqlx::Error> {
    let count = texts.len() / 4;
    let payloads = texts.split_off(3 * count);
    let types = texts.split_off(2 * count);
    let versions = texts.split_off(count);
    let events = texts.into_iter().zip(versions).zip(types.into_iter().zip(payloads)).zip(seen + 1..);
    let events = events.map(|(((stream_id, version), (event_type, payload)), position)| {
        let version = version.parse().map_err(|_| unreadable())?;
        Ok((stream_id, LoadedEvent { version, position, event_type, payload }))
    });
    events.collect()
}

pub(crate) fn unreadable() -> sqlx::Error {
    sqlx::Error::Decode("a function of the log gave something else than expected".into())
}

/// The statement, and the groups of its events.
fn statement(
    batch: &Batch,
    basis: &[Basis],
    seen: i64,
    news_max: i64,
) -> Result<(Query<'static, Postgres, PgArguments>, Vec<i32>), sqlx::Error> {
    let columns = Columns::of(batch)?;
    let Groups { basis, of_events, of_commands, of_guards } = Groups::of(batch, &columns, basis)?;
    let statement = sqlx::query(APPEND_FITTING)
        .bind(seen)
        .bind(news_max)
        .bind(basis.iter().map(|row| row.stream_id).bind_iter())
        .bind(basis.iter().map(|row| row.version).bind_iter())
        .bind(basis.iter().map(|row| row.group).bind_iter())
        .bind(of_events.iter().copied().bind_iter())
        .bind(of_commands.into_iter().bind_iter())
        .bind(of_guards.into_iter().bind_iter());
    Ok((bind(statement, columns), of_events))
}
