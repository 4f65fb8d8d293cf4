//! Tokens beyond the matrix: what a customer's own token sees, keys that change, and what is open without any.

use bytes::Bytes;
use serde_json::json;
use system_tests::client::{Error, NewOrder, OrderFilter, ReadAfter, TallyClient, call_path, grpcurl};
use system_tests::credentials::Issuer;
use system_tests::health::{READINESS, is_serving};
use system_tests::{Service, Tally, eventually};
use tonic::Code;
use tonic::metadata::MetadataMap;

use super::{Folder, ISSUER, all_scopes, borrowed, listed, trusting};

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn a_customers_token_sees_and_touches_that_customers_orders_alone() {
    let (folder, issuer) = (Folder::new(), Issuer::new(ISSUER));
    let tally = Tally::start_with_environment(&borrowed(&trusting(&issuer, &folder))).await;
    let as_bearer = |token: &str| tally.client().with_header("authorization", &bearer(token));
    let (admin, own) = (as_bearer(&issuer.token(&all_scopes())), as_bearer(&issuer.bound_token(&all_scopes(), "c-1")));
    admin.create_batch("b1", "LAMP", 100, None).await.unwrap();
    let others = admin.create_order(&NewOrder::of("c-2", &[("LAMP", 1)])).await.unwrap();
    let mine = own.create_order(&NewOrder::of("c-1", &[("LAMP", 2)])).await.unwrap();
    let seen = mine.seen();

    assert_eq!(own.get_order(&mine.order_id, &seen).await.unwrap().customer_id, "c-1");
    let mut filter = OrderFilter { customer_id: "c-1".to_owned(), ..OrderFilter::default() };
    assert_eq!(own.list_orders(&filter, &seen).await.unwrap().orders.len(), 1);
    own.get_allocations(&mine.order_id, &seen).await.unwrap();
    own.get_stock("LAMP", &seen).await.unwrap();
    own.allocate(&mine.order_id, "LAMP", 2).await.unwrap();

    let refusals = [
        own.get_order(&others.order_id, &seen).await.map(drop),
        own.get_allocations(&others.order_id, &seen).await.map(drop),
        own.get_allocations("an-order-of-another-system", &ReadAfter::nothing()).await.map(drop),
        own.allocate("an-order-of-another-system", "LAMP", 1).await.map(drop),
        own.allocate(&others.order_id, "LAMP", 1).await.map(drop),
        own.deallocate(&others.order_id, "LAMP").await.map(drop),
        own.cancel_order(&others.order_id, "not mine").await.map(drop),
        own.create_order(&NewOrder::of("c-2", &[("LAMP", 1)])).await.map(drop),
        own.ship_order(&mine.order_id).await.map(drop),
    ];
    for (at, refusal) in refusals.into_iter().enumerate() {
        let error = refusal.expect_err("refused");
        assert_eq!((error.code, error.reason.as_str()), (Code::PermissionDenied, "NOT_YOURS"), "{at}");
    }
    for customer in ["c-2", ""] {
        filter.customer_id = customer.to_owned();
        filter.status = "ORDER_STATUS_OPEN".to_owned();
        assert_eq!(own.list_orders(&filter, &seen).await.unwrap_err().code, Code::PermissionDenied, "{customer:?}");
    }
    // What others did under an id of theirs is not told to whoever learns that id.
    let cancelled = admin.command_id(uuid::Uuid::now_v7());
    let command_id = uuid::Uuid::now_v7();
    cancelled.command_id(command_id).cancel_order(&others.order_id, "gone").await.unwrap();
    own.command_id(command_id).cancel_order(&others.order_id, "gone").await.unwrap_err();
    // A closed order is still its customer's.
    own.cancel_order(&mine.order_id, "changed my mind").await.unwrap();
    own.cancel_order(&mine.order_id, "changed my mind").await.unwrap();
    let other = as_bearer(&issuer.bound_token(&all_scopes(), "c-2"));
    assert_eq!(other.cancel_order(&mine.order_id, "no").await.unwrap_err().reason, "NOT_YOURS");

    let actors: Vec<String> = sqlx::query_scalar("SELECT metadata::jsonb ->> 'actor' FROM events")
        .fetch_all(&tally.database().await)
        .await
        .unwrap();
    assert!(actors.iter().all(|actor| actor == "somebody"), "{actors:?}");
}

/// Paths that are in no table of scopes: a method that there isn't, and what a method may be written like to slip through.
const NO_METHODS: [&str; 8] = [
    "/tally.orders.v1.OrderQueryService/NoSuchMethod",
    "/tally.orders.v1.NoSuchService/GetOrder",
    "/nobody.v1.Service/Method",
    "/tally.orders.v1.OrderQueryService/getorder",
    "/tally.orders.v1.OrderQueryService/Get%4Frder",
    "//tally.orders.v1.OrderQueryService/GetOrder",
    "/tally.orders.v1.OrderQueryService/GetOrder/",
    "/",
];

