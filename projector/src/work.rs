//! The work at one unit, by whoever owns it: keep the live build up with the log, make the others that the plan asks for, notice what was
//! lost and make it again.
//!
//! Nothing here rests on being the only one, or on what was seen a moment ago: every change is a compare-and-set in Redis, and whoever
//! loses one looks again. `turn` may be cut off at any point.

mod look;

use std::sync::Arc;

use tally_read_model::{Applied, Back, Batch, BuildId, Role, Started, State, Unit, Walk};

use crate::Recorded;
use crate::alarm::Alarm;
use crate::loss::{Kind, Loss};
use crate::metrics::METRICS;
use crate::plan::{self, Plan};
use crate::retry::Failure;
use crate::step::{Lost, Stepped, Stepper};
use crate::stores::At;

pub(crate) use look::log_is_as_seen;

/// What chance and time say; the model says it instead.
pub(crate) trait Surroundings: Send + Sync {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;
    /// A number that tells a build from all others.
    fn random(&self) -> u32;
}

/// How many events are read at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    /// For the live build.
    pub(crate) live: usize,
    /// For one that catches up.
    pub(crate) rebuild: usize,
}

/// The work at one unit.
pub(crate) struct Work {
    pub(crate) stepper: Stepper,
    surroundings: Arc<dyn Surroundings>,
    limits: BatchLimits,
    /// As of the last look; None makes the next turn look.
    seen: Option<Seen>,
    lost: Lost,
    /// The furthest that the live build was seen, to notice when Redis goes back.
    furthest: Option<(BuildId, u64)>,
    /// Whether that was asked of those who worked at the unit before.
    is_recalled: bool,
    scrubbed: Walk,
    /// The next events for the build that catches up, and what they come after, read while the last batch was being applied.
    ahead: Option<(At, Vec<Arc<Recorded>>)>,
}

/// What the last look found.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) plan: Plan,
    pub(crate) live: (BuildId, State),
    /// Builds that catch up.
    pub(crate) others: Vec<(Role, BuildId, State)>,
    /// Builds to be removed.
    pub(crate) unused: Vec<BuildId>,
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Something was done; there may be more.
    Worked,
    /// Everything has caught up.
    Rest,
    /// The plan says to do nothing.
    Paused,
    /// The live views are of another version of the code than this one, and nothing else is to be done.
    OtherVersion,
    /// The unit is somebody else's.
    NotOwner,
}

impl Work {
    pub(crate) fn new(stepper: Stepper, surroundings: Arc<dyn Surroundings>, limits: BatchLimits) -> Self {
        Self {
            stepper,
            surroundings,
            limits,
            seen: None,
            lost: Lost::new(),
            furthest: None,
            is_recalled: false,
            scrubbed: Walk::default(),
            ahead: None,
        }
    }

    pub(crate) fn unit(&self) -> Unit {
        self.stepper.unit
    }

