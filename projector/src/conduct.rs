//! A rebuild as a whole: begun, compared, promoted, rolled back. The units build; this decides, by changing the plan, and whoever is in the
//! middle of it when it dies is followed by the next.

use std::sync::Arc;

use tally_read_model::{Back, BuildId, Role, State, Switched, Unit};

use crate::Fold;
use crate::compare::compare;
use crate::plan::{self, Plan};
use crate::retry::Failure;
use crate::stores::{Log, Views};
use crate::work::{Surroundings, log_is_as_seen};

/// Decides on the generations of one projection.
#[derive(Clone)]
pub(crate) struct Conductor {
    pub(crate) fold: Arc<dyn Fold>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) views: Arc<dyn Views>,
    pub(crate) surroundings: Arc<dyn Surroundings>,
    /// How long the generation before is kept after a promotion.
    pub(crate) keep_ms: u64,
}

/// Why a rebuild can't be begun, promoted or rolled back now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("a rebuild of this projection is under way")]
    UnderWay,
    #[error("no rebuild of this projection is under way")]
    NotUnderWay,
    #[error("the rebuild has not caught up with the views that are read")]
    Behind,
    #[error("no earlier generation of this projection is kept")]
    NothingKept,
    #[error("nothing of this projection was ever projected")]
    Unknown,
}

/// A failure of a store, or a refusal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Failed(#[from] Failure),
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

