//! What queries were answered: never from before their token, never backwards, and always what the log says as of their position.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use system_tests::Log;
use system_tests::client::{Allocation, Backorder, Freshness, Order, OrderSummary, Stock};
use system_tests::fold::Fold;

use super::{Findings, Rule, digest, watches};
use crate::history::{Asked, History, Read, ReadResult, View};

/// Orders of a customer, changes of an order and lines that wait for a SKU that the kit reads: the first page.
pub(crate) const ENTRIES_READ: usize = 10;

/// Answers by the position that they are as of.
type Answers<'a> = BTreeMap<i64, Vec<Answer<'a>>>;

struct Answer<'a> {
    asked: &'a Asked,
    /// A digest of the view; None: there is no such thing.
    shown: Option<u64>,
    /// A read, or a watch.
    of: &'static str,
}

pub(super) fn check_tokens(history: &History, findings: &mut Findings) {
    let mut reads: Vec<&Read> = history.reads.iter().collect();
    reads.sort_by_key(|read| (read.asked.session, read.asked.invoked_us));
    // By session: the newest position that an answer without a flag had.
    let mut seen: BTreeMap<usize, i64> = BTreeMap::new();
    for read in reads {
        let ReadResult::Answered { position, may_be_stale: false, view } = read.result else { continue };
        if position < read.asked.wanted {
            let what = format!("{:?} as of {position}, after {} was asked for", read.asked.view, read.asked.wanted);
            findings.add(Rule::NeverStaleUnflagged, what);
        }
        let seen = seen.entry(read.asked.session).or_default();
        if read.asked.wanted > 0 && position < *seen {
            let what =
                format!("session {} read {:?} as of {position} after {seen}", read.asked.session, read.asked.view);
            findings.add(Rule::NeverBackwards, what);
        }
        // That there is nothing is said without a token, so nobody can ask for what comes after it.
        if view.is_some() {
            *seen = position.max(*seen);
        }
    }
}

/// Folds the log event by event and holds each answer against it as of its position. Returns how many there were.
pub(super) fn check_views(history: &History, log: &Log, findings: &mut Findings) -> usize {
    let mut answers = Answers::new();
    for read in &history.reads {
        if let ReadResult::Answered { position, view: shown, .. } = read.result {
            let answer = Answer { asked: &read.asked, shown, of: "read" };
            answers.entry(position).or_default().push(answer);
        }
    }
    for watch in &history.watches {
        for (position, shown) in watches::answers(watch) {
            let answer = Answer { asked: &watch.asked, shown, of: "watch begun" };
            answers.entry(position).or_default().push(answer);
        }
    }
    let mut fold = Fold::default();
    let mut checked = hold(&fold, &answers, 0, findings);
    for event in &log.events {
        // The fold says what is wrong by panicking, as in every test.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| fold.take(event))) {
            let what = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "the log can't be folded".to_owned());
            findings.add(Rule::NeverOversold, format!("at {}: {what}", event.position));
            // What comes after stands on what can't be.
            return checked;
        }
        checked += hold(&fold, &answers, event.position, findings);
    }
    for (position, answers) in answers.range(log.head + 1..) {
        let what = format!("{:?} as of {position}, and the log ends at {}", answers[0].asked.view, log.head);
        findings.add(Rule::ViewIsFold, what);
    }
    checked
}

fn hold(fold: &Fold, answers: &Answers<'_>, position: i64, findings: &mut Findings) -> usize {
    let Some(answers) = answers.get(&position) else { return 0 };
    // Many look at the same at the same time.
    let mut views: BTreeMap<&View, Option<u64>> = BTreeMap::new();
    for Answer { asked, shown, of } in answers {
        let Asked { view, replica, invoked_us, .. } = asked;
        let expected = *views.entry(view).or_insert_with(|| expected(fold, view));
        if expected != *shown {
            let what = format!(
                "{view:?} as of {position}, {of} at {} ms, replica {replica}: shown {shown:?}, the log says {expected:?}",
                invoked_us / 1_000,
            );
            findings.add(Rule::ViewIsFold, what);
        }
    }
    answers.len()
}

fn expected(fold: &Fold, view: &View) -> Option<u64> {
    match view {
        View::Stock(sku) => fold.has_sku(sku).then(|| of_stock(fold.stock(sku))),
        View::Order(id) => fold.order(id).cloned().map(of_order),
        View::Allocations(id) => {
            Some(fold.allocations(id)).filter(|rows| !rows.is_empty()).map(|rows| of_allocations(&rows))
        }
        View::OrdersOf(customer) => {
            let mut orders = fold.summaries_of_customer(customer);
            orders.truncate(ENTRIES_READ);
            Some(of_orders(&orders))
        }
        View::History(id) => fold.changes(id).map(|changes| of_changes(&changes[..changes.len().min(ENTRIES_READ)])),
        View::Backorders(sku) => {
            let mut waiting = fold.backorders(sku);
            waiting.truncate(ENTRIES_READ);
            Some(of_backorders(&waiting))
        }
    }
}

/// Of what is shown, without how fresh it is.
pub(crate) fn of_stock(stock: Stock) -> u64 {
    digest(&Stock { freshness: Freshness::default(), ..stock })
}

pub(crate) fn of_order(order: Order) -> u64 {
    digest(&Order { freshness: Freshness::default(), ..order })
}

pub(crate) fn of_allocations(rows: &[Allocation]) -> u64 {
    digest(&rows)
}

pub(crate) fn of_orders(orders: &[OrderSummary]) -> u64 {
    digest(&orders)
}

/// Positions and types.
pub(crate) fn of_changes(changes: &[(i64, String)]) -> u64 {
    digest(&changes)
}

pub(crate) fn of_backorders(waiting: &[Backorder]) -> u64 {
    digest(&waiting)
}
