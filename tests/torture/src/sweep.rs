//! When all is well again: whether every view gets to the end of the log. What is read is held against the fold with all other reads.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use system_tests::client::ReadAfter;
use tokio::time::{Instant, sleep};

use crate::history::{Asked, Read, ReadResult, View};
use crate::intention::Intention;
use crate::session::{Session, Shared, look};
use crate::world::World;

/// How long one look waits, in milliseconds.
const WAIT_MS: u64 = 2_000;
const PAUSE: Duration = Duration::from_millis(50);
/// Views that are looked at beside all stock: the newest.
const VIEWS_MAX: usize = 2_000;

/// Reads all stock and the newest other views as of the last command or later.
pub(crate) async fn sweep(world: &World, shared: &Arc<Shared>) {
    let clients = world.clients();
    // One more command on all that is there: its position is the end of the log, and it proves that commands are taken.
    let mut last = Session::new(usize::from(u16::MAX), 0, clients.clone(), Arc::clone(shared));
    let (order_id, sku) = ("the-last".to_owned(), shared.skus[0].clone());
    let deadline = Instant::now() + shared.catch_up_within;
    if !last.carry_out(Intention::Allocate { order_id, sku, quantity: 1 }).await {
        shared.recorder.history().broken_sessions.push("no command is taken at the end".to_owned());
        return;
    }
    let (head, token) = last.newest();

    let mut views: BTreeSet<View> = shared.skus.iter().cloned().map(View::Stock).collect();
    let read: Vec<View> = shared.recorder.history().reads.iter().rev().map(|read| read.asked.view.clone()).collect();
    for view in read {
        if views.len() >= VIEWS_MAX {
            break;
        }
        views.insert(view);
    }
    for (index, view) in views.into_iter().enumerate() {
        let replica = index % clients.len();
        loop {
            let after = ReadAfter::token(&token).at_most(Duration::from_millis(WAIT_MS)).or_fail();
            let invoked_us = shared.recorder.now_us();
            let (result, _) = look(&clients[replica], &view, &after).await;
            let ended_us = shared.recorder.now_us();
            let answered = matches!(result, ReadResult::Answered { may_be_stale: false, .. });
            let told = format!("{view:?}: {result:?}");
            let (session, view, wanted, wait_ms) = (0, view.clone(), head, WAIT_MS);
            let asked = Asked { session, view, replica, invoked_us, ended_us, wanted, wait_ms };
            shared.recorder.history().reads.push(Read { asked, result });
            if answered {
                break;
            }
            if Instant::now() > deadline {
                shared.recorder.history().views_behind.push(told);
                return;
            }
            sleep(PAUSE).await;
        }
    }
}
