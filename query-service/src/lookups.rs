//! Views looked up together: what is asked for while a look-up is under way is asked for with the next one.
//!
//! No timer: an idle service asks Redis at once, a busy one asks for a hundred views with one command, which costs Redis and this process little more
//! than one view does. As with the commits of command-service, it is the load itself that makes the groups.
//!
//! A group is asked for by a task of its own, so a caller that goes away takes nobody's answer with it. Every view is read after it was asked
//! for, as if its caller had asked alone: that reads never go back rests on it.

use std::array::from_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tally_read_model::{Error, Found, ReadModel};
use tally_runtime::{SERVING_THREADS_MAX, serving_thread};
use tokio::sync::oneshot;

/// Look-ups of one projection that are under way at once for callers of one thread: while Redis answers one, the next can be on its way.
const UNDER_WAY_MAX: usize = 2;
/// Views in one look-up.
const GROUP_MAX: usize = 256;

/// The look-ups of one projection's views.
pub(crate) struct Lookups(Arc<Shared>);

struct Shared {
    projection: &'static str,
    model: ReadModel,
    /// One for each thread that serves, so that nobody is woken on another one.
    queues: [Mutex<Queue>; SERVING_THREADS_MAX],
}

#[derive(Default)]
struct Queue {
    asked: Vec<Asked>,
    under_way: usize,
}

struct Asked {
    key: String,
    answer: oneshot::Sender<Result<Found, Error>>,
}

impl Lookups {
    pub(crate) fn new(model: &ReadModel, projection: &'static str) -> Self {
        Self(Arc::new(Shared { projection, model: model.clone(), queues: from_fn(|_| Mutex::default()) }))
    }

    /// The view with this key, and the position that this holds as of.
    pub(crate) async fn get(&self, key: &str) -> Result<Found, Error> {
        let (answer, answered) = oneshot::channel();
        if self.0.ask_for(Asked { key: key.to_owned(), answer }) {
            tokio::spawn(ask(Arc::clone(&self.0)));
        }
        answered.await.unwrap_or_else(|_| Err(Error::Unavailable("the look-up was given up".to_owned())))
    }
}

impl Shared {
    /// Says whether a look-up is to begin.
    fn ask_for(&self, asked: Asked) -> bool {
        let mut queue = self.lock();
        queue.asked.push(asked);
        let begins = queue.under_way < UNDER_WAY_MAX;
        queue.under_way += usize::from(begins);
        begins
    }

    /// What to ask for next. With the last of it goes the place among those that are under way, in the same step: whoever asks afterwards
    /// begins anew, and nobody is left waiting.
    fn next_group(&self) -> Option<Vec<Asked>> {
        let mut queue = self.lock();
        if queue.asked.is_empty() {
            queue.under_way -= 1;
            return None;
        }
        let size = queue.asked.len().min(GROUP_MAX);
        Some(queue.asked.drain(..size).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queues[serving_thread()].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks up whatever is asked for until nothing is.
async fn ask(shared: Arc<Shared>) {
    while let Some(group) = shared.next_group() {
        let keys: Vec<&str> = group.iter().map(|asked| asked.key.as_str()).collect();
        let found = shared.model.get_many(shared.projection, &keys).await;
        for (asked, found) in group.into_iter().zip(found) {
            // One who is gone needs no answer.
            let _ = asked.answer.send(found);
        }
    }
}
