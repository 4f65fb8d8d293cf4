//! What was read of the log by those that are behind, for others that are about as far; and what keeps them about as far.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tally_event_store::Error;
use tokio::sync::{Notify, OnceCell};
use tokio::time::{Instant, timeout_at};

use crate::Recorded;

type Events = Vec<Arc<Recorded>>;

/// How many events are read at once: those at positions 1 to 512, 513 to 1024 and so on.
const PAGE_EVENTS: u64 = 512;
/// How long whoever is ahead waits for those behind, each time that it reads on. So one that stands still holds up nobody for good, and each
/// shard can be as fast as its own Redis.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// Pages of the log, each read once however many want it.
pub(super) struct Pages {
    events_max: u64,
    pages: Mutex<VecDeque<Page>>,
    /// Where each of those that are behind reads on.
    places: Mutex<BTreeMap<u64, u64>>,
    next_reader: AtomicU64,
    /// Told when one of them has moved.
    moved: Notify,
}

struct Page {
    number: u64,
    events: Arc<OnceCell<Events>>,
}

/// One who reads through the log on its own.
pub(super) struct Place {
    pages: Arc<Pages>,
    reader: u64,
}

impl Pages {
    /// With room for so many events, but at least for one page.
    pub(super) fn new(events_max: usize) -> Self {
        Self {
            events_max: events_max as u64,
            pages: Mutex::default(),
            places: Mutex::default(),
            next_reader: AtomicU64::new(0),
            moved: Notify::new(),
        }
    }

    /// Forgets what was read.
    pub(super) fn clear(&self) {
        lock(&self.pages).clear();
    }

    /// A page that is not full is of a log that ended before: what comes there is still to come.
    fn forget(&self, number: u64) {
        lock(&self.pages).retain(|page| page.number != number);
    }

    fn page(&self, number: u64) -> Arc<OnceCell<Events>> {
        let mut pages = lock(&self.pages);
        if let Some(page) = pages.iter().find(|page| page.number == number) {
            return Arc::clone(&page.events);
        }
        while !pages.is_empty() && (pages.len() as u64 + 1) * PAGE_EVENTS > self.events_max {
            pages.pop_front();
        }
        let events = Arc::default();
        pages.push_back(Page { number, events: Arc::clone(&events) });
        events
    }
}

impl Place {
    pub(super) fn new(pages: &Arc<Pages>) -> Self {
        Self { pages: Arc::clone(pages), reader: pages.next_reader.fetch_add(1, Ordering::Relaxed) }
    }

    /// The events after a position, `count` of them; fewer where the log ends. `read` reads so many after a position from the log itself; what
    /// is behind `head` is read by each for itself, since there the log grows.
    pub(super) async fn get<F>(
        &self,
        after: u64,
        count: usize,
        head: u64,
        read: impl Fn(u64, usize) -> F,
    ) -> Result<Events, Error>
    where
        F: Future<Output = Result<Events, Error>>,
    {
        self.keep_together(after, count as u64).await;
        let mut events = Events::with_capacity(count);
        while events.len() < count {
            let (next, left) = (events.last().map_or(after, |event| event.position), count - events.len());
            let number = next / PAGE_EVENTS;
            let begins = number * PAGE_EVENTS;
            if begins + PAGE_EVENTS > head {
                events.extend(read(next, left).await?);
                break;
            }
            let page = self.pages.page(number);
            let page = page.get_or_try_init(|| read(begins, PAGE_EVENTS as usize)).await?;
            if (page.len() as u64) < PAGE_EVENTS {
                self.pages.forget(number);
            }
            let start = page.partition_point(|event| event.position <= next);
            let found = events.len();
            events.extend(page.iter().skip(start).take(left).cloned());
            if events.len() == found {
                break;
            }
        }
        Ok(events)
    }

    /// Waits until those behind have come so near that what is read now will still be there when they want it.
    async fn keep_together(&self, after: u64, count: u64) {
        let pages = &self.pages;
        let until = Instant::now() + WAIT_MAX;
        if lock(&pages.places).insert(self.reader, after) != Some(after) {
            pages.moved.notify_waiters();
        }
        loop {
            let mut moved = std::pin::pin!(pages.moved.notified());
            moved.as_mut().enable();
            let slowest = lock(&pages.places).values().min().copied().unwrap_or(after);
            if after + count <= slowest + pages.events_max.max(count) || timeout_at(until, moved).await.is_err() {
                return;
            }
        }
    }

