//! Tokens that stand in a file, as hashes: for small set-ups, and for programs that no issuer knows.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Deserialize;
use tokio_util::task::AbortOnDropHandle;

use super::Caller;

/// Entries of the file.
const TOKENS_MAX: usize = 10_000;

/// The file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tokens: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Who it is, for the log and the events.
    name: String,
    /// SHA-256 of the token, 64 hexadecimal digits.
    sha256: String,
    scopes: Vec<String>,
    /// Binds it to one customer.
    customer_id: Option<String>,
}

type Callers = HashMap<[u8; 32], Arc<Caller>>;

/// The tokens of a file, read again when it changes.
pub(super) struct Listed {
    callers: Arc<RwLock<Callers>>,
    _reloading: AbortOnDropHandle<()>,
}

impl Listed {
    /// Inside of a runtime.
    pub(super) fn load(path: PathBuf, interval: Duration) -> anyhow::Result<Self> {
        let known = std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        let callers = Arc::new(RwLock::new(parse(&known)?));
        let reloading = tokio::spawn(reload(path, known, interval, Arc::clone(&callers)));
        Ok(Self { callers, _reloading: AbortOnDropHandle::new(reloading) })
    }

    /// By the hash: how long a look-up takes tells nothing about a token.
    pub(super) fn find(&self, hash: &[u8; 32]) -> Option<Arc<Caller>> {
        self.callers.read().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }
}

async fn reload(path: PathBuf, mut known: Vec<u8>, interval: Duration, callers: Arc<RwLock<Callers>>) {
    loop {
        tokio::time::sleep(interval).await;
        let read = tokio::fs::read(&path)
            .await
            .context("it can't be read")
            .and_then(|bytes| if bytes == known { Ok(None) } else { Ok(Some((parse(&bytes)?, bytes))) });
        match read {
            Ok(None) => {}
            Ok(Some((parsed, bytes))) => {
                tracing::info!(tokens = parsed.len(), "the file of tokens was read again");
                known = bytes;
                *callers.write().unwrap_or_else(PoisonError::into_inner) = parsed;
            }
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the file of tokens can't be used; what was read before stays"
                );
            }
        }
    }
}

fn parse(bytes: &[u8]) -> anyhow::Result<Callers> {
    let file: File = serde_json::from_slice(bytes).context("it is not the JSON that is expected")?;
    ensure!(file.tokens.len() <= TOKENS_MAX, "it may have {TOKENS_MAX} tokens at the most");
    let mut callers = Callers::with_capacity(file.tokens.len());
    for Entry { name, sha256, scopes, customer_id } in file.tokens {
        let hash = hash(&sha256).with_context(|| format!("the sha256 of {name:?} is not 64 hexadecimal digits"))?;
        ensure!(!name.is_empty(), "every token has a name");
        let caller = Caller { subject: name, scopes, customer_id };
        ensure!(callers.insert(hash, Arc::new(caller)).is_none(), "a token stands there twice");
    }
    Ok(callers)
}

fn hash(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut hash = [0; 32];
    if digits.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let hash = "ab".repeat(32);
        let good = format!(r#"{{"tokens": [{{"name": "a", "sha256": "{hash}", "scopes": ["orders.read"]}}]}}"#);
        let callers = parse(good.as_bytes()).expect("a file");
        assert_eq!(callers[&[0xab; 32]].scopes, ["orders.read"]);
        for bad in [
            good.replace("\"scopes\"", "\"scope\""),
            good.replace("abab", "ab"),
            good.replace("abab", "xyab"),
            good.replace("\"a\"", "\"\""),
            "{}".to_owned(),
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
