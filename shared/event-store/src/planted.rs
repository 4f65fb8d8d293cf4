//! A fault that is planted on purpose, for the crash kit to find: only with the feature, and only when the variable names it.

use std::env;

use crate::event::event_columns;

const TAIL_BELOW_OLDEST: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events AS e WHERE e.position > $1 AND e.xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
     ORDER BY e.position LIMIT $2"
);

/// Reads below the oldest running transaction of the cluster, whosever that is.
pub(crate) fn read_after(statement: &'static str) -> &'static str {
    let planted = env::var("TALLY_PLANTED_FAULT").is_ok_and(|name| name == "tail-below-oldest-transaction");
    if planted { TAIL_BELOW_OLDEST } else { statement }
}
