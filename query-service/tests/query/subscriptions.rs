//! Subscriptions to the log: where they begin, what they leave out, and how they end.

use tally_api::events::v1::event_log_service_client::EventLogServiceClient;
use tally_api::events::v1::{ReadStreamRequest, SubscribeRequest, subscribe_request::Start};
use tally_receipt::Token;
use tally_servers::{Postgres, Redis};
use tonic::{Code, Status};

use crate::event_log::{Logged, after, next, positions_up_to};
use crate::system::*;

const LIVELY: [&str; 2] = ["--stream-heartbeat-ms", "50"];

fn with_start(start: Start) -> SubscribeRequest {
    SubscribeRequest { start: Some(start), ..Default::default() }
}

/// What an error says: code, reason, and the position to go on from.
fn ended(status: &Status) -> (Code, String, String) {
    let told = told(status);
    (told.code, told.reason, told.metadata.get("position").cloned().unwrap_or_default())
}

#[tokio::test]
async fn a_subscription_begins_where_it_was_told_to() {
    let mut logged = Logged::start(&[]).await;
    logged.append_many(100).await;
    let token = Token { log_id: logged.log_id().await, position: 95 }.encode();
    for (start, first) in [
        (None, 1),
        (Some(Start::OnlyNew(false)), 1),
        (Some(Start::AfterPosition(0)), 1),
        (Some(Start::AfterPosition(40)), 41),
        (Some(Start::AfterToken(token)), 96),
        (Some(Start::OnlyNew(true)), 101),
    ] {
        let what = format!("{start:?}");
        let mut stream = logged.subscribe(SubscribeRequest { start, ..Default::default() }).await.expect("a stream");
        // Before anything is appended: it says at once where it stands.
        let begins = next(&mut stream).await;
        assert_eq!((begins.events.len(), begins.position), (0, first - 1), "{what}");
        logged.append_many(100).await;
        let positions = positions_up_to(&mut stream, logged.head).await;
        if first == 101 {
            assert_eq!(positions[0], logged.head - 99, "{what}");
        } else {
            assert_eq!(positions[0], first as u64, "{what}");
        }
        let starts_at = positions[0];
        assert!(positions.iter().copied().eq(starts_at..=logged.head), "{what}");
        if first == 1 {
            break;
        }
    }
}

#[tokio::test]
async fn each_messages_token_leads_on_from_it() {
    let mut logged = Logged::start(&[]).await;
    logged.append_many(300).await;
    let mut stream = logged.subscribe(after(0)).await.expect("a stream");
    let mut message = next(&mut stream).await;
    while message.events.is_empty() {
        message = next(&mut stream).await;
    }
    drop(stream);
    let mut resumed = logged.subscribe(with_start(Start::AfterToken(message.token))).await.expect("a stream");
    let positions = positions_up_to(&mut resumed, 300).await;
    assert!(positions.iter().copied().eq(message.position as u64 + 1..=300));
}

#[tokio::test]
async fn only_what_passes_the_filter_comes_and_signs_of_life_say_how_far_it_looked() {
    let mut logged = Logged::start(&LIVELY).await;
    logged.append_many(300).await;
    let filters = [
        (vec!["Odd"], vec![], (1..=400).filter(|position| position % 2 == 0).collect::<Vec<u64>>()),
        (vec![], vec!["order-"], (1..=400).filter(|position| position % 2 == 1).collect()),
        (vec!["Odd"], vec!["order-"], vec![]),
        (vec!["Odd", "Even"], vec!["product-", "order-1"], (1..=400).collect()),
    ];
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let mut streams = Vec::new();
    for (types, prefixes, expected) in filters {
        let request =
            SubscribeRequest { event_types: own(&types), stream_id_prefixes: own(&prefixes), ..Default::default() };
        streams.push((expected, logged.subscribe(request).await.expect("a stream")));
    }
    logged.append_many(100).await;
    for (expected, mut stream) in streams {
        assert_eq!(positions_up_to(&mut stream, 400).await, expected);
        let idle = next(&mut stream).await;
        assert_eq!((idle.events.len(), idle.position, idle.head_position), (0, 400, 400));
    }
}

