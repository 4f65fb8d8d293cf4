//! The loop of one unit, for as long as this process owns it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tally_read_model::{Bell, Role, Unit, Writer};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::alarm::Alarm;
use crate::conduct::Conductor;
use crate::metrics::METRICS;
use crate::report::{REPORT_LASTS, Rate, Report};
use crate::retry::{Backoff, Failure};
use crate::status::{Part, State, Status};
use crate::tail::Tail;
use crate::work::{Turn, Work};

/// How often a unit is looked after: its plan, whether Redis is there and lost nothing, whether the log still ends where it ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a unit that turns out to be somebody else's is left alone.
const NOT_OWNER_WAIT: Duration = Duration::from_millis(100);

/// Everything that the loop of a unit needs.
pub(crate) struct UnitRun {
    pub(crate) work: Work,
    pub(crate) conductor: Conductor,
    /// What the conductor does just now.
    pub(crate) conducting: Option<AbortOnDropHandle<Result<(), Failure>>>,
    pub(crate) writer: Writer,
    pub(crate) tail: Arc<Tail>,
    pub(crate) status: Status,
    pub(crate) retry_max: Duration,
    /// Rings when a plan changed.
    pub(crate) plans: Bell,
    /// Rings when a reader missed something.
    pub(crate) missed: Bell,
}

#[derive(Default)]
struct Rates {
    live: Rate,
    building: Rate,
}

impl UnitRun {
    /// Works for ever. What passes is tried again, from what the read model really holds then; ends with an alarm.
    pub(crate) async fn run(mut self) -> Alarm {
        let mut backoff = Backoff::new(self.retry_max);
        let mut rates = Rates::default();
        let mut head = self.tail.watch_head();
        loop {
            let ended = match self.follow(&mut head, &mut backoff, &mut rates).await {
                Err(Failure::Alarm(Alarm::ReadModel(_))) => self.work.damaged().await,
                outcome => outcome.map(|_| ()),
            };
            match ended {
                Ok(()) => {}
                Err(Failure::Alarm(alarm)) => {
                    self.report(&mut rates, &alarm.to_string(), true).await;
                    return alarm;
                }
                Err(Failure::Passing(reason)) => {
                    METRICS.retried(self.work.unit().projection);
                    self.report(&mut rates, &reason, false).await;
                    self.set(State::Waiting(reason));
                }
            }
            backoff.wait().await;
        }
    }

    async fn follow(
        &mut self,
        head: &mut watch::Receiver<u64>,
        backoff: &mut Backoff,
        rates: &mut Rates,
    ) -> Result<Infallible, Failure> {
        self.work.look_again();
        self.look_after(rates).await?;
        let mut looked_at = Instant::now();
        let mut stood = self.live_position();
        loop {
            let known_head = *head.borrow_and_update();
            let turn = self.work.turn().await?;
            backoff.reset();
            if let Some(seen) = self.work.seen()
                && (turn == Turn::Rest || stood != Some(seen.live.1.position))
            {
                let Unit { projection, shard } = self.work.unit();
                stood = Some(seen.live.1.position);
                METRICS.stands(projection, shard, seen.live.1.position, seen.live.0.generation);
            }
            self.sweep();
            if looked_at.elapsed() > LOOK_EVERY {
                self.look_after(rates).await?;
                looked_at = Instant::now();
            }
            match turn {
                Turn::Worked => continue,
                Turn::NotOwner => {
                    sleep(NOT_OWNER_WAIT).await;
                    self.work.look_again();
                    continue;
                }
                Turn::Rest | Turn::Paused | Turn::OtherVersion => self.show(turn),
            }
            if turn == Turn::Rest && self.live_position() != Some(known_head) {
                self.work.check_end().await?;
            }
            if self.is_conductor() && self.is_building() {
                // What has caught up is promoted now and not when the next second is over.
                self.conduct().await?;
            }
            tokio::select! {
                _ = head.changed() => {}
                _ = self.plans.next() => self.work.look_again(),
                _ = self.missed.next() => self.work.scrub(true).await?,
                () = sleep(LOOK_EVERY.saturating_sub(looked_at.elapsed())) => self.work.look_again(),
            }
        }
    }

