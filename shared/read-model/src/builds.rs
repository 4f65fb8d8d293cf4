//! The builds that a unit has: which of them is read, what the others are for, how they begin and end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use redis::Script;

use crate::apply::refusal;
use crate::keys::BUCKETS;
use crate::notes::LOSSES_MAX;
use crate::scan::KEYS_PER_STEP;
use crate::{BuildId, Error, State, Unit, Writer};

/// What a build that is not the live one is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It becomes the live one when a rebuild is promoted.
    Building,
    /// It was the live one, and is again when a rebuild is rolled back.
    Kept,
    /// It replaces the live one, of which a part is lost, as soon as it has caught up.
    Repair,
}

impl Role {
    const ALL: [Role; 3] = [Role::Building, Role::Kept, Role::Repair];

    fn name(self) -> &'static str {
        match self {
            Role::Building => "building",
            Role::Kept => "kept",
            Role::Repair => "repair",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Everything that decides what is to be done at a unit, as of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// The live build.
    pub live: Option<BuildId>,
    /// The builds with a role.
    pub roles: BTreeMap<Role, BuildId>,
    /// All builds, and the states of those that have one.
    pub builds: BTreeMap<BuildId, Option<State>>,
}

impl Look {
    /// The live build with its state; None where either is gone.
    pub fn live_state(&self) -> Option<(BuildId, State)> {
        self.state_of(self.live?)
    }

    /// The build in a role with its state.
    pub fn in_role(&self, role: Role) -> Option<(BuildId, State)> {
        self.state_of(*self.roles.get(&role)?)
    }

    fn state_of(&self, build: BuildId) -> Option<(BuildId, State)> {
        Some((build, (*self.builds.get(&build)?)?))
    }

    /// The builds that nobody uses.
    pub fn unused(&self) -> impl Iterator<Item = BuildId> {
        let used = |build: &BuildId| self.live == Some(*build) || self.roles.values().any(|used| used == build);
        self.builds.keys().copied().filter(move |build| !used(build))
    }
}

/// How beginning a build went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It has begun.
    Done,
    /// Another build became the live one meanwhile.
    Moved,
    /// There is something under this name already.
    Taken,
}

/// How making another build the live one went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switched {
    /// It is read now.
    Done,
    /// Something else happened meanwhile.
    Moved,
    /// It has not caught up with the one that is read.
    Behind,
}

/// Whether a build may become the live one that has not caught up with the one that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back<'a> {
    /// It may not.
    Never,
    /// It may.
    Freely,
    /// It may: of the one that is something is lost. That is kept in the same step.
    AfterLoss(&'a str),
}

static LOOK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("look.lua")));
static START: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("start.lua")));
static SWITCH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("switch.lua")));
static DROP_ROLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("drop_role.lua")));
static SWEEP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("sweep.lua")));

type LookAnswer = (Option<String>, Option<String>, Vec<String>, Vec<String>, Vec<Option<String>>);

impl Writer {
    /// Looks at a unit.
    pub async fn look(&self, unit: Unit) -> Result<Look, Error> {
        let keys = self.keys();
        let (log_id, live, roles, builds, states): LookAnswer = self
            .connection
            .repeatable(
                LOOK.prepare_invoke()
                    .key(keys.log_id(unit.shard))
                    .key(keys.live(unit))
                    .key(keys.roles(unit))
                    .key(keys.builds(unit))
                    .arg(keys.of_builds(unit)),
            )
            .await?;
        if log_id.is_some_and(|id| id != self.log_id.to_string()) {
            return Err(Error::ForeignLog);
        }
        let mut look = Look { live: live.map(|build| build.parse()).transpose()?, ..Look::default() };
        for pair in roles.chunks(2) {
            let role = Role::ALL.into_iter().find(|role| role.name() == pair[0]);
            if let (Some(role), Some(build)) = (role, pair.get(1)) {
                look.roles.insert(role, build.parse()?);
            }
        }
        for (build, state) in builds.iter().zip(states) {
            look.builds.insert(build.parse()?, state.map(|state| state.parse()).transpose()?);
        }
        Ok(look)
    }

