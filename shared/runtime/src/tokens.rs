//! Who calls: bearer tokens, and what each allows.
//!
//! Everything is denied unless it is allowed. Which scope a method asks for, and what it is to a token that is bound to a customer, stands in
//! its proto ([`tally_api::METHODS`]). Health can be asked by anybody; reflection by whoever has any good token.

mod authorize;
mod jwks;
mod jwt;
mod listed;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::Args;
use tonic::{Code, Extensions};

use crate::Refusal;
pub(crate) use authorize::{Authorize, Gate};
use jwks::KeySource;
use jwt::Expected;

/// Whose tokens are good.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TokenArgs {
    /// Who issues the JWTs that callers carry: the claim `iss`
    #[arg(long, env = "TALLY_JWT_ISSUER", value_name = "TEXT", requires_all = ["jwt_audience", "jwt_keys"])]
    pub jwt_issuer: Option<String>,

    /// Whom they must be for: in the claim `aud`
    #[arg(long, env = "TALLY_JWT_AUDIENCE", value_name = "TEXT", requires = "jwt_issuer")]
    pub jwt_audience: Option<String>,

    /// Where the issuer's public keys are, as a JWKS: a file, or an https URL. Read again when they change, or a token names one that is unknown
    /// (once in 10 seconds at the most); what was read stays while they can't be had
    #[arg(long, env = "TALLY_JWT_KEYS", value_name = "FILE|URL", requires = "jwt_issuer")]
    pub jwt_keys: Option<String>,

    /// File with the authorities, in PEM, that vouch for that URL, instead of the public ones
    #[arg(long, env = "TALLY_JWT_KEYS_CA", value_name = "FILE", requires = "jwt_keys")]
    pub jwt_keys_ca: Option<PathBuf>,

    /// Seconds between two looks at that URL
    #[arg(long, env = "TALLY_JWT_KEYS_REFRESH_SECONDS", default_value_t = 300, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub jwt_keys_refresh_seconds: u64,

    /// The claim that binds a token to one customer, if a token has it
    #[arg(long, env = "TALLY_JWT_CUSTOMER_CLAIM", default_value = "tally_customer", value_name = "CLAIM")]
    pub jwt_customer_claim: String,

    /// File with tokens for small set-ups: JSON, {"tokens": [{"name", "sha256", "scopes", "customer_id"?}]}. Read again when it changes
    #[arg(long, env = "TALLY_TOKENS", value_name = "FILE")]
    pub tokens: Option<PathBuf>,
}

impl TokenArgs {
    /// Whether callers need a token.
    pub(crate) fn is_on(&self) -> bool {
        self.jwt_issuer.is_some() || self.tokens.is_some()
    }

    fn expected(&self) -> Option<Expected> {
        Some(Expected {
            issuer: self.jwt_issuer.clone()?,
            audience: self.jwt_audience.clone()?,
            customer_claim: self.jwt_customer_claim.clone(),
        })
    }

    fn key_source(&self) -> anyhow::Result<Option<KeySource>> {
        let Some(keys) = &self.jwt_keys else { return Ok(None) };
        let source = match keys.contains("://") {
            true => KeySource::url(keys, self.jwt_keys_ca.as_deref())?,
            false => {
                ensure!(self.jwt_keys_ca.is_none(), "an authority for the keys' URL is given, and they are a file");
                KeySource::File(keys.into())
            }
        };
        Ok(Some(source))
    }
}

/// Who calls, by a token that is good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// The claim `sub`, or the name of a listed token.
    pub subject: String,
    /// What it may do.
    pub(crate) scopes: Vec<String>,
    /// The one customer whose things it may see and touch; None: everybody's.
    pub(crate) customer_id: Option<String>,
}

impl Caller {
    /// Who makes this call; None where no tokens are asked for.
    pub fn of(extensions: &Extensions) -> Option<&Arc<Caller>> {
        extensions.get()
    }

    /// The one customer that this call may be about; None: anybody.
    pub fn bound_customer(extensions: &Extensions) -> Option<&str> {
        Self::of(extensions)?.customer_id.as_deref()
    }
}

/// PERMISSION_DENIED: it is, or may be, another customer's.
pub fn not_yours() -> Refusal {
    Refusal::new(
        Code::PermissionDenied,
        "NOT_YOURS",
        "this token is bound to one customer, and this is not that customer's",
    )
}

/// PERMISSION_DENIED unless the call may be about this customer.
///
/// # Errors
/// When its token is bound to another one.
#[allow(clippy::result_large_err, reason = "a Status is what tonic takes")]
pub fn check_customer(extensions: &Extensions, customer_id: &str) -> Result<(), tonic::Status> {
    match Caller::bound_customer(extensions) {
        Some(bound) if bound != customer_id => Err(not_yours().into()),
        Some(_) | None => Ok(()),
    }
}

/// Reads what there is to read before a port is bound.
pub(crate) async fn gate(args: &TokenArgs, reload_interval: std::time::Duration) -> anyhow::Result<Option<Gate>> {
    if !args.is_on() {
        return Ok(None);
    }
    let listed = match &args.tokens {
        Some(file) => {
            Some(listed::Listed::load(file.clone(), reload_interval).context("the file of tokens can't be used")?)
        }
        None => None,
    };
    let refresh = std::time::Duration::from_secs(args.jwt_keys_refresh_seconds);
    let jwt = match (args.expected(), args.key_source()?) {
        (Some(expected), Some(source)) => {
            let interval = if source.is_file() { reload_interval } else { refresh };
            Some(jwt::Verifier::new(expected, jwks::Keys::load(source, interval).await?))
        }
        _ => None,
    };
    Ok(Some(Gate::new(jwt, listed)))
}
