//! What was read of the log by projections that are behind, for others that are about as far.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tally_event_store::Error;
use tokio::sync::OnceCell;

use crate::Recorded;

type Events = Vec<Arc<Recorded>>;

/// Pages of the log, each read once however many want it at the same time.
pub(super) struct Pages {
    events_max: usize,
    pages: Mutex<VecDeque<Page>>,
}

struct Page {
    /// Its first event is the one after this position.
    after: u64,
    /// How many events were asked for.
    count: usize,
    events: Arc<OnceCell<Events>>,
}

impl Pages {
    /// With room for so many events, but at least for one page.
    pub(super) fn new(events_max: usize) -> Self {
        Self { events_max, pages: Mutex::default() }
    }

    /// The events after a position, `count` of them; fewer where the log ends, as it is read now.
    pub(super) async fn get<F>(&self, after: u64, count: usize, read: impl Fn() -> F) -> Result<Events, Error>
    where
        F: Future<Output = Result<Events, Error>>,
    {
        let cell = self.page(after, count);
        let mut is_own = false;
        let events = cell.get_or_try_init(|| {
            is_own = true;
            read()
        });
        let events = events.await?;
        if events.len() >= count {
            return Ok(events.clone());
        }
        // It grows at its end, so what others found there says nothing any more.
        self.lock().retain(|page| !Arc::ptr_eq(&page.events, &cell));
        if is_own { Ok(events.clone()) } else { read().await }
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn page(&self, after: u64, count: usize) -> Arc<OnceCell<Events>> {
        let mut pages = self.lock();
        if let Some(page) = pages.iter().find(|page| (page.after, page.count) == (after, count)) {
            return Arc::clone(&page.events);
        }
        while pages.iter().map(|page| page.count).sum::<usize>() > self.events_max.saturating_sub(count) {
            pages.pop_front();
        }
        let events = Arc::default();
        pages.push_back(Page { after, count, events: Arc::clone(&events) });
        events
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Page>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::projections::testing::external;

    fn events(after: u64, count: u64) -> Events {
        (after + 1..=after + count).map(|at| Arc::new(external("o").at(at).recorded())).collect()
    }

    #[tokio::test]
    async fn a_page_is_read_once_however_many_want_it() {
        let (pages, reads) = (Pages::new(8), AtomicU64::new(0));
        let read = async || {
            reads.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(events(4, 4))
        };
        let (one, other) = tokio::join!(pages.get(4, 4, read), pages.get(4, 4, read));
        assert_eq!((one.unwrap().len(), other.unwrap().len()), (4, 4));
        assert_eq!(pages.get(4, 4, read).await.unwrap()[0].position, 5);
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        pages.clear();
        pages.get(4, 4, read).await.unwrap();
        assert_eq!(reads.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn the_end_of_the_log_is_read_by_each_for_itself() {
        let (pages, reads) = (Pages::new(8), AtomicU64::new(0));
        let read = async || {
            tokio::task::yield_now().await;
            Ok(events(4, reads.fetch_add(1, Ordering::Relaxed) + 1))
        };
        let (one, other) = tokio::join!(pages.get(4, 4, read), pages.get(4, 4, read));
        assert_eq!((one.unwrap().len(), other.unwrap().len()), (1, 2), "who came later sees what came meanwhile");
        assert_eq!(pages.get(4, 4, read).await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn only_so_many_events_stay() {
        let (pages, reads) = (Pages::new(8), AtomicU64::new(0));
        for after in [0, 4, 8, 4, 8, 0] {
            let read = async || {
                reads.fetch_add(1, Ordering::Relaxed);
                Ok(events(after, 4))
            };
            pages.get(after, 4, read).await.unwrap();
        }
        assert_eq!(reads.load(Ordering::Relaxed), 4, "the first had to go");
        pages.get(0, 100, async || Ok(events(0, 100))).await.unwrap();
        assert_eq!(pages.lock().len(), 1, "one has room however large it is");
    }
}
