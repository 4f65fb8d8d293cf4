//! Waiting longer and longer between tries, up to a limit, for ever.

use std::time::Duration;

use tally_event_store::Error as LogError;
use tally_read_model::Error as ModelError;
use tokio::time::sleep;

use crate::alarm::Alarm;

const FIRST_WAIT: Duration = Duration::from_millis(50);

/// Waits between tries.
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    pub(crate) fn new(max: Duration) -> Self {
        Self { next: FIRST_WAIT.min(max), max }
    }

    pub(crate) async fn wait(&mut self) {
        sleep(self.next).await;
        self.next = (self.next * 2).min(self.max);
    }

    /// After a success.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.max);
    }
}

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A store is away, or set up wrong: the same again, later.
    #[error("{0}")]
    Passing(String),
    /// To go on would be wrong.
    #[error(transparent)]
    Alarm(#[from] Alarm),
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Self::Passing(format!("{error}{cause}"))
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Unavailable(_)
            | ModelError::Refused(_)
            | ModelError::Settings(_)
            | ModelError::NotBuilt { .. }
            | ModelError::Lost
            | ModelError::Layout { .. } => Self::Passing(error.to_string()),
            ModelError::Corrupt(_) => Self::Alarm(Alarm::ReadModel(error)),
            ModelError::ForeignLog => Self::Alarm(Alarm::ForeignReadModel),
        }
    }
}
