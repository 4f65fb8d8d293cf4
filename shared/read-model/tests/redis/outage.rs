use std::time::{Duration, Instant};

use redis::cmd;
use tally_read_model::{Error, Options, ReadModel};
use tally_servers::Redis;

use crate::support::{FIRST, P, START, at, listed, on};

/// Redis away is told at once, not after a time-out.
const AT_ONCE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn while_redis_is_away_everything_is_unavailable_at_once_and_afterwards_nothing() {
    let redis = Redis::temporary().await.unwrap();
    let f = on(&redis).await.begun().await;
    f.apply(START, 5, &[listed("a", "1", "l", 1)]).await.unwrap();
    f.model.page("p", "l", None, 9).await.unwrap();
    redis.kill().await.unwrap();

    for _ in 0..3 {
        let began = Instant::now();
        let errors = [
            f.model.get("p", "a").await.map(drop).unwrap_err(),
            f.model.page("p", "l", None, 9).await.map(drop).unwrap_err(),
            f.model.ping().await.unwrap_err(),
            f.apply(at(5), 6, &[]).await.map(drop).unwrap_err(),
            f.writer.load_views(P, FIRST, &at(5), &["a".into()]).await.map(drop).unwrap_err(),
        ];
        assert!(began.elapsed() < AT_ONCE);
        for error in errors {
            assert!(matches!(error, Error::Unavailable(_)), "{error}");
        }
    }

    redis.restart().await.unwrap();
    // The very first of each: no failure from the outage is left over. What was acknowledged is there.
    let found = f.model.get("p", "a").await.unwrap();
    assert_eq!((found.position, found.value.unwrap().as_ref()), (5, b"1".as_slice()));
    assert_eq!(f.model.page("p", "l", None, 9).await.unwrap().entries.len(), 1);
    assert_eq!(f.model.read_checkpoint(P).await.unwrap().state, at(5));
    f.apply(at(5), 6, &[]).await.unwrap();
}

#[tokio::test]
async fn a_read_after_an_unnoticed_restart_succeeds() {
    let redis = Redis::temporary().await.unwrap();
    let f = on(&redis).await.begun().await;
    f.apply(START, 5, &[]).await.unwrap();
    f.model.ping().await.unwrap();
    redis.kill().await.unwrap();
    redis.restart().await.unwrap();
    assert_eq!(f.model.get("p", "a").await.unwrap().position, 5);
}

#[tokio::test]
async fn a_redis_that_does_not_answer_is_unavailable_within_the_time_outs() {
    let redis = Redis::temporary().await.unwrap();
    let f = on(&redis).await.begun().await;
    let options = Options { read_timeout: Duration::from_millis(200), ..Options::default() };
    let model = ReadModel::connect(&f.url, &f.log, options).unwrap();
    f.apply(START, 5, &[]).await.unwrap();
    model.ping().await.unwrap();
    redis.pause().unwrap();

    let began = Instant::now();
    // Many at once share the waiting: none queues behind another.
    let reads = futures::future::join_all((0..50).map(|_| model.get("p", "a"))).await;
    assert!(reads.iter().all(|read| matches!(read, Err(Error::Unavailable(_)))));
    let reads = futures::future::join_all((0..50).map(|_| model.get("p", "a"))).await;
    assert!(reads.iter().all(|read| matches!(read, Err(Error::Unavailable(_)))));
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());

    redis.resume().unwrap();
    assert_eq!(model.get("p", "a").await.unwrap().position, 5);
}

#[tokio::test]
async fn a_password_that_is_put_right_is_enough() {
    let redis = Redis::temporary().await.unwrap();
    let mut f = on(&redis).await.begun().await;
    let (_, address) = f.url.split_once('@').unwrap();
    let wrong = ReadModel::connect(&format!("redis://:hunter2@{address}"), &f.log, Options::default()).unwrap();
    for _ in 0..2 {
        assert!(matches!(wrong.ping().await, Err(Error::Refused(_))));
    }
    cmd("CONFIG").arg("SET").arg("requirepass").arg("hunter2").exec_async(&mut f.raw).await.unwrap();
    wrong.ping().await.unwrap();
}

#[tokio::test]
async fn an_error_tells_no_host_no_key_and_no_password() {
    let redis = Redis::temporary().await.unwrap();
    let mut f = on(&redis).await.begun().await;
    let mut errors = Vec::new();
    f.raw_set("p:1:list:secretlist", "no list").await;
    errors.push(f.model.page("p", "secretlist", None, 1).await.unwrap_err());
    errors.push(f.apply(START, 1, &[listed("a", "1", "secretlist", 1)]).await.unwrap_err());
    let (_, address) = f.url.split_once('@').unwrap();
    let wrong = |url: String| ReadModel::connect(&url, &f.log, Options::default());
    errors.push(wrong(format!("redis://:hunter2@{address}")).unwrap().ping().await.unwrap_err());
    errors.push(wrong("redis://:hunter2@nowhere.invalid:1/".into()).unwrap().ping().await.unwrap_err());
    errors.push(wrong("redis://:hunter2@127.0.0.1:notaport/".into()).map(drop).unwrap_err());
    errors.push(wrong("http://:hunter2@127.0.0.1/".into()).map(drop).unwrap_err());
    redis.kill().await.unwrap();
    errors.push(f.model.ping().await.unwrap_err());
    for error in errors {
        let told = format!("{error} {error:?}");
        for secret in ["secretlist", "hunter2", "nowhere", "127.0.0.1", "tally:", &f.log, &redis.port().to_string()] {
            assert!(!told.contains(secret), "{told}");
        }
    }
}
