//! The spans of a batch: one of its own, and one in the trace of each command that is followed, so that the command's trace shows when its
//! events became visible.

use std::sync::Arc;
use std::time::SystemTime;

use tally_runtime::trace::{Kind, Span, TraceContext};

use crate::Recorded;

/// Commands of one batch whose traces are told.
const COMMANDS_MAX: usize = 64;

/// Tells the traces of the commands in `events` that `projection` has applied them, beginning at `began`.
pub(crate) fn traced(projection: &'static str, began: SystemTime, events: &[Arc<Recorded>]) {
    let mut commands: Vec<(TraceContext, u64)> = Vec::new();
    let mut last = None;
    for event in events {
        let Some(context) = event.trace.filter(|_| last != Some(event.command_id)) else { continue };
        last = Some(event.command_id);
        commands.push((context, event.position));
        if commands.len() == COMMANDS_MAX {
            break;
        }
    }
    if commands.is_empty() {
        return;
    }
    let links: Vec<TraceContext> = commands.iter().map(|(context, _)| *context).collect();
    let mut batch = Span::since(began, format!("apply to {projection}"), Kind::Consumer, None, &links);
    batch.set("tally.projection", projection);
    batch.set("tally.batch.events", i64::try_from(events.len()).unwrap_or(i64::MAX));
    let batch = batch.context();
    for (context, position) in commands {
        let link = batch.as_slice();
        let mut span = Span::since(began, format!("project {projection}"), Kind::Consumer, Some(context), link);
        span.set("tally.projection", projection);
        span.set("tally.position", i64::try_from(position).unwrap_or(i64::MAX));
    }
}
