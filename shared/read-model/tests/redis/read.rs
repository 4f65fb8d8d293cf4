use std::sync::atomic::{AtomicBool, Ordering};

use tally_read_model::{Applied, Back, Batch, BuildId, Error, PAGE_ENTRIES_MAX, Role, State, Switched, list_member};
use tally_servers::test_redis;

use crate::support::{FIRST, P, START, at, fixture, gone, listed, sharded, view};

#[tokio::test]
async fn nothing_was_ever_applied() {
    let f = fixture().await.begun().await;
    let found = f.model.get("p", "a").await.unwrap();
    assert_eq!((found.position, found.value), (0, None));
    let page = f.model.page("p", "l", None, 10).await.unwrap();
    assert_eq!((page.position, page.entries), (0, vec![]));
    assert_eq!(f.model.read_checkpoint(P).await.unwrap().state, START);
}

#[tokio::test]
async fn projections_and_logs_are_apart() {
    let (f, g) = (fixture().await.begun().await, fixture().await.begun().await);
    f.begin(tally_read_model::Unit { projection: "q", shard: 0 }).await;
    f.apply(START, 1, &[listed("a", "1", "l", 1)]).await.unwrap();
    assert_eq!(f.model.get("q", "a").await.unwrap().value, None);
    assert_eq!(g.model.get("p", "a").await.unwrap().value, None);
}

#[tokio::test]
async fn a_page_is_newest_first_and_the_last_member_leads_to_the_next() {
    let f = fixture().await.begun().await;
    // Positions of one to three digits: text would sort them wrong.
    let changes: Vec<_> = [9, 10, 100, 101, 11].map(|n| listed(&format!("k{n}"), &n.to_string(), "l", n)).into();
    f.apply(START, 101, &changes).await.unwrap();

    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = f.model.page("p", "l", after.as_deref(), 2).await.unwrap();
        assert_eq!(page.position, 101);
        let Some((last, _)) = page.entries.last() else { break };
        after = Some(last.clone());
        assert!(page.entries.len() <= 2);
        seen.extend(page.entries.into_iter().map(|(_, value)| String::from_utf8(value.into()).unwrap()));
    }
    assert_eq!(seen, ["101", "100", "11", "10", "9"]);
}

#[tokio::test]
async fn pages_neither_repeat_nor_miss_an_entry_while_the_list_changes() {
    let f = fixture().await.begun().await;
    let old: Vec<_> = (1..=6).map(|n| listed(&format!("k{n}"), &n.to_string(), "l", n)).collect();
    f.apply(START, 6, &old).await.unwrap();
    let first = f.model.page("p", "l", None, 2).await.unwrap();
    assert_eq!(first.entries.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>(), ["6", "5"]);

    // One comes, one that was seen changes, and the one that the cursor stands at goes.
    let mut left = gone("k5");
    left.lists_removed = vec![("l".into(), list_member(5, "k5"))];
    f.apply(at(6), 9, &[listed("k7", "7", "l", 7), view("k6", "6b"), left]).await.unwrap();

    let second = f.model.page("p", "l", Some(&first.entries[1].0), 3).await.unwrap();
    assert_eq!(second.position, 9);
    assert_eq!(second.entries.into_iter().map(|(_, value)| value).collect::<Vec<_>>(), ["4", "3", "2"]);
}

#[tokio::test]
async fn a_page_has_a_limit_of_its_own() {
    let f = fixture().await.begun().await;
    let changes: Vec<_> = (1..=PAGE_ENTRIES_MAX as u64 + 1).map(|n| listed(&format!("k{n}"), "v", "l", n)).collect();
    f.apply(START, 1, &changes).await.unwrap();
    assert_eq!(f.model.page("p", "l", None, usize::MAX).await.unwrap().entries.len(), PAGE_ENTRIES_MAX);
    assert_eq!(f.model.page("p", "l", None, 0).await.unwrap().entries.len(), 0);
}

#[tokio::test]
async fn a_checkpoint_that_is_none_is_reported() {
    let mut f = fixture().await.begun().await;
    f.raw_set("p:1:checkpoint", "-1").await;
    assert!(matches!(f.model.get("p", "a").await, Err(Error::Corrupt(_))));
    assert!(matches!(f.model.page("p", "l", None, 1).await, Err(Error::Corrupt(_))));
    assert!(matches!(f.writer.look(P).await, Err(Error::Corrupt(_))));
}

#[tokio::test]
async fn an_answer_from_before_an_earlier_one_says_so() {
    let f = fixture().await.begun().await;
    f.apply(START, 9, &[]).await.unwrap();
    assert!(!f.model.get("p", "a").await.unwrap().may_be_stale);
    // As after a failover to a replica that lagged.
    f.apply(at(9), 5, &[]).await.unwrap();
    assert!(f.model.get("p", "a").await.unwrap().may_be_stale);
    assert!(f.model.page("p", "l", None, 1).await.unwrap().may_be_stale);
    let marked = State { fresh_from: 8, edits: 1, ..at(5) };
    f.writer.apply(P, FIRST, None, (&at(5), &marked), &Batch::default()).await.unwrap();
    let newcomer = tally_read_model::ReadModel::connect(&f.url, &f.log, crate::support::PATIENT).unwrap();
    assert!(newcomer.get("p", "a").await.unwrap().may_be_stale, "whoever did not see it is told");
    f.apply(marked, 9, &[]).await.unwrap();
    assert!(!f.model.get("p", "a").await.unwrap().may_be_stale);
    assert!(!newcomer.get("p", "a").await.unwrap().may_be_stale);
}

