use tally_api::orders::v1::{ListOrdersRequest, ListOrdersResponse, OrderStatus, OrderSummary};
use tally_read_model::{ViewChange, list_member, lists, projections};

use crate::system::*;

fn order_id(number: u64) -> String {
    format!("00000000-0000-7000-8000-{number:012}")
}

/// What the projector writes when the order that `number` names is created, by the event at that position.
fn created(number: u64) -> ViewChange {
    let summary = OrderSummary {
        order_id: order_id(number),
        customer_id: "c1".to_owned(),
        status: OrderStatus::Open.into(),
        ..Default::default()
    };
    let member = list_member(number, &order_id(number));
    let lists_added =
        vec![(lists::customer("c1"), member.clone()), (lists::customer_with_status("c1", "OPEN"), member)];
    ViewChange { lists_added, ..view(&order_id(number), &summary) }
}

fn of_c1() -> ListOrdersRequest {
    ListOrdersRequest { customer_id: "c1".to_owned(), ..Default::default() }
}

async fn page(system: &System, request: ListOrdersRequest) -> ListOrdersResponse {
    system.orders.clone().list_orders(request).await.expect("a page").into_inner()
}

fn numbers(page: &ListOrdersResponse) -> Vec<u64> {
    page.orders.iter().map(|order| order.order_id[24..].parse().expect("a number")).collect()
}

#[tokio::test]
async fn pages_neither_repeat_nor_miss_an_order_while_others_are_created() {
    let system = System::start(&[]).await;
    let first: Vec<_> = (1..=120).map(created).collect();
    system.apply(projections::ORDER_SUMMARIES, 120, &first).await;

    let mut request = ListOrdersRequest { page_size: 50, ..of_c1() };
    let mut seen = Vec::new();
    let mut sizes = Vec::new();
    let mut created_meanwhile = 120;
    loop {
        let page = page(&system, request.clone()).await;
        assert_eq!(page.freshness.as_ref().expect("freshness").position, created_meanwhile as i64);
        seen.extend(numbers(&page));
        sizes.push(page.orders.len());
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
        created_meanwhile += 1;
        system.apply(projections::ORDER_SUMMARIES, created_meanwhile, &[created(created_meanwhile)]).await;
    }
    assert_eq!(seen, (1..=120).rev().collect::<Vec<_>>());
    assert_eq!(sizes, [50, 50, 20]);
}

#[tokio::test]
async fn a_full_last_page_has_no_token() {
    let system = System::start(&[]).await;
    let orders: Vec<_> = (1..=100).map(created).collect();
    system.apply(projections::ORDER_SUMMARIES, 100, &orders).await;
    let first = page(&system, of_c1()).await;
    assert_eq!(numbers(&first), (51..=100).rev().collect::<Vec<_>>(), "50 unless told");
    let last = page(&system, ListOrdersRequest { page_token: first.next_page_token, ..of_c1() }).await;
    assert_eq!(numbers(&last), (1..=50).rev().collect::<Vec<_>>());
    assert_eq!(last.next_page_token, "");
}

#[tokio::test]
async fn no_page_has_more_than_the_largest() {
    let system = System::start(&[]).await;
    let orders: Vec<_> = (1..=501).map(created).collect();
    system.apply(projections::ORDER_SUMMARIES, 501, &orders).await;
    for page_size in [501, i32::MAX] {
        let page = page(&system, ListOrdersRequest { page_size, ..of_c1() }).await;
        assert_eq!(page.orders.len(), 500);
        assert_ne!(page.next_page_token, "");
    }
}

#[tokio::test]
async fn the_size_of_a_page_may_change_from_page_to_page() {
    let system = System::start(&[]).await;
    let orders: Vec<_> = (1..=10).map(created).collect();
    system.apply(projections::ORDER_SUMMARIES, 10, &orders).await;
    let first = page(&system, ListOrdersRequest { page_size: 2, ..of_c1() }).await;
    let request = ListOrdersRequest { page_size: 3, page_token: first.next_page_token, ..of_c1() };
    assert_eq!(numbers(&page(&system, request).await), [8, 7, 6]);
}

#[tokio::test]
async fn each_way_to_ask_reads_its_own_list() {
    let system = System::start(&[]).await;
    let open = created(1);
    let member = list_member(2, &order_id(2));
    let shipped = ViewChange {
        lists_added: vec![
            (lists::customer("c1"), member.clone()),
            (lists::customer_with_status("c1", "SHIPPED"), member.clone()),
            (lists::status("CANCELLED"), member),
        ],
        ..created(2)
    };
    system.apply(projections::ORDER_SUMMARIES, 2, &[open, shipped]).await;

    let ask = async |customer_id: &str, status: OrderStatus| {
        let request =
            ListOrdersRequest { customer_id: customer_id.to_owned(), status: status.into(), ..Default::default() };
        numbers(&page(&system, request).await)
    };
    assert_eq!(ask("c1", OrderStatus::Unspecified).await, [2, 1]);
    assert_eq!(ask("c1", OrderStatus::Open).await, [1]);
    assert_eq!(ask("c1", OrderStatus::Shipped).await, [2]);
    assert_eq!(ask("c1", OrderStatus::Cancelled).await, [0; 0]);
    assert_eq!(ask("", OrderStatus::Cancelled).await, [2]);
    assert_eq!(ask("", OrderStatus::Open).await, [0; 0]);
    assert_eq!(ask("c1/OPEN", OrderStatus::Unspecified).await, [0; 0]);
}

#[tokio::test]
async fn a_page_is_waited_for_as_a_view_is() {
    let system = System::start(&[]).await;
    let request = ListOrdersRequest { read_after: Some(within(SOON * 2, system.token(3))), ..of_c1() };
    let created = [created(1)];
    let projector = system.apply(projections::ORDER_SUMMARIES, 3, &created);
    let (page, ()) = soon(async { tokio::join!(page(&system, request), projector) }).await;
    assert_eq!(numbers(&page), [1]);
    assert!(!page.freshness.expect("freshness").may_be_stale);
}

#[tokio::test]
async fn a_page_token_leads_only_through_its_own_list() {
    let system = System::start(&[]).await;
    let orders: Vec<_> = (1..=3).map(created).collect();
    system.apply(projections::ORDER_SUMMARIES, 3, &orders).await;
    let page_token = page(&system, ListOrdersRequest { page_size: 1, ..of_c1() }).await.next_page_token;
    let others = [
        ListOrdersRequest { customer_id: "c2".to_owned(), ..Default::default() },
        ListOrdersRequest { status: OrderStatus::Open.into(), ..of_c1() },
        ListOrdersRequest { status: OrderStatus::Open.into(), ..Default::default() },
    ];
    for other in others {
        let request = ListOrdersRequest { page_token: page_token.clone(), ..other };
        let told = told(&system.orders.clone().list_orders(request).await.expect_err("refused"));
        assert_eq!((told.code, told.fields), (tonic::Code::InvalidArgument, vec!["page_token".to_owned()]));
    }
}
