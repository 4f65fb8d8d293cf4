//! The log as it is stored, read past the product by the database's owner, and the rules that any log must keep.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sqlx::{PgPool, Row};
use time::OffsetDateTime;
use uuid::Uuid;

/// A row of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Its place in the log.
    pub position: i64,
    /// Its stream.
    pub stream_id: String,
    /// Its place in the stream.
    pub version: i64,
    /// What happened.
    pub event_type: String,
    /// The facts.
    pub payload: Value,
    /// The command that caused it.
    pub command_id: Uuid,
    /// On the first event of a command: how many it has.
    pub command_events: Option<i32>,
    /// When it was appended.
    pub recorded_at: OffsetDateTime,
    /// Where the command came from.
    pub metadata: Value,
}

impl StoredEvent {
    /// A fact that is a text; empty when absent.
    pub fn text(&self, name: &str) -> &str {
        self.payload[name].as_str().unwrap_or_default()
    }

    /// A fact that is a number.
    ///
    /// # Panics
    /// When it isn't one.
    pub fn number(&self, name: &str) -> i32 {
        let number = self.payload[name].as_i64().and_then(|number| i32::try_from(number).ok());
        number.unwrap_or_else(|| panic!("no number {name} in {self:?}"))
    }
}

/// A whole log.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Which log it is.
    pub id: Uuid,
    /// The last position, by the head row.
    pub head: i64,
    /// All events by position.
    pub events: Vec<StoredEvent>,
    /// The commands that changed nothing and are kept for their replay.
    pub unchanged: BTreeSet<Uuid>,
}

impl Log {
    /// Reads all of it as of one moment.
    ///
    /// # Panics
    /// When the database is away.
    pub async fn read(database: &PgPool) -> Self {
        Self::try_read(database).await.expect("the owner can read the log")
    }

    async fn try_read(database: &PgPool) -> Result<Self, sqlx::Error> {
        let mut transaction = database.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let (id, head) = sqlx::query_as("SELECT log_id, position FROM log_head").fetch_one(&mut *transaction).await?;
        let rows = sqlx::query(
            "SELECT e.position, e.stream_id, e.version, e.event_type, e.payload::jsonb, e.command_id, c.event_count, e.recorded_at, e.metadata::jsonb
             FROM events AS e
             LEFT JOIN commands AS c ON c.command_id = e.command_id AND c.position - c.event_count + 1 = e.position
             ORDER BY e.position",
        )
        .fetch_all(&mut *transaction)
        .await?;
        let event = |row: &sqlx::postgres::PgRow| -> Result<StoredEvent, sqlx::Error> {
            Ok(StoredEvent {
                position: row.try_get(0)?,
                stream_id: row.try_get(1)?,
                version: row.try_get(2)?,
                event_type: row.try_get(3)?,
                payload: row.try_get(4)?,
                command_id: row.try_get(5)?,
                command_events: row.try_get(6)?,
                recorded_at: row.try_get(7)?,
                metadata: row.try_get(8)?,
            })
        };
        let events = rows.iter().map(event).collect::<Result<_, _>>()?;
        let unchanged = sqlx::query_scalar("SELECT command_id FROM commands WHERE event_count = 0")
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Self { id, head, events, unchanged: unchanged.into_iter().collect() })
    }

    /// The events of one command.
    pub fn of_command(&self, command_id: Uuid) -> Vec<&StoredEvent> {
        self.events.iter().filter(|event| event.command_id == command_id).collect()
    }

    /// The ids of all commands in it that changed something, each once.
    pub fn commands(&self) -> BTreeSet<Uuid> {
        self.events.iter().map(|event| event.command_id).collect()
    }

    /// Checks that positions and versions are contiguous, that each command's events stand together, and that none is there twice.
    ///
    /// # Panics
    /// When the log breaks a rule.
    pub fn check(&self) {
        let positions = self.events.iter().map(|event| event.position);
        assert!(positions.eq(1..=self.head), "positions are not 1 to {}: {:?}", self.head, self.gaps());

        let mut versions: BTreeMap<&str, i64> = BTreeMap::new();
        for event in &self.events {
            let version = versions.entry(&event.stream_id).or_default();
            *version += 1;
            assert_eq!(event.version, *version, "a stream's versions are contiguous: {event:?}");
        }

        let mut seen = BTreeSet::new();
        let mut rest = self.events.as_slice();
        while let Some(first) = rest.first() {
            let count = first
                .command_events
                .unwrap_or_else(|| panic!("a command's first event says how many there are: {first:?}"));
            assert!(seen.insert(first.command_id), "a command is there twice: {first:?}");
            let count = usize::try_from(count).expect("a count");
            assert!((1..=rest.len()).contains(&count), "a command lacks events: {first:?}");
            let (command, after) = rest.split_at(count);
            for event in &command[1..] {
                assert_eq!(
                    (event.command_id, event.command_events),
                    (first.command_id, None),
                    "a command's events stand together: {event:?}"
                );
            }
            rest = after;
        }
        assert!(seen.is_disjoint(&self.unchanged), "a command both changed something and nothing");
    }

    fn gaps(&self) -> Vec<(i64, i64)> {
        let pairs = self.events.windows(2).map(|pair| (pair[0].position, pair[1].position));
        pairs.filter(|(one, next)| *next != one + 1).collect()
    }
}
