//! The public keys that tokens are checked with: a JSON Web Key Set in a file or at a URL, read again within bounds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use rustls::{ClientConfig, RootCertStore, crypto};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// Bytes of a key set.
const KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// Keys of a set that are kept: the first ones.
const KEYS_MAX: usize = 64;
/// How long a URL may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks because of a key that isn't known: whoever makes up names of keys can't make us ask for each.
const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(10);
/// Until the next try while there are no keys at all.
const FIRST_KEYS_INTERVAL: Duration = Duration::from_secs(2);

/// A public key, and the one algorithm that it is for.
#[derive(Debug)]
pub(super) enum Key {
    Rs256 {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// The point, uncompressed.
    Es256(Vec<u8>),
    EdDsa(Vec<u8>),
}

impl Key {
    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            Key::Rs256 { .. } => "RS256",
            Key::Es256(_) => "ES256",
            Key::EdDsa(_) => "EdDSA",
        }
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Key::Rs256 { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            Key::Es256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature),
            Key::EdDsa(point) => UnparsedPublicKey::new(&ED25519, point).verify(message, signature),
        };
        verified.is_ok()
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    /// None for a key that is for something else.
    fn into_key(self) -> Option<(String, Key)> {
        let part = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?).ok();
        let key = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Key::Rs256 { n: part(self.n)?, e: part(self.e)? },
            ("EC", Some("P-256")) => Key::Es256([vec![4], part(self.x)?, part(self.y)?].concat()),
            ("OKP", Some("Ed25519")) => Key::EdDsa(part(self.x)?),
            _ => return None,
        };
        let is_for_signatures = self.purpose.is_none_or(|purpose| purpose == "sig");
        let is_its_algorithm = self.alg.is_none_or(|alg| alg == key.algorithm());
        self.kid.filter(|_| is_for_signatures && is_its_algorithm).map(|kid| (kid, key))
    }
}

/// Where keys come from.
pub(super) enum KeySource {
    File(PathBuf),
    Url { uri: Uri, client: Box<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>> },
}

impl KeySource {
    /// `authorities`: a file with those that vouch for the URL, instead of the public ones.
    pub(super) fn url(url: &str, authorities: Option<&Path>) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().context("the URL of the keys is none")?;
        let is_here = matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
        ensure!(
            uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && is_here),
            "the keys' URL must be https: who could change them on their way could make tokens"
        );
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(file) = authorities {
            roots = RootCertStore::empty();
            for authority in
                CertificateDer::pem_file_iter(file).context("the authorities of the keys' URL can't be read")?
            {
                roots.add(authority.context("the authorities of the keys' URL are no PEM")?)?;
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
        Ok(Self::Url { uri, client: Box::new(Client::builder(TokioExecutor::new()).build(connector)) })
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    async fn read(&self) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::File(path) => read_file(path).await.with_context(|| format!("can't read {}", path.display())),
            Self::Url { uri, client } => tokio::time::timeout(FETCH_TIMEOUT, async {
                let response = client.get(uri.clone()).await.context("the keys' URL can't be reached")?;
                if response.status() != StatusCode::OK {
                    bail!("the keys' URL answers with {}", response.status());
                }
                let body = Limited::new(response.into_body(), KEY_SET_BYTES_MAX).collect().await;
                let body = body.map_err(|error| anyhow::anyhow!("the keys' URL doesn't answer to its end: {error}"))?;
                Ok(body.to_bytes().to_vec())
            })
            .await
            .context("the keys' URL takes too long")?,
        }
    }
}

async fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(KEY_SET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).await?;
    ensure!(bytes.len() <= KEY_SET_BYTES_MAX, "it is longer than {KEY_SET_BYTES_MAX} bytes");
    Ok(bytes)
}

/// What a key's name leads to.
pub(super) enum Lookup {
    /// With the generation of the set that it is in.
    Found(Arc<Key>, u64),
    Unknown,
    /// There were no keys to be had yet.
    Away,
}

/// The keys.
pub(super) struct Keys {
    shared: Arc<Shared>,
    _refreshing: AbortOnDropHandle<()>,
}

struct Shared {
    source: KeySource,
    current: RwLock<Current>,
    /// When it was asked for last because of a key that isn't known; held while it is asked for, so that it is asked for once.
    asked: Arc<Mutex<Option<Instant>>>,
}

