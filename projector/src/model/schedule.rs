//! One random schedule: who runs next, what happens meanwhile, and what must hold at every moment.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Waker};

use fastrand::Rng;
use tally_read_model::{BuildId, Unit};

use super::positions::fold;
use super::world::{Fault, NAME, Redis, SHARDS, World};
use crate::conduct::Conductor;
use crate::replicas::{member, tend};
use crate::step::{Observer, Stepper};
use crate::stores::{HighWater, Log, Views};
use crate::work::{BatchLimits, Surroundings, Turn, Work};

/// How many things happen in a schedule.
const HAPPENINGS: usize = 160;
/// How often processes are polled after that until everything must have come to rest.
const POLLS_TO_REST: usize = 20_000;
const PROCESSES: usize = 2;
const KEYS: u8 = 4;
const TURNS_PER_TEND: usize = 4;
/// Of so many schedules one loses nothing.
const LOSSLESS_EVERY: u64 = 4;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Time and chance, as a schedule has them.
#[derive(Default)]
struct Clock {
    now: AtomicU64,
    random: AtomicU32,
}

impl Surroundings for Clock {
    fn now_ms(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    fn random(&self) -> u32 {
        self.random.fetch_add(1, Ordering::Relaxed) + 1
    }
}

struct Schedule {
    world: Arc<World>,
    /// The same, as those see it who promote.
    conducted: Arc<World>,
    clock: Arc<Clock>,
    rng: Rng,
    tasks: Vec<(String, Task)>,
    /// Calls of an operator, on their way.
    calls: Vec<Task>,
    born: usize,
    /// What Redis was earlier.
    snapshot: Option<Redis>,
    /// How far readers have seen each unit.
    read: BTreeMap<u16, (BuildId, u64)>,
    was_rolled_back: bool,
}

/// Runs the schedule of a seed; what was found, if anything.
pub(super) fn run(seed: u64, fault: Fault) -> Result<(), String> {
    let world = World::new(fault, !seed.is_multiple_of(LOSSLESS_EVERY));
    let mut schedule = Schedule {
        conducted: Arc::new(world.as_seen_by_conductors()),
        world: Arc::new(world),
        clock: Arc::default(),
        rng: Rng::with_seed(seed),
        tasks: Vec::new(),
        calls: Vec::new(),
        born: 0,
        snapshot: None,
        read: BTreeMap::new(),
        was_rolled_back: false,
    };
    for _ in 0..PROCESSES {
        schedule.start_process();
    }
    for _ in 0..HAPPENINGS {
        schedule.happen();
        schedule.check()?;
    }
    schedule.come_to_rest()
}

/// What a projector does, but for time: tends its leases, works at its units, looks after the projection.
async fn process(world: Arc<World>, conductor: Conductor, clock: Arc<Clock>, name: String) {
    let mut works: BTreeMap<Unit, Work> = BTreeMap::new();
    loop {
        let Ok(owned) = tend(&*world, &[(NAME, 1)], &name).await else { continue };
        works.retain(|unit, _| owned.contains(unit));
        for unit in owned {
            let work = works.entry(unit).or_insert_with(|| {
                let stepper = Stepper {
                    unit,
                    fold: fold(),
                    log: Arc::clone(&world) as Arc<dyn Log>,
                    views: Arc::clone(&world) as Arc<dyn Views>,
                    high_water: Arc::clone(&world) as Arc<dyn HighWater>,
                    member: name.clone(),
                    observer: Observer { read: |_, _| {}, applied: |_, _, _| {} },
                };
                Work::new(stepper, Arc::clone(&clock) as _, BatchLimits { live: 2, rebuild: 3 })
            });
            for _ in 0..TURNS_PER_TEND {
                match work.turn().await {
                    Ok(Turn::Worked) => {}
                    Ok(Turn::Rest | Turn::Paused | Turn::OtherVersion | Turn::NotOwner) | Err(_) => break,
                }
            }
            let _ = work.scrub(false).await;
            work.look_again();
            if unit.shard == 0 {
                let _ = conductor.look_after().await;
            }
        }
    }
}

fn conductor(world: &Arc<World>, clock: &Arc<Clock>) -> Conductor {
    Conductor {
        fold: fold(),
        log: Arc::clone(world) as _,
        views: Arc::clone(world) as _,
        surroundings: Arc::clone(clock) as _,
        keep_ms: 50,
    }
}

impl Schedule {
    fn start_process(&mut self) {
        let name = member(&format!("p{}", self.born), &[(NAME, 1)]);
        self.born += 1;
        let conductor = conductor(&self.conducted, &self.clock);
        let task = process(Arc::clone(&self.world), conductor, Arc::clone(&self.clock), name.clone());
        self.tasks.push((name, Box::pin(task)));
    }

