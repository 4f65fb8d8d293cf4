//! Taking a batch to Postgres: the append, then a look at what the refusals in it rest on.

use std::collections::{HashMap, HashSet};

use tally_domain::StreamId;
use tally_event_store::{
    AppendStore, Appended, Batch, Error, Guard, NewCommand, NewEvent, News, StoredCommand, Unchanged, append,
};
use uuid::Uuid;

use super::decide::{Decided, Verdict};
use super::groups::groups;
use super::hold::CATCH_UP_EVENTS_MAX;
use super::replay;
use crate::metrics::METRICS;

/// A batch that came back.
#[derive(Debug)]
pub(super) struct Settled {
    /// Without what was left out.
    pub(super) decided: Vec<Decided>,
    pub(super) result: Result<Checked, append::Error>,
}

/// What Postgres said.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// None when there was nothing to append.
    pub(super) appended: Option<Appended>,
    /// Streams that aren't at the version on which a command was refused or found to change nothing.
    pub(super) stale: HashSet<StreamId>,
    /// Commands without events that came before.
    pub(super) known: HashMap<Uuid, StoredCommand>,
    /// Where what did not fit was to be left out: that, and what others appended.
    pub(super) beside: Option<Beside>,
}

/// What others did to a batch.
#[derive(Debug)]
pub(super) struct Beside {
    /// What was decided on streams that moved, or has to do with what was, in order.
    pub(super) left_out: Vec<Decided>,
    /// What came into the log since it was looked at last, before the batch.
    pub(super) news: News,
}

/// Appends what the batch decided, in one commit, and checks what it only said.
pub(super) async fn settle(store: AppendStore, decided: Vec<Decided>) -> Settled {
    let result = append_and_check(&store, &decided).await;
    Settled { decided, result }
}

async fn append_and_check(store: &AppendStore, decided: &[Decided]) -> Result<Checked, append::Error> {
    let batch = to_batch(decided);
    let mut checked = Checked::default();
    if !batch.commands.is_empty() {
        METRICS.batch(&batch);
        let commit = METRICS.commit_seconds.start_timer();
        #[cfg(not(feature = "planted-faults"))]
        let appended = store.append(batch).await?;
        #[cfg(feature = "planted-faults")]
        let appended = crate::planted::append(store, batch).await?;
        checked.appended = Some(appended);
        commit.observe_duration();
    }
    check_said(store, decided, &mut checked).await?;
    Ok(checked)
}

/// As `settle`, but what does not fit any more is left out, of a log that was looked at up to `seen`.
pub(super) async fn settle_fitting(store: AppendStore, mut decided: Vec<Decided>, seen: u64) -> Settled {
    let batch = to_batch(&decided);
    if batch.commands.is_empty() {
        return settle(store, decided).await;
    }
    METRICS.batch(&batch);
    let commit = METRICS.commit_seconds.start_timer();
    let (basis, groups) = groups(&decided);
    let fitted = match store.append_fitting(batch, basis, seen, CATCH_UP_EVENTS_MAX).await {
        Ok(fitted) => fitted,
        Err(error) => return Settled { decided, result: Err(error) },
    };
    commit.observe_duration();
    let mut left_out = Vec::new();
    if !fitted.left_out.is_empty() {
        let all = std::mem::take(&mut decided);
        for (group, item) in groups.into_iter().zip(all) {
            match fitted.left_out.contains(&group) {
                true => left_out.push(item),
                false => decided.push(item),
            }
        }
    }
    let mut checked = Checked { appended: Some(fitted.appended), ..Checked::default() };
    let result = match check_said(&store, &decided, &mut checked).await {
        Ok(()) => Ok(Checked { beside: Some(Beside { left_out, news: fitted.news }), ..checked }),
        Err(error) => {
            decided.extend(left_out);
            Err(error.into())
        }
    };
    Settled { decided, result }
}