    pub(crate) fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }

    /// Makes the next turn look again.
    pub(crate) fn look_again(&mut self) {
        self.seen = None;
    }

    /// Does the next piece of work.
    pub(crate) async fn turn(&mut self) -> Result<Turn, Failure> {
        let outcome = self.try_turn().await;
        if outcome.is_err() {
            // What happened is not known.
            self.seen = None;
        }
        outcome
    }

    async fn try_turn(&mut self) -> Result<Turn, Failure> {
        let Some(seen) = &self.seen else {
            // Redis may have gone back to when it had what was lost.
            self.lost.clear();
            self.seen = self.look().await?;
            return Ok(Turn::Worked);
        };
        if seen.plan.paused {
            return Ok(Turn::Paused);
        }
        let (live, others, version) = (seen.live, seen.others.clone(), self.stepper.fold.version());
        // A promoted build that was overtaken in the last moment has only a few events to go, and nothing may overtake it now.
        let is_switching = seen.plan.live.number != live.0.generation;
        let mut turn = Turn::OtherVersion;
        if live.1.version == version && !is_switching {
            turn = self.follow(live).await?;
        }
        if turn == Turn::NotOwner {
            return Ok(turn);
        }
        // A new generation goes no further than the live one that is followed beside it: level with each other they can be compared.
        let live = self.seen.as_ref().map_or(live.1, |seen| seen.live.1);
        let is_followed = live.version == version && !is_switching && live.is_complete();
        for (role, build, state) in others {
            if state.version != version {
                continue;
            }
            let up_to = if role == Role::Building && is_followed { live.position } else { u64::MAX };
            match self.catch_up(build, &state, up_to).await? {
                Turn::Rest if role == Role::Repair => {
                    self.replace_live(build).await?;
                    turn = Turn::Worked;
                }
                Turn::Rest if is_switching => {
                    self.seen = None;
                    turn = Turn::Worked;
                }
                Turn::Rest if turn != Turn::Worked => turn = Turn::Rest,
                Turn::Rest => {}
                other => turn = other,
            }
            if turn == Turn::NotOwner {
                break;
            }
        }
        Ok(turn)
    }

    /// A step of the live build.
    async fn follow(&mut self, (build, state): (BuildId, State)) -> Result<Turn, Failure> {
        let stepped = self.stepper.step(build, &state, self.limits.live, &mut self.lost).await;
        if !self.lost.is_empty() {
            self.repair().await?;
        }
        let turn = match stepped? {
            Stepped::Nothing if state.complete_from.max(state.fresh_from) > state.position => {
                self.end_of_log(build, &state).await?
            }
            Stepped::Nothing => Turn::Rest,
            Stepped::Done(now) => {
                self.reached(build, now.position);
                if let Some(seen) = &mut self.seen {
                    seen.live.1 = now;
                }
                Turn::Worked
            }
            Stepped::Moved => {
                self.seen = None;
                Turn::Worked
            }
            Stepped::NotOwner => Turn::NotOwner,
        };
        Ok(turn)
    }

    fn reached(&mut self, build: BuildId, position: u64) {
        if self.furthest != Some((build, position)) {
            self.furthest = Some((build, position));
            self.stepper.high_water.reached(self.unit(), build, position);
        }
    }

    /// The live build waits for a position that the log does not have any more: it went back. Then there is nothing to wait for.
    async fn end_of_log(&mut self, build: BuildId, state: &State) -> Result<Turn, Failure> {
        if self.stepper.log.head().await? != state.position {
            return Ok(Turn::Rest);
        }
        let known = |from: u64| from.min(state.position);
        let to = State { complete_from: known(state.complete_from), fresh_from: known(state.fresh_from), ..*state };
        self.edit(build, (state, &to), None).await?;
        Ok(Turn::Worked)
    }

    /// Changes nothing but the state, and keeps a loss; says whether it did. Either way it has to look again.
    async fn edit(
        &mut self,
        build: BuildId,
        (from, to): (&State, &State),
        loss: Option<&Loss>,
    ) -> Result<bool, Failure> {
        self.seen = None;
        let to = State { edits: from.edits + 1, ..*to };
        let batch = Batch { loss: loss.map(Loss::to_text), ..Batch::default() };
        let applied = self.stepper.views.apply(self.unit(), build, Some(&self.stepper.member), (from, &to), &batch);
        Ok(applied.await? == Applied::Done)
    }

    /// A step of another build, up to a position at which a command ends. While it is applied, the next events are read.
    async fn catch_up(&mut self, build: BuildId, from: &State, up_to: u64) -> Result<Turn, Failure> {
        let limit = self.limits.rebuild;
        let mut events = match self.ahead.take() {
            Some((at, events)) if at == (from.position, from.last_event) && !events.is_empty() => events,
            Some(_) | None => self.stepper.log.read_after((from.position, from.last_event), limit).await?,
        };
        events.truncate(events.partition_point(|event| event.position <= up_to));
        let Some(last) = events.last().map(|event| (event.position, event.fingerprint)) else { return Ok(Turn::Rest) };
        // Nothing can be lost of what nobody but us has seen: if it is, the build is begun anew.
        let mut lost = Lost::new();
        let stepper = &self.stepper;
        let (stepped, ahead) = futures::join!(stepper.apply_events(build, from, &events, &mut lost), async {
            if events.len() * 2 < limit { Ok(Vec::new()) } else { stepper.log.read_after(last, limit).await }
        });
        if !lost.is_empty() {
            return self.begin_anew(build).await;
        }
        match stepped? {
            Stepped::Nothing => Ok(Turn::Rest),
            Stepped::Done(now) => {
                self.ahead = ahead.ok().map(|events| (last, events));
                if let Some(other) =
                    self.seen.iter_mut().flat_map(|seen| &mut seen.others).find(|(_, it, _)| *it == build)
                {
                    other.2 = now;
                }
                Ok(Turn::Worked)
            }
            Stepped::Moved => {
                self.seen = None;
                Ok(Turn::Worked)
            }
            Stepped::NotOwner => Ok(Turn::NotOwner),
        }
    }

    async fn begin_anew(&mut self, build: BuildId) -> Result<Turn, Failure> {
        let (views, unit) = (Arc::clone(&self.stepper.views), self.unit());
        let look = views.look(unit).await?;
        if let Some((role, _)) = look.roles.iter().find(|(_, it)| **it == build) {
            views.drop_role(unit, *role, build).await?;
        }
        self.seen = None;
        Ok(Turn::Worked)
    }

    /// A repaired build has caught up.
    async fn replace_live(&mut self, repaired: BuildId) -> Result<(), Failure> {
        let Some(seen) = &self.seen else { return Ok(()) };
        let live = seen.live.0;
        self.stepper.views.switch(self.unit(), (live, repaired), false, Back::Never).await?;
        self.seen = None;
        Ok(())
    }

    /// Begins a build that replaces the live one, of which something is lost.
    async fn repair(&mut self) -> Result<(), Failure> {
        let Some(seen) = &self.seen else { return Ok(()) };
        if seen.others.iter().any(|(role, ..)| *role == Role::Repair) {
            return Ok(());
        }
        let live = seen.live.0;
        let loss = self.loss(Kind::ViewsMissing, seen.live.1.position);
        let build = BuildId { generation: live.generation, repair: self.fresh() };
        let state = State::new(self.stepper.fold.version());
        let (views, role, text) = (&self.stepper.views, Some(Role::Repair), loss.to_text());
        let started = views.start_build(self.unit(), Some(live), build, &state, role, Some(&text)).await?;
        if started == Started::Done {
            self.tell(&loss);
        }
        match (started, &mut self.seen) {
            (Started::Done, Some(seen)) => seen.others.push((Role::Repair, build, state)),
            _ => self.seen = None,
        }
        Ok(())
    }

    fn fresh(&self) -> u32 {
        self.surroundings.random().max(1)
    }

    /// Where there seems to be nothing to do: that the log really ends where the live build stands.
    pub(crate) async fn check_end(&self) -> Result<(), Failure> {
        let Some(seen) = &self.seen else { return Ok(()) };
        let (State { position, last_event, .. }, log) = (seen.live.1, &self.stepper.log);
        // Whoever has seen the head can see every event up to it.
        if log.head().await? > position && log.read_after((position, last_event), 1).await?.is_empty() {
            return Err(Alarm::Hole { expected: position + 1 }.into());
        }
        Ok(())
    }

    /// A loss that is noticed now. It is kept for ListProjections in one step with what mends it: only that tells a loss from a race.
    fn loss(&self, kind: Kind, position: u64) -> Loss {
        Loss { kind, shard: self.unit().shard, position, noticed_at_ms: self.surroundings.now_ms() }
    }

    /// Tells the operator of a loss that is kept.
    fn tell(&self, &Loss { kind, shard, position, .. }: &Loss) {
        let projection = self.unit().projection;
        tracing::warn!(projection, shard, position, "{kind}; it is mended");
        METRICS.lost(projection, kind.name());
    }

    /// A key of the unit holds what was never written there: all of it is made again.
    pub(crate) async fn damaged(&mut self) -> Result<(), Failure> {
        let look = self.stepper.views.look(self.unit()).await?;
        if let Some(plan) = plan::read(&*self.stepper.views, self.unit().projection).await? {
            let loss = self.loss(Kind::Damaged, look.live_state().map_or(0, |(_, state)| state.position));
            self.make_anew(&look, &plan, Some(loss)).await?;
        }
        self.seen = None;
        Ok(())
    }

    /// Looks through a part of the live build for what is lost: through all of it, one call after the other, again and again; or at once, until
    /// something is found.
    pub(crate) async fn scrub(&mut self, at_once: bool) -> Result<(), Failure> {
        let Some(seen) = &self.seen else { return Ok(()) };
        let (build, state) = seen.live;
        if state.version != self.stepper.fold.version() || seen.plan.paused {
            return Ok(());
        }
        if at_once {
            self.scrubbed = Walk::default();
        }
        loop {
            let found = self.stepper.views.find_losses(self.unit(), build, self.scrubbed.clone()).await?;
            self.lost.extend(found.lost.into_iter().map(|name| (name, None)));
            if found.state.is_some_and(|state| state.views != found.views) {
                // Redis loses no part of a bucket. Somebody else took a view away, which nobody else would notice.
                self.lost.insert("views".to_owned(), None);
            }
            let is_end = found.next.is_none();
            self.scrubbed = found.next.unwrap_or_default();
            if is_end || !at_once || !self.lost.is_empty() {
                break;
            }
        }
        if !self.lost.is_empty() {
            self.repair().await?;
        }
        Ok(())
    }

    /// Removes builds that nobody uses any more.
    pub(crate) fn unused(&mut self) -> Vec<BuildId> {
        self.seen.as_mut().map(|seen| std::mem::take(&mut seen.unused)).unwrap_or_default()
    }
}