    fn poll(&mut self, number: usize) {
        let number = number % (self.tasks.len() + self.calls.len());
        let mut context = Context::from_waker(Waker::noop());
        match self.tasks.get_mut(number) {
            Some((_, task)) => _ = task.as_mut().poll(&mut context),
            None => {
                let call = number - self.tasks.len();
                if self.calls[call].as_mut().poll(&mut context).is_ready() {
                    drop(self.calls.swap_remove(call));
                }
            }
        }
    }

    /// Something happens; mostly somebody goes on for a while.
    fn happen(&mut self) {
        self.clock.now.fetch_add(1, Ordering::Relaxed);
        let may_lose = self.world.lock().may_lose;
        match self.rng.u32(0..100) {
            88..93 | 98.. if !may_lose => {}
            0..60 => {
                let who = self.rng.usize(..);
                for _ in 0..self.rng.usize(1..25) {
                    self.poll(who);
                }
            }
            60..76 => self.world.append(self.rng.u8(0..KEYS)),
            76..80 => self.crash(),
            80..85 => self.leases_run_out(),
            85..88 => self.snapshot = Some(self.world.lock().redis.clone()),
            88..91 => self.lose_writes(),
            91..93 => self.evict(),
            93..97 => self.call(true),
            97..98 => self.call(false),
            98..99 => self.empty_a_shard(),
            _ => self.log_goes_back(),
        }
    }

    fn crash(&mut self) {
        let number = self.rng.usize(..self.tasks.len());
        let (name, task) = self.tasks.remove(number);
        drop(task);
        self.forget(&name);
        self.start_process();
    }

    /// A process says nothing for so long that others take its units; it may go on later.
    fn leases_run_out(&mut self) {
        let name = self.tasks[self.rng.usize(..self.tasks.len())].0.clone();
        self.forget(&name);
        self.forget_the_dead();
    }

    /// Leases end by themselves, also those that came back with an earlier Redis.
    fn forget_the_dead(&self) {
        let is_alive = |name: &str| self.tasks.iter().any(|(task, _)| task == name);
        let redis = &mut self.world.lock().redis;
        redis.members.retain(|name| is_alive(name));
        for unit in redis.units.values_mut() {
            unit.owner = unit.owner.take().filter(|name| is_alive(name));
        }
    }

    fn forget(&self, name: &str) {
        let redis = &mut self.world.lock().redis;
        redis.members.remove(name);
        for unit in redis.units.values_mut().filter(|unit| unit.owner.as_deref() == Some(name)) {
            unit.owner = None;
        }
    }

    fn lose_writes(&mut self) {
        if let Some(earlier) = self.snapshot.clone() {
            let mut inner = self.world.lock();
            // One server fails over, or all of them. The plan and the members are where the first shard is.
            let one = self.rng.u16(..SHARDS * 2);
            for shard in (0..SHARDS).filter(|shard| one >= SHARDS || one == *shard) {
                match earlier.units.get(&shard) {
                    Some(unit) => _ = inner.redis.units.insert(shard, unit.clone()),
                    None => _ = inner.redis.units.remove(&shard),
                }
                if shard == 0 {
                    inner.redis.plan.clone_from(&earlier.plan);
                    inner.redis.members.clone_from(&earlier.members);
                }
                // What was emptied is there again.
                inner.untold.remove(&shard);
                self.read.remove(&shard);
            }
        }
    }

    fn empty_a_shard(&mut self) {
        let shard = self.rng.u16(..SHARDS);
        let mut inner = self.world.lock();
        let was_seen = inner.reached.contains_key(&shard);
        let Some(unit) = inner.redis.units.get_mut(&shard) else { return };
        if self.rng.bool() {
            // The first step of what goes in several: nothing of it is left that could be read.
            unit.builds.clear();
            return;
        }
        inner.redis.units.remove(&shard);
        if was_seen {
            inner.untold.insert(shard);
        }
        if shard == 0 {
            inner.redis.plan = None;
            inner.redis.members.clear();
        }
        self.read.clear();
    }

