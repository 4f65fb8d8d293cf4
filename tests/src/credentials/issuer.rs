//! An issuer of JSON Web Tokens, with a key for each algorithm.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Value, json};

/// Nothing else here makes RSA keys.
const RSA_KEY: &str = include_str!("rsa-of-tests.pem");
/// How long a token is good.
const SECONDS: i64 = 600;

/// How a token is signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// RSA.
    Rs256,
    /// ECDSA on P-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// Not at all: never to be accepted.
    None,
    /// With the RSA key's public half as a shared secret: never to be accepted.
    Hs256,
}

/// An issuer.
pub struct Issuer {
    name: String,
    rsa: RsaKeyPair,
    ecdsa: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
    random: SystemRandom,
}

impl Issuer {
    /// What tokens must be for, in tests.
    pub const AUDIENCE: &'static str = "tally-of-tests";

    /// One of that name, with keys of its own (the RSA key is always the same).
    ///
    /// # Panics
    /// When it can't be made.
    pub fn new(name: &str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let ecdsa = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let ed25519 = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
        let rsa = PrivatePkcs8KeyDer::from_pem_slice(RSA_KEY.as_bytes()).expect("a key");
        Self {
            name: name.to_owned(),
            rsa: RsaKeyPair::from_pkcs8(rsa.secret_pkcs8_der()).expect("a key"),
            ecdsa: EcdsaKeyPair::from_pkcs8(algorithm, ecdsa.as_ref(), &random).expect("a key"),
            ed25519: Ed25519KeyPair::from_pkcs8(ed25519.as_ref()).expect("a key"),
            random,
        }
    }

    /// Its public keys.
    pub fn key_set(&self) -> Value {
        let rsa = PublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
        let point = &self.ecdsa.public_key().as_ref()[1..];
        json!({"keys": [
            {"kty": "RSA", "kid": "rsa", "use": "sig", "alg": "RS256", "n": encode(&rsa.n), "e": encode(&rsa.e)},
            {"kty": "EC", "kid": "ec", "crv": "P-256", "x": encode(&point[..32]), "y": encode(&point[32..])},
            {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": encode(self.ed25519.public_key().as_ref())},
            {"kty": "oct", "kid": "secret", "k": "AAAA"},
        ]})
    }

    /// What a good token says.
    pub fn claims(&self, scopes: &str) -> Value {
        let now = now();
        json!({
            "iss": self.name, "sub": "somebody", "aud": [Self::AUDIENCE, "others"], "scope": scopes,
            "iat": now, "nbf": now - 5, "exp": now + SECONDS,
        })
    }

    /// A token that says this.
    pub fn sign(&self, algorithm: Algorithm, claims: &Value) -> String {
        let (name, kid) = match algorithm {
            Algorithm::Rs256 => ("RS256", "rsa"),
            Algorithm::Es256 => ("ES256", "ec"),
            Algorithm::EdDsa => ("EdDSA", "ed"),
            Algorithm::None => ("none", "rsa"),
            Algorithm::Hs256 => ("HS256", "rsa"),
        };
        self.sign_as(algorithm, &json!({"alg": name, "kid": kid, "typ": "JWT"}), claims)
    }

    /// A token with this header, signed by `algorithm` whatever the header says.
    ///
    /// # Panics
    /// When it can't be signed.
    pub fn sign_as(&self, algorithm: Algorithm, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let message = signed.as_bytes();
        let signature = match algorithm {
            Algorithm::Rs256 => {
                let mut signature = vec![0; self.rsa.public().modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &self.random, message, &mut signature).expect("a signature");
                signature
            }
            Algorithm::Es256 => self.ecdsa.sign(&self.random, message).expect("a signature").as_ref().to_vec(),
            Algorithm::EdDsa => self.ed25519.sign(message).as_ref().to_vec(),
            Algorithm::None => Vec::new(),
            Algorithm::Hs256 => {
                let rsa = PublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &rsa.n), message).as_ref().to_vec()
            }
        };
        format!("{signed}.{}", encode(&signature))
    }

    /// A good token with these scopes.
    pub fn token(&self, scopes: &str) -> String {
        self.sign(Algorithm::Es256, &self.claims(scopes))
    }

    /// A good token with these scopes, bound to one customer.
    pub fn bound_token(&self, scopes: &str, customer_id: &str) -> String {
        let mut claims = self.claims(scopes);
        claims["tally_customer"] = customer_id.into();
        self.sign(Algorithm::EdDsa, &claims)
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_secs()).expect("not yet over")
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