#[tokio::test]
async fn a_token_of_another_log_and_a_position_beyond_the_log_are_refused() {
    let mut logged = Logged::start(&[]).await;
    logged.append(&[("order-1", "Tested", "{}")]).await;
    let foreign = Token { log_id: uuid::Uuid::new_v4(), position: 1 }.encode();
    let told_of = |status: Status| told(&status);
    let told = told_of(logged.subscribe(with_start(Start::AfterToken(foreign))).await.expect_err("refused"));
    assert_eq!((told.code, told.fields), (Code::InvalidArgument, vec!["after_token".to_owned()]));
    let told = told_of(logged.subscribe(after(2)).await.expect_err("refused"));
    assert_eq!((told.code, told.reason.as_str()), (Code::FailedPrecondition, "BEYOND_LOG"));
    assert_eq!(pairs(&told), [("head", "1"), ("position", "2")]);
}

#[tokio::test]
async fn every_bad_field_is_named() {
    let logged = Logged::start(&[]).await;
    let request = SubscribeRequest {
        start: Some(Start::AfterPosition(-1)),
        event_types: vec!["Allocated".to_owned(), String::new()],
        stream_id_prefixes: vec!["order-".to_owned(); 51],
    };
    let refused = told(&logged.subscribe(request).await.expect_err("refused"));
    assert_eq!(refused.fields, ["after_position", "event_types[1]", "stream_id_prefixes"]);
    let request = ReadStreamRequest { stream_id: "nonsense".to_owned(), direction: 9, from_version: -1, page_size: -1 };
    let refused = told(&logged.system.events.clone().read_stream(request).await.expect_err("refused"));
    assert_eq!(refused.fields, ["stream_id", "direction", "from_version", "page_size"]);
}

