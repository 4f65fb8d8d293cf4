//! Looking: what there is of a unit, and whether it is what it was. What takes no folding is done at once.

use std::sync::Arc;

use tally_read_model::{Back, BuildId, Look, Role, Started, State, Switched, Unit};

use super::{Seen, Work};
use crate::alarm::Alarm;
use crate::loss::{Kind, Loss};
use crate::plan::{self, Generation, Plan};
use crate::retry::Failure;
use crate::stores::Log;

impl Work {
    /// Looks, and does what takes no folding: begins builds, follows the plan's switches. None where it has to look again.
    pub(super) async fn look(&mut self) -> Result<Option<Seen>, Failure> {
        let (views, unit) = (Arc::clone(&self.stepper.views), self.unit());
        let look = views.look(unit).await?;
        if !self.is_recalled {
            self.furthest = self.stepper.high_water.mark(unit).await?;
            self.is_recalled = true;
        }
        let plan = match plan::read(&*views, unit.projection).await? {
            Some(plan) => plan,
            None => self.begin_plan().await?,
        };
        let Some(live) = look.live_state() else {
            self.make_anew(&look, &plan, None).await?;
            return Ok(None);
        };
        if live.0.generation != plan.live.number {
            return self.follow_plan(&look, &plan, live).await;
        }
        // What another version made is looked after by whoever has that version.
        if live.1.version == self.stepper.fold.version() && self.check(&look, &plan, live).await?.is_none() {
            return Ok(None);
        }
        if !self.begin_building(&look, &plan).await? {
            return Ok(None);
        }
        let repairs = match look.in_role(Role::Repair).filter(|(build, _)| build.generation == live.0.generation) {
            Some((_, state)) => log_is_as_seen(&*self.stepper.log, &state).await?,
            None => false,
        };
        for (role, is_wanted) in
            [(Role::Kept, plan.kept.is_some()), (Role::Building, plan.building.is_some()), (Role::Repair, repairs)]
        {
            if let (Some(build), false) = (look.roles.get(&role), is_wanted) {
                views.drop_role(unit, role, *build).await?;
                return Ok(None);
            }
        }
        let others = [Role::Building, Role::Repair].into_iter();
        let others = others.filter_map(|role| look.in_role(role).map(|(build, state)| (role, build, state))).collect();
        Ok(Some(Seen { plan, live, others, unused: look.unused().collect() }))
    }

    /// There is no plan: nothing was ever projected, or the shard with the plans was emptied. Then the other shards know.
    async fn begin_plan(&self) -> Result<Plan, Failure> {
        let (views, unit, version) = (&*self.stepper.views, self.unit(), self.stepper.fold.version());
        let mut known: Option<(Generation, u64)> = None;
        for shard in 0..views.shards() {
            if let Some((build, state)) = views.look(Unit { shard, ..unit }).await?.live_state() {
                let generation = Generation { number: build.generation, version: state.version };
                known = known.into_iter().chain([(generation, state.position)]).max_by_key(|(it, _)| it.number);
            }
        }
        let loss = known.map(|(_, position)| Loss { shard: 0, ..self.loss(Kind::PlanMissing, position) });
        let plan = known.map_or_else(|| Plan::first(version), |(generation, _)| Plan::of(generation));
        let (plan, is_ours) = plan::begin(views, unit.projection, &plan, loss.as_ref()).await?;
        if let Some(loss) = loss.filter(|_| is_ours) {
            self.tell(&loss);
        }
        Ok(plan)
    }

    /// There is no live build, or none that is of use: makes one, which is read as soon as it has come to where the log ends now.
    /// Without a known loss: if there was anything, the unit was emptied.
    pub(super) async fn make_anew(&mut self, look: &Look, plan: &Plan, loss: Option<Loss>) -> Result<(), Failure> {
        let version = self.stepper.fold.version();
        if version < plan.live.version {
            return Err(Failure::Passing(
                "the views are lost, and a later version of the program has to make them again".to_owned(),
            ));
        }
        let head = self.stepper.log.head().await?;
        // Further than that there is nothing to come to, whoever begins the build.
        self.furthest = self.furthest.map(|(build, position)| (build, position.min(head)));
        if let Some(repair) = look.roles.get(&Role::Repair) {
            self.stepper.views.drop_role(self.unit(), Role::Repair, *repair).await?;
        }
        let was_there = look.live.is_some() || !look.builds.is_empty() || self.furthest.is_some();
        let repair = if was_there { self.fresh() } else { 0 };
        let build = BuildId { generation: plan.live.number, repair };
        let state = State { complete_from: head, ..State::new(version) };
        let emptied = || self.loss(Kind::Emptied, self.furthest.map_or(0, |(_, position)| position));
        let loss = loss.or_else(|| was_there.then(emptied));
        let (views, text) = (&self.stepper.views, loss.as_ref().map(Loss::to_text));
        if views.start_build(self.unit(), look.live, build, &state, None, text.as_deref()).await? == Started::Done {
            self.reached(build, 0);
            if let Some(loss) = loss {
                self.tell(&loss);
            }
        }
        Ok(())
    }