#[tokio::test]
async fn a_list_over_many_shards_is_one_list() {
    let (model, writer) = sharded(&test_redis().await.url(), 5).await;
    writer.claim().await.unwrap();
    for unit in model.units("p") {
        writer.start_build(unit, None, FIRST, &START, None, None).await.unwrap();
        let changes = (1..=100).map(|n| listed(&format!("k{n}"), &n.to_string(), "l", n));
        let own: Vec<_> = changes.filter(|change| model.unit_of("p", &change.key) == unit).collect();
        assert!(!own.is_empty(), "a shard without views shows nothing");
        let batch = Batch { views: own, ..Batch::default() };
        // Each at a position of its own: the answer is as of the one that is furthest behind.
        writer.apply(unit, FIRST, None, (&START, &at(100 + u64::from(unit.shard))), &batch).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = model.page("p", "l", after.as_deref(), 7).await.unwrap();
        assert_eq!((page.position, page.shard), (100, 0));
        let Some((last, _)) = page.entries.last() else { break };
        after = Some(last.clone());
        seen.extend(page.entries.iter().map(|(_, view)| str::from_utf8(view).unwrap().parse::<u64>().unwrap()));
    }
    assert_eq!(seen, (1..=100).rev().collect::<Vec<_>>());
    for n in 1..=100 {
        assert_eq!(model.get("p", &format!("k{n}")).await.unwrap().value.unwrap(), n.to_string());
    }
}

#[tokio::test]
async fn a_list_is_never_of_two_generations() {
    let (model, writer) = sharded(&test_redis().await.url(), 2).await;
    writer.claim().await.unwrap();
    let second = BuildId::first(2);
    for unit in model.units("p") {
        writer.start_build(unit, None, FIRST, &START, None, None).await.unwrap();
        writer.start_build(unit, Some(FIRST), second, &START, Some(Role::Building), None).await.unwrap();
    }
    let units: Vec<_> = model.units("p").collect();
    assert_eq!(writer.switch(units[0], (FIRST, second), true, Back::Never).await.unwrap(), Switched::Done);
    let reading = tokio::spawn({
        let model = model.clone();
        async move { model.page("p", "l", None, 9).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(writer.switch(units[1], (FIRST, second), true, Back::Never).await.unwrap(), Switched::Done);
    reading.await.unwrap().unwrap();
    assert_eq!(writer.switch(units[1], (second, FIRST), false, Back::Freely).await.unwrap(), Switched::Done);
    assert!(matches!(model.page("p", "l", None, 9).await, Err(Error::Unavailable(_))), "rather none than a mixture");
}

/// In each build the view and the list say the position that they were written at. A reader that mixed two steps would see a value
/// beside another position.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_view_list_and_checkpoint_of_one_step_while_builds_change() {
    let f = fixture().await.begun().await;
    let over = AtomicBool::new(false);
    let write = async {
        let (mut live, mut reached) = (FIRST, 0);
        for generation in 2..30 {
            let next = f.build_next(generation, live).await;
            let mut from = START;
            while from.position <= reached {
                let to = State { position: from.position + generation, ..from };
                let mut change = listed("a", &to.position.to_string(), "l", 1);
                if from.position > 0 {
                    change = view("a", &to.position.to_string());
                }
                let batch = Batch { views: vec![change], ..Batch::default() };
                assert_eq!(f.writer.apply(P, next, None, (&from, &to), &batch).await.unwrap(), Applied::Done);
                from = to;
            }
            assert_eq!(f.writer.switch(P, (live, next), false, Back::Never).await.unwrap(), Switched::Done);
            f.writer.sweep(P, live).await.unwrap();
            (live, reached) = (next, from.position);
        }
        over.store(true, Ordering::Relaxed);
    };
    let read = async |model: tally_read_model::ReadModel| {
        let mut with_view = 0;
        let mut furthest = 0;
        while !over.load(Ordering::Relaxed) {
            let found = model.get("p", "a").await.unwrap();
            let expected = (found.position > 0).then(|| found.position.to_string());
            assert_eq!(found.value.as_deref(), expected.as_ref().map(String::as_bytes));
            assert!(found.position >= furthest, "reads went back in time");
            furthest = found.position;
            let page = model.page("p", "l", None, 5).await.unwrap();
            let expected = (page.position > 0).then(|| page.position.to_string());
            let entry = page.entries.first().map(|(_, value)| value.as_ref());
            assert_eq!(entry, expected.as_ref().map(String::as_bytes));
            with_view += usize::from(found.value.is_some());
        }
        with_view
    };
    let ((), a, b) = tokio::join!(write, read(f.model.clone()), read(f.model.clone()));
    assert!(a + b > 0, "the readers never met a view");
}
