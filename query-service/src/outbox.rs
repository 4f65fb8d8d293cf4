//! A stream of messages to one caller, who may be slow, or gone.
//!
//! The messages are made by a task that ends with the stream: a caller that goes away leaves nothing behind. One that stays and does not read
//! is waited for only so long, since what is kept for it is memory; then the stream ends with an error that says where to go on.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use crate::metrics::METRICS;
use crate::status::Failure;

/// Messages that are made and not taken yet, besides those that HTTP/2 has buffered.
const QUEUED_MAX: usize = 2;

/// How a stream treats its caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamLimits {
    /// How long nothing may be sent.
    pub(crate) heartbeat: Duration,
    /// How long the caller may take to take a message.
    pub(crate) stall_max: Duration,
}

/// Where messages are put for the caller to take.
pub(crate) struct Outbox<T> {
    queue: mpsc::Sender<T>,
    stall_max: Duration,
}

/// The caller did not take a message in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooSlow;

impl<T: Send> Outbox<T> {
    /// Puts a message, as soon as there is room.
    pub(crate) async fn send(&self, message: T) -> Result<(), TooSlow> {
        match self.queue.send_timeout(message, self.stall_max).await {
            Ok(()) => Ok(()),
            Err(SendTimeoutError::Timeout(_)) => Err(TooSlow),
            // The caller is gone, and this task is about to go, too.
            Err(SendTimeoutError::Closed(_)) => std::future::pending().await,
        }
    }
}

/// What the caller takes messages from. Dropped, it ends the task that makes them.
pub(crate) struct Outgoing<T> {
    queue: mpsc::Receiver<T>,
    work: Option<AbortOnDropHandle<Failure>>,
}

impl<T: Send + 'static> Outgoing<T> {
    /// Begins `work`, which makes the messages and says in the end why there are no more.
    pub(crate) fn begin<W>(limits: StreamLimits, work: impl FnOnce(Outbox<T>) -> W) -> Self
    where
        W: Future<Output = Failure> + Send + 'static,
    {
        let (sender, queue) = mpsc::channel(QUEUED_MAX);
        let work = work(Outbox { queue: sender, stall_max: limits.stall_max });
        let work = tokio::spawn(async move {
            let failure = work.await;
            METRICS.stream_ended(failure.reason());
            failure
        });
        Self { queue, work: Some(AbortOnDropHandle::new(work)) }
    }
}

impl<T> Stream for Outgoing<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(message) = ready!(self.queue.poll_recv(context)) {
            return Poll::Ready(Some(Ok(message)));
        }
        let Some(work) = self.work.as_mut() else { return Poll::Ready(None) };
        let ended = ready!(Pin::new(work).poll(context));
        self.work = None;
        match ended.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(failure) => Poll::Ready(Some(Err(failure.into()))),
            Err(Ok(panic)) => resume_unwind(panic),
            // The process ends.
            Err(Err(_)) => Poll::Ready(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use tokio::sync::oneshot;

    use super::*;
    use crate::status::Resume;

    const LIMITS: StreamLimits =
        StreamLimits { heartbeat: Duration::from_secs(1), stall_max: Duration::from_millis(500) };

    async fn count_for_ever(outbox: Outbox<u64>) -> Failure {
        let mut sent = 0;
        loop {
            if let Err(TooSlow) = outbox.send(sent + 1).await {
                return Failure::SlowReader(Resume { position: sent, version: None });
            }
            sent += 1;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_keeps_up_is_never_dropped() {
        let mut stream = Outgoing::begin(LIMITS, count_for_ever);
        for expected in 1..=100 {
            tokio::time::sleep(LIMITS.stall_max / 2).await;
            assert_eq!(stream.next().await.unwrap().unwrap(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_gets_what_was_made_for_it_and_then_where_to_go_on() {
        let mut stream = Outgoing::begin(LIMITS, count_for_ever);
        tokio::time::sleep(LIMITS.stall_max * 2).await;
        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
        assert_eq!(stream.next().await.unwrap().unwrap(), 2);
        let status = stream.next().await.unwrap().unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn a_stream_that_is_dropped_ends_its_work() {
        let (guard, ended) = oneshot::channel::<()>();
        let stream = Outgoing::<u64>::begin(LIMITS, |_outbox| async move {
            let _guard = guard;
            std::future::pending().await
        });
        drop(stream);
        assert!(ended.await.is_err(), "the guard was dropped");
    }
}
