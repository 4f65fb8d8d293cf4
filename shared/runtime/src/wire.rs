//! Gives the errors that tonic itself makes of a bad message the codes that the API promises.
//!
//! tonic answers a message that can't be decoded with INTERNAL and one that is too large with OUT_OF_RANGE. Both are the caller's to mend.
//! Every error of ours carries details, so an INTERNAL or OUT_OF_RANGE without them is tonic's.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::{Code, Status, body::Body};
use tonic_types::FieldViolation;
use tower::{Layer, Service};

use crate::{Refusal, limits};

/// The text that prost puts before the path of the field that it couldn't decode.
const PROST_PREFIX: &str = "failed to decode Protobuf message: ";

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WireErrors;

impl<S> Layer<S> for WireErrors {
    type Service = WireErrorService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WireErrorService { inner }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct WireErrorService<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for WireErrorService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await?;
            Ok(match Status::from_header_map(response.headers()) {
                Some(status) if status.details().is_empty() => match mended(&status) {
                    Some(mended) => mended.into_http(),
                    None => response,
                },
                Some(_) | None => response,
            })
        })
    }
}

fn mended(status: &Status) -> Option<Status> {
    match status.code() {
        Code::OutOfRange => Some(
            Refusal::new(
                Code::ResourceExhausted,
                "MESSAGE_TOO_LARGE",
                format!("a message may have at most {} bytes", limits::MESSAGE_BYTES_MAX),
            )
            .into(),
        ),
        Code::Internal => Some(malformed(status.message())),
        _ => None,
    }
}

/// prost names the path from the inside: `Nested.field: Message.field: what is wrong`. The caller gets `field.field`.
fn malformed(message: &str) -> Status {
    let refusal = Refusal::new(Code::InvalidArgument, "MALFORMED_MESSAGE", "the message can't be decoded");
    let mut fields: Vec<&str> = message
        .strip_prefix(PROST_PREFIX)
        .unwrap_or_default()
        .split(": ")
        .map_while(|part| part.split_once('.').filter(|(name, field)| !name.contains(' ') && !field.contains(' ')))
        .map(|(_, field)| field)
        .collect();
    if fields.is_empty() {
        return refusal.into();
    }
    fields.reverse();
    refusal.bad_fields(vec![FieldViolation::new(fields.join("."), "can't be decoded")]).into()
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    #[test]
    fn a_field_that_cannot_be_decoded_is_named() {
        let status = mended(&Status::internal(
            "failed to decode Protobuf message: Item.sku: CreateOrderRequest.items: invalid string value: data is not UTF-8 encoded",
        ))
        .expect("mended");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.get_error_details().bad_request().expect("details").field_violations[0].field, "items.sku");
    }

    #[test]
    fn a_message_that_is_too_large_is_resource_exhausted() {
        let status = mended(&Status::out_of_range("decoded message length too large")).expect("mended");
        assert_eq!(status.code(), Code::ResourceExhausted);
    }

    #[test]
    fn other_codes_stay_as_they_are() {
        assert!(mended(&Status::unimplemented("")).is_none());
    }
}
