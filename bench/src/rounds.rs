//! Everything once a round, and in the other direction in each second one, so that neither what runs first nor what runs after what
//! matters to the median.

use std::collections::BTreeMap;

use crate::progress::Progress;
use crate::row::{Round, Row};
use crate::stage::Stage;
use crate::subject::Subject;

/// What all rounds brought.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    pub(crate) rounds: Vec<Round>,
    /// Why a subject is worth nothing. One run that goes wrong is enough for that.
    pub(crate) failures: BTreeMap<Subject, String>,
}

impl Rounds {
    /// Runs them.
    pub(crate) async fn run(stage: &Stage, subjects: &[Subject], progress: &Progress) -> Self {
        let mut this = Self::default();
        for number in 0..stage.args.rounds {
            let mut round = Round::new();
            for subject in in_order(subjects, number) {
                if this.failures.contains_key(&subject) {
                    continue;
                }
                progress.begin(number, subject);
                match subject.measure(stage).await {
                    Ok(sample) => {
                        progress.end(subject, &sample);
                        round.insert(subject, sample);
                    }
                    Err(error) => {
                        progress.failed(subject, &error);
                        this.failures.insert(subject, format!("{error:#}"));
                    }
                }
            }
            this.rounds.push(round);
        }
        this
    }

    /// Why a row can't be told.
    pub(crate) fn failure_of(&self, row: &Row) -> Option<&str> {
        row.subjects().find_map(|subject| self.failures.get(&subject)).map(String::as_str)
    }
}

/// What the rows need, each once, what others rest on before them.
pub(crate) fn subjects_of(rows: &[Row]) -> Vec<Subject> {
    let mut subjects: Vec<Subject> = Vec::new();
    for subject in rows.iter().flat_map(Row::subjects) {
        for needed in subject.rests_on().into_iter().chain([subject]) {
            if !subjects.contains(&needed) {
                subjects.push(needed);
            }
        }
    }
    subjects
}

fn in_order(subjects: &[Subject], round: u32) -> Vec<Subject> {
    let mut ordered = subjects.to_vec();
    if round % 2 == 1 {
        ordered.reverse();
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::chosen;

    #[test]
    fn rows_share_what_they_need() {
        let rows = chosen(&["P1".to_owned(), "P2".to_owned()]).unwrap();
        assert_eq!(subjects_of(&rows), [Subject::TallySpread, Subject::PgbenchInsert, Subject::TallyOneSku]);
    }

    #[test]
    fn half_load_comes_after_full_load() {
        let subjects = subjects_of(&chosen(&["P4b".to_owned()]).unwrap());
        let place = |wanted| subjects.iter().position(|subject| *subject == wanted).unwrap();
        assert!(place(Subject::TallySpread) < place(Subject::TallyHalfLoad));
    }

    #[test]
    fn each_second_round_goes_the_other_way() {
        let subjects = [Subject::TallySpread, Subject::PgbenchInsert];
        assert_eq!(in_order(&subjects, 0), subjects);
        assert_eq!(in_order(&subjects, 1), [Subject::PgbenchInsert, Subject::TallySpread]);
    }
}
