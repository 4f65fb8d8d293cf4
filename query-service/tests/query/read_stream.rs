use tally_api::events::v1::{Direction, ReadStreamRequest, ReadStreamResponse};
use tally_receipt::Token;
use tonic::{Code, Status};

use crate::event_log::Logged;
use crate::system::*;

async fn read(logged: &Logged, request: ReadStreamRequest) -> Result<ReadStreamResponse, Status> {
    logged.system.events.clone().read_stream(request).await.map(tonic::Response::into_inner)
}

fn of(stream_id: &str) -> ReadStreamRequest {
    ReadStreamRequest { stream_id: stream_id.to_owned(), ..Default::default() }
}

fn versions(page: &ReadStreamResponse) -> Vec<i64> {
    page.events.iter().map(|event| event.version).collect()
}

#[tokio::test]
async fn an_event_comes_with_all_that_is_known_of_it() {
    let mut logged = Logged::start(&[]).await;
    let payload = r#"{"sku":"LAMP","note":"ü"}"#;
    let command_id = logged.append(&[("batch-1", "Claimed", "{}"), ("product-LAMP", "Allocated", payload)]).await;
    let page = read(&logged, of("product-LAMP")).await.expect("a page");
    let [event] = page.events.try_into().expect("one event");
    assert_eq!((event.position, event.version), (2, 1));
    assert_eq!((event.stream_id.as_str(), event.event_type.as_str()), ("product-LAMP", "Allocated"));
    assert_eq!(event.payload_json, payload, "as it is stored");
    assert!(event.record_time.expect("a time").seconds > 1_700_000_000);
    let metadata = event.metadata.expect("metadata");
    assert_eq!(metadata.command_id, command_id.to_string());
    let known = [&metadata.correlation_id, &metadata.causation_id, &metadata.traceparent, &metadata.actor];
    assert_eq!(known, ["correlated", "caused", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "somebody"]);
    let freshness = page.freshness.expect("freshness");
    assert_eq!((freshness.position, freshness.may_be_stale), (2, false));
    assert_eq!(Token::decode(&freshness.token), Ok(Token { log_id: logged.log_id().await, position: 2 }));
}

#[tokio::test]
async fn a_stream_is_read_both_ways_page_by_page() {
    let mut logged = Logged::start(&[]).await;
    logged.append_many(200).await;
    for (direction, expected) in [
        (Direction::Unspecified, (1..=100).collect::<Vec<i64>>()),
        (Direction::Forwards, (1..=100).collect()),
        (Direction::Backwards, (1..=100).rev().collect()),
    ] {
        let mut request = ReadStreamRequest { direction: direction.into(), page_size: 33, ..of("order-1") };
        let mut seen = Vec::new();
        loop {
            let page = read(&logged, request.clone()).await.expect("a page");
            seen.extend(versions(&page));
            if page.next_version == 0 {
                break;
            }
            request.from_version = page.next_version;
        }
        assert_eq!(seen, expected, "{direction:?}");
    }
    assert_eq!(versions(&read(&logged, of("order-1")).await.expect("a page")).len(), 50, "unless told");
    let past = read(&logged, ReadStreamRequest { from_version: 101, ..of("order-1") }).await.expect("a page");
    assert_eq!((past.events.len(), past.next_version), (0, 0));
    let exact = read(&logged, ReadStreamRequest { page_size: 100, ..of("order-1") }).await.expect("a page");
    assert_eq!((exact.events.len(), exact.next_version), (100, 0), "a full last page");
}

#[tokio::test]
async fn a_page_ends_where_it_would_be_too_large() {
    let mut logged = Logged::start(&[]).await;
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(400_000));
    for _ in 0..5 {
        logged.append(&[("order-1", "Large", &large)]).await;
    }
    let first = read(&logged, of("order-1")).await.expect("a page");
    assert_eq!((versions(&first), first.next_version), (vec![1, 2], 3));
    let backwards = ReadStreamRequest { direction: Direction::Backwards.into(), ..of("order-1") };
    let last = read(&logged, backwards).await.expect("a page");
    assert_eq!((versions(&last), last.next_version), (vec![5, 4], 3));
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_missing_as_of_a_position() {
    let mut logged = Logged::start(&[]).await;
    logged.append(&[("order-1", "Tested", "{}")]).await;
    let told = told(&read(&logged, of("order-2")).await.expect_err("missing"));
    assert_eq!((told.code, told.reason.as_str()), (Code::NotFound, "STREAM_NOT_FOUND"));
    assert_eq!(pairs(&told), [("position", "1")]);
}

#[tokio::test]
async fn reads_beyond_their_limit_are_refused_at_once() {
    let logged = Logged::start(&["--event-reads-in-flight-max", "0"]).await;
    let told = told(&read(&logged, of("order-1")).await.expect_err("refused"));
    assert_eq!((told.code, told.reason.as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert_eq!(pairs(&told), [("limit", "event_reads_in_flight_max")]);
}
