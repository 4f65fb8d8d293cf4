//! A batch turned into the columns of the appending statement.

use std::collections::HashMap;
use std::rc::Rc;

use uuid::Uuid;

use crate::batch::{Basis, Batch, Guard, NO_GROUP, NewCommand};
use crate::event::{signed, to_json};

/// The rows of the statement's three sets of arrays, borrowed from the batch.
pub(super) struct Columns<'b> {
    pub(super) events: Vec<EventRow<'b>>,
    pub(super) commands: Vec<CommandRow<'b>>,
    pub(super) guards: Vec<GuardRow<'b>>,
}

pub(super) struct EventRow<'b> {
    pub(super) stream_id: &'b str,
    pub(super) version: i64,
    pub(super) event_type: &'static str,
    pub(super) payload: &'b str,
    pub(super) metadata: Rc<str>,
    pub(super) command_id: Uuid,
}

/// A command that is remembered: for its events, or for what it found.
pub(super) struct CommandRow<'b> {
    pub(super) command_id: Uuid,
    pub(super) content_hash: &'b [u8],
    pub(super) event_count: i32,
    /// How far into the batch its last event is; without events, the least position it may be given.
    pub(super) position: i64,
    /// Only without events, this and what follows.
    pub(super) stream_id: Option<&'b str>,
    pub(super) version: Option<i64>,
    pub(super) standing: Option<&'b str>,
}

pub(super) struct GuardRow<'b> {
    pub(super) stream_id: &'b str,
    pub(super) version: i64,
}

/// The groups of the rows above, and what they rest on.
pub(super) struct Groups<'b> {
    pub(super) basis: Vec<BasisRow<'b>>,
    pub(super) of_events: Vec<i32>,
    pub(super) of_commands: Vec<i32>,
    pub(super) of_guards: Vec<i32>,
}

pub(super) struct BasisRow<'b> {
    pub(super) stream_id: &'b str,
    pub(super) version: i64,
    pub(super) group: i32,
}

/// The versions that a batch appends to a stream.
struct Written {
    first: i64,
    last: i64,
}

impl<'b> Columns<'b> {
    /// Fails on what the log cannot hold, which only a bug can ask for.
    pub(super) fn of(batch: &'b Batch) -> Result<Self, sqlx::Error> {
        let mut columns = Self { events: Vec::new(), commands: Vec::new(), guards: Vec::new() };
        for command in &batch.commands {
            columns.add(command)?;
        }
        let written = columns.written()?;
        columns.add_guards(&batch.guards, &written)?;
        Ok(columns)
    }

    fn add(&mut self, command: &'b NewCommand) -> Result<(), sqlx::Error> {
        let event_count = i32::try_from(command.events.len()).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let metadata: Rc<str> = to_json(&command.metadata)?.into();
        for event in &command.events {
            self.events.push(EventRow {
                stream_id: &event.stream_id,
                version: signed(event.version)?,
                event_type: event.event_type,
                payload: &event.payload,
                metadata: Rc::clone(&metadata),
                command_id: command.command_id,
            });
        }
        let remembered = CommandRow {
            command_id: command.command_id,
            content_hash: &command.content_hash,
            event_count,
            position: signed(self.events.len() as u64)?,
            stream_id: None,
            version: None,
            standing: None,
        };
        match &command.unchanged {
            Some(_) if event_count > 0 => return Err(impossible("a command with events also changed nothing")),
            Some(unchanged) => self.commands.push(CommandRow {
                position: signed(unchanged.position)?,
                stream_id: Some(&unchanged.stream_id),
                version: Some(signed(unchanged.version)?),
                standing: Some(&unchanged.standing),
                ..remembered
            }),
            None if event_count > 0 => self.commands.push(remembered),
            None => {}
        }
        Ok(())
    }

    /// Checks what the statement does not: that the versions of a stream are appended in their order. That there is no gap
    /// in them, it does.
    fn written(&self) -> Result<HashMap<&'b str, Written>, sqlx::Error> {
        let mut written: HashMap<&str, Written> = HashMap::with_capacity(self.events.len());
        for &EventRow { stream_id, version, .. } in &self.events {
            if version < 1 {
                return Err(impossible("versions count from 1"));
            }
            let versions = written.entry(stream_id).or_insert(Written { first: version, last: version });
            if version < versions.last {
                return Err(impossible("a stream's versions are not in order"));
            }
            versions.last = version;
        }
        Ok(written)
    }

    /// Leaves out the guards that the batch's own events answer for: the statement checks that those follow what is
    /// there, and their decisions were taken one after another.
    fn add_guards(&mut self, guards: &'b [Guard], written: &HashMap<&str, Written>) -> Result<(), sqlx::Error> {
        for Guard { stream_id, version } in guards {
            let version = signed(*version)?;
            let passed = |versions: &Written| (versions.first - 1..=versions.last).contains(&version);
            if !written.get(stream_id.as_str()).is_some_and(passed) {
                self.guards.push(GuardRow { stream_id, version });
            }
        }
        Ok(())
    }
}

impl<'b> Groups<'b> {
    pub(super) fn of(batch: &'b Batch, columns: &Columns<'b>, basis: &'b [Basis]) -> Result<Self, sqlx::Error> {
        let by_stream: HashMap<&str, i32> = basis.iter().map(|basis| (basis.stream_id.as_str(), basis.group)).collect();
        let of = |stream_id| by_stream.get(stream_id).copied().ok_or_else(|| impossible("a stream without a group"));
        let remembered =
            batch.commands.iter().filter(|command| !command.events.is_empty() || command.unchanged.is_some());
        let of_command = |command: &'b NewCommand| match command.events.first() {
            Some(event) => of(event.stream_id.as_str()),
            None => Ok(NO_GROUP),
        };
        let row = |basis: &'b Basis| {
            Ok(BasisRow { stream_id: &basis.stream_id, version: signed(basis.version)?, group: basis.group })
        };
        Ok(Self {
            basis: basis.iter().map(row).collect::<Result<_, sqlx::Error>>()?,
            of_events: columns.events.iter().map(|row| of(row.stream_id)).collect::<Result<_, _>>()?,
            of_commands: remembered.map(of_command).collect::<Result<_, _>>()?,
            of_guards: columns.guards.iter().map(|row| of(row.stream_id)).collect::<Result<_, _>>()?,
        })
    }
}

fn impossible(what: &'static str) -> sqlx::Error {
    sqlx::Error::Encode(what.into())
}