    /// The plan has another generation as the live one: a rebuild was promoted, or rolled back.
    async fn follow_plan(&mut self, look: &Look, plan: &Plan, live: (BuildId, State)) -> Result<Option<Seen>, Failure> {
        let (views, unit) = (Arc::clone(&self.stepper.views), self.unit());
        let of_plan = |role| look.in_role(role).filter(|(build, _)| build.generation == plan.live.number);
        if let Some((build, state)) = of_plan(Role::Building)
            && log_is_as_seen(&*self.stepper.log, &state).await?
        {
            let keep = plan.kept.as_ref().is_some_and(|kept| kept.generation.number == live.0.generation);
            let is_as_seen = log_is_as_seen(&*self.stepper.log, &live.1).await?;
            let loss = (!is_as_seen).then(|| self.loss(Kind::LogWentBack, live.1.position));
            let text = loss.as_ref().map(Loss::to_text);
            let back = text.as_deref().map_or(Back::Never, Back::AfterLoss);
            match views.switch(unit, (live.0, build), keep, back).await? {
                Switched::Behind => {
                    // It was ahead when the plan was made. A few events more.
                    return Ok(Some(Seen {
                        plan: plan.clone(),
                        live,
                        others: vec![(Role::Building, build, state)],
                        unused: Vec::new(),
                    })
                    .filter(|_| state.version == self.stepper.fold.version()));
                }
                Switched::Done => {
                    if let Some(loss) = loss {
                        self.reached(build, state.position);
                        self.tell(&loss);
                    }
                }
                Switched::Moved => {}
            }
        } else if let Some((build, state)) = of_plan(Role::Kept)
            && log_is_as_seen(&*self.stepper.log, &state).await?
        {
            views.switch(unit, (live.0, build), false, Back::Freely).await?;
        } else if views.look(unit).await? == *look {
            // There is none, and was none when the plan was read.
            self.make_anew(look, plan, None).await?;
        }
        Ok(None)
    }

    /// Whether the live build is what it was, and the log what it saw. What is not is dealt with; None where it has to look again.
    async fn check(
        &mut self,
        look: &Look,
        plan: &Plan,
        (build, state): (BuildId, State),
    ) -> Result<Option<(BuildId, State)>, Failure> {
        // One that says so itself has lost nothing since: it was rolled back, or is made again.
        if let Some((_, furthest)) = self.furthest
            && state.position < furthest
            && state.fresh_from.max(state.complete_from) < furthest
        {
            let behind = State { fresh_from: state.fresh_from.max(furthest), ..state };
            let loss = self.loss(Kind::WritesLost, furthest);
            if self.edit(build, (&state, &behind), Some(&loss)).await? {
                self.reached(build, state.position);
                self.tell(&loss);
            }
            return Ok(None);
        }
        if !log_is_as_seen(&*self.stepper.log, &state).await? {
            let loss = self.loss(Kind::LogWentBack, state.position);
            self.make_anew(look, plan, Some(loss)).await?;
            return Ok(None);
        }
        self.reached(build, state.position);
        Ok(Some((build, state)))
    }

    /// Begins the build that the plan asks for; false where it has to look again.
    async fn begin_building(&mut self, look: &Look, plan: &Plan) -> Result<bool, Failure> {
        let Some(building) = &plan.building else { return Ok(true) };
        let (views, unit) = (Arc::clone(&self.stepper.views), self.unit());
        let version = self.stepper.fold.version();
        let number = building.generation.number;
        let begun = look.in_role(Role::Building).filter(|(build, _)| build.generation == number);
        if let Some((_, state)) = begun
            && log_is_as_seen(&*self.stepper.log, &state).await?
        {
            return Ok(true);
        }
        if let Some(other) = look.roles.get(&Role::Building) {
            views.drop_role(unit, Role::Building, *other).await?;
        } else if building.generation.version != version {
            return Ok(true);
        } else {
            let taken = look.builds.keys().any(|build| build.generation == number);
            let build = BuildId { generation: number, repair: if taken { self.fresh() } else { 0 } };
            views.start_build(unit, look.live, build, &State::new(version), Some(Role::Building), None).await?;
        }
        Ok(false)
    }
}

/// Whether the log still has the event at which the views stand.
pub(crate) async fn log_is_as_seen(log: &dyn Log, state: &State) -> Result<bool, Failure> {
    if state.position == 0 {
        return Ok(true);
    }
    match log.event_at(state.position).await? {
        Some(event) => Ok(event.fingerprint == state.last_event),
        // A hole is an alarm; an end is a log that went back.
        None if log.head().await? >= state.position => Err(Alarm::Hole { expected: state.position }.into()),
        None => Ok(false),
    }
}
