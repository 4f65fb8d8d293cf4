use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::sleep;

use crate::logged::log_tail;
use crate::screen::Screen;
use crate::service::Service;

/// Restarts in a row, each after a short life.
const RESTARTS_MAX: u32 = 6;
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Whoever ran that long is not in a row of crashes.
const LONG_LIFE: Duration = Duration::from_secs(60);

/// When to start again what has ended, and when to give up.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    in_a_row: u32,
}

impl Restarts {
    /// How long to wait before the next start; None: give up.
    pub(crate) fn after_running(&mut self, ran: Duration) -> Option<Duration> {
        if ran >= LONG_LIFE {
            self.in_a_row = 0;
        }
        if self.in_a_row == RESTARTS_MAX {
            return None;
        }
        let pause = PAUSE_MIN * 2u32.pow(self.in_a_row);
        self.in_a_row += 1;
        Some(pause.min(PAUSE_MAX))
    }
}

/// Starts a service again whenever it has ended, and shows it. Returns only when it gives up.
pub(crate) async fn keep_running(service: &Service, screen: &Screen) -> Result<()> {
    let mut restarts = Restarts::default();
    let mut began = Instant::now();
    let mut how = service.ended().await;
    loop {
        let pause = restarts.after_running(began.elapsed());
        let pause =
            pause.with_context(|| format!("{} {how} again and again:\n{}", service.name, log_tail(&service.log)))?;
        screen.line(&format!("! {} {how}: starting it again in {:.1} s", service.name, pause.as_secs_f64()));
        sleep(pause).await;
        began = Instant::now();
        how = match service.start().await {
            Ok(()) => {
                screen.line(&format!("✓ {} is back", service.name));
                service.ended().await
            }
            Err(error) => {
                screen.line(&format!("! {error:#}"));
                service.stop().await?;
                "could not be started".to_owned()
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_in_giving_up() {
        let mut restarts = Restarts::default();
        let pauses: Vec<_> = std::iter::from_fn(|| restarts.after_running(Duration::from_secs(1))).collect();
        assert_eq!(pauses.len(), RESTARTS_MAX as usize);
        assert!(pauses.is_sorted() && pauses.iter().all(|pause| *pause <= PAUSE_MAX));
    }

    #[test]
    fn a_long_life_is_forgiven() {
        let mut restarts = Restarts::default();
        while restarts.after_running(Duration::ZERO).is_some() {}
        assert_eq!(restarts.after_running(LONG_LIFE), Some(PAUSE_MIN));
    }
}
