//! Tells the projector that there is something new. A bell that isn't heard costs it a poll; a Redis that is away costs a command nothing.

use tokio::sync::watch;

/// Rings for the newest position; rings that come while one is on its way are one.
#[derive(Clone, Debug)]
pub(crate) struct Doorbell {
    newest: watch::Sender<u64>,
}

impl Doorbell {
    /// A bell and what is to be carried to Redis.
    pub(crate) fn new() -> (Self, watch::Receiver<u64>) {
        let (newest, rings) = watch::channel(0);
        (Self { newest }, rings)
    }

    /// There are events up to this position.
    pub(crate) fn ring(&self, position: u64) {
        self.newest.send_replace(position);
    }
}
