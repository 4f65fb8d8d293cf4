//! Whether a history is one that Tally may have. Pure: it knows the history and the log, and nothing of how they came about.
//!
//! The log is the truth that everything is held against; that it is a possible log itself is checked first.

mod commands;
mod digest;
mod errors;
mod order;
mod positions;
pub(crate) mod published;
mod stream_ends;
pub(crate) mod subscriptions;
pub(crate) mod views;
mod watches;

#[cfg(test)]
mod tests;

use std::fmt;

use system_tests::Log;

use crate::history::History;

pub use digest::digest;

/// Violations of one rule that are kept; a broken rule is often broken a thousand times.
const VIOLATIONS_PER_RULE_MAX: usize = 20;

/// Milliseconds that a read must have waited for its token before it counts as late.
pub(crate) const WAITED_MS: u64 = 8_000;

/// A promise.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Rule {
    /// Positions are 1, 2, 3 …, and versions within each stream too.
    Dense,
    /// Every acknowledged command is in the log, once, where its receipt says.
    NothingLost,
    /// No command takes effect twice.
    NothingTwice,
    /// Nothing is in the log that nobody sent, or that was refused.
    NothingForeign,
    /// The same command id has one answer.
    OneAnswer,
    /// What was acknowledged before another was sent stands before it in the log.
    RealTime,
    /// The events fit each other, and no batch has more allocated than is in it.
    NeverOversold,
    /// Every answer is the fold of the log at the position that it says.
    ViewIsFold,
    /// No answer is from before the token that was sent along without saying so.
    NeverStaleUnflagged,
    /// No session that sends its tokens along reads backwards.
    NeverBackwards,
    /// A watch begins with its view, and goes on forwards.
    WatchForwards,
    /// A subscription is the log from where it began, each event that fits its filter once, and says where to go on.
    SubscriptionIsLog,
    /// What is published is what happened to lines, each event once and in order.
    PublishedIsLog,
    /// Every error is one that the API promises.
    PromisedErrors,
    /// Where nothing is wrong that could be noticed, nothing is noticed.
    CalmInCalm,
    /// Every view gets to the end of the log when all is well again.
    CatchesUp,
    /// No session of Postgres is left in a transaction.
    NothingLeftOpen,
    /// Clients are never told what breaks them.
    ClientsLive,
}

/// A broken promise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// How.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// Collects what is found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    violations: Vec<Violation>,
    left_out: usize,
}

impl Findings {
    pub(crate) fn add(&mut self, rule: Rule, what: impl Into<String>) {
        let same = self.violations.iter().filter(|violation| violation.rule == rule).count();
        if same < VIOLATIONS_PER_RULE_MAX {
            self.violations.push(Violation { rule, what: what.into() });
        } else {
            self.left_out += 1;
        }
    }
}

/// What a check came to.
#[derive(Debug)]
pub struct Verdict {
    /// What is wrong; nothing, if all is well.
    pub violations: Vec<Violation>,
    /// How many more violations there were of rules that were broken often.
    pub left_out: usize,
    /// Answers, and messages of watches, that were held against the fold of the log at their position.
    pub views_checked: usize,
    /// Events that were handed out to subscriptions, and held against the log.
    pub handed_checked: usize,
    /// Events that were published, and held against the log.
    pub published_checked: usize,
}

/// Holds a history and its log against every rule.
pub fn check(history: &History, log: &Log) -> Verdict {
    let mut findings = Findings::default();
    positions::check(log, &mut findings);
    let sent = commands::Sent::of(history);
    commands::check(&sent, log, &mut findings);
    order::check(&sent, log, &mut findings);
    errors::check(history, &mut findings);
    stream_ends::check(history, &mut findings);
    views::check_tokens(history, &mut findings);
    watches::check(history, &mut findings);
    let handed_checked = subscriptions::check(history, log, &mut findings);
    let published_checked = published::check(history, log, &mut findings);
    let views_checked = views::check_views(history, log, &mut findings);
    for broken in &history.broken_sessions {
        findings.add(Rule::ClientsLive, broken.clone());
    }
    for session in &history.left_open {
        findings.add(Rule::NothingLeftOpen, session.clone());
    }
    for behind in &history.views_behind {
        findings.add(Rule::CatchesUp, behind.clone());
    }
    let Findings { violations, left_out } = findings;
    Verdict { violations, left_out, views_checked, handed_checked, published_checked }
}
