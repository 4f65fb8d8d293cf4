//! What Tally is for, story by story. Stories 6 to 10 are in files of their own.

use system_tests::client::{Allocation, Date, Line, ReadAfter, TallyClient};
use tonic::Code;

mod orders;
mod reads;
mod stock;

/// The first three, and the last, are told through every client.
macro_rules! through {
    ($client:ident) => {
        mod $client {
            use system_tests::Tally;

            #[tokio::test]
            async fn story_1_a_line_gets_the_batch_that_is_due_first() {
                let tally = Tally::start().await;
                super::a_line_gets_the_batch_that_is_due_first(&tally.$client()).await;
            }

            #[tokio::test]
            async fn story_2_an_unknown_sku_is_refused() {
                let tally = Tally::start().await;
                super::an_unknown_sku_is_refused(&tally.$client()).await;
            }

            #[tokio::test]
            async fn story_3_an_order_has_a_row_for_each_of_its_skus() {
                let tally = Tally::start().await;
                super::an_order_has_a_row_for_each_of_its_skus(&tally.$client()).await;
            }

            #[tokio::test]
            async fn story_11_what_happened_and_what_waits_can_be_read_and_watched() {
                let tally = Tally::start().await;
                super::reads::what_happened_and_what_waits_can_be_read_and_watched(&tally.$client()).await;
            }
        }
    };
}

through!(client);
through!(python);
through!(grpcurl);

async fn a_line_gets_the_batch_that_is_due_first(client: &impl TallyClient) {
    client.create_batch("later", "LAMP", 100, Some(Date::new(2011, 1, 2))).await.unwrap();
    client.create_batch("earlier", "LAMP", 100, Some(Date::new(2011, 1, 1))).await.unwrap();
    client.create_batch("other", "TABLE", 100, None).await.unwrap();

    let allocated = client.allocate("o1", "LAMP", 3).await.unwrap();

    assert_eq!(allocated.line, Some(line("o1", "LAMP", 3, "LINE_STATUS_ALLOCATED", "earlier")));
    let answer = client.get_allocations("o1", &allocated.seen()).await.unwrap();
    assert_eq!(answer.allocations, [Allocation::new("LAMP", "earlier", 3)]);
    assert!(!answer.freshness.may_be_stale);
    assert!(answer.freshness.position >= allocated.receipt().position);
}

async fn an_unknown_sku_is_refused(client: &impl TallyClient) {
    let refused = client.allocate("o1", "NONEXISTENT", 20).await.unwrap_err();

    assert!(refused.is(Code::FailedPrecondition, "INVALID_SKU"), "{refused:?}");
    assert_eq!(refused.message, "Invalid sku NONEXISTENT");
    let absent = client.get_allocations("o1", &ReadAfter::nothing()).await.unwrap_err();
    assert!(absent.is(Code::NotFound, "ALLOCATIONS_NOT_FOUND"), "{absent:?}");
    assert!(absent.metadata.contains_key("position"), "it says as of which position: {absent:?}");
}

async fn an_order_has_a_row_for_each_of_its_skus(client: &impl TallyClient) {
    client.create_batch("b1", "sku1", 50, None).await.unwrap();
    client.create_batch("b2", "sku2", 50, Some(Date::today())).await.unwrap();

    client.allocate("o1", "sku1", 20).await.unwrap();
    let last = client.allocate("o1", "sku2", 20).await.unwrap();

    let answer = client.get_allocations("o1", &last.seen()).await.unwrap();
    assert_eq!(answer.allocations, [Allocation::new("sku1", "b1", 20), Allocation::new("sku2", "b2", 20)]);
}

fn line(order_id: &str, sku: &str, quantity: i32, status: &str, batch_ref: &str) -> Line {
    Line {
        order_id: order_id.to_owned(),
        sku: sku.to_owned(),
        quantity,
        status: status.to_owned(),
        batch_ref: batch_ref.to_owned(),
        previous_batch_ref: String::new(),
    }
}
