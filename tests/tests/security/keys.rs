//! Keys at a URL: fetched from whom an authority vouches for, again when a token names one that is new, and kept while the URL is away.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use system_tests::client::{Error, ReadAfter, RustClient, TallyClient};
use system_tests::credentials::{Algorithm, Answer, Authority, Issuer, KeyServer};
use system_tests::health::{LIVENESS, is_serving};
use system_tests::{Launch, Samples, Service, Tally, eventually};
use tonic::Code;

use super::{Folder, ISSUER};

/// How long a service rests between two looks because of keys that it doesn't know.
const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(10);
/// Tokens that name keys which nobody has.
const MADE_UP: usize = 200;
/// A look that nobody in a test waits for.
const SELDOM: u64 = 86_400;
/// Tries of one call by a caller in haste, which a busy machine may keep from its answer. All of them end before a look at a URL does.
const TRIES_MAX: usize = 3;
/// Bytes that no set may have.
const TOO_MANY_BYTES: usize = 256 * 1024 + 1;

/// The issuer's Ed25519 key, under another name.
fn key_set(issuer: &Issuer, kid: &str) -> Value {
    let mut key = issuer.key_set()["keys"][2].take();
    key["kid"] = kid.into();
    json!({"keys": [key]})
}

/// A good token that names a key of that name. No two are alike: one that was found good is not checked again.
fn token(issuer: &Issuer, kid: &str) -> String {
    let mut claims = issuer.claims("stock.read");
    claims["jti"] = uuid::Uuid::new_v4().to_string().into();
    issuer.sign_as(Algorithm::EdDsa, &json!({"alg": "EdDSA", "kid": kid}), &claims)
}

/// One more query-service beside that of `tally`, which has its keys from `server`.
async fn guarded(tally: &Tally, folder: &Folder, server: &KeyServer, authority: &Authority, refresh: u64) -> Service {
    let mut launch: Launch = tally.query.launched().clone();
    launch.environment.extend([
        ("TALLY_JWT_ISSUER", ISSUER.to_owned()),
        ("TALLY_JWT_AUDIENCE", Issuer::AUDIENCE.to_owned()),
        ("TALLY_JWT_KEYS", server.url()),
        ("TALLY_JWT_KEYS_CA", folder.write("authority.pem", &authority.pem())),
        ("TALLY_JWT_KEYS_REFRESH_SECONDS", refresh.to_string()),
        ("TALLY_METRICS_LISTEN", "127.0.0.1:0".to_owned()),
    ]);
    let log = tally.folder().join(format!("guarded-{}.log", uuid::Uuid::new_v4().simple()));
    Service::start(launch, log).await.unwrap()
}

fn client(service: &Service, token: &str) -> RustClient {
    RustClient::over(service.channel(), service.channel()).with_header("authorization", &format!("Bearer {token}"))
}

/// How a read with this token ends. There is no such stock, so whoever may ask is told that.
async fn asked(service: &Service, token: &str) -> Error {
    client(service, token).get_stock("NO-SUCH", &ReadAfter::nothing()).await.unwrap_err()
}

async fn is_good(service: &Service, token: &str) -> Option<()> {
    (asked(service, token).await.code == Code::NotFound).then_some(())
}

#[tokio::test]
async fn keys_come_over_https_and_what_is_made_up_makes_nobody_ask_again_and_again() {
    let (folder, authority, issuer) = (Folder::new(), Authority::new(), Issuer::new(ISSUER));
    let server = KeyServer::start(&authority.server(), Answer::keys(key_set(&issuer, "first"))).await;
    let tally = Tally::start().await;
    let began = Instant::now();
    let service = guarded(&tally, &folder, &server, &authority, SELDOM).await;
    assert_eq!(server.asked(), 1);
    eventually("the key is known", async || is_good(&service, &token(&issuer, "first")).await).await;
    assert_eq!(server.asked(), 1);

    // What is new is found by the first token that names it.
    server.answer(Answer::keys(key_set(&issuer, "second")));
    assert_eq!(asked(&service, &token(&issuer, "second")).await.code, Code::NotFound);
    assert_eq!(server.asked(), 2);
    assert!(asked(&service, &token(&issuer, "first")).await.is(Code::Unauthenticated, "TOKEN_INVALID"), "it is gone");

    let connection = client(&service, "");
    let refused = join_all((0..MADE_UP).map(|number| {
        let bearer = format!("Bearer {}", token(&issuer, &format!("made-up-{number}")));
        let client = connection.with_header("authorization", &bearer);
        async move { client.get_stock("NO-SUCH", &ReadAfter::nothing()).await.unwrap_err() }
    }))
    .await;
    assert!(refused.iter().all(|error| error.is(Code::Unauthenticated, "TOKEN_INVALID")), "{refused:?}");
    let intervals = began.elapsed().as_secs() / UNKNOWN_KEY_INTERVAL.as_secs();
    assert!(server.asked() as u64 <= 2 + intervals, "asked {} times", server.asked());
}

