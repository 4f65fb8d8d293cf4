//! Turns: whatever is there to be read, others come in between.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::*;

/// What the library reads at once, about.
const READ_BYTES: usize = 16 * 1024;

fn limits() -> ConnectionLimits {
    ConnectionLimits {
        connections_max: 1,
        preface_timeout: Duration::from_secs(60),
        control_frames_per_second_max: 200,
        overuse_max: Duration::from_secs(10),
    }
}

/// A connection, and the client's end of it.
async fn connected() -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let open = Open::new(Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap(), Arc::default());
    let info = stream.connect_info();
    (Connection::new(Transport::Plain(stream), info, open, limits(), CancellationToken::new()), client)
}

/// A preface and data in frames of 16 KiB.
fn honest_bytes(frames: usize) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    for _ in 0..frames {
        bytes.extend([0, 0x40, 0, 0, 0, 0, 0, 0, 1]);
        bytes.extend([7; 0x4000]);
    }
    bytes
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads as the library does, until it is told that there is nothing. How much that was.
fn turn(connection: &mut Connection, cx: &mut Context<'_>) -> usize {
    let (mut bytes, mut total) = (vec![0; READ_BYTES], 0);
    loop {
        let mut buffer = ReadBuf::new(&mut bytes);
        match Pin::new(&mut *connection).poll_read(cx, &mut buffer) {
            Poll::Ready(read) => read.unwrap(),
            Poll::Pending => return total,
        }
        total += buffer.filled().len();
    }
}

#[tokio::test]
async fn a_turn_ends_though_there_is_more_and_asks_for_the_next() {
    let (mut connection, mut client) = connected().await;
    // As much as has room in the system's buffers, so that all of it is there.
    let sent = honest_bytes(3);
    client.write_all(&sent).await.unwrap();
    let Transport::Plain(stream) = &connection.transport else { unreachable!("it is not encrypted") };
    let mut there = vec![0; sent.len()];
    while stream.peek(&mut there).await.unwrap() < sent.len() {
        tokio::task::yield_now().await;
    }

    let (wakes, mut read, mut turns) = (Arc::new(Wakes::default()), 0, 0);
    let waker = Waker::from(Arc::clone(&wakes));
    while read < sent.len() {
        // Of a task's own poll, so that it isn't the runtime's own budget that ends the turn.
        let bytes = poll_fn(|_| Poll::Ready(turn(&mut connection, &mut Context::from_waker(&waker)))).await;
        assert!(bytes <= TURN_BYTES_MAX + READ_BYTES, "{bytes} in one turn");
        (read, turns) = (read + bytes, turns + 1);
        // The last one can end because there is nothing more.
        assert!(wakes.0.load(Ordering::Relaxed) == turns || read == sent.len(), "it asks to be looked at again");
        tokio::task::yield_now().await;
    }
    assert_eq!(read, sent.len());
    assert!(turns >= 3);
}

#[tokio::test]
async fn what_is_read_in_honesty_is_never_slowed() {
    let (mut connection, mut client) = connected().await;
    let sent = honest_bytes(200);
    let length = sent.len();
    let writing = tokio::spawn(async move {
        client.write_all(&sent).await.unwrap();
        client
    });
    let mut read = 0;
    while read < length {
        let mut bytes = vec![0; READ_BYTES];
        read += tokio::io::AsyncReadExt::read(&mut connection, &mut bytes).await.unwrap();
        assert!(connection.pause.is_none());
    }
    drop(writing.await.unwrap());
}
