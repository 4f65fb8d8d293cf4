//! Checking a JSON Web Token.
//!
//! The hazards, and what meets each: the token says by which algorithm it wants to be checked, so it is the *key* that decides, and a token
//! that says otherwise (`none`, an HMAC with a public key) is refused; a token of another issuer, or for somebody else, is refused; one
//! without an end is refused; what must be understood (`crit`) and isn't is refused.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lru::LruCache;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Caller;
use super::jwks::{Keys, Lookup};

/// Seconds that clocks may differ.
const LEEWAY_SECONDS: u64 = 30;
/// Tokens known to be good, so that a signature is checked once and not for every call.
const KNOWN_MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("above 0");
/// Characters of a token.
const TOKEN_CHARS_MAX: usize = 8 * 1024;

/// What a token must say.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) customer_claim: String,
}

/// Why a token isn't good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Problem {
    Malformed,
    Algorithm,
    UnknownKey,
    Signature,
    Issuer,
    Audience,
    Expired,
    NotYetValid,
    /// The keys could not be had yet.
    KeysAway,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<OneOrMany>,
    exp: Option<f64>,
    nbf: Option<f64>,
    scope: Option<String>,
    scp: Option<OneOrMany>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// A token whose signature was checked.
#[derive(Clone)]
struct Known {
    caller: Arc<Caller>,
    not_before: u64,
    expires: u64,
    /// Of the keys that it was checked with.
    generation: u64,
}

/// Checks tokens.
pub(super) struct Verifier {
    expected: Expected,
    keys: Keys,
    known: Mutex<LruCache<[u8; 32], Known>>,
}

impl Verifier {
    pub(super) fn new(expected: Expected, keys: Keys) -> Self {
        Self { expected, keys, known: Mutex::new(LruCache::new(KNOWN_MAX)) }
    }

    /// Who carries this token, whose SHA-256 is `hash`.
    pub(super) async fn verify(&self, token: &str, hash: &[u8; 32]) -> Result<Arc<Caller>, Problem> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(hash).cloned();
        let known = match known.filter(|known| known.generation == self.keys.generation()) {
            Some(known) => known,
            None => {
                let known = self.check(token).await?;
                self.known.lock().unwrap_or_else(PoisonError::into_inner).put(*hash, known.clone());
                known
            }
        };
        if now >= known.expires.saturating_add(LEEWAY_SECONDS) {
            return Err(Problem::Expired);
        }
        if now.saturating_add(LEEWAY_SECONDS) < known.not_before {
            return Err(Problem::NotYetValid);
        }
        Ok(known.caller)
    }

    /// Everything but the time.
    async fn check(&self, token: &str) -> Result<Known, Problem> {
        if token.len() > TOKEN_CHARS_MAX {
            return Err(Problem::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Problem::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Problem::Malformed)?;
        let header: Header = decode(header)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Problem::Malformed)?;
        if header.crit.is_some() {
            return Err(Problem::Algorithm);
        }
        let kid = header.kid.ok_or(Problem::UnknownKey)?;
        let (key, generation) = match self.keys.find(&kid).await {
            Lookup::Found(key, generation) => (key, generation),
            Lookup::Unknown => return Err(Problem::UnknownKey),
            Lookup::Away => return Err(Problem::KeysAway),
        };
        if key.algorithm() != header.alg {
            return Err(Problem::Algorithm);
        }
        if !key.verifies(signed.as_bytes(), &signature) {
            return Err(Problem::Signature);
        }
        let claims: Claims = decode(payload)?;
        self.known(claims, generation)
    }

    fn known(&self, claims: Claims, generation: u64) -> Result<Known, Problem> {
        if claims.iss.as_deref() != Some(self.expected.issuer.as_str()) {
            return Err(Problem::Issuer);
        }
        let is_for_us = match &claims.aud {
            Some(OneOrMany::One(audience)) => *audience == self.expected.audience,
            Some(OneOrMany::Many(audiences)) => audiences.contains(&self.expected.audience),
            None => false,
        };
        if !is_for_us {
            return Err(Problem::Audience);
        }
        let expires = claims.exp.filter(|exp| exp.is_finite() && *exp >= 0.0).ok_or(Problem::Expired)?;
        let not_before = claims.nbf.filter(|nbf| nbf.is_finite() && *nbf >= 0.0).unwrap_or_default();
        let mut scopes: Vec<String> =
            claims.scope.iter().flat_map(|scope| scope.split(' ')).map(str::to_owned).collect();
        match claims.scp {
            Some(OneOrMany::One(one)) => scopes.extend(one.split(' ').map(str::to_owned)),
            Some(OneOrMany::Many(many)) => scopes.extend(many),
            None => {}
        }
        scopes.retain(|scope| !scope.is_empty());
        // A binding that can't be understood must not be taken for none.
        let customer_id = match claims.others.get(&self.expected.customer_claim) {
            None | Some(Value::Null) => None,
            Some(Value::String(customer)) if !customer.is_empty() => Some(customer.clone()),
            Some(_) => return Err(Problem::Malformed),
        };
        let caller = Caller { subject: claims.sub.unwrap_or_default(), scopes, customer_id };
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "finite and not negative; as saturates"
        )]
        let (expires, not_before) = (expires as u64, not_before as u64);
        Ok(Known { caller: Arc::new(caller), not_before, expires, generation })
    }
}

fn decode<T: for<'a> Deserialize<'a>>(part: &str) -> Result<T, Problem> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| Problem::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| Problem::Malformed)
}
