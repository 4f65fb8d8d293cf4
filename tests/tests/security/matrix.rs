//! Every method × every kind of credentials: the right code in each cell.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use system_tests::Tally;
use system_tests::client::{NewOrder, PageOf, TallyClient, call};
use system_tests::credentials::{Algorithm, Issuer};
use tally_api::{CustomerAccess, METHODS, Method};
use tonic::Code;
use tonic::metadata::MetadataMap;

use super::{Folder, ISSUER, all_scopes, borrowed, listed, trusting};

/// Whose order it is.
const CUSTOMER: &str = "c-1";
/// A token that stands in a file.
const LISTED: &str = "a-token-that-stands-in-a-file";

/// A request for each method that succeeds when it may be made, and changes nothing. A method that isn't here fails the test: every one is
/// walked through.
fn requests(order_id: &str) -> BTreeMap<&'static str, Value> {
    let order = json!({"order_id": order_id});
    let line = json!({"order_id": order_id, "sku": "LAMP", "quantity": 4, "validate_only": true});
    let batch = json!({"batch_ref": "b1", "quantity": 10, "validate_only": true});
    BTreeMap::from([
        (
            "/tally.orders.v1.OrderCommandService/CreateOrder",
            json!({
                "validate_only": true, "customer_id": CUSTOMER,
                "items": [{"sku": "LAMP", "quantity": 1, "unit_price": {"currency_code": "EUR", "units": 1}}],
                "shipping_address": {"region_code": "DE", "address_lines": ["1"]},
            }),
        ),
        (
            "/tally.orders.v1.OrderCommandService/CancelOrder",
            json!({"order_id": order_id, "reason": "no", "validate_only": true}),
        ),
        ("/tally.orders.v1.OrderCommandService/ShipOrder", json!({"order_id": order_id, "validate_only": true})),
        ("/tally.orders.v1.OrderQueryService/GetOrder", order.clone()),
        ("/tally.orders.v1.OrderQueryService/ListOrders", json!({"customer_id": CUSTOMER})),
        ("/tally.orders.v1.OrderQueryService/GetOrderHistory", order.clone()),
        ("/tally.orders.v1.OrderQueryService/WatchOrder", order.clone()),
        (
            "/tally.allocation.v1.AllocationCommandService/CreateBatch",
            json!({"batch_ref": "b2", "sku": "LAMP", "quantity": 1, "validate_only": true}),
        ),
        (
            "/tally.allocation.v1.AllocationCommandService/ReceiveBatch",
            json!({"batch_ref": "b1", "validate_only": true}),
        ),
        ("/tally.allocation.v1.AllocationCommandService/ChangeBatchQuantity", batch),
        ("/tally.allocation.v1.AllocationCommandService/Allocate", line),
        (
            "/tally.allocation.v1.AllocationCommandService/Deallocate",
            json!({"order_id": order_id, "sku": "LAMP", "validate_only": true}),
        ),
        ("/tally.allocation.v1.AllocationQueryService/GetAllocations", order),
        ("/tally.allocation.v1.AllocationQueryService/GetStock", json!({"sku": "LAMP"})),
        ("/tally.allocation.v1.AllocationQueryService/ListBackorders", json!({"sku": "LAMP"})),
        ("/tally.allocation.v1.AllocationQueryService/WatchStock", json!({"sku": "LAMP"})),
        ("/tally.events.v1.EventLogService/ReadStream", json!({"stream_id": "product-LAMP"})),
        ("/tally.events.v1.EventLogService/Subscribe", json!({"only_new": true})),
        ("/tally.projections.v1.ProjectionAdminService/ListProjections", json!({})),
        ("/tally.projections.v1.ProjectionAdminService/RebuildProjection", json!({"projection": "streams"})),
        ("/tally.projections.v1.ProjectionAdminService/PromoteRebuild", json!({"projection": "stock"})),
        ("/tally.projections.v1.ProjectionAdminService/RollBackRebuild", json!({"projection": "stock"})),
        ("/tally.projections.v1.ProjectionAdminService/PauseProjection", json!({"projection": "backorders"})),
        ("/tally.projections.v1.ProjectionAdminService/ResumeProjection", json!({"projection": "backorders"})),
        ("/tally.projections.v1.ProjectionAdminService/ListParkedEvents", json!({})),
        (
            "/tally.projections.v1.ProjectionAdminService/RetryParkedEvent",
            json!({"projection": "stock", "position": 1}),
        ),
        ("/tally.projections.v1.ProjectionAdminService/ExplainLag", json!({"projection": "stock"})),
    ])
}

/// Calls that may be made and have nothing to do: there is no rebuild, and no event is parked.
const NOTHING_TO_DO: [(&str, Code); 3] = [
    ("/tally.projections.v1.ProjectionAdminService/PromoteRebuild", Code::FailedPrecondition),
    ("/tally.projections.v1.ProjectionAdminService/RollBackRebuild", Code::FailedPrecondition),
    ("/tally.projections.v1.ProjectionAdminService/RetryParkedEvent", Code::NotFound),
];

/// What a method answers whom it serves.
fn served(method: &Method) -> Code {
    NOTHING_TO_DO.iter().find(|(path, _)| *path == method.path).map_or(Code::Ok, |(_, code)| *code)
}

/// A kind of credentials: its name, its token if it has one, and the code that a method answers it with.
struct Kind {
    name: &'static str,
    token: Option<String>,
    code: fn(&Method) -> Code,
}

