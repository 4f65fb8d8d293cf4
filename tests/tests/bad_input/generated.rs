//! Thousands of requests and connections that nobody thought of: made from good ones by a seeded mutator, so that each run is the same.

use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;
use system_tests::client::TallyClient;
use system_tests::fold::Fold;
use system_tests::{Log, Service, mutated};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Code;

use super::Bench;
use super::requests::good;
use super::wire::{encode, methods};

const SEED: u64 = 2_026;
/// Of each RPC.
const REQUESTS_EACH: usize = 160;
/// To each process.
const CONNECTIONS_EACH: usize = 120;
/// How long a process may take to say something to nonsense, or to hang up.
const SILENCE: Duration = Duration::from_millis(20);
/// What a client says first in HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The first frame of a client: settings, none.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
/// What any request may be answered with, however strange.
const PROMISED: [Code; 8] = [
    Code::InvalidArgument,
    Code::NotFound,
    Code::FailedPrecondition,
    Code::AlreadyExists,
    Code::Aborted,
    Code::ResourceExhausted,
    // A watch or a subscription that was made by chance and has nothing to say.
    Code::DeadlineExceeded,
    Code::Cancelled,
];

async fn still_sound(bench: &Bench) {
    let log = Log::read(&bench.tally.database().await).await;
    log.check();
    Fold::of(&log);
    for service in bench.tally.services() {
        assert!(service.process().is_running(), "{} has ended", service.name());
        let said = std::fs::read_to_string(service.log()).unwrap();
        assert!(!said.contains("panicked"), "{}: {said}", service.name());
    }
}

#[tokio::test]
async fn requests_that_nobody_thought_of_are_answered_as_promised() {
    let mut bench = Bench::new().await;
    let mut rng = Rng::with_seed(SEED);
    let mut calls = 0;
    for method in methods() {
        let request = encode(&method, &good(&method.input()));
        for _ in 0..REQUESTS_EACH {
            let bytes = mutated(&mut rng, &request);
            if let Err(error) = bench.call(&method, bytes.clone()).await
                && !PROMISED.contains(&error.code)
            {
                bench.failures.push(format!("{} {bytes:02x?}: {error:?}", method.name()));
            }
            calls += 1;
        }
    }
    assert!(bench.failures.is_empty(), "{} failures:\n{}", bench.failures.len(), bench.failures.join("\n"));
    assert!(calls >= 2_000, "{calls}");
    still_sound(&bench).await;
}

#[tokio::test]
async fn bytes_on_the_socket_that_are_no_http_harm_nobody() {
    let bench = Bench::new().await;
    let mut rng = Rng::with_seed(SEED);
    for service in bench.tally.services() {
        for _ in 0..CONNECTIONS_EACH {
            say(service.address(), &nonsense(&mut rng)).await;
        }
        answers(service).await;
    }
    still_sound(&bench).await;
    let written = bench.tally.client().allocate("o1", "LAMP", 1).await.unwrap();
    bench.tally.client().get_stock("LAMP", &written.seen()).await.unwrap();
}

/// Noise, an old HTTP, half a preface, or a good beginning and then frames at random.
fn nonsense(rng: &mut Rng) -> Vec<u8> {
    let noise = |rng: &mut Rng, most: usize| -> Vec<u8> {
        let length = rng.usize(1..most);
        std::iter::repeat_with(|| rng.u8(..)).take(length).collect()
    };
    match rng.u8(..5) {
        0 => noise(rng, 2_000),
        1 => b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        2 => PREFACE[..rng.usize(1..PREFACE.len())].to_vec(),
        3 => mutated(rng, &[PREFACE, &SETTINGS].concat()),
        _ => {
            let mut bytes = [PREFACE, &SETTINGS].concat();
            for _ in 0..rng.usize(1..12) {
                let payload = noise(rng, 200);
                let length = if rng.bool() { payload.len() } else { rng.usize(..1 << 24) };
                bytes.extend(&u32::try_from(length).unwrap().to_be_bytes()[1..]);
                bytes.extend([rng.u8(..12), rng.u8(..)]);
                bytes.extend((rng.u32(..8) | u32::from(rng.bool()) << 31).to_be_bytes());
                bytes.extend(payload);
            }
            bytes
        }
    }
}

async fn say(address: SocketAddr, bytes: &[u8]) {
    let mut connection = TcpStream::connect(address).await.unwrap();
    // It may hang up while it is being talked to.
    let _ = connection.write_all(bytes).await;
    let mut answer = vec![0; 1_024];
    let _ = timeout(SILENCE, connection.read(&mut answer)).await;
}

async fn answers(service: &Service) {
    assert!(system_tests::health::is_serving(service, system_tests::health::LIVENESS).await, "{}", service.name());
}
