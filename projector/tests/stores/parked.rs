//! Events that can't be folded wait, and everything else goes on.

use tally_api::projections::v1::*;
use tally_read_model::projections;
use tonic::Code;

use crate::support::{Fixture, Projector, eventually, fixture};

async fn parked(projector: &Projector, projection: &str) -> Vec<ParkedEvent> {
    let request = ListParkedEventsRequest { projection: projection.into(), page_size: 500, ..Default::default() };
    let page = projector.admin().await.list_parked_events(request).await.unwrap().into_inner();
    page.events.into_iter().filter_map(|it| it.event).collect()
}

/// Breaks the first Allocated event; what it was.
async fn break_an_event(f: &Fixture) -> u64 {
    let position: i64 = {
        use sqlx::Connection;
        let mut connection = sqlx::PgConnection::connect(&f.database_url).await.unwrap();
        let statement = format!(
            "SELECT position FROM tally_{}.events WHERE event_type = 'Allocated' ORDER BY position LIMIT 1",
            f.log
        );
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&mut connection).await.unwrap()
    };
    f.as_owner(&format!(
        "UPDATE events SET payload = replace(payload, '\"quantity\"', '\"quantitee\"') WHERE position = {position}"
    ))
    .await;
    position as u64
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_parked_its_view_says_so_and_after_a_retry_all_is_well() {
    let mut f = fixture().await;
    f.append_random(80).await;
    let position = break_an_event(&f).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;

    let events = parked(&projector, "stock").await;
    let first = &events[0];
    assert_eq!((first.position as u64, first.event_type.as_str(), first.waits_behind), (position, "Allocated", false));
    assert!(events[1..].iter().all(|event| event.view == first.view && event.waits_behind), "{events:?}");
    assert!(events.len() > 1, "nothing waits behind it");
    let marked = f.model.get(projections::STOCK, &first.view).await.unwrap();
    assert_eq!((marked.parked, marked.position), (Some(position), f.head));
    let others = (0..5).map(|n| format!("sku-{n}")).filter(|sku| *sku != first.view);
    for sku in others {
        assert_eq!(f.model.get(projections::STOCK, &sku).await.unwrap().parked, None);
    }
    assert!(parked(&projector, "streams").await.is_empty(), "it reads no fields");
    let mut admin = projector.admin().await;
    let lag = admin.explain_lag(ExplainLagRequest { projection: "stock".into() }).await.unwrap().into_inner();
    assert_eq!(lag.reason, "PARKED_EVENT", "{}", lag.explanation);
    let listed = f.run(&["parked", "stock", "--json"]).await.unwrap();
    let listed: Vec<serde_json::Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((listed.len(), listed[0]["position"].as_u64()), (events.len(), Some(position)), "{listed:?}");
    assert!(f.run(&["parked"]).await.unwrap().contains(&first.view));

    let retry = RetryParkedEventRequest { projection: "stock".into(), position: first.position };
    let refused = admin.retry_parked_event(retry.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");

    f.as_owner("UPDATE events SET payload = replace(payload, '\"quantitee\"', '\"quantity\"')").await;
    let retried = f.run(&["parked", "stock", "--retry", &position.to_string()]).await.unwrap();
    assert!(retried.contains(&format!("folded {} event(s); 0 still wait", events.len())), "{retried}");
    for name in ["stock", "order", "allocations", "order_history", "backorders"] {
        while let Some(event) = parked(&projector, name).await.first() {
            let retry = RetryParkedEventRequest { projection: name.into(), position: event.position };
            let retried = admin.retry_parked_event(retry).await.unwrap().into_inner();
            assert_eq!(retried.waiting_events, 0);
        }
    }
    let gone = admin.retry_parked_event(retry).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    f.append_random(20).await;
    f.projected(f.head).await;
    assert_eq!(f.views().await, f.views_by_the_book().await);
}

#[tokio::test]
async fn an_event_of_a_type_that_nobody_knows_is_parked_where_it_may_matter() {
    let mut f = fixture().await;
    f.append_random(40).await;
    f.as_owner("UPDATE events SET event_type = 'OrderAmended' WHERE stream_id LIKE 'order-%' AND position = (SELECT max(position) FROM events WHERE stream_id LIKE 'order-%')").await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    for name in ["order", "order_summaries", "order_history"] {
        let events = parked(&projector, name).await;
        let first = events.iter().find(|event| !event.waits_behind).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(first.event_type, "OrderAmended");
        assert!(first.reason.contains("OrderAmended"), "{}", first.reason);
    }
    for name in ["stock", "allocations", "streams", "backorders"] {
        assert_eq!(parked(&projector, name).await, [], "{name}");
    }
    eventually("it is counted", async || {
        let all = projector.admin().await.list_projections(ListProjectionsRequest {}).await.unwrap().into_inner();
        all.projections.iter().find(|it| it.name == "order")?.parked_events.gt(&0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_event_that_may_be_about_any_view_marks_all_of_them_until_they_are_made_anew() {
    let mut f = fixture().await;
    f.append_random(80).await;
    let position = f.head - 10;
    let (kind, stream) = ("OrderAmended", "nobody-knows");
    let exchange = format!(
        "CREATE TABLE set_aside AS SELECT * FROM events WHERE position = {position};
         UPDATE events SET event_type = '{kind}', stream_id = '{stream}' WHERE position = {position}"
    );
    f.as_owner(&exchange.replace(" set_aside", &format!(" tally_{}.set_aside", f.log))).await;
    let projector = f.projector(&[]).await;
    f.projected(f.head).await;
    let events = parked(&projector, "stock").await;
    let first = &events[0];
    assert_eq!((first.position as u64, first.view.as_str(), first.waits_behind), (position, "", false));
    for sku in (0..5).map(|n| format!("sku-{n}")) {
        assert_eq!(f.model.get(projections::STOCK, &sku).await.unwrap().parked, Some(position));
    }
    let retry = RetryParkedEventRequest { projection: "stock".into(), position: first.position };
    let refused = projector.admin().await.retry_parked_event(retry).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");

    let put_back = "UPDATE events SET event_type = was.event_type, stream_id = was.stream_id FROM set_aside AS was
         WHERE events.position = was.position";
    let put_back = put_back.replace("UPDATE events", "UPDATE events AS it").replace("events.position", "it.position");
    f.as_owner(&put_back.replace("set_aside", &format!("tally_{}.set_aside", f.log))).await;
    for projection in projections::ALL {
        f.rebuild(projection).await;
        assert_eq!(parked(&projector, projection).await, []);
    }
    assert_eq!(f.views().await, f.views_by_the_book().await);
}
