//! Who may call, over what, and what a process says about itself.

mod abuse;
mod keys;
mod matrix;
mod settings;
mod stores;
mod tls;
mod tokens;

use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use system_tests::credentials::Issuer;
use system_tests::target_dir;

/// The issuer of this name is the one that is trusted.
pub(crate) const ISSUER: &str = "https://issuer.example";

/// A folder for a test's files, gone with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = target_dir().join("system-tests").join(format!("security-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// As those do who exchange files that others read: whole, at once.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let half = self.path(&format!("{name}.new"));
        std::fs::write(&half, text).unwrap();
        std::fs::rename(half, self.path(name)).unwrap();
        self.path(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The variables of processes that trust `issuer`.
pub(crate) fn trusting(issuer: &Issuer, folder: &Folder) -> Vec<(&'static str, String)> {
    vec![
        ("TALLY_JWT_ISSUER", ISSUER.to_owned()),
        ("TALLY_JWT_AUDIENCE", Issuer::AUDIENCE.to_owned()),
        ("TALLY_JWT_KEYS", folder.write("keys.json", &issuer.key_set().to_string())),
        ("TALLY_RELOAD_INTERVAL_MS", "50".to_owned()),
    ]
}

/// An entry of a file of tokens.
pub(crate) fn listed(name: &str, token: &str, scopes: &[&str], customer_id: Option<&str>) -> Value {
    let sha256: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"name": name, "sha256": sha256, "scopes": scopes, "customer_id": customer_id})
}

/// All scopes that there are, as a token lists them.
pub(crate) fn all_scopes() -> String {
    let mut scopes: Vec<&str> = tally_api::METHODS.iter().map(|method| method.scope).collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes.join(" ")
}

pub(crate) fn borrowed<'a>(environment: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    environment.iter().map(|(name, value)| (*name, value.as_str())).collect()
}