    async fn look_after(&mut self, rates: &mut Rates) -> Result<(), Failure> {
        self.writer.check_settings(self.work.unit().shard).await?;
        self.writer.claim().await?;
        if self.is_conductor() {
            self.conduct().await?;
        }
        self.work.scrub(false).await?;
        if let Some(seen) = self.work.seen() {
            let parked = self.writer.parked_count(self.work.unit(), seen.live.0).await?;
            METRICS.parked(self.work.unit(), parked);
        }
        // As of what it has come to, which is forgotten next.
        self.report(rates, "", false).await;
        self.work.look_again();
        Ok(())
    }

    /// Looks after the projection as a whole, beside the loop: to compare two generations takes its time, and both go on meanwhile.
    async fn conduct(&mut self) -> Result<(), Failure> {
        if let Some(ended) = self.conducting.take_if(|conducting| conducting.is_finished()) {
            ended.await.map_err(|error| Failure::Passing(error.to_string()))??;
        }
        if self.conducting.is_none() {
            let conductor = self.conductor.clone();
            self.conducting = Some(AbortOnDropHandle::new(tokio::spawn(async move { conductor.look_after().await })));
        }
        Ok(())
    }

    /// The projection as a whole is looked after by whoever owns its first shard.
    fn is_conductor(&self) -> bool {
        self.work.unit().shard == 0
    }

    fn is_building(&self) -> bool {
        self.work.seen().is_some_and(|seen| seen.plan.building.is_some())
    }

    fn live_position(&self) -> Option<u64> {
        self.work.seen().map(|seen| seen.live.1.position)
    }

    fn show(&self, turn: Turn) {
        let Some(seen) = self.work.seen() else { return };
        let (live, own) = (seen.live.1, self.conductor.fold.version());
        let state = match turn {
            Turn::Paused => State::Paused,
            _ if !live.is_complete() => State::Recovering,
            Turn::OtherVersion if live.version < own => {
                State::Waiting(format!("views of version {own} are made beside those of version {}", live.version))
            }
            _ => State::Following,
        };
        self.set(state);
    }

    fn set(&self, state: State) {
        self.status.set(Part::Unit(self.work.unit()), state);
    }

    /// Removes what rebuilds left behind, in the background. What fails is done the next time.
    fn sweep(&mut self) {
        let unit = self.work.unit();
        for build in self.work.unused() {
            let writer = self.writer.clone();
            tokio::spawn(async move {
                match writer.sweep(unit, build).await {
                    Ok(()) => {
                        tracing::info!(projection = unit.projection, shard = unit.shard, %build, "removed old views")
                    }
                    Err(error) => {
                        tracing::warn!(projection = unit.projection, shard = unit.shard, %error, "old views are not removed yet");
                    }
                }
            });
        }
    }

    /// Says how the unit is. That it can't be said is no reason to stop.
    async fn report(&mut self, rates: &mut Rates, reason: &str, halted: bool) {
        let now = Instant::now();
        let mut report =
            Report { member: self.work.stepper.member.clone(), reason: reason.to_owned(), halted, ..Report::default() };
        if let Some(seen) = self.work.seen() {
            report.live_rate = rates.live.at(now, seen.live.1.position);
            let building = seen.others.iter().find(|(role, ..)| *role == Role::Building);
            report.building_rate = building.map_or(0.0, |(_, _, state)| rates.building.at(now, state.position));
        }
        let text = serde_json::to_string(&report).unwrap_or_default();
        if let Err(error) = self.writer.report(self.work.unit(), &text, REPORT_LASTS).await {
            tracing::debug!(%error, "how a unit is can't be told");
        }
    }
}