#[tokio::test]
async fn a_path_that_is_in_no_table_of_scopes_is_allowed_to_nobody() {
    let (folder, issuer) = (Folder::new(), Issuer::new(ISSUER));
    let mut environment = trusting(&issuer, &folder);
    let scopes = all_scopes();
    let file = json!({"tokens": [listed("a program", "listed", &scopes.split(' ').collect::<Vec<_>>(), None)]});
    environment.push(("TALLY_TOKENS", folder.write("tokens.json", &file.to_string())));
    let tally = Tally::start_with_environment(&borrowed(&environment)).await;
    let called = async |service: &Service, path: &str, token: &str| {
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", bearer(token).parse().unwrap());
        Error::from_status(&call_path(service.channel(), path, Bytes::new(), metadata).await.unwrap_err())
    };
    for service in tally.services() {
        let name = service.name();
        for path in NO_METHODS {
            for token in ["listed", &issuer.token(&scopes), &issuer.bound_token(&scopes, "c-1")] {
                let refusal = called(service, path, token).await;
                assert!(refusal.is(Code::PermissionDenied, "SCOPE_MISSING"), "{name} {path}: {refusal:?}");
            }
            let refusal = called(service, path, "no-token").await;
            assert!(refusal.is(Code::Unauthenticated, "TOKEN_INVALID"), "{name} {path}: {refusal:?}");
        }
    }
    // What another process serves is not here, whatever a token allows.
    let elsewhere = called(&tally.query, "/tally.orders.v1.OrderCommandService/CancelOrder", "listed").await;
    assert_eq!(elsewhere.code, Code::Unimplemented);
}

#[tokio::test]
async fn keys_and_listed_tokens_are_exchanged_while_calls_go_on() {
    let (folder, issuer) = (Folder::new(), Issuer::new(ISSUER));
    let mut environment = trusting(&issuer, &folder);
    let tokens = |token: &str| json!({"tokens": [listed("a", token, &["stock.read"], None)]}).to_string();
    environment.push(("TALLY_TOKENS", folder.write("tokens.json", &tokens("first"))));
    let tally = Tally::start_with_environment(&borrowed(&environment)).await;
    let code = async |token: &str| {
        let client = tally.client().with_header("authorization", &bearer(token));
        client.get_stock("LAMP", &ReadAfter::nothing()).await.unwrap_err().code
    };
    let old = issuer.token("stock.read");
    eventually("there is no such stock, and it may be asked", async || {
        (code(&old).await == Code::NotFound).then_some(())
    })
    .await;
    assert_eq!(code("first").await, Code::NotFound);

    let new = Issuer::new(ISSUER);
    folder.write("keys.json", &new.key_set().to_string());
    folder.write("tokens.json", &tokens("second"));
    let fresh = new.token("stock.read");
    eventually("the new key is known", async || (code(&fresh).await == Code::NotFound).then_some(())).await;
    eventually("the new token is known", async || (code("second").await == Code::NotFound).then_some(())).await;
    assert_eq!(code(&old).await, Code::Unauthenticated, "although it had been found good before");
    assert_eq!(code("first").await, Code::Unauthenticated);

    // What can't be used changes nothing.
    folder.write("keys.json", "{");
    folder.write("tokens.json", "{}");
    eventually("it was looked at", async || {
        let log = std::fs::read_to_string(tally.query.log()).unwrap();
        (log.contains("those before stay") && log.contains("what was read before stays")).then_some(())
    })
    .await;
    assert_eq!(code(&fresh).await, Code::NotFound);
    assert_eq!(code("second").await, Code::NotFound);
}

#[tokio::test]
async fn health_is_open_reflection_wants_a_token_and_can_be_switched_off() {
    let (folder, issuer) = (Folder::new(), Issuer::new(ISSUER));
    let mut environment = trusting(&issuer, &folder);
    let tally = Tally::start_with_environment(&borrowed(&environment)).await;
    eventually("ready", async || is_serving(&tally.query, READINESS).await.then_some(())).await;
    let address = tally.query.address().to_string();
    let list = |header: Option<String>, address: String| async move {
        let header = header.map(|header| format!("authorization: {header}"));
        let mut arguments = vec!["-plaintext"];
        if let Some(header) = &header {
            arguments.extend(["-H", header]);
        }
        arguments.extend([address.as_str(), "list"]);
        let output = grpcurl(&arguments, "");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert!(!list(None, address.clone()).await.0);
    let (listed, services) = list(Some(bearer(&issuer.token("nothing.at.all"))), address).await;
    assert!(listed && services.contains("tally.orders.v1.OrderQueryService"), "{services}");

    environment.push(("TALLY_REFLECTION", "false".to_owned()));
    let silent = Tally::start_with_environment(&borrowed(&environment)).await;
    assert!(!list(Some(bearer(&issuer.token(&all_scopes()))), silent.query.address().to_string()).await.0);
}
