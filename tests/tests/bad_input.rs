//! Whatever a caller sends, every bad field is named, nothing of the inside is shown, and the service goes on.

use std::collections::BTreeSet;

use serde_json::Value;
use system_tests::client::{Error, PageOf, ReadAfter, TallyClient};
use system_tests::{Log, Tally};
use tonic::Code;
use tonic::transport::Channel;

mod generated;
mod limits;
mod orders;
mod requests;
mod rules;
mod tokens;
mod wire;

use prost_reflect::MethodDescriptor;
use requests::{good, places};
use wire::{call, encode, methods};

/// A text that is replaced by bytes that are no UTF-8, of the same length.
const NO_TEXT: &str = "~~no~utf8~~";
/// The most that a message may have, and a bit.
const TOO_LARGE: usize = 4 * 1024 * 1024 + 1;

/// A Tally with some stock, its connections, and what its log must still be at the end.
struct Bench {
    tally: Tally,
    commands: Channel,
    queries: Channel,
    projections: Channel,
    before: Log,
    failures: Vec<String>,
}

impl Bench {
    async fn new() -> Self {
        let tally = Tally::start().await;
        tally.stocked("b1", "LAMP", 100).await;
        let before = Log::read(&tally.database().await).await;
        Self {
            commands: tally.command.channel(),
            queries: tally.query.channel(),
            projections: tally.projector.channel(),
            tally,
            before,
            failures: Vec::new(),
        }
    }

    async fn call(&self, method: &MethodDescriptor, bytes: Vec<u8>) -> Result<(), Error> {
        let process = match method.parent_service().name() {
            "ProjectionAdminService" => &self.projections,
            service if service.contains("Query") || service == "EventLogService" => &self.queries,
            _ => &self.commands,
        };
        call(process, method, bytes).await.map(drop)
    }

    /// Sends what must be refused, and notes what is wrong with the answer. `fields` are those that it must name, and no others.
    async fn refused(
        &mut self,
        what: &str,
        method: &MethodDescriptor,
        bytes: Vec<u8>,
        reason: &str,
        fields: &BTreeSet<String>,
    ) {
        let answer = self.call(method, bytes).await;
        let what = format!("{} {what}", method.name());
        match answer {
            Ok(()) => self.failures.push(format!("{what}: taken")),
            Err(error) if !error.is(Code::InvalidArgument, reason) => self.failures.push(format!("{what}: {error:?}")),
            Err(error) => {
                let named: BTreeSet<String> = error.bad_fields().into_iter().map(str::to_owned).collect();
                if named != *fields {
                    self.failures.push(format!("{what}: {named:?} and not {fields:?}"));
                }
            }
        }
    }

    /// The services still answer, and nothing was written.
    async fn finish(self) {
        assert!(self.failures.is_empty(), "{} failures:\n{}", self.failures.len(), self.failures.join("\n"));
        let client = self.tally.client();
        assert_eq!(Log::read(&self.tally.database().await).await, self.before, "the log is as it was");
        let written = client.allocate("o1", "LAMP", 1).await.unwrap();
        assert_eq!(client.get_stock("LAMP", &written.seen()).await.unwrap().allocated, 1);
        for service in self.tally.services() {
            let log = std::fs::read_to_string(service.log()).unwrap();
            assert!(!log.contains("panicked"), "{}: {log}", service.name());
        }
    }
}

fn one(field: String) -> BTreeSet<String> {
    BTreeSet::from([field])
}

/// Shortens what is shown of a long value.
fn shown(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}

#[tokio::test]
async fn every_rpc_names_every_field_that_is_bad() {
    let mut bench = Bench::new().await;
    assert_eq!(methods().len(), 27, "the RPCs of this API");
    let mut calls = 0;
    for method in methods() {
        for place in places(&method) {
            let mut values: Vec<Option<Value>> =
                place.rule.bad_values(&place.good(&method)).into_iter().map(Some).collect();
            let is_entry = matches!(place.path.last(), Some(requests::Step::Index(_)));
            values.extend((place.rule.is_needed() && !is_entry).then_some(None));
            for value in values {
                let what = format!("{} = {}", place.name(), value.as_ref().map_or("nothing".to_owned(), shown));
                let mut request = good(&method.input());
                place.put(&method, &mut request, value);
                bench
                    .refused(&what, &method, encode(&method, &request), "INVALID_FIELDS", &one(place.reported()))
                    .await;
                calls += 1;
            }
        }
    }
    assert!(calls > 500, "the table has been walked: {calls}");
    bench.finish().await;
}

#[tokio::test]
async fn all_bad_fields_are_named_at_once() {
    let mut bench = Bench::new().await;
    for method in methods().into_iter().filter(|method| method.input().fields().len() > 0) {
        let mut request = good(&method.input());
        let mut expected = BTreeSet::new();
        for place in places(&method) {
            // Of a choice one is taken, and a list that is bad as a whole has no entries to be bad.
            let is_other_choice = ["read_after.position", "read_after.stream_version", "after_token", "only_new"]
                .iter()
                .any(|other| place.name().starts_with(other));
            let is_whole = matches!(place.rule, rules::Rule::List { .. } | rules::Rule::Nested { .. });
            let bad = place.rule.bad_values(&Value::Null).into_iter().next();
            if let Some(bad) = bad.filter(|_| !is_other_choice && !is_whole) {
                place.put(&method, &mut request, Some(bad));
                expected.insert(place.reported());
            }
        }
        assert!(!expected.is_empty(), "{}", method.name());
        bench.refused("with everything bad", &method, encode(&method, &request), "INVALID_FIELDS", &expected).await;
    }
    bench.finish().await;
}

