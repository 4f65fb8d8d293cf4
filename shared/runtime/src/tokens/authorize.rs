//! The layer that every call passes: no good token, no call.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response, header};
use prometheus::{IntCounterVec, register_int_counter_vec};
use sha2::{Digest, Sha256};
use tally_api::{CustomerAccess, METHODS, Method};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use super::jwt::{Problem, Verifier};
use super::listed::Listed;
use super::{Caller, not_yours};
use crate::Refusal;
use crate::deadline::time_left_by;

/// What begins the paths that anybody may call.
const HEALTH: &str = "/grpc.health.v1.Health/";
/// What begins the paths that any good token may call.
const REFLECTION: &str = "/grpc.reflection.";
const SCHEME: &str = "bearer ";
const TOKEN_INVALID: &str = "TOKEN_INVALID";
const KEYS_UNAVAILABLE: &str = "KEYS_UNAVAILABLE";
/// When to try again while there are no keys to check with.
const KEYS_RETRY_DELAY: Duration = Duration::from_secs(2);

static BY_PATH: LazyLock<HashMap<&'static str, &'static Method>> =
    LazyLock::new(|| METHODS.iter().map(|method| (method.path, method)).collect());
static REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "tally_calls_refused_total",
        "Calls refused because of who made them, by the reason that the caller was told.",
        &["reason"]
    )
    .expect("a name of its own")
});

/// Knows which tokens are good.
pub(crate) struct Gate {
    jwt: Option<Verifier>,
    listed: Option<Listed>,
}

impl Gate {
    pub(super) fn new(jwt: Option<Verifier>, listed: Option<Listed>) -> Self {
        for reason in ["TOKEN_MISSING", TOKEN_INVALID, "SCOPE_MISSING", "NOT_YOURS", KEYS_UNAVAILABLE] {
            REFUSED.with_label_values(&[reason]);
        }
        Self { jwt, listed }
    }

    /// Who makes the call, if it may be made.
    async fn admit(&self, path: &str, token: Option<String>) -> Result<Arc<Caller>, Refusal> {
        let token = token.ok_or_else(|| {
            refused("TOKEN_MISSING");
            Refusal::new(
                Code::Unauthenticated,
                "TOKEN_MISSING",
                "a bearer token is needed, in the header authorization",
            )
        })?;
        let caller = self.caller(&token).await?;
        if path.starts_with(REFLECTION) {
            return Ok(caller);
        }
        // A path that is none of the API's has no scope, so nobody may call it.
        let method = BY_PATH.get(path).ok_or_else(|| {
            refused("SCOPE_MISSING");
            Refusal::new(Code::PermissionDenied, "SCOPE_MISSING", "there is no such method, so no token allows it")
        })?;
        if !caller.scopes.iter().any(|scope| scope == method.scope) {
            refused("SCOPE_MISSING");
            let message = format!("the token lacks the scope {}", method.scope);
            return Err(Refusal::new(Code::PermissionDenied, "SCOPE_MISSING", message).with("scope", method.scope));
        }
        if caller.customer_id.is_some() && method.customer == CustomerAccess::None {
            refused("NOT_YOURS");
            return Err(not_yours());
        }
        Ok(caller)
    }

    async fn caller(&self, token: &str) -> Result<Arc<Caller>, Refusal> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(caller) = self.listed.as_ref().and_then(|listed| listed.find(&hash)) {
            return Ok(caller);
        }
        let problem = match &self.jwt {
            Some(jwt) => match jwt.verify(token, &hash).await {
                Ok(caller) => return Ok(caller),
                Err(problem) => problem,
            },
            None => Problem::UnknownKey,
        };
        Err(told(problem))
    }

    /// As [`Gate::admit`], within the time that the caller has: it is told that keys can't be had, rather than nothing.
    async fn admit_within(
        &self,
        left: Option<Duration>,
        path: &str,
        token: Option<String>,
    ) -> Result<Arc<Caller>, Refusal> {
        let admitted = self.admit(path, token);
        let Some(left) = left else { return admitted.await };
        match tokio::time::timeout(left, admitted).await {
            Ok(admitted) => admitted,
            Err(_) => Err(told(Problem::KeysAway)),
        }
    }
}

fn refused(reason: &str) {
    REFUSED.with_label_values(&[reason]).inc();
}

/// Callers are told what is wrong with a token of theirs; whoever guesses learns nothing by it.
fn told(problem: Problem) -> Refusal {
    let what = match problem {
        Problem::KeysAway => {
            refused(KEYS_UNAVAILABLE);
            let message = "the keys to check tokens with can't be had now";
            return Refusal::new(Code::Unavailable, KEYS_UNAVAILABLE, message).retry_after(KEYS_RETRY_DELAY);
        }
        Problem::Malformed => "is malformed",
        Problem::Algorithm => "is signed in a way that its key is not for",
        Problem::UnknownKey => "is none that is known here",
        Problem::Signature => "has a wrong signature",
        Problem::Issuer => "is of another issuer",
        Problem::Audience => "is for another audience",
        Problem::Expired => "has expired, or says no end",
        Problem::NotYetValid => "is not valid yet",
    };
    refused(TOKEN_INVALID);
    Refusal::new(Code::Unauthenticated, TOKEN_INVALID, format!("the token {what}"))
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    (scheme.eq_ignore_ascii_case(SCHEME) && !token.trim().is_empty()).then(|| token.trim().to_owned())
}

/// Puts a gate before everything; without one, everything is open.
#[derive(Clone)]
pub(crate) struct Authorize(pub(crate) Option<Arc<Gate>>);

impl<S> Layer<S> for Authorize {
    type Service = AuthorizeService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthorizeService { inner, gate: self.0.clone() }
    }
}

#[derive(Clone)]
pub(crate) struct AuthorizeService<S> {
    inner: S,
    gate: Option<Arc<Gate>>,
}

impl<S, B> Service<Request<B>> for AuthorizeService<S>
where
    S: Service<Request<B>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(gate) = self.gate.clone().filter(|_| !request.uri().path().starts_with(HEALTH)) else {
            return Box::pin(self.inner.call(request));
        };
        // The one that is ready is called; its clone waits for the next.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let token = bearer(request.headers());
            let left = time_left_by(request.headers());
            match gate.admit_within(left, request.uri().path(), token).await {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    inner.call(request).await
                }
                Err(refusal) => Ok(Status::from(refusal).into_http()),
            }
        })
    }
}
