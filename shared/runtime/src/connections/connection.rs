//! A client's connection, and what it may do to the others.
//!
//! HTTP/2's library goes on with a connection as long as there is something to read from it, and all connections of a thread wait meanwhile. So a
//! connection has turns: after some bytes it says that there is nothing more, and asks to be looked at again, behind all others. And the frames
//! that pass are counted, in both directions, against its [`Allowance`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, Timeout, sleep, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::allowance::{Allowance, Next, Reason};
use super::frames::{FrameHeads, go_away};
use super::transport::Transport;
use super::{ConnectionLimits, METRICS, Open};

/// Bytes of a turn. What was begun is read to its end, so it can be one read more.
const TURN_BYTES_MAX: usize = 8 * 1024;

/// A connection of a client.
#[derive(Debug)]
pub(crate) struct Connection {
    transport: Transport,
    info: TcpConnectInfo,
    received: FrameHeads,
    sent: FrameHeads,
    allowance: Allowance,
    /// Bytes read in this turn.
    turn_bytes: usize,
    /// Until its first frame.
    beginning: Option<Pin<Box<Sleep>>>,
    /// While it is slowed.
    pause: Option<Pin<Box<Sleep>>>,
    is_slowed: bool,
    /// While it is closed and owes something.
    closing: Closing,
    stopping: CancellationToken,
    _open: Open,
}

#[derive(Debug)]
enum Closing {
    NotYet,
    Owing(Pin<Box<Timeout<WaitForCancellationFutureOwned>>>),
    Done,
}

impl Connection {
    pub(super) fn new(
        transport: Transport,
        info: TcpConnectInfo,
        open: Open,
        limits: ConnectionLimits,
        stopping: CancellationToken,
    ) -> Self {
        let ConnectionLimits { preface_timeout, control_frames_per_second_max, overuse_max, .. } = limits;
        Self {
            transport,
            info,
            received: FrameHeads::of_client(),
            sent: FrameHeads::of_server(),
            allowance: Allowance::new(control_frames_per_second_max, overuse_max, Instant::now()),
            turn_bytes: 0,
            beginning: Some(Box::pin(sleep(preface_timeout))),
            pause: None,
            is_slowed: false,
            closing: Closing::NotYet,
            stopping,
            _open: open,
        }
    }

    /// Ready when more may be read.
    fn poll_allowed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match self.allowance.next(Instant::now()) {
                Next::Read => return Poll::Ready(Ok(())),
                Next::Wait(time) => {
                    if !self.is_slowed {
                        METRICS.slowed.inc();
                        self.is_slowed = true;
                    }
                    self.pause = Some(Box::pin(sleep(time)));
                }
                Next::HangUp(reason) => return Poll::Ready(Err(self.hang_up(cx, reason))),
            }
        }
    }

    /// Tells the client, if that can be done at once.
    fn hang_up(&mut self, cx: &mut Context<'_>, reason: Reason) -> io::Error {
        self.count(reason);
        if self.sent.is_between_frames() {
            let farewell = go_away(self.allowance.newest_stream(), reason.told());
            let _ = Pin::new(&mut self.transport).poll_write(cx, &farewell);
            let _ = Pin::new(&mut self.transport).poll_flush(cx);
        }
        io::Error::new(io::ErrorKind::ConnectionAborted, reason.told())
    }

    fn count(&mut self, reason: Reason) {
        METRICS.hung_up.with_label_values(&[reason.label()]).inc();
        tracing::debug!(reason = reason.label(), client = ?self.info.remote_addr(), "a connection is hung up on");
    }

    fn note_sent(&mut self, bytes: &[u8]) {
        let Self { sent, allowance, .. } = self;
        sent.read(bytes, |head| allowance.sent(head));
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.info.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.turn_bytes >= TURN_BYTES_MAX {
            this.turn_bytes = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(this.poll_allowed(cx))?;
        let before = buffer.filled().len();
        if Pin::new(&mut this.transport).poll_read(cx, buffer)?.is_pending() {
            this.turn_bytes = 0;
            if let Some(beginning) = &mut this.beginning {
                ready!(beginning.as_mut().poll(cx));
                return Poll::Ready(Err(this.hang_up(cx, Reason::Preface)));
            }
            return Poll::Pending;
        }
        let read = &buffer.filled()[before..];
        this.turn_bytes += read.len();
        let Self { received, allowance, beginning, .. } = this;
        received.read(read, |head| {
            *beginning = None;
            allowance.received(head);
        });
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.transport).poll_write(cx, bytes))?;
        self.note_sent(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.transport).poll_write_vectored(cx, slices))?;
        let mut left = written;
        for slice in slices {
            let part = left.min(slice.len());
            self.note_sent(&slice[..part]);
            left -= part;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    /// Whoever owes something when the library ends the connection is kept waiting for the end, unread, so that it doesn't come back at once. Not
    /// when the process stops.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.closing {
                Closing::NotYet => match this.allowance.debt(Instant::now()) {
                    Some((time, reason)) => {
                        this.count(reason);
                        let stopping = this.stopping.clone().cancelled_owned();
                        this.closing = Closing::Owing(Box::pin(timeout(time, stopping)));
                    }
                    None => this.closing = Closing::Done,
                },
                Closing::Owing(end) => {
                    let _ = ready!(end.as_mut().poll(cx));
                    this.closing = Closing::Done;
                }
                Closing::Done => return Pin::new(&mut this.transport).poll_shutdown(cx),
            }
        }
    }
}

#[cfg(test)]
mod tests;
