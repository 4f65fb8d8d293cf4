use std::sync::atomic::{AtomicBool, Ordering};

use tally_read_model::{Applied, Checkpoint, Error, PAGE_ENTRIES_MAX, list_member};

use crate::support::{START, at, fixture, gone, listed, view};

#[tokio::test]
async fn nothing_was_ever_written() {
    let f = fixture().await;
    let found = f.model.get("p", "a").await.unwrap();
    assert_eq!((found.position, found.value), (0, None));
    let page = f.model.page("p", "l", None, 10).await.unwrap();
    assert_eq!((page.position, page.entries), (0, vec![]));
    assert_eq!(f.model.read_checkpoint("p").await.unwrap(), START);
}

#[tokio::test]
async fn projections_and_logs_are_apart() {
    let (f, g) = (fixture().await, fixture().await);
    f.writer.apply("p", START, 1, &[view("a", "1")]).await.unwrap();
    assert_eq!(f.model.get("q", "a").await.unwrap().value, None);
    assert_eq!(g.model.get("p", "a").await.unwrap().value, None);
}

#[tokio::test]
async fn a_page_is_newest_first_and_the_last_member_leads_to_the_next() {
    let f = fixture().await;
    // Positions of one to three digits: text would sort them wrong.
    let changes: Vec<_> = [9, 10, 100, 101, 11].map(|n| listed(&format!("k{n}"), &n.to_string(), "l", n)).into();
    f.writer.apply("p", START, 101, &changes).await.unwrap();

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
    let f = fixture().await;
    let old: Vec<_> = (1..=6).map(|n| listed(&format!("k{n}"), &n.to_string(), "l", n)).collect();
    f.writer.apply("p", START, 6, &old).await.unwrap();
    let first = f.model.page("p", "l", None, 2).await.unwrap();
    assert_eq!(first.entries.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>(), ["6", "5"]);

    // One comes, one that was seen changes, and the one that the cursor stands at goes.
    let mut left = gone("k5");
    left.lists_removed = vec![("l".into(), list_member(5, "k5"))];
    f.writer.apply("p", at(6), 9, &[listed("k7", "7", "l", 7), view("k6", "6b"), left]).await.unwrap();

    let second = f.model.page("p", "l", Some(&first.entries[1].0), 3).await.unwrap();
    assert_eq!(second.position, 9);
    assert_eq!(second.entries.into_iter().map(|(_, value)| value).collect::<Vec<_>>(), ["4", "3", "2"]);
}

#[tokio::test]
async fn a_page_has_a_limit_of_its_own() {
    let f = fixture().await;
    let changes: Vec<_> = (1..=PAGE_ENTRIES_MAX as u64 + 1).map(|n| listed(&format!("k{n}"), "v", "l", n)).collect();
    f.writer.apply("p", START, 1, &changes).await.unwrap();
    assert_eq!(f.model.page("p", "l", None, usize::MAX).await.unwrap().entries.len(), PAGE_ENTRIES_MAX);
    assert_eq!(f.model.page("p", "l", None, 0).await.unwrap().entries.len(), 0);
}

#[tokio::test]
async fn a_list_that_names_a_missing_view_is_reported() {
    let mut f = fixture().await;
    f.writer.apply("p", START, 1, &[listed("a", "1", "l", 1)]).await.unwrap();
    redis::cmd("DEL").arg(f.key("p:1:view:a")).exec_async(&mut f.raw).await.unwrap();
    let error = f.model.page("p", "l", None, 1).await.unwrap_err();
    assert_eq!(error, Error::Corrupt("a list names a view that is not there"));
}

#[tokio::test]
async fn a_checkpoint_that_is_no_number_is_reported() {
    let mut f = fixture().await;
    f.raw_set("p:1:checkpoint", "-1").await;
    assert!(matches!(f.model.get("p", "a").await, Err(Error::Corrupt(_))));
    assert!(matches!(f.model.page("p", "l", None, 1).await, Err(Error::Corrupt(_))));
    assert!(matches!(f.writer.read_checkpoint("p").await, Err(Error::Corrupt(_))));
}

/// In each generation the view and the list say the position that they were written at. A reader that mixed two steps would see a value
/// beside another position.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_view_list_and_checkpoint_of_one_step_while_generations_change() {
    let f = fixture().await;
    let over = AtomicBool::new(false);
    let write = async {
        for _ in 0..30 {
            for _ in 0..10 {
                let from = f.writer.read_checkpoint("p").await.unwrap();
                let to = from.position + from.generation;
                let change = listed("a", &to.to_string(), "l", 1);
                assert_eq!(f.writer.apply("p", from, to, &[change]).await.unwrap(), Applied::Done);
            }
            let (old, _) = f.writer.start_generation("p").await.unwrap();
            f.writer.remove_generation("p", old).await.unwrap();
        }
        over.store(true, Ordering::Relaxed);
    };
    let read = async |model: tally_read_model::ReadModel| {
        let mut with_view = 0;
        while !over.load(Ordering::Relaxed) {
            let found = model.get("p", "a").await.unwrap();
            let expected = (found.position > 0).then(|| found.position.to_string());
            assert_eq!(found.value.as_deref(), expected.as_ref().map(String::as_bytes));
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
    assert_eq!(f.writer.read_checkpoint("p").await.unwrap(), Checkpoint { generation: 31, position: 0 });
}
