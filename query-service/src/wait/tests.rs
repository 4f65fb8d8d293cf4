use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::watch as channel;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

mod interleavings;

const POLL_INTERVAL: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(3600);

/// A projection that the test moves.
#[derive(Clone, Default)]
struct Moved {
    position: Arc<AtomicU64>,
    looks: Arc<AtomicUsize>,
}

struct Observed {
    moved: Moved,
    bell: channel::Receiver<u64>,
}

impl Projection for Observed {
    async fn rung(&mut self) -> u64 {
        if self.bell.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        *self.bell.borrow_and_update()
    }

    async fn look(&mut self) -> Option<u64> {
        self.moved.looks.fetch_add(1, Ordering::SeqCst);
        Some(self.moved.position.load(Ordering::SeqCst))
    }
}

/// A watcher, what it watches, and the bell.
struct Watched {
    waiters: Arc<Waiters>,
    moved: Moved,
    bell: channel::Sender<u64>,
    watcher: JoinHandle<()>,
}

impl Watched {
    fn new() -> Self {
        let (bell, heard) = channel::channel(0);
        let (waiters, moved) = (Arc::<Waiters>::default(), Moved::default());
        let observed = Observed { moved: moved.clone(), bell: heard };
        let watcher = tokio::spawn(watch(Arc::clone(&waiters), observed, POLL_INTERVAL));
        Self { waiters, moved, bell, watcher }
    }

    /// Moves the projection, and says nothing.
    fn move_to(&self, position: u64) {
        self.moved.position.store(position, Ordering::SeqCst);
    }

    fn ring(&self, position: u64) {
        self.bell.send_replace(position);
    }

    fn looks(&self) -> usize {
        self.moved.looks.load(Ordering::SeqCst)
    }

    /// Lets the watcher do all that it can do without time passing.
    async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_move_before_registering_is_seen_without_bell_or_poll() {
    let watched = Watched::new();
    watched.move_to(7);
    let registration = watched.waiters.register(7);
    timeout(POLL_INTERVAL / 2, registration.woken()).await.expect("woken by the look");
}

#[tokio::test(start_paused = true)]
async fn a_ring_wakes_whom_it_concerns_and_nobody_else() {
    let watched = Watched::new();
    let (fifth, sixth) = (watched.waiters.register(5), watched.waiters.register(6));
    watched.settle().await;
    watched.move_to(5);
    watched.ring(5);
    timeout(POLL_INTERVAL / 2, fifth.woken()).await.expect("woken by the bell");
    timeout(LONG, sixth.woken()).await.expect_err("still waiting");
}

#[tokio::test(start_paused = true)]
async fn a_ring_needs_no_look() {
    let watched = Watched::new();
    let registration = watched.waiters.register(5);
    watched.settle().await;
    let looks = watched.looks();
    watched.ring(5);
    timeout(POLL_INTERVAL / 2, registration.woken()).await.expect("woken by the bell");
    assert_eq!(watched.looks(), looks);
}

#[tokio::test(start_paused = true)]
async fn a_lost_bell_is_made_good_by_polling() {
    let watched = Watched::new();
    let registration = watched.waiters.register(5);
    watched.settle().await;
    watched.move_to(5);
    timeout(POLL_INTERVAL * 2, registration.woken()).await.expect("found by polling");
}

#[tokio::test(start_paused = true)]
async fn polling_goes_on_while_the_bell_rings_of_something_else() {
    let watched = Watched::new();
    let mut woken = std::pin::pin!(watched.waiters.register(1_000).woken());
    watched.settle().await;
    watched.move_to(1_000);
    for position in 1..10 {
        watched.ring(position);
        if timeout(POLL_INTERVAL / 2, &mut woken).await.is_ok() {
            return;
        }
    }
    panic!("polling stopped");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_and_nothing_is_asked() {
    let watched = Watched::new();
    tokio::time::sleep(LONG).await;
    watched.ring(5);
    watched.ring(5);
    watched.settle().await;
    assert_eq!(watched.looks(), 0);

    let registration = watched.waiters.register(9);
    watched.settle().await;
    drop(registration);
    let looks = watched.looks();
    tokio::time::sleep(LONG).await;
    assert_eq!(watched.looks(), looks, "polling went on for somebody who has gone");
}

#[tokio::test(start_paused = true)]
async fn many_who_wait_cost_no_more_looks_than_one() {
    let watched = Watched::new();
    let registrations: Vec<_> = (0..1_000).map(|_| watched.waiters.register(5)).collect();
    watched.settle().await;
    assert_eq!(watched.looks(), 1);
    tokio::time::sleep(POLL_INTERVAL * 10).await;
    assert!(watched.looks() <= 12, "{} looks", watched.looks());
    drop(registrations);
}

#[tokio::test(start_paused = true)]
async fn a_projection_that_begins_anew_is_followed() {
    let watched = Watched::new();
    watched.move_to(100);
    watched.ring(100);
    let registration = watched.waiters.register(101);
    watched.settle().await;
    // A new generation is live: it is behind, and catches up.
    watched.move_to(3);
    watched.ring(3);
    watched.settle().await;
    watched.move_to(101);
    watched.ring(101);
    timeout(POLL_INTERVAL / 2, registration.woken()).await.expect("woken by the bell");
}

#[tokio::test(start_paused = true)]
async fn a_ring_that_tells_nothing_new_makes_the_watcher_look() {
    let watched = Watched::new();
    let registration = watched.waiters.register(5);
    watched.settle().await;
    // The connection to the bell was away while the projection moved; it is back and rings with what it knew.
    watched.move_to(5);
    watched.ring(0);
    timeout(POLL_INTERVAL / 2, registration.woken()).await.expect("woken by a look");
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_leaves_nothing_behind() {
    let watched = Watched::new();
    timeout(Duration::from_millis(1), watched.waiters.register(5).woken()).await.expect_err("nothing moved");
    drop(watched.waiters.register(6));
    let task = tokio::spawn(watched.waiters.register(7).woken());
    watched.settle().await;
    task.abort();
    assert!(task.await.expect_err("aborted").is_cancelled());
    assert!(!watched.waiters.is_anybody_waiting());

    // And nor does who was woken.
    let registration = watched.waiters.register(8);
    watched.ring(8);
    registration.woken().await;
    assert!(!watched.waiters.is_anybody_waiting());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_from_many_threads_no_wake_up_is_lost() {
    const POSITIONS: u64 = 2_000;
    const CALLERS: u64 = 64;

    let (bell, heard) = channel::channel(0);
    let (waiters, moved) = (Arc::<Waiters>::default(), Moved::default());
    let observed = Observed { moved: moved.clone(), bell: heard };
    // With polling out of the way a lost wake-up never ends.
    let watcher = tokio::spawn(watch(Arc::clone(&waiters), observed, LONG));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (waiters, moved) = (Arc::clone(&waiters), moved.clone());
            tokio::spawn(async move {
                for wanted in (1 + caller..=POSITIONS).step_by(1 + caller as usize % 5) {
                    while moved.position.load(Ordering::SeqCst) < wanted {
                        waiters.register(wanted).woken().await;
                    }
                }
            })
        })
        .collect();
    for position in 1..=POSITIONS {
        moved.position.store(position, Ordering::SeqCst);
        bell.send_replace(position);
        tokio::task::yield_now().await;
    }
    for caller in callers {
        timeout(Duration::from_secs(30), caller).await.expect("a wake-up was lost").expect("no panic");
    }
    assert!(!waiters.is_anybody_waiting());
    watcher.abort();
}
