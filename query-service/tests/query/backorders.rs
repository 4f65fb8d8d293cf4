use tally_api::allocation::v1::{Backorder, ListBackordersRequest, ListBackordersResponse};
use tally_read_model::{ViewChange, line_key, list_member_oldest_first, lists, projections};
use tonic::Code;

use crate::system::*;

/// What the projector writes when a line begins to wait by the event at this position.
fn waits(sku: &str, position: u64) -> ViewChange {
    let order_id = format!("o{position}");
    let line = Backorder {
        order_id: order_id.clone(),
        sku: sku.to_owned(),
        quantity: 1,
        position: position as i64,
        backorder_time: None,
    };
    let key = line_key(sku, &order_id);
    let member = list_member_oldest_first(position, &key);
    let lists_added = vec![(lists::EVERY_BACKORDER.to_owned(), member.clone()), (lists::backorders(sku), member)];
    ViewChange { lists_added, ..view(&key, &line) }
}

async fn page(system: &System, sku: &str, page_size: i32, page_token: &str) -> ListBackordersResponse {
    let request =
        ListBackordersRequest { sku: sku.to_owned(), page_size, page_token: page_token.to_owned(), read_after: None };
    system.allocation.clone().list_backorders(request).await.expect("a page").into_inner()
}

fn positions(page: &ListBackordersResponse) -> Vec<i64> {
    page.backorders.iter().map(|line| line.position).collect()
}

#[tokio::test]
async fn the_longest_waiting_lines_come_first_of_one_sku_and_of_all() {
    let system = System::start(&[]).await;
    let lines: Vec<ViewChange> =
        (1..=30).map(|position| waits(["LAMP", "TABLE", "A/B"][position as usize % 3], position)).collect();
    system.apply(projections::BACKORDERS, 30, &lines).await;

    assert_eq!(positions(&page(&system, "", 0, "").await), (1..=30).collect::<Vec<_>>());
    let lamps: Vec<i64> = (1..=30).filter(|position| position % 3 == 0).collect();
    let first = page(&system, "LAMP", 4, "").await;
    assert_eq!(positions(&first), lamps[..4]);
    assert_eq!(first.freshness.expect("freshness").position, 30);
    // One that begins to wait meanwhile stands behind the others.
    system.apply(projections::BACKORDERS, 31, &[waits("LAMP", 31)]).await;
    let rest = page(&system, "LAMP", 10, &first.next_page_token).await;
    assert_eq!(positions(&rest), [&lamps[4..], &[31]].concat());
    assert_eq!(rest.next_page_token, "");
    assert_eq!(positions(&page(&system, "A/B", 1, "").await), [2]);
    assert_eq!(positions(&page(&system, "NONE", 1, "").await), [0; 0]);
}

#[tokio::test]
async fn a_page_token_leads_only_through_its_own_list() {
    let system = System::start(&[]).await;
    system.apply(projections::BACKORDERS, 2, &[waits("LAMP", 1), waits("LAMP", 2)]).await;
    let page_token = page(&system, "LAMP", 1, "").await.next_page_token;
    assert_ne!(page_token, "");
    for sku in ["", "TABLE"] {
        let request =
            ListBackordersRequest { sku: sku.to_owned(), page_token: page_token.clone(), ..Default::default() };
        let told = told(&system.allocation.clone().list_backorders(request).await.expect_err("refused"));
        assert_eq!((told.code, told.fields), (Code::InvalidArgument, vec!["page_token".to_owned()]));
    }
}