#[tokio::test]
async fn one_subscriber_too_many_is_refused_and_one_who_goes_leaves_its_place() {
    let logged = Logged::start(&["--subscribers-max", "1"]).await;
    let stream = logged.subscribe(after(0)).await.expect("a stream");
    let told = told(&logged.subscribe(after(0)).await.expect_err("refused"));
    assert_eq!((told.code, told.reason.as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert_eq!(pairs(&told), [("limit", "subscribers_max")]);
    drop(stream);
    soon(async { while logged.subscribe(after(0)).await.is_err() {} }).await;
}

#[tokio::test]
async fn a_slow_subscriber_is_dropped_and_told_where_to_go_on() {
    let mut logged = Logged::start(&["--subscribers-max", "1", "--stream-stall-ms-max", "100"]).await;
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(300_000));
    for _ in 0..20 {
        logged.append(&[("order-1", "Large", &large)]).await;
    }
    let mut slow = EventLogServiceClient::new(connect_with_small_buffers(logged.system.address));
    let mut stream = slow.subscribe(after(0)).await.expect("a stream").into_inner();
    // Its place is another's as soon as it is dropped.
    soon(async { while logged.subscribe(after(0)).await.is_err() {} }).await;

    let mut positions = Vec::new();
    let status = loop {
        match soon(stream.message()).await {
            Ok(message) => {
                let message = message.expect("it ends with an error");
                positions.extend(message.events.iter().map(|event| event.position as u64));
            }
            Err(status) => break status,
        }
    };
    let last = *positions.last().expect("some events");
    assert!(last < 20, "it was dropped before the end");
    assert_eq!(ended(&status), (Code::ResourceExhausted, "SLOW_READER".to_owned(), last.to_string()));
    let mut resumed = logged.subscribe(after(last)).await;
    while resumed.is_err() {
        resumed = logged.subscribe(after(last)).await;
    }
    positions.extend(positions_up_to(&mut resumed.expect("a stream"), 20).await);
    assert!(positions.into_iter().eq(1..=20));
}

#[tokio::test]
async fn a_process_that_stops_tells_its_subscribers_and_ends_at_once() {
    let mut logged = Logged::start(&["--drain-timeout-ms", "60000"]).await;
    logged.append_many(100).await;
    let mut stream = logged.subscribe(after(0)).await.expect("a stream");
    positions_up_to(&mut stream, 100).await;
    logged.system.stop.cancel();
    let status = soon(stream.message()).await.expect_err("ended");
    assert_eq!(ended(&status), (Code::Unavailable, "SHUTTING_DOWN".to_owned(), "100".to_owned()));
    soon(logged.system.served).await.expect("no panic").expect("no error");
}

#[tokio::test]
async fn while_postgres_is_away_the_event_log_says_so_and_orders_stay_readable() {
    let (postgres, redis) = tokio::join!(Postgres::temporary(), Redis::temporary());
    let (postgres, redis) = (postgres.expect("a Postgres"), redis.expect("a Redis"));
    let database_url = postgres.create_database("test").await.expect("a database");
    let mut logged = Logged::on(&database_url, &redis.url(), &LIVELY).await;
    logged.system.apply_order(1, 1).await;
    logged.append_many(100).await;
    let mut stream = logged.subscribe(after(0)).await.expect("a stream");
    positions_up_to(&mut stream, 100).await;

    postgres.kill().await.expect("killed");
    let status = loop {
        match soon(stream.message()).await {
            Ok(message) => assert!(message.expect("it ends with an error").events.is_empty()),
            Err(status) => break status,
        }
    };
    let unavailable = |position: &str| (Code::Unavailable, "STORE_UNAVAILABLE".to_owned(), position.to_owned());
    assert_eq!(ended(&status), unavailable("100"));
    assert!(told(&status).retry.is_some());
    let status = logged.subscribe(after(0)).await.expect_err("away");
    assert_eq!(ended(&status), unavailable(""));
    let request = ReadStreamRequest { stream_id: "order-1".to_owned(), ..Default::default() };
    let status = logged.system.events.clone().read_stream(request.clone()).await.expect_err("away");
    assert_eq!(ended(&status), unavailable(""));
    assert!(told(&status).retry.is_some());
    assert!(logged.system.get_order(None).await.is_ok(), "Redis is there");

    postgres.restart().await.expect("restarted");
    let mut resumed = soon(async {
        loop {
            if let Ok(stream) = logged.subscribe(after(100)).await {
                return stream;
            }
        }
    })
    .await;
    logged.recovers().await;
    logged.append_many(100).await;
    let followed = async {
        let mut positions = Vec::new();
        loop {
            match resumed.message().await {
                Ok(message) => {
                    let message = message.expect("it goes on");
                    positions.extend(message.events.iter().map(|event| event.position as u64));
                    if message.position == 200 {
                        return positions;
                    }
                }
                // The tail had not noticed yet that Postgres is back.
                Err(status) => {
                    assert_eq!(status.code(), Code::Unavailable);
                    let position = ended(&status).2.parse().expect("a position");
                    resumed = loop {
                        if let Ok(stream) = logged.subscribe(after(position)).await {
                            break stream;
                        }
                    };
                }
            }
        }
    };
    assert!(soon(followed).await.into_iter().eq(101..=200), "no gap and no double");
    assert!(logged.system.events.clone().read_stream(request).await.is_ok());
}

#[tokio::test]
async fn a_log_that_lost_events_ends_those_who_had_seen_them() {
    let mut logged = Logged::start(&LIVELY).await;
    logged.append_many(100).await;
    let mut stream = logged.subscribe(after(0)).await.expect("a stream");
    positions_up_to(&mut stream, 100).await;
    logged.as_owner("DELETE FROM events WHERE position > 90; UPDATE log_head SET position = 90").await;
    let status = loop {
        match soon(stream.message()).await {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(ended(&status), (Code::FailedPrecondition, "BEYOND_LOG".to_owned(), "100".to_owned()));
}

#[tokio::test]
async fn a_hole_is_told_and_not_stepped_over() {
    let mut logged = Logged::start(&[]).await;
    logged.append_many(100).await;
    logged.as_owner("DELETE FROM events WHERE position = 50").await;
    let mut stream = logged.subscribe(after(0)).await.expect("a stream");
    let mut positions = Vec::new();
    let status = loop {
        match soon(stream.message()).await {
            Ok(message) => {
                positions.extend(message.expect("an error").events.iter().map(|event| event.position as u64));
            }
            Err(status) => break status,
        }
    };
    assert!(positions.into_iter().eq(1..=49));
    assert_eq!(ended(&status), (Code::DataLoss, "LOG_HAS_HOLE".to_owned(), "49".to_owned()));
}

#[tokio::test]
async fn a_log_that_is_replaced_ends_those_who_followed_it() {
    let mut logged = Logged::start(&LIVELY).await;
    logged.append_many(100).await;
    let mut stream = logged.subscribe(after(0)).await.expect("a stream");
    positions_up_to(&mut stream, 100).await;
    logged.as_owner("UPDATE log_head SET log_id = gen_random_uuid()").await;
    let status = loop {
        match soon(stream.message()).await {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(ended(&status), (Code::FailedPrecondition, "LOG_REPLACED".to_owned(), "100".to_owned()));
    let mut stream = logged.subscribe(after(0)).await.expect("the other one can be followed");
    assert_eq!(positions_up_to(&mut stream, 100).await.len(), 100);
}