#[tokio::test]
async fn an_empty_message_lacks_every_field_that_is_needed() {
    let mut bench = Bench::new().await;
    for method in methods() {
        let message = method.input();
        let needed = message.fields().filter(|field| rules::rule(field).is_needed());
        let mut expected: BTreeSet<String> = needed.map(|field| field.name().to_owned()).collect();
        match method.name() {
            "ListOrders" => expected = one("customer_id".to_owned()),
            // All lines that wait; all events that there are; all projections, and all events of theirs that are parked.
            "ListBackorders" | "Subscribe" | "ListProjections" | "ListParkedEvents" => {
                bench.call(&method, Vec::new()).await.unwrap();
                continue;
            }
            _ => {}
        }
        bench.refused("empty", &method, Vec::new(), "INVALID_FIELDS", &expected).await;
    }
    bench.finish().await;
}

#[tokio::test]
async fn a_text_that_is_no_utf8_is_refused_by_its_name() {
    let mut bench = Bench::new().await;
    for method in methods() {
        for place in places(&method).into_iter().filter(|place| place.is_text) {
            let mut request = good(&method.input());
            place.put(&method, &mut request, Some(NO_TEXT.into()));
            let mut bytes = encode(&method, &request);
            let at = bytes.windows(NO_TEXT.len()).position(|window| window == NO_TEXT.as_bytes()).unwrap();
            bytes[at..at + NO_TEXT.len()].fill(0xff);
            // The decoder knows the field, and neither which entry of a list it is in nor which of a choice was made.
            let name = place
                .name()
                .replace("[0]", "")
                .replace("read_after.token", "read_after.after")
                .replace("read_after.stream_version", "read_after.after")
                .replace("after_token", "start");
            bench.refused(&format!("{name} = ff ff"), &method, bytes, "MALFORMED_MESSAGE", &one(name)).await;
        }
    }
    bench.finish().await;
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused() {
    let bench = Bench::new().await;
    let deep = |depth: usize| [0x0b].repeat(depth);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("noise", vec![0xff; 64]),
        ("a length beyond the end", vec![0x0a, 0x7f, 0x41]),
        ("a length of nearly all there is", vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        ("a number in place of a text", vec![0x08, 0x01]),
        ("a number without an end", vec![0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("field number 0", vec![0x00, 0x00]),
        ("groups without an end", deep(100_000)),
        ("an end without a group", vec![0x0c]),
    ];
    for method in methods() {
        for (what, bytes) in &cases {
            // Its first field is a number, or it has none.
            if matches!(method.name(), "Subscribe" | "ListProjections") && *what == "a number in place of a text" {
                continue;
            }
            let error = bench.call(&method, bytes.clone()).await.expect_err(what);
            assert_eq!(error.code, Code::InvalidArgument, "{} {what}: {error:?}", method.name());
        }
    }
    bench.finish().await;
}

#[tokio::test]
async fn a_message_over_four_mebibytes_is_resource_exhausted() {
    let bench = Bench::new().await;
    for method in methods() {
        // A field that nobody knows, so that only the size is wrong.
        let mut bytes = encode(&method, &good(&method.input()));
        let padding = vec![b'x'; TOO_LARGE - bytes.len()];
        prost_reflect::prost::encoding::bytes::encode(1_000, &padding, &mut bytes);
        let error = bench.call(&method, bytes).await.unwrap_err();
        assert_eq!(error.code, Code::ResourceExhausted, "{}: {error:?}", method.name());
    }
    bench.finish().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_not_an_error_of_ours() {
    let bench = Bench::new().await;
    let client = bench.tally.client();
    let absent = uuid::Uuid::new_v4().to_string();
    let now = ReadAfter::nothing();
    let history = PageOf { id: &absent, ..PageOf::default() };
    let refusals = [
        (client.cancel_order(&absent, "no").await.unwrap_err(), Code::NotFound, "ORDER_NOT_FOUND"),
        (client.ship_order(&absent).await.unwrap_err(), Code::NotFound, "ORDER_NOT_FOUND"),
        (client.receive_batch("absent").await.unwrap_err(), Code::NotFound, "BATCH_NOT_FOUND"),
        (client.change_batch_quantity("absent", 1).await.unwrap_err(), Code::NotFound, "BATCH_NOT_FOUND"),
        (client.deallocate("absent", "LAMP").await.unwrap_err(), Code::NotFound, "ALLOCATION_NOT_FOUND"),
        (client.deallocate("absent", "absent").await.unwrap_err(), Code::FailedPrecondition, "INVALID_SKU"),
        (client.get_order(&absent, &now).await.unwrap_err(), Code::NotFound, "ORDER_NOT_FOUND"),
        (client.get_allocations("absent", &now).await.unwrap_err(), Code::NotFound, "ALLOCATIONS_NOT_FOUND"),
        (client.get_stock("absent", &now).await.unwrap_err(), Code::NotFound, "STOCK_NOT_FOUND"),
        (client.get_order_history(history, &now).await.unwrap_err(), Code::NotFound, "ORDER_NOT_FOUND"),
        (client.watch_order(&absent, &now).await.unwrap_err(), Code::NotFound, "ORDER_NOT_FOUND"),
        (client.watch_stock("absent", &now).await.unwrap_err(), Code::NotFound, "STOCK_NOT_FOUND"),
        (client.read_stream_backwards("batch-absent", 1).await.unwrap_err(), Code::NotFound, "STREAM_NOT_FOUND"),
        (client.subscribe(1_000, 1).await.unwrap_err(), Code::FailedPrecondition, "BEYOND_LOG"),
    ];
    for (error, code, reason) in refusals {
        assert!(error.is(code, reason), "{reason}: {error:?}");
    }
    bench.finish().await;
}
