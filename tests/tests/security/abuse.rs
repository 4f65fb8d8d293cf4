//! Connections that mean no good are slowed, told why, and hung up on; those that mean well never are.

use std::time::{Duration, Instant};

use system_tests::client::{ReadAfter, RustClient, TallyClient};
use system_tests::frames::{
    CONTINUATION, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE, call, frame, frames,
};
use system_tests::{PATIENCE, Samples, Service, Tally, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::Endpoint;

/// Frames a second, ten seconds' worth of which can be saved.
const CONTROL_FRAMES_PER_SECOND_MAX: usize = 100;
const OVERUSE_MAX: Duration = Duration::from_millis(500);
/// RFC 9113, 7.
const ENHANCE_YOUR_CALM: u32 = 11;
/// Frames written at once.
const BURST: u32 = 64;

async fn start() -> Tally {
    let overuse_ms_max = OVERUSE_MAX.as_millis().to_string();
    Tally::start_with_environment(&[
        ("TALLY_METRICS_LISTEN", "127.0.0.1:0"),
        ("TALLY_PREFACE_MS_MAX", "200"),
        ("TALLY_CONTROL_FRAMES_PER_SECOND_MAX", &CONTROL_FRAMES_PER_SECOND_MAX.to_string()),
        ("TALLY_OVERUSE_MS_MAX", &overuse_ms_max),
    ])
    .await
}

async fn hung_up(service: &Service, reason: &str) -> f64 {
    let label = format!("reason=\"{reason}\"");
    Samples::of(service).await.sum("tally_connections_hung_up_total", &[&label])
}

/// Begins a connection and writes what `burst` gives, again and again, until it is hung up on. What it was sent, and how long that took.
async fn flood(service: &Service, mut burst: impl FnMut(u32) -> Vec<u8>) -> (Vec<u8>, Duration) {
    let mut connection = TcpStream::connect(service.address()).await.unwrap();
    let began = Instant::now();
    connection.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    let (mut from, mut to) = connection.split();
    let write = async {
        for number in 0.. {
            if to.write_all(&burst(number)).await.is_err() {
                break;
            }
        }
    };
    let mut sent = Vec::new();
    let read = async {
        let mut bytes = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            sent.extend_from_slice(&bytes[..count]);
        }
    };
    // Until the last byte is read, whatever has become of writing.
    let both = async { tokio::join!(write, read) };
    timeout(PATIENCE, both).await.expect("it is hung up on");
    (sent, began.elapsed())
}

/// Code and words of the frame that ended the connection.
fn farewell(sent: &[u8]) -> (u32, String) {
    let frames = frames(sent);
    let (_, payload) = frames.iter().rfind(|(kind, _)| *kind == GOAWAY).expect("it is told");
    (u32::from_be_bytes(payload[4..8].try_into().unwrap()), String::from_utf8_lossy(&payload[8..]).into_owned())
}

#[tokio::test]
async fn a_flood_of_frames_that_ask_for_nothing_is_slowed_and_then_hung_up_on() {
    let tally = start().await;
    let service = &tally.query;
    for (kind, payload, reason, told) in [
        (PING, &[0; 8][..], "pings", "too_many_pings"),
        (SETTINGS, &[0, 4, 0, 0, 0, 0], "control", "too_many_control_frames"),
        (WINDOW_UPDATE, &[0, 0, 0, 1], "control", "too_many_control_frames"),
    ] {
        let before = hung_up(service, reason).await;
        let slowed = Samples::of(service).await.sum("tally_connections_slowed_total", &[]);
        let burst = frame(kind, 0, 0, payload).repeat(BURST as usize);
        let (sent, took) = flood(service, |_| burst.clone()).await;

        assert_eq!(farewell(&sent), (ENHANCE_YOUR_CALM, told.to_owned()));
        assert!(took >= OVERUSE_MAX, "not at once, or it would be back at once: {took:?}");
        assert_eq!(hung_up(service, reason).await, before + 1.0);
        assert!(Samples::of(service).await.sum("tally_connections_slowed_total", &[]) > slowed);
        let answers = frames(&sent).iter().filter(|(answer, _)| *answer == kind).count();
        // What is saved, what overuse brings, and what the last reads held too many: smaller than two reads.
        let allowed = CONTROL_FRAMES_PER_SECOND_MAX * 11 + 2 * 16 * 1024 / 13;
        assert!(answers <= allowed, "{answers} answers");
    }
}

