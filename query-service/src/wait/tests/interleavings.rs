//! Every order in which the parts can run, one step at a time: a caller, the watcher, a projection that moves, and bells on their way.
//!
//! Only a task that was woken runs, and polling is out of reach, so a lost wake-up shows as a caller that isn't done when nothing can run.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;

use super::*;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Lets the others run.
async fn step() {
    let mut first = true;
    std::future::poll_fn(|context| {
        if std::mem::take(&mut first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// What is shared by the parts of one run.
#[derive(Clone, Default)]
struct World {
    position: Arc<AtomicU64>,
    bells: Arc<Mutex<VecDeque<u64>>>,
    rung: Arc<Notify>,
}

struct Remote {
    world: World,
}

impl Projection for Remote {
    async fn rung(&mut self) -> u64 {
        loop {
            let bell = self.world.bells.lock().expect("no panic").pop_front();
            match bell {
                Some(position) => return position,
                None => self.world.rung.notified().await,
            }
        }
    }

    async fn look(&mut self) -> Option<u64> {
        Some(self.world.read().await)
    }
}

impl World {
    /// The question is on its way for a while, and so is the answer.
    async fn read(&self) -> u64 {
        step().await;
        let position = self.position.load(Ordering::SeqCst);
        step().await;
        position
    }

    async fn move_to(self, positions: Vec<u64>) {
        for position in positions {
            step().await;
            // One script sets the checkpoint and rings, so nothing comes between.
            self.position.store(position, Ordering::SeqCst);
            self.bells.lock().expect("no panic").push_back(position);
            self.rung.notify_one();
        }
    }
}

async fn call(world: World, waiters: Arc<Waiters>, wanted: u64, done: Arc<AtomicUsize>) {
    while world.read().await < wanted {
        waiters.register(wanted).woken().await;
    }
    done.fetch_add(1, Ordering::SeqCst);
}

/// Runs all tasks until none can go on; `choose` says which of those that can goes next.
fn run(mut tasks: Vec<Task>, mut choose: impl FnMut(usize) -> usize) {
    let flags: Vec<_> = tasks.iter().map(|_| Arc::new(Flag(AtomicBool::new(true)))).collect();
    let mut live = vec![true; tasks.len()];
    loop {
        let ready: Vec<usize> = (0..tasks.len()).filter(|&n| live[n] && flags[n].0.load(Ordering::SeqCst)).collect();
        let Some(&task) = ready.get(if ready.len() > 1 { choose(ready.len()) } else { 0 }) else { return };
        flags[task].0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&flags[task]));
        live[task] = tasks[task].as_mut().poll(&mut Context::from_waker(&waker)).is_pending();
    }
}

/// How many callers of `wanted` get their answer when the projection moves through `positions`.
fn answered(wanted: &[u64], positions: &[u64], choose: impl FnMut(usize) -> usize) -> usize {
    let (world, waiters, done) = (World::default(), Arc::<Waiters>::default(), Arc::<AtomicUsize>::default());
    let mut tasks: Vec<Task> = vec![
        Box::pin(watch(Arc::clone(&waiters), Remote { world: world.clone() }, LONG)),
        Box::pin(world.clone().move_to(positions.to_vec())),
    ];
    for &wanted in wanted {
        tasks.push(Box::pin(call(world.clone(), Arc::clone(&waiters), wanted, Arc::clone(&done))));
    }
    run(tasks, choose);
    done.load(Ordering::SeqCst)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// Calls `check` once for each sequence of choices that there is, as an odometer counts.
fn exhaustively(mut check: impl FnMut(&mut dyn FnMut(usize) -> usize)) -> usize {
    let mut choices: Vec<(usize, usize)> = Vec::new();
    let mut runs = 0;
    loop {
        let mut at = 0;
        check(&mut |options| {
            if at == choices.len() {
                choices.push((0, options));
            }
            at += 1;
            choices[at - 1].0
        });
        runs += 1;
        while choices.pop_if(|(choice, options)| *choice + 1 == *options).is_some() {}
        match choices.last_mut() {
            Some((choice, _)) => *choice += 1,
            None => return runs,
        }
    }
}

#[test]
fn in_every_order_the_caller_is_answered() {
    let runtime = runtime();
    let _guard = runtime.enter();
    for (wanted, positions) in [(1, &[1][..]), (2, &[1, 2]), (1, &[2]), (2, &[5, 1, 2])] {
        let runs = exhaustively(|choose| assert_eq!(answered(&[wanted], positions, choose), 1));
        assert!(runs > 50, "{runs} orders are too few to be all of them");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn in_any_order_all_callers_are_answered(
        choices in prop::collection::vec(any::<prop::sample::Index>(), 1..200),
        wanted in prop::collection::vec(1..=4_u64, 1..5),
        // A new generation, or a Redis that lost writes, sets the position back; in the end it is where all are waiting for it.
        mut positions in prop::collection::vec(1..=4_u64, 0..4),
    ) {
        let runtime = runtime();
        let _guard = runtime.enter();
        positions.push(4);
        let mut choices = choices.into_iter().cycle();
        let choose = |options| choices.next().map_or(0, |choice| choice.index(options));
        prop_assert_eq!(answered(&wanted, &positions, choose), wanted.len());
    }
}