    /// Begins a build in a role, or as the live one, if the live build is still the one that the decision rests on. What was lost that it makes good
    /// is kept in the same step.
    pub async fn start_build(
        &self,
        unit: Unit,
        live_before: Option<BuildId>,
        build: BuildId,
        state: &State,
        role: Option<Role>,
        loss: Option<&str>,
    ) -> Result<Started, Error> {
        let keys = self.keys();
        let of_bucket = |bucket| [keys.bucket(unit, build, bucket), keys.names(unit, build, bucket)];
        let buckets: Vec<String> = (0..BUCKETS).flat_map(of_bucket).collect();
        let answer: String = self
            .connection
            .once(
                START
                    .prepare_invoke()
                    .key(keys.log_id(unit.shard))
                    .key(keys.live(unit))
                    .key(keys.roles(unit))
                    .key(keys.builds(unit))
                    .key(keys.losses(unit))
                    .key(keys.checkpoint(unit, build))
                    .key(buckets)
                    .arg(self.log_id.to_string())
                    .arg(build.to_string())
                    .arg(state.to_string())
                    .arg(role.map_or("live", Role::name))
                    .arg(live_before.map(|build| build.to_string()).unwrap_or_default())
                    .arg(loss.unwrap_or_default())
                    .arg(LOSSES_MAX),
            )
            .await?;
        match answer.as_str() {
            "done" => Ok(Started::Done),
            "moved" => Ok(Started::Moved),
            "taken" => Ok(Started::Taken),
            answer => Err(refusal(answer)),
        }
    }

    /// Makes `to` the live build instead of `from`, in one step. Its answers say that they may be stale until it has come to where readers were answered
    /// from.
    pub async fn switch(
        &self,
        unit: Unit,
        (from, to): (BuildId, BuildId),
        keep: bool,
        back: Back<'_>,
    ) -> Result<Switched, Error> {
        let keys = self.keys();
        let answer: String = self
            .connection
            .once(
                SWITCH
                    .prepare_invoke()
                    .key(keys.log_id(unit.shard))
                    .key(keys.live(unit))
                    .key(keys.roles(unit))
                    .key(keys.checkpoint(unit, from))
                    .key(keys.checkpoint(unit, to))
                    .key(keys.losses(unit))
                    .arg(self.log_id.to_string())
                    .arg(from.to_string())
                    .arg(to.to_string())
                    .arg(if keep { "keep" } else { "drop" })
                    .arg(if back == Back::Never { "forward" } else { "any" })
                    .arg(keys.bell(unit))
                    .arg(if let Back::AfterLoss(loss) = back { loss } else { "" })
                    .arg(LOSSES_MAX),
            )
            .await?;
        match answer.as_str() {
            "done" => Ok(Switched::Done),
            "moved" => Ok(Switched::Moved),
            "behind" => Ok(Switched::Behind),
            answer => Err(refusal(answer)),
        }
    }

    /// Takes a build's role away, if it is the one that has it. It is swept then.
    pub async fn drop_role(&self, unit: Unit, role: Role, build: BuildId) -> Result<(), Error> {
        self.connection
            .repeatable(DROP_ROLE.prepare_invoke().key(self.keys().roles(unit)).arg(role.name()).arg(build.to_string()))
            .await
    }

    /// Removes a build's keys in small steps, which do not block Redis. One that is used is left alone.
    pub async fn sweep(&self, unit: Unit, build: BuildId) -> Result<(), Error> {
        let keys = self.keys();
        let mut cursor = "0".to_owned();
        loop {
            let mut sweep = SWEEP.prepare_invoke();
            sweep
                .key(keys.live(unit))
                .key(keys.roles(unit))
                .key(keys.builds(unit))
                .key(keys.checkpoint(unit, build))
                .arg(build.to_string())
                .arg(cursor)
                .arg(keys.build(unit, build) + "*")
                .arg(KEYS_PER_STEP);
            cursor = self.connection.repeatable(&mut sweep).await?;
            if cursor == "0" || cursor == "used" {
                return Ok(());
            }
        }
    }
}