#[derive(Default)]
struct Current {
    keys: HashMap<String, Arc<Key>>,
    bytes: Vec<u8>,
    /// Counts the sets that differed.
    generation: u64,
}

impl Keys {
    /// A file must be there and be right; a URL may be away at the start, and callers are told so until it is there.
    pub(super) async fn load(source: KeySource, interval: Duration) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared { source, current: RwLock::default(), asked: Arc::default() });
        if let Err(error) = shared.refresh().await {
            if shared.source.is_file() {
                return Err(error);
            }
            shared.tell(&error);
        }
        let refreshing = tokio::spawn(refresh(Arc::clone(&shared), interval));
        Ok(Self { shared, _refreshing: AbortOnDropHandle::new(refreshing) })
    }

    /// Changes whenever the keys do.
    pub(super) fn generation(&self) -> u64 {
        self.shared.current.read().unwrap_or_else(PoisonError::into_inner).generation
    }

    /// The key of this name; where there is none, it may be new, so the set is read again, within bounds.
    pub(super) async fn find(&self, kid: &str) -> Lookup {
        if let Some(found) = self.known(kid) {
            return found;
        }
        self.look_again().await;
        let is_away = self.generation() == 0;
        self.known(kid).unwrap_or(if is_away { Lookup::Away } else { Lookup::Unknown })
    }

    /// Reads the set again unless that was done lately. In a task of its own: who gives up waiting must not end it for all who come after.
    async fn look_again(&self) {
        let mut asked = Arc::clone(&self.shared.asked).lock_owned().await;
        if asked.is_some_and(|asked| asked.elapsed() < UNKNOWN_KEY_INTERVAL) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let looking = tokio::spawn(async move {
            *asked = Some(Instant::now());
            shared.refresh_or_tell().await;
        });
        // It doesn't panic, and is cancelled with the runtime alone.
        let _ = looking.await;
    }

    fn known(&self, kid: &str) -> Option<Lookup> {
        let current = self.shared.current.read().unwrap_or_else(PoisonError::into_inner);
        current.keys.get(kid).map(|key| Lookup::Found(Arc::clone(key), current.generation))
    }
}

impl Shared {
    async fn refresh(&self) -> anyhow::Result<()> {
        let bytes = self.source.read().await?;
        if self.has_keys() && self.current.read().unwrap_or_else(PoisonError::into_inner).bytes == bytes {
            return Ok(());
        }
        let keys = parse(&bytes)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        tracing::info!(keys = keys.len(), "the keys of tokens were read");
        *current = Current { keys, bytes, generation: current.generation + 1 };
        Ok(())
    }

    async fn refresh_or_tell(&self) {
        if let Err(error) = self.refresh().await {
            self.tell(&error);
        }
    }

    fn tell(&self, error: &anyhow::Error) {
        let error = format!("{error:#}");
        if self.has_keys() {
            tracing::warn!(error, "the keys of tokens can't be read again; those before stay");
        } else {
            tracing::warn!(error, "there are no keys to check tokens with yet");
        }
    }

    fn has_keys(&self) -> bool {
        self.current.read().unwrap_or_else(PoisonError::into_inner).generation > 0
    }
}

async fn refresh(shared: Arc<Shared>, interval: Duration) {
    loop {
        tokio::time::sleep(if shared.has_keys() { interval } else { FIRST_KEYS_INTERVAL.min(interval) }).await;
        shared.refresh_or_tell().await;
    }
}

/// What is no key for us, or none at all, is passed over: a set may have keys of kinds that are not invented yet.
fn parse(bytes: &[u8]) -> anyhow::Result<HashMap<String, Arc<Key>>> {
    let set: Set = serde_json::from_slice(bytes).context("the key set is not the JSON that is expected")?;
    let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok()?.into_key());
    let mut keys: Vec<(String, Arc<Key>)> = keys.map(|(kid, key)| (kid, Arc::new(key))).collect();
    if keys.len() > KEYS_MAX {
        tracing::warn!(keys = keys.len(), kept = KEYS_MAX, "the key set has too many keys; the first ones are kept");
        keys.truncate(KEYS_MAX);
    }
    ensure!(!keys.is_empty(), "the key set has no key for RS256, ES256 or EdDSA with a kid");
    Ok(keys.into_iter().collect())
}

#[cfg(test)]
mod tests;
