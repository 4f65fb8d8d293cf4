//! Tables for people, JSON for programs.

use std::io::Write;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Value, json};
use tally_api::projections::v1::{ListProjectionsResponse, Projection, ProjectionParkedEvent, Rebuild};

use crate::explain::Explanation;
use crate::verify::{Sum, Verified};

/// Writes a line on standard output. That nobody reads it any more is no error.
pub(super) fn line(text: &str) -> anyhow::Result<()> {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
    Ok(())
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    table
}

/// How all projections are.
pub(super) fn show(as_json: bool, all: &ListProjectionsResponse) -> anyhow::Result<()> {
    if as_json {
        for projection in &all.projections {
            line(&projection_json(projection).to_string())?;
        }
        return Ok(());
    }
    let mut rows =
        table(&["projection", "state", "gen", "version", "checkpoint", "head", "lag", "events/s", "parked", "owner"]);
    for it in &all.projections {
        let owners: Vec<&str> = it.shards.iter().map(|shard| shard.owner.as_str()).collect();
        let mut owners: Vec<&str> = owners.into_iter().filter(|owner| !owner.is_empty()).collect();
        owners.sort_unstable();
        owners.dedup();
        rows.add_row([
            it.name.clone(),
            state(it),
            it.generation.to_string(),
            it.version.to_string(),
            it.checkpoint.to_string(),
            it.head.to_string(),
            format!("{} ({:.1} s)", it.lag_events, seconds(it.lag.as_ref())),
            format!("{:.0}", it.events_per_second),
            it.parked_events.to_string(),
            owners.join(" "),
        ]);
    }
    line(&rows.to_string())?;
    for it in &all.projections {
        if !it.reason.is_empty() {
            line(&format!("{}: {}", it.name, it.reason))?;
        }
        if let Some(rebuild) = &it.rebuild {
            line(&format!(
                "{}: generation {} is built, {} of {} events, {:.0} events/s",
                it.name, rebuild.generation, rebuild.done_events, rebuild.total_events, rebuild.events_per_second
            ))?;
        }
        for loss in it.losses.iter().take(1) {
            line(&format!(
                "{}: the last loss, in shard {} at position {}: {}",
                it.name, loss.shard, loss.position, loss.description
            ))?;
        }
    }
    line(&format!("{} read shard(s), projectors: {}", all.read_shards, all.projectors.join(" ")))
}

/// Why a projection is behind.
pub(super) fn explanation(as_json: bool, it: &Explanation, facts: Option<&Projection>) -> anyhow::Result<()> {
    if as_json {
        let facts = facts.map(projection_json);
        return line(&json!({ "reason": it.reason, "explanation": it.sentence, "facts": facts }).to_string());
    }
    line(&it.sentence)
}

/// Parked events.
pub(super) fn parked(as_json: bool, events: &[ProjectionParkedEvent]) -> anyhow::Result<()> {
    let found = events.iter().filter_map(|it| it.event.as_ref().map(|event| (&it.projection, event)));
    if as_json {
        for (projection, event) in found {
            let value = json!({
                "projection": projection, "position": event.position, "view": event.view, "stream_id": event.stream_id,
                "stream_version": event.stream_version, "event_type": event.event_type, "reason": event.reason,
                "waits_behind": event.waits_behind, "shard": event.shard,
            });
            line(&value.to_string())?;
        }
        return Ok(());
    }
    if events.is_empty() {
        return line("no event is parked");
    }
    let mut rows = table(&["projection", "position", "view", "stream", "event", "why"]);
    for (projection, event) in found {
        rows.add_row([
            projection.clone(),
            event.position.to_string(),
            event.view.clone(),
            format!("{} at {}", event.stream_id, event.stream_version),
            event.event_type.clone(),
            event.reason.clone(),
        ]);
    }
    line(&rows.to_string())
}

/// What `verify` found.
pub(super) fn verified(as_json: bool, all: &[Verified]) -> anyhow::Result<()> {
    let sum = |it: &Verified| match it.views {
        Sum::Right => "right",
        Sum::Wrong => "wrong",
        Sum::Unknown => "unknown",
    };
    if as_json {
        for it in all {
            let value = json!({
                "projection": it.unit.projection, "shard": it.unit.shard, "position": it.position,
                "differing": it.differing, "views": sum(it), "right": it.is_right(),
            });
            line(&value.to_string())?;
        }
        return Ok(());
    }
    let mut rows = table(&["projection", "shard", "up to", "events", "views"]);
    for it in all {
        let places: Vec<String> = it.differing.iter().map(|(from, to)| format!("{from}–{to}")).collect();
        let events =
            if places.is_empty() { "as in the log".to_owned() } else { format!("differ: {}", places.join(", ")) };
        let shard = it.unit.shard.to_string();
        rows.add_row([it.unit.projection.to_owned(), shard, it.position.to_string(), events, sum(it).to_owned()]);
    }
    line(&rows.to_string())
}

/// A rebuild as one JSON value.
pub(crate) fn rebuild_json(it: &Rebuild) -> Value {
    let comparison = it.comparison.as_ref().map(|found| {
        let sample = found.sample.iter().map(|it| json!({ "view": it.view, "description": it.description }));
        json!({ "views": found.views, "differing_views": found.differing_views, "sample": sample.collect::<Vec<_>>() })
    });
    json!({
        "generation": it.generation, "version": it.version, "done_events": it.done_events, "total_events": it.total_events,
        "events_per_second": it.events_per_second, "time_left_seconds": it.time_left.as_ref().map(|left| seconds(Some(left))),
        "waits_for_promotion": it.waits_for_promotion, "caught_up": it.caught_up, "comparison": comparison,
    })
}

fn projection_json(it: &Projection) -> Value {
    let shards = it.shards.iter().map(|shard| {
        json!({
            "shard": shard.shard, "owner": shard.owner, "build": shard.build, "checkpoint": shard.checkpoint,
            "complete_from": shard.complete_from, "parked_events": shard.parked_events, "views": shard.views,
            "repaired_to": shard.repaired_to,
        })
    });
    let losses = it.losses.iter().map(|loss| {
        json!({ "kind": loss.kind, "description": loss.description, "shard": loss.shard, "position": loss.position })
    });
    json!({
        "name": it.name, "state": state(it), "reason": it.reason, "generation": it.generation, "version": it.version,
        "program_version": it.program_version, "checkpoint": it.checkpoint, "head": it.head, "lag_events": it.lag_events,
        "lag_seconds": seconds(it.lag.as_ref()), "events_per_second": it.events_per_second,
        "parked_events": it.parked_events, "shards": shards.collect::<Vec<_>>(),
        "rebuild": it.rebuild.as_ref().map(rebuild_json), "kept_generation": it.kept_generation,
        "losses": losses.collect::<Vec<_>>(),
    })
}

/// `CAUGHT_UP`.
fn state(it: &Projection) -> String {
    let name = it.state().as_str_name();
    name.strip_prefix("PROJECTION_STATE_").unwrap_or(name).to_owned()
}

fn seconds(duration: Option<&prost_types::Duration>) -> f64 {
    duration.map_or(0.0, |it| it.seconds as f64 + f64::from(it.nanos) / 1e9)
}