    /// It isn't behind any more: nobody waits for it.
    pub(super) fn leave(&self) {
        if lock(&self.pages.places).remove(&self.reader).is_some() {
            self.pages.moved.notify_waiters();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::testing::external;

    /// A log that ends somewhere and counts how often it is read.
    struct Log {
        end: u64,
        reads: AtomicU64,
    }

    impl Log {
        fn new(end: u64) -> Self {
            Self { end, reads: AtomicU64::new(0) }
        }

        async fn read(&self, after: u64, count: usize) -> Result<Events, Error> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            let last = self.end.min(after + count as u64);
            Ok((after + 1..=last).map(|at| Arc::new(external("o").at(at).recorded())).collect())
        }

        /// The first and the last position of what it finds.
        async fn get(&self, place: &Place, after: u64, count: usize) -> Option<(u64, u64)> {
            let events = place.get(after, count, self.end, |after, count| self.read(after, count)).await.unwrap();
            let positions: Vec<u64> = events.iter().map(|event| event.position).collect();
            let (first, last) = (*positions.first()?, *positions.last()?);
            assert_eq!(positions, (first..=last).collect::<Vec<_>>(), "no hole");
            Some((first, last))
        }

        fn reads(&self) -> u64 {
            self.reads.load(Ordering::Relaxed)
        }
    }

    fn places<const N: usize>(events_max: usize) -> [Place; N] {
        let pages = Arc::new(Pages::new(events_max));
        [(); N].map(|()| Place::new(&pages))
    }

    #[tokio::test]
    async fn a_page_that_was_not_full_is_read_again() {
        let ([one], mut log) = (places(4096), Log::new(1000));
        // It is believed to go on further than it does.
        let events = one.get(600, 1000, 2048, |after, count| log.read(after, count)).await.unwrap();
        assert_eq!(events.last().map(|event| event.position), Some(1000));
        log.end = 1100;
        let events = one.get(1000, 1000, 2048, |after, count| log.read(after, count)).await.unwrap();
        assert_eq!(events.first().map(|event| event.position), Some(1001));
    }

    #[tokio::test]
    async fn a_page_is_read_once_however_many_want_it_and_whatever_part_of_it() {
        let ([one, other], log) = (places(4096), Log::new(2048));
        assert_eq!(tokio::join!(log.get(&one, 0, 512), log.get(&other, 0, 512)), (Some((1, 512)), Some((1, 512))));
        assert_eq!(log.reads(), 1);
        assert_eq!(log.get(&one, 511, 513).await, Some((512, 1024)), "the end of one and the whole of the next");
        assert_eq!(log.get(&other, 600, 100).await, Some((601, 700)));
        assert_eq!(log.get(&other, 600, 1000).await, Some((601, 1600)));
        assert_eq!(log.reads(), 4, "each of four pages");
        one.pages.clear();
        assert_eq!(log.get(&one, 600, 1).await, Some((601, 601)));
        assert_eq!(log.reads(), 5);
    }

    #[tokio::test]
    async fn the_end_of_the_log_is_read_by_each_for_itself() {
        let ([one, other], log) = (places(4096), Log::new(600));
        assert_eq!(
            tokio::join!(log.get(&one, 590, 512), log.get(&other, 590, 512)),
            (Some((591, 600)), Some((591, 600)))
        );
        assert_eq!(log.reads(), 2);
        assert_eq!(log.get(&one, 500, 512).await, Some((501, 600)), "of a page and of what is behind it");
        assert_eq!(log.get(&one, 600, 512).await, None, "nothing");
    }

    #[tokio::test]
    async fn a_log_that_ends_before_the_head_that_is_known_is_read_to_its_end() {
        let ([place], log) = (places(4096), Log::new(600));
        let read = |after, count| log.read(after, count);
        assert_eq!(place.get(0, 2048, 5000, read).await.unwrap().len(), 600);
        assert_eq!(place.get(600, 2048, 5000, read).await.unwrap().len(), 0);
    }

    #[tokio::test]
    async fn only_so_many_events_stay() {
        let ([place], log) = (places(1024), Log::new(4096));
        for after in [0, 512, 1024, 512, 1024, 0] {
            log.get(&place, after, 512).await;
        }
        assert_eq!(log.reads(), 4, "the first had to go");
        assert_eq!(log.get(&place, 0, 4096).await, Some((1, 4096)), "one may want more than there is room for");
        assert_eq!(lock(&place.pages.pages).len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_ahead_waits_for_those_behind() {
        let ([ahead, behind], log) = (places(1024), Log::new(100_000));
        log.get(&behind, 0, 512).await;
        log.get(&ahead, 512, 512).await;
        let began = Instant::now();
        let follow = async {
            log.get(&behind, 100, 512).await;
            log.get(&behind, 512, 512).await;
        };
        tokio::join!(log.get(&ahead, 1024, 512), follow);
        assert_eq!(began.elapsed(), Duration::ZERO, "as soon as it has come near");
        assert_eq!(log.reads(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long_for_one_that_stands_still_and_not_at_all_for_one_that_left() {
        let ([ahead, behind], log) = (places(1024), Log::new(100_000));
        log.get(&behind, 0, 512).await;
        let began = Instant::now();
        log.get(&ahead, 4096, 512).await;
        assert_eq!(began.elapsed(), WAIT_MAX);
        tokio::join!(log.get(&ahead, 8192, 512), async { behind.leave() });
        assert_eq!(began.elapsed(), WAIT_MAX, "it left meanwhile");
        drop(behind);
        log.get(&ahead, 16_384, 512).await;
        assert_eq!(began.elapsed(), WAIT_MAX);
    }
}