    fn evict(&mut self) {
        let (shard, key) = (self.rng.u16(..SHARDS), format!("key-{}", self.rng.u8(0..KEYS)));
        let mut inner = self.world.lock();
        let Some(unit) = inner.redis.units.get_mut(&shard) else { return };
        if let Some(live) = unit.live.and_then(|live| unit.builds.get_mut(&live)) {
            live.views.remove(&key);
        }
    }

    fn log_goes_back(&mut self) {
        let mut inner = self.world.lock();
        let length = inner.log.len();
        inner.log.truncate(length - self.rng.usize(..length.min(4) + 1).min(length));
        drop(inner);
        if self.rng.bool() {
            self.world.append(0);
        }
        // A backup of the log is older than what Redis was at any time before.
        self.snapshot = None;
        self.read.clear();
    }

    fn call(&mut self, rebuild: bool) {
        let conductor = conductor(&self.conducted, &self.clock);
        self.calls.push(Box::pin(async move {
            let _ = if rebuild { conductor.begin(true).await } else { conductor.roll_back().await };
        }));
        if !rebuild {
            self.was_rolled_back = true;
            self.read.clear();
        }
    }

    /// What must hold at every moment.
    fn check(&mut self) -> Result<(), String> {
        let inner = self.world.lock();
        if let Some(violation) = &inner.violation {
            return Err(violation.clone());
        }
        let rolls_back = !self.calls.is_empty();
        for (&shard, unit) in &inner.redis.units {
            let Some((live, keys)) = unit.live.and_then(|live| Some((live, unit.builds.get(&live)?))) else { continue };
            let Some(state) = keys.state.filter(tally_read_model::State::is_complete) else { continue };
            // The log went back. The owner finds that out when it reads the next events, and nobody before.
            if !inner.has(state.position, state.last_event) {
                continue;
            }
            if !inner.may_lose && !self.was_rolled_back && state.position < state.fresh_from {
                return Err(format!("shard {shard} says without a cause that it may be stale: {state}"));
            }
            let book = inner.by_the_book(shard, state.position);
            for (key, positions) in &book {
                match keys.views.get(key).and_then(|stored| stored.view.as_ref()) {
                    Some(view) if view == positions => {}
                    // A reader is told that it is lost.
                    None if keys.index.contains(key) => {}
                    found => {
                        return Err(format!(
                            "shard {shard}, {key} as of {}: {found:?} and not {positions:?}",
                            state.position
                        ));
                    }
                }
            }
            if let Some(key) = keys.views.keys().find(|key| !book.contains_key(*key)) {
                return Err(format!("shard {shard}: a view {key} that no event made"));
            }
            let before = self.read.insert(shard, (live, state.position));
            if let Some((build, furthest)) = before
                && state.position < furthest
                && !rolls_back
                // Where something was lost it says so; a promotion loses nothing.
                && (state.position >= state.fresh_from || (live.generation > build.generation && !self.was_rolled_back))
            {
                return Err(format!(
                    "shard {shard} went back from {furthest} in {build} to {} in {live}",
                    state.position
                ));
            }
        }
        Ok(())
    }

    /// With nothing happening any more, everything comes to rest, and is right then.
    fn come_to_rest(mut self) -> Result<(), String> {
        self.forget_the_dead();
        for polls in 0..POLLS_TO_REST {
            self.clock.now.fetch_add(1, Ordering::Relaxed);
            self.poll(polls);
            if polls % 64 == 0 {
                self.check()?;
                if self.is_at_rest() {
                    return Ok(());
                }
            }
        }
        let inner = self.world.lock();
        Err(format!(
            "it does not come to rest: plan {:?}, log {}, {:#?}",
            inner.redis.plan,
            inner.log.len(),
            inner.redis.units
        ))
    }

    fn is_at_rest(&self) -> bool {
        let inner = self.world.lock();
        let head = inner.log.len() as u64;
        let is_up_to_date = |shard: u16| {
            let unit = inner.redis.units.get(&shard)?;
            let live = unit.builds.get(&unit.live?)?;
            let state = live.state?;
            let whole = live.index.iter().all(|key| live.views.contains_key(key));
            (state.position == head && state.is_complete() && whole && unit.roles.is_empty()).then_some(())
        };
        self.calls.is_empty() && inner.untold.is_empty() && (0..SHARDS).all(|shard| is_up_to_date(shard).is_some())
    }
}
