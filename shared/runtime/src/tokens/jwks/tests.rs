//! The bounds of a key set: how often it is asked for, how large it may be, how long it may take.

use std::fs;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::{advance, timeout};

use super::*;

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(86_400 * 365);

/// An Ed25519 key of this name. Nothing is signed with it.
fn jwk(kid: &str) -> Value {
    json!({"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([7; 32])})
}

fn set(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}

/// A file of its own, gone with it.
struct KeyFile(PathBuf);

impl KeyFile {
    fn new(text: &str) -> Self {
        let file = Self(std::env::temp_dir().join(format!("tally-keys-{}.json", uuid::Uuid::new_v4().simple())));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }

    fn source(&self) -> KeySource {
        KeySource::File(self.0.clone())
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn is_found(lookup: &Lookup) -> bool {
    matches!(lookup, Lookup::Found(..))
}

#[tokio::test(start_paused = true)]
async fn names_of_keys_that_are_not_known_make_the_set_read_once_in_an_interval_however_many_they_are() {
    let file = KeyFile::new(&set(&[jwk("old")]));
    let keys = Keys::load(file.source(), NEVER).await.unwrap();
    assert!(is_found(&keys.find("old").await));
    assert!(matches!(keys.find("made-up").await, Lookup::Unknown));

    // It was looked at just now, so what is new waits, whoever asks.
    file.write(&set(&[jwk("old"), jwk("new")]));
    for number in 0..1_000 {
        assert!(matches!(keys.find(&format!("made-up-{number}")).await, Lookup::Unknown));
    }
    assert!(!is_found(&keys.find("new").await));
    advance(UNKNOWN_KEY_INTERVAL - Duration::from_millis(1)).await;
    assert!(!is_found(&keys.find("new").await));
    advance(Duration::from_millis(1)).await;
    assert!(is_found(&keys.find("new").await));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_comes_or_goes_is_noticed_without_anybody_asking() {
    let file = KeyFile::new(&set(&[jwk("old")]));
    let interval = Duration::from_secs(300);
    let keys = Keys::load(file.source(), interval).await.unwrap();
    let before = keys.generation();
    file.write(&set(&[jwk("new")]));
    timeout(3 * interval, async {
        while keys.generation() == before {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await
    .unwrap();
    assert!(keys.known("old").is_none());
    assert!(keys.known("new").is_some());
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_does_not_end_the_look_for_others() {
    let file = KeyFile::new(&set(&[jwk("old")]));
    let keys = Keys::load(file.source(), NEVER).await.unwrap();
    file.write(&set(&[jwk("new")]));
    // It is polled once, which begins the look, and dropped.
    assert!(timeout(Duration::ZERO, keys.find("new")).await.is_err());
    // A second look would be too early.
    assert!(is_found(&keys.find("new").await));
}

#[tokio::test(start_paused = true)]
async fn a_url_that_is_silent_is_given_up_and_callers_are_told_that_there_are_no_keys() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let began = Instant::now();
    let keys = Keys::load(KeySource::url(&url, None).unwrap(), NEVER).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), FETCH_TIMEOUT.as_secs());
    assert!(matches!(keys.find("any").await, Lookup::Away));
    let asked_again = began.elapsed();
    assert_eq!(asked_again.as_secs(), 2 * FETCH_TIMEOUT.as_secs());
    assert!(matches!(keys.find("other").await, Lookup::Away));
    assert_eq!(began.elapsed(), asked_again, "at once");
}

#[tokio::test]
async fn a_file_must_be_there_and_no_longer_than_a_set_may_be() {
    let padding = " ".repeat(KEY_SET_BYTES_MAX);
    let file = KeyFile::new(&set(&[jwk("a")]));
    assert!(Keys::load(file.source(), NEVER).await.is_ok());
    file.write(&format!("{}{padding}", set(&[jwk("a")])));
    let error = Keys::load(file.source(), NEVER).await.err().unwrap();
    assert!(format!("{error:#}").contains("longer than 262144 bytes"), "{error:#}");
    let gone = KeySource::File("/there/is/none".into());
    assert!(Keys::load(gone, NEVER).await.is_err());
}

#[test]
fn what_is_no_key_for_us_is_passed_over_and_the_others_count() {
    let odd = [
        json!({"kty": "OKP", "kid": 7, "crv": "Ed25519", "x": "AAAA"}),
        json!({"kid": "without a kind"}),
        json!("no key at all"),
        json!({"kty": "AKP", "kid": "of another time", "alg": "ML-DSA-44", "pub": "AAAA"}),
        json!({"kty": "oct", "kid": "secret", "k": "AAAA"}),
        json!({"kty": "EC", "kid": "another curve", "crv": "P-384", "x": "AAAA", "y": "AAAA"}),
        json!({"kty": "OKP", "kid": "for secrets", "use": "enc", "crv": "Ed25519", "x": "AAAA"}),
        json!({"kty": "OKP", "kid": "for another algorithm", "alg": "ES256", "crv": "Ed25519", "x": "AAAA"}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
        json!({"kty": "OKP", "kid": "not base64", "crv": "Ed25519", "x": "!"}),
    ];
    let keys = parse(set(&[&odd[..], &[jwk("right")]].concat()).as_bytes()).unwrap();
    assert_eq!(keys.keys().collect::<Vec<_>>(), ["right"]);
    assert!(parse(set(&odd).as_bytes()).is_err(), "a set without a key for us is none");
    for bad in ["", "{", "[]", "{}", r#"{"keys": {}}"#] {
        assert!(parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn of_too_many_keys_the_first_ones_are_kept() {
    let names: Vec<String> = (0..=KEYS_MAX).map(|number| format!("key-{number}")).collect();
    let all: Vec<Value> = names.iter().map(|name| jwk(name)).collect();
    let keys = parse(set(&all).as_bytes()).unwrap();
    assert_eq!(keys.len(), KEYS_MAX);
    assert!(keys.contains_key(&names[KEYS_MAX - 1]) && !keys.contains_key(&names[KEYS_MAX]));
}

#[test]
fn keys_come_over_https_or_from_this_machine() {
    for good in ["https://issuer.example/keys", "http://localhost:1/keys", "http://127.0.0.1:1/keys", "http://[::1]:1/"]
    {
        assert!(KeySource::url(good, None).is_ok(), "{good}");
    }
    for bad in ["http://issuer.example/keys", "http://localhost.example/", "ftp://localhost/keys", "file:///etc/keys"] {
        assert!(KeySource::url(bad, None).is_err(), "{bad}");
    }
}