#[tokio::test]
async fn keys_are_taken_from_nobody_whom_the_authority_does_not_vouch_for() {
    let (folder, authority, issuer) = (Folder::new(), Authority::new(), Issuer::new(ISSUER));
    let server = KeyServer::start(&authority.server(), Answer::keys(key_set(&issuer, "first"))).await;
    let tally = Tally::start().await;
    let service = guarded(&tally, &folder, &server, &Authority::new(), SELDOM).await;
    let refusal = asked(&service, &token(&issuer, "first")).await;
    assert!(refusal.is(Code::Unavailable, "KEYS_UNAVAILABLE"), "{refusal:?}");
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn keys_are_kept_while_the_url_is_away_and_exchanged_when_it_is_back() {
    let (folder, authority, issuer) = (Folder::new(), Authority::new(), Issuer::new(ISSUER));
    let server = KeyServer::start(&authority.server(), Answer::keys(key_set(&issuer, "old"))).await;
    let tally = Tally::start().await;
    let service = guarded(&tally, &folder, &server, &authority, 1).await;
    let old = token(&issuer, "old");
    eventually("the key is known", async || is_good(&service, &old).await).await;

    let set = key_set(&issuer, "new").to_string();
    let status = |status: u16, body: &str| Answer::With(status.try_into().unwrap(), body.to_owned());
    let bad_days = [
        (Answer::HangUp, "can't be reached"),
        (status(503, &set), "answers with 503"),
        (status(302, &set), "answers with 302"),
        (status(200, &format!("{set}{}", " ".repeat(TOO_MANY_BYTES))), "doesn't answer to its end"),
        (status(200, "<html>"), "not the JSON"),
        (status(200, r#"{"keys": []}"#), "no key for"),
        (Answer::Silence, "takes too long"),
    ];
    for (answer, said) in bad_days {
        server.answer(answer);
        eventually(&format!("it is said that the URL {said}"), async || {
            let log = std::fs::read_to_string(service.log()).unwrap();
            log.lines().any(|line| line.contains("those before stay") && line.contains(said)).then_some(())
        })
        .await;
        assert_eq!(asked(&service, &token(&issuer, "old")).await.code, Code::NotFound, "{said}: the key stays");
        let new = asked(&service, &token(&issuer, "new")).await;
        assert!(new.is(Code::Unauthenticated, "TOKEN_INVALID"), "{said}: {new:?}");
    }

    server.answer(Answer::keys(set));
    eventually("the new key is known", async || is_good(&service, &token(&issuer, "new")).await).await;
    assert!(asked(&service, &old).await.is(Code::Unauthenticated, "TOKEN_INVALID"), "it was good, and is gone");
}

#[tokio::test]
async fn callers_are_told_while_there_are_no_keys_yet_and_all_is_well_when_they_come() {
    let (folder, authority, issuer) = (Folder::new(), Authority::new(), Issuer::new(ISSUER));
    let server = KeyServer::start(&authority.server(), Answer::HangUp).await;
    let tally = Tally::start().await;
    let service = guarded(&tally, &folder, &server, &authority, 1).await;
    assert!(is_serving(&service, LIVENESS).await, "whoever restarts it makes nothing better");
    let token = token(&issuer, "first");

    // Who asks while the URL is silent is told in time.
    server.answer(Answer::Silence);
    let hasty = client(&service, &token).deadline(Duration::from_secs(1));
    let mut refusal = hasty.get_stock("NO-SUCH", &ReadAfter::nothing()).await.unwrap_err();
    for _ in 1..TRIES_MAX {
        if refusal.is_local {
            refusal = hasty.get_stock("NO-SUCH", &ReadAfter::nothing()).await.unwrap_err();
        }
    }
    assert!(refusal.is(Code::Unavailable, "KEYS_UNAVAILABLE") && refusal.retry_after.is_some(), "{refusal:?}");
    server.answer(Answer::HangUp);
    let refusal = asked(&service, &token).await;
    assert!(refusal.is(Code::Unavailable, "KEYS_UNAVAILABLE") && refusal.retry_after.is_some(), "{refusal:?}");
    let refused =
        |samples: &Samples, reason: &str| samples.sum("tally_calls_refused_total", &[&format!("reason=\"{reason}\"")]);
    let samples = Samples::of(&service).await;
    assert!(refused(&samples, "KEYS_UNAVAILABLE") >= 2.0);
    assert_eq!(refused(&samples, "TOKEN_INVALID"), 0.0, "nothing is wrong with the token");

    server.answer(Answer::keys(key_set(&issuer, "first")));
    eventually("the key is known", async || is_good(&service, &token).await).await;
}
