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
    let system = System::start(&ONE_WAITER).await;
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
        let head = tally_read_model::ViewChange {
            key: format!("order-{ORDER_ID}"),
            value: Some([1_u64.to_be_bytes(), 7_u64.to_be_bytes()].concat()),
            lists_added: Vec::new(),
            lists_removed: Vec::new(),
        };
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