fn kinds(issuer: &Issuer, method: &Method) -> Vec<Kind> {
    let unauthenticated: fn(&Method) -> Code = |_| Code::Unauthenticated;
    let denied: fn(&Method) -> Code = |_| Code::PermissionDenied;
    let allowed: fn(&Method) -> Code = served;
    let good = issuer.claims(method.scope);
    let with = |key: &str, value: Value| {
        let mut claims = good.clone();
        claims[key] = value;
        claims
    };
    let without = |key: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(key);
        claims
    };
    let now = good["iat"].as_i64().unwrap();
    let signed = |claims: &Value| issuer.sign(Algorithm::Rs256, claims);
    let right = signed(&good);
    let (head, signature) = right.rsplit_once('.').unwrap();
    let flipped: String = signature.chars().rev().collect();
    let unknown_key = issuer.sign_as(Algorithm::Rs256, &json!({"alg": "RS256", "kid": "unknown"}), &good);
    let no_key = issuer.sign_as(Algorithm::Rs256, &json!({"alg": "RS256"}), &good);
    let critical = issuer.sign_as(Algorithm::Rs256, &json!({"alg": "RS256", "kid": "rsa", "crit": ["x"]}), &good);
    // Says it is for the key of another algorithm.
    let crossed = issuer.sign_as(Algorithm::Es256, &json!({"alg": "ES256", "kid": "rsa"}), &good);
    let others: String = all_scopes().split(' ').filter(|scope| *scope != method.scope).collect::<Vec<_>>().join(" ");
    let kind = |name, token: String, code| Kind { name, token: Some(token), code };
    vec![
        Kind { name: "none", token: None, code: unauthenticated },
        kind("malformed", "no-token".to_owned(), unauthenticated),
        kind("malformed, with dots", "a.b.c".to_owned(), unauthenticated),
        kind("expired", signed(&with("exp", json!(now - 60))), unauthenticated),
        kind("without an end", signed(&without("exp")), unauthenticated),
        kind("not valid yet", signed(&with("nbf", json!(now + 600))), unauthenticated),
        kind("wrong audience", signed(&with("aud", json!("somebody-else"))), unauthenticated),
        kind("without an audience", signed(&without("aud")), unauthenticated),
        kind("wrong issuer", signed(&with("iss", json!("https://other.example"))), unauthenticated),
        kind("algorithm none", issuer.sign(Algorithm::None, &good), unauthenticated),
        kind("HMAC with the public key", issuer.sign(Algorithm::Hs256, &good), unauthenticated),
        kind("another key's algorithm", crossed, unauthenticated),
        kind("unknown key", unknown_key, unauthenticated),
        kind("no key", no_key, unauthenticated),
        kind("critical header", critical, unauthenticated),
        kind("wrong signature", format!("{head}.{flipped}"), unauthenticated),
        kind("another issuer's keys", Issuer::new(ISSUER).token(method.scope), unauthenticated),
        kind("binding that is no text", signed(&with("tally_customer", json!(7))), unauthenticated),
        kind("wrong scope", signed(&with("scope", json!(others))), denied),
        kind("no scope", signed(&without("scope")), denied),
        kind("other customer's", issuer.bound_token(method.scope, "c-2"), |method| match method.customer {
            CustomerAccess::Own | CustomerAccess::None => Code::PermissionDenied,
            CustomerAccess::Public => Code::Ok,
        }),
        kind("the customer's own", issuer.bound_token(method.scope, CUSTOMER), |method| match method.customer {
            CustomerAccess::None => Code::PermissionDenied,
            CustomerAccess::Own | CustomerAccess::Public => Code::Ok,
        }),
        kind("right, RS256", right.clone(), allowed),
        kind("right, ES256", issuer.sign(Algorithm::Es256, &good), allowed),
        kind("right, EdDSA", issuer.sign(Algorithm::EdDsa, &good), allowed),
        kind("right, from the file", LISTED.to_owned(), allowed),
    ]
}

#[tokio::test]
async fn every_method_answers_every_kind_of_credentials_with_the_right_code() {
    let (folder, issuer) = (Folder::new(), Issuer::new(ISSUER));
    let mut environment = trusting(&issuer, &folder);
    let scopes = all_scopes();
    let file = json!({"tokens": [listed("a program", LISTED, &scopes.split(' ').collect::<Vec<_>>(), None)]});
    environment.push(("TALLY_TOKENS", folder.write("tokens.json", &file.to_string())));
    let tally = Tally::start_with_environment(&borrowed(&environment)).await;
    let admin = tally.client().with_header("authorization", &format!("Bearer {}", issuer.token(&scopes)));
    admin.create_batch("b1", "LAMP", 10, None).await.unwrap();
    let order = admin.create_order(&NewOrder::of(CUSTOMER, &[("LAMP", 4)])).await.unwrap();
    admin.get_order(&order.order_id, &order.seen()).await.unwrap();
    admin.get_allocations(&order.order_id, &order.seen()).await.unwrap();
    admin.get_stock("LAMP", &order.seen()).await.unwrap();
    let history = PageOf { id: &order.order_id, ..PageOf::default() };
    admin.get_order_history(history, &order.seen()).await.unwrap();

    let requests = requests(&order.order_id);
    let mut wrong = Vec::new();
    for method in METHODS {
        let request =
            requests.get(method.path).unwrap_or_else(|| panic!("say what a right call of {} is", method.path));
        let channel = if method.service.ends_with("CommandService") {
            tally.command.channel()
        } else if method.service.ends_with("AdminService") {
            tally.projector.channel()
        } else {
            tally.query.channel()
        };
        for Kind { name, token, code } in kinds(&issuer, method) {
            let mut metadata = MetadataMap::new();
            if let Some(token) = token {
                metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
            }
            let outcome = call(channel.clone(), method.path, request, metadata).await;
            let got = outcome.as_ref().err().map_or(Code::Ok, tonic::Status::code);
            if got != code(method) {
                wrong.push(format!("{} × {name}: {outcome:?}", method.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