/// Calls that are begun and given up at once, `count` of them.
fn resets(first: u32, count: u32) -> Vec<u8> {
    let streams = (first..first + count).map(|index| 2 * index + 1);
    streams.flat_map(|stream| [call(stream), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()).collect()
}

#[tokio::test]
async fn who_gives_calls_up_as_soon_as_they_are_begun_is_kept_waiting_for_the_end_of_the_connection() {
    let tally = start().await;
    let service = &tally.query;
    let (sent, took) = flood(service, |number| resets(number * BURST, BURST)).await;
    assert_eq!(farewell(&sent), (ENHANCE_YOUR_CALM, "too_many_resets".to_owned()));
    assert!(took >= OVERUSE_MAX, "not at once, or it would be back at once: {took:?}");
    assert_eq!(hung_up(service, "resets").await, 1.0);
}

#[tokio::test]
async fn a_few_calls_at_a_time_that_are_given_up_at_once_are_slowed_and_then_hung_up_on() {
    let tally = start().await;
    let service = &tally.query;
    let mut connection = TcpStream::connect(service.address()).await.unwrap();
    connection.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    let (mut sent, mut bytes, began) = (Vec::new(), [0; 4_096], Instant::now());
    let pongs = |sent: &[u8]| frames(sent).iter().filter(|(kind, _)| *kind == PING).count();
    // Never as many as the library minds: the next ones follow when it has looked at these.
    let floods = async {
        for number in 0.. {
            let few = [resets(number * 5, 5), frame(PING, 0, 0, &[0; 8])].concat();
            if connection.write_all(&few).await.is_err() {
                return number;
            }
            while pongs(&sent) <= number as usize {
                match connection.read(&mut bytes).await {
                    Ok(count @ 1..) => sent.extend_from_slice(&bytes[..count]),
                    _ => return number,
                }
            }
        }
        unreachable!("it goes on until it is hung up on")
    };
    let times = timeout(PATIENCE, floods).await.expect("it is hung up on");
    assert_eq!(farewell(&sent), (ENHANCE_YOUR_CALM, "too_many_resets".to_owned()));
    assert!(began.elapsed() >= OVERUSE_MAX, "slowed first");
    assert!(times <= 6, "ten calls are saved, and there is no time for many more: {times} times five");
    assert_eq!(hung_up(service, "resets").await, 1.0);
}

#[tokio::test]
async fn who_sends_headers_without_an_end_is_kept_waiting_for_the_end_of_the_connection() {
    let tally = start().await;
    let service = &tally.command;
    let (sent, took) = flood(service, |number| {
        // Literal headers, never indexed: each makes the list longer.
        let block = [&[0x10, 1, b'x', 64][..], &[b'y'; 64]].concat();
        let more = frame(CONTINUATION, 0, 1, &block).repeat(BURST as usize);
        if number == 0 { [frame(HEADERS, 0, 1, &block), more].concat() } else { more }
    })
    .await;
    assert_eq!(farewell(&sent).0, ENHANCE_YOUR_CALM);
    assert!(took >= OVERUSE_MAX, "not at once: {took:?}");
    assert_eq!(hung_up(service, "headers").await, 1.0);
}

#[tokio::test]
async fn a_connection_that_does_not_begin_is_hung_up_on() {
    let tally = start().await;
    for (number, begun) in [&[][..], &PREFACE[..10], PREFACE].into_iter().enumerate() {
        let mut connection = TcpStream::connect(tally.projector.address()).await.unwrap();
        connection.write_all(begun).await.unwrap();
        let mut sent = Vec::new();
        let _ = timeout(PATIENCE, connection.read_to_end(&mut sent)).await.expect("it is hung up on");
        assert_eq!(hung_up(&tally.projector, "preface").await, number as f64 + 1.0);
    }
}

#[tokio::test]
async fn a_client_that_asks_often_whether_we_are_there_is_served_all_the_time() {
    let tally = start().await;
    let pinging = |service: &Service| {
        let endpoint = Endpoint::from_shared(format!("http://{}", service.address())).unwrap();
        // Fifty PINGs a second: five hundred times what gRPC's clients are asked to keep to.
        let endpoint = endpoint.http2_keep_alive_interval(Duration::from_millis(20)).keep_alive_while_idle(true);
        // And those that measure bandwidth.
        endpoint.http2_adaptive_window(true).connect_lazy()
    };
    let client = RustClient::over(pinging(&tally.command), pinging(&tally.query));
    client.create_batch("b1", "LAMP", 1_000, None).await.unwrap();
    let asked = async || client.get_stock("NOTHING", &ReadAfter::nothing()).await.unwrap_err().code;
    eventually("an answer", async || (asked().await == Code::NotFound).then_some(())).await;
    // Long enough to use up what could be saved, were these counted as a flood.
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        client.allocate(&format!("o-{}", fastrand::u64(..)), "LAMP", 1).await.unwrap();
        assert_eq!(asked().await, Code::NotFound);
    }
    for service in [&tally.command, &tally.query] {
        let samples = Samples::of(service).await;
        assert_eq!(samples.sum("tally_connections_slowed_total", &[]), 0.0);
        assert_eq!(samples.sum("tally_connections_hung_up_total", &[]), 0.0);
    }
}
