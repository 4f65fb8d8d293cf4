//! Forgetting commands whose window is over. Any number of replicas may be at it; one at a time gets to.

use std::time::Duration;

use tally_event_store::AppendStore;

/// Between looks for commands to forget.
const INTERVAL: Duration = Duration::from_secs(60);
/// Positions gone through in one statement, so that each is short.
const POSITIONS_MAX: u32 = 10_000;
/// Between statements, so that appends come first: still several times as fast as commands can come in.
const PAUSE: Duration = Duration::from_millis(50);

/// Forgets commands that are older than `window`, for ever.
pub(crate) async fn forget_commands(store: AppendStore, window: Duration) {
    let mut looks = tokio::time::interval(INTERVAL);
    loop {
        looks.tick().await;
        loop {
            match store.prune_commands(window, POSITIONS_MAX).await {
                Ok(0) => break,
                Ok(positions) => tracing::debug!(positions, "forgot the commands of old events"),
                Err(error) => {
                    tracing::warn!(%error, "old commands are not forgotten yet");
                    break;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
