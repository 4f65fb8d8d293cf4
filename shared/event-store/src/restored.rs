//! After a log was restored from a backup.
//!
//! The hazard: the restored log ends before positions that were handed out, and gives them out again, to other events. A token from the lost
//! time would then be taken for one that is satisfied, and views of lost events for views of what came in their place. So a restored log is
//! another log: it gets an identity of its own, and whoever carries the old one is told so by name.

use sqlx::ConnectOptions;
use tracing::info;
use uuid::Uuid;

use crate::connection::connect_options;
use crate::error::Error;
use crate::log_name::LogName;

/// Gives the log a new identity. As its owner, and while nobody appends: who knows the old one goes on with it until restarted.
pub async fn renew_identity(database_url: &str, log: &LogName) -> Result<Uuid, Error> {
    let mut connection = connect_options(database_url, log)?.connect().await?;
    let log_id: Uuid = sqlx::query_scalar("UPDATE log_head SET log_id = gen_random_uuid() RETURNING log_id")
        .fetch_one(&mut connection)
        .await?;
    // Of another log's views.
    sqlx::query("DELETE FROM reached").execute(&mut connection).await?;
    info!(%log, %log_id, "the log has a new identity");
    Ok(log_id)
}