impl From<tally_read_model::Error> for Error {
    fn from(error: tally_read_model::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Conductor {
    fn name(&self) -> &'static str {
        self.fold.name()
    }

    fn units(&self) -> impl Iterator<Item = Unit> {
        let projection = self.name();
        (0..self.views.shards()).map(move |shard| Unit { projection, shard })
    }

    /// What follows by itself: a new version of the code is rebuilt, what has caught up is promoted, what was kept long enough is let go.
    pub(crate) async fn look_after(&self) -> Result<(), Failure> {
        let Some(plan) = plan::read(&*self.views, self.name()).await? else { return Ok(()) };
        let (version, now) = (self.fold.version(), self.surroundings.now_ms());
        if plan.kept.as_ref().is_some_and(|kept| kept.until_ms <= now) {
            let let_go = |plan: Plan| {
                plan.kept.as_ref().is_some_and(|kept| kept.until_ms <= now).then_some(Plan { kept: None, ..plan })
            };
            plan::change(&*self.views, self.name(), let_go).await?;
            return Ok(self.views.ring_projectors().await?);
        }
        match &plan.building {
            Some(building) if building.generation.version == version => match self.finish(&plan).await {
                Ok(()) | Err(Error::Unfit(_)) => Ok(()),
                Err(Error::Failed(failure)) => Err(failure),
            },
            // Begun by an earlier version of the program, which nobody will finish.
            Some(building) if building.generation.version < version => self.abandon(building.generation.number).await,
            Some(_) => Ok(()),
            None if version > plan.live.version && version > plan.held_version => {
                self.begin(true).await.map(drop).or_else(unless_unfit)
            }
            None => Ok(()),
        }
    }

    /// Begins a rebuild; returns the number of the new generation.
    pub(crate) async fn begin(&self, promotes_itself: bool) -> Result<u64, Error> {
        let (version, head, now) = (self.fold.version(), self.log.head().await?, self.surroundings.now_ms());
        if plan::read(&*self.views, self.name()).await?.is_none() {
            return Err(Unfit::Unknown.into());
        }
        let changed = plan::change(&*self.views, self.name(), |plan| {
            plan.building.is_none().then(|| plan.rebuilding(version, promotes_itself, head, now))
        });
        let plan = changed.await?.ok_or(Unfit::UnderWay)?;
        self.views.ring_projectors().await?;
        Ok(plan.last_number)
    }

    async fn abandon(&self, number: u64) -> Result<(), Failure> {
        let is_it = |plan: &Plan| plan.building.as_ref().is_some_and(|building| building.generation.number == number);
        plan::change(&*self.views, self.name(), |plan| is_it(&plan).then_some(Plan { building: None, ..plan })).await?;
        Ok(self.views.ring_projectors().await?)
    }

    /// Compares what has caught up, and promotes it if it promotes itself.
    async fn finish(&self, plan: &Plan) -> Result<(), Error> {
        let Some(building) = &plan.building else { return Ok(()) };
        let pairs = self.caught_up(plan.live.number, building.generation.number).await?;
        if building.compared.is_none() {
            let comparison = compare(&*self.views, &pairs).await?;
            plan::change(&*self.views, self.name(), |mut plan| {
                let under_way = plan.building.as_mut().filter(|it| it.generation == building.generation)?;
                under_way.compared = Some(comparison.clone());
                Some(plan)
            })
            .await?;
        }
        if building.promotes_itself { self.promote().await.map(drop) } else { Ok(()) }
    }

    /// The live build and the new one of every shard, if the new ones have all caught up. A shard that has not followed the last promotion or
    /// roll-back yet does so first: what it keeps must be what the plan says is kept.
    async fn caught_up(&self, live_number: u64, number: u64) -> Result<Vec<(Unit, BuildId, BuildId)>, Error> {
        let mut pairs = Vec::new();
        for unit in self.units() {
            let look = self.views.look(unit).await?;
            let new = look.in_role(Role::Building).filter(|(build, _)| build.generation == number);
            match (look.live_state(), new) {
                (Some((live, state)), Some((new, new_state)))
                    if live.generation == live_number && has_caught_up(&state, &new_state) =>
                {
                    pairs.push((unit, live, new));
                }
                _ => return Err(Unfit::Behind.into()),
            }
        }
        Ok(pairs)
    }

    /// Makes the generation under construction the live one, and returns its number.
    pub(crate) async fn promote(&self) -> Result<u64, Error> {
        let plan = plan::read(&*self.views, self.name()).await?.ok_or(Unfit::Unknown)?;
        let number = plan.building.as_ref().ok_or(Unfit::NotUnderWay)?.generation.number;
        let live_before = plan.live.number;
        let pairs = self.caught_up(live_before, number).await?;
        let until = self.surroundings.now_ms().saturating_add(self.keep_ms);
        let is_it = |plan: &Plan| plan.building.as_ref().is_some_and(|building| building.generation.number == number);
        let changed = plan::change(&*self.views, self.name(), |plan| {
            (is_it(&plan) && plan.live.number == live_before).then(|| plan.promoted(until))
        });
        changed.await?.ok_or(Unfit::Behind)?;
        // From here on it is decided. The units' owners would follow by themselves; this is sooner.
        for (unit, live, new) in pairs {
            let switched = self.views.switch(unit, (live, new), true, Back::Never).await?;
            if switched != Switched::Done {
                tracing::debug!(
                    projection = unit.projection,
                    shard = unit.shard,
                    ?switched,
                    "its owner will switch it"
                );
            }
        }
        self.views.ring_projectors().await?;
        Ok(number)
    }

    /// Makes the generation before the live one again, and returns its number.
    pub(crate) async fn roll_back(&self) -> Result<u64, Error> {
        let name = self.name();
        if plan::read(&*self.views, name).await?.is_none() {
            return Err(Unfit::Unknown.into());
        }
        let mut live_before = 0;
        let changed = plan::change(&*self.views, name, |plan| {
            live_before = plan.live.number;
            plan.kept.is_some().then(|| plan.rolled_back())
        });
        let plan = changed.await?.ok_or(Unfit::NothingKept)?;
        for unit in self.units() {
            self.roll_back_unit(unit, live_before, plan.live.number).await?;
        }
        self.views.ring_projectors().await?;
        Ok(plan.live.number)
    }

    /// Only from the generation that was live in the plan: one that was promoted since is not undone.
    async fn roll_back_unit(&self, unit: Unit, live_before: u64, number: u64) -> Result<(), Failure> {
        let look = self.views.look(unit).await?;
        let kept = look.in_role(Role::Kept).filter(|(build, _)| build.generation == number);
        if let (Some((live, _)), Some((kept, kept_state))) = (look.live_state(), kept)
            && live.generation == live_before
            && log_is_as_seen(&*self.log, &kept_state).await?
        {
            self.views.switch(unit, (live, kept), false, Back::Freely).await?;
        }
        Ok(())
    }

    /// Stops or resumes the projecting.
    pub(crate) async fn pause(&self, paused: bool) -> Result<(), Error> {
        if plan::read(&*self.views, self.name()).await?.is_none() {
            return Err(Unfit::Unknown.into());
        }
        let pause = |plan: Plan| (plan.paused != paused).then_some(Plan { paused, ..plan });
        plan::change(&*self.views, self.name(), pause).await?;
        Ok(self.views.ring_projectors().await?)
    }
}

/// Whether a build may take the place of the live one: nobody is answered from before what was answered already.
fn has_caught_up(live: &State, new: &State) -> bool {
    new.position >= live.position && new.position >= live.complete_from
}

fn unless_unfit(error: Error) -> Result<(), Failure> {
    match error {
        Error::Unfit(_) => Ok(()),
        Error::Failed(failure) => Err(failure),
    }
}
