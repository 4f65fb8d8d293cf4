use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use tonic::Code;

use crate::system::*;

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn one_waiter_too_many_is_refused_at_once_and_the_others_wait_on() {
    let system = System::start(&ONE_WAITER).await;
    let begun = Instant::now();
    let waiting = system.one_that_waits(within(LONG, system.token(7))).await;
    assert!(begun.elapsed() < SOON);

    // What need not wait is answered all the same.
    system.apply_order(6, 1).await;
    assert!(system.get_order(system.token(6)).await.is_ok());

    system.apply_order(7, 2).await;
    assert_eq!(soon(waiting).await.expect("found").order, Some(order(2)));
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_its_place_to_another() {
    let system = System::start(&ONE_WAITER).await.begun().await;
    drop(system.one_that_waits(within(LONG, system.token(7))).await);

    let next = async {
        loop {
            let brief = within(Duration::from_millis(1), system.token(7));
            let code = system.get_order(brief).await.expect_err("there is no order").code();
            if code != Code::ResourceExhausted {
                return code;
            }
        }
    };
    assert_eq!(soon(next).await, Code::NotFound);
}

#[tokio::test]
async fn a_wait_for_a_stream_and_then_for_a_view_takes_one_place() {
    let system = System::start(&ONE_WAITER).await;
    let stream = tally_api::consistency::v1::StreamVersion { stream_id: format!("order-{ORDER_ID}"), version: 1 };
    let asked = asking(tally_api::consistency::v1::read_after::After::StreamVersion(stream));
    let projector = async {
        let head = raw(&format!("order-{ORDER_ID}"), [1_u64.to_be_bytes(), 7_u64.to_be_bytes()].concat());
        system.apply(tally_read_model::projections::STREAMS, 7, &[head]).await;
        system.apply_order(7, 1).await;
    };
    let (answer, ()) = soon(async { tokio::join!(system.get_order(within(LONG, asked)), projector) }).await;
    assert_eq!(answer.expect("found").order, Some(order(1)));
}

#[tokio::test]
async fn reads_beyond_their_limit_are_refused_at_once() {
    let system = System::start(&["--reads-in-flight-max", "0"]).await;
    let told = told(&system.get_order(None).await.expect_err("refused"));
    assert_eq!((told.code, told.reason.as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert_eq!(pairs(&told), [("limit", "reads_in_flight_max")]);
    assert!(told.retry.is_some());
}

#[tokio::test]
async fn whom_one_ring_wakes_all_at_once_is_not_refused_for_that() {
    let system = System::start(&["--waiters-max", "20", "--reads-in-flight-max", "1"]).await;
    let all_wait = AtomicBool::new(false);
    let call = async |_| loop {
        match system.get_order(within(LONG, system.token(7))).await {
            Ok(_) => return,
            Err(status) => match told(&status).metadata["limit"].as_str() {
                "waiters_max" => {
                    all_wait.store(true, Ordering::SeqCst);
                    system.apply_order(7, 1).await;
                    return;
                }
                limit => assert!(!all_wait.load(Ordering::SeqCst), "{limit} is reached by those who were woken"),
            },
        }
    };
    soon(join_all((0..21).map(call))).await;
}

/// How many commands a Redis has been through.
async fn commands(redis: &tally_servers::Redis) -> u64 {
    let client = redis::Client::open(redis.url()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("connected");
    let stats: String = redis::cmd("INFO").arg("stats").query_async(&mut connection).await.expect("told");
    let count = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
    count.and_then(|count| count.trim().parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_that_wait_cost_redis_no_more_than_one_and_one_more_is_refused() {
    const WAITERS: usize = 10_000;
    const PER_CONNECTION: usize = 1_000;
    /// Ten looks a second, the readiness probe, and the commands that count them.
    const COMMANDS_A_SECOND_MAX: u64 = 60;

    let redis = tally_servers::Redis::temporary().await.expect("a Redis");
    // So many first looks at once may take a slow machine longer than a look may take.
    let patient = ["--waiters-max", "10000", "--reads-in-flight-max", "20000", "--redis-read-ms-max", "30000"];
    let system = System::on(&redis.url(), &patient).await;
    system.apply_order(1, 1).await;
    let clients: Vec<_> = (0..WAITERS / PER_CONNECTION).map(|_| system.another_client()).collect();
    let waiting: Vec<_> = (0..WAITERS)
        .map(|waiter| {
            let mut client = clients[waiter % clients.len()].clone();
            let read_after = Some(within(LONG, system.token(2)));
            let request = tally_api::orders::v1::GetOrderRequest { order_id: ORDER_ID.to_owned(), read_after };
            tokio::spawn(async move {
                loop {
                    match client.get_order(request.clone()).await {
                        // Who looks whether all wait had the last place just then.
                        Err(status) if status.code() == Code::ResourceExhausted => {}
                        outcome => return outcome,
                    }
                }
            })
        })
        .collect();
    let all_wait = async {
        while system.get_order(within(Duration::from_millis(1), system.token(2))).await.map_err(|status| status.code())
            != Err(Code::ResourceExhausted)
        {}
    };
    tokio::time::timeout(LONG, all_wait).await.expect("they all wait");

    let before = commands(&redis).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let during = commands(&redis).await - before;
    assert!(during <= COMMANDS_A_SECOND_MAX, "{during} commands in a second");

    system.apply_order(2, 2).await;
    for answer in join_all(waiting).await {
        let answer = answer.expect("no panic").expect("found").into_inner();
        assert!(!answer.freshness.expect("freshness").may_be_stale);
    }
}