/// Looks at what the batch only said.
async fn check_said(store: &AppendStore, decided: &[Decided], checked: &mut Checked) -> Result<(), Error> {
    let (witnesses, ids) = said_only(decided);
    if !witnesses.is_empty() {
        checked.stale = stale(store, witnesses).await?;
    }
    if !ids.is_empty() {
        checked.known = store.find_commands(&ids).await?.into_iter().map(|known| (known.command_id, known)).collect();
    }
    Ok(())
}

/// What is to be stored of the batch.
pub(super) fn to_batch(decided: &[Decided]) -> Batch {
    let mut commands = Vec::with_capacity(decided.len());
    let mut guards = HashSet::new();
    for item in decided {
        let submission = &item.ticket.submission;
        let (events, unchanged) = match &item.verdict {
            Verdict::Append { events, .. } => {
                let only_read = item.basis.iter().filter(|(id, _)| events.iter().all(|event| event.stream != *id));
                guards.extend(only_read.map(|(id, version)| (id.to_string(), *version)));
                let events = events
                    .iter()
                    .map(|placed| NewEvent {
                        stream_id: placed.stream.to_string(),
                        version: placed.version,
                        event_type: placed.event.event_type(),
                        payload: placed.event.payload(),
                    })
                    .collect();
                (events, None)
            }
            Verdict::Remember { stream, version, position, standing } => {
                let unchanged = Unchanged {
                    stream_id: stream.to_string(),
                    version: *version,
                    position: position.unwrap_or(0),
                    standing: replay::encode_standing(standing),
                };
                (Vec::new(), Some(unchanged))
            }
            Verdict::Unchanged { .. } | Verdict::Refused(_) => continue,
        };
        commands.push(NewCommand {
            command_id: submission.command_id,
            content_hash: item.ticket.content_hash,
            metadata: submission.metadata.clone(),
            events,
            unchanged,
        });
    }
    let guards = guards.into_iter().map(|(stream_id, version)| Guard { stream_id, version }).collect();
    Batch { commands, guards }
}

/// What the batch's answers without events rest on, and the ids under which they may have come before.
pub(super) fn said_only(decided: &[Decided]) -> (HashMap<&StreamId, u64>, Vec<Uuid>) {
    let written = written(decided);
    let mut witnesses = HashMap::new();
    let mut ids = Vec::new();
    for item in decided {
        match &item.verdict {
            Verdict::Unchanged { .. } | Verdict::Refused(_) => {
                let only_read = item.basis.iter().filter(|(id, _)| !written.contains(id));
                // Of two versions the older one: it is not the stored one, then, and both are decided again.
                for (id, version) in only_read {
                    witnesses.entry(id).or_insert(*version);
                }
                if item.ticket.is_repeatable() {
                    ids.push(item.ticket.submission.command_id);
                }
            }
            Verdict::Append { .. } | Verdict::Remember { .. } => {}
        }
    }
    (witnesses, ids)
}

/// The streams that the batch writes. The append checks their versions, so nobody else has to.
fn written(decided: &[Decided]) -> HashSet<&StreamId> {
    decided
        .iter()
        .flat_map(|item| match &item.verdict {
            Verdict::Append { events, .. } => events.as_slice(),
            Verdict::Unchanged { .. } | Verdict::Remember { .. } | Verdict::Refused(_) => &[],
        })
        .map(|placed| &placed.stream)
        .collect()
}

async fn stale(store: &AppendStore, witnesses: HashMap<&StreamId, u64>) -> Result<HashSet<StreamId>, Error> {
    let (ids, versions): (Vec<&StreamId>, Vec<u64>) = witnesses.into_iter().unzip();
    let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let stored = store.versions(&names).await?;
    let moved = ids.into_iter().zip(versions).zip(stored).filter(|((_, known), stored)| known != stored);
    Ok(moved.map(|((id, _), _)| id.clone()).collect())
}
