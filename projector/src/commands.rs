//! Whole commands. What a command changes is seen at once or not at all, so no batch ends between two events of one.

use std::sync::Arc;

use crate::Recorded;

/// How many of `events`, the first of what was read with this limit, are whole commands. Fewer than the limit are all that there was, and
/// a commit is visible whole; otherwise the last command may go on behind them.
pub(crate) fn whole(events: &[Arc<Recorded>], limit: usize) -> usize {
    match events.last() {
        Some(last) if events.len() >= limit => {
            events.iter().rposition(|event| event.command_id != last.command_id).map_or(0, |place| place + 1)
        }
        _ => events.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::testing::external;

    fn whole_of(commands: &[u128], limit: usize) -> usize {
        let events: Vec<_> = commands.iter().map(|id| Arc::new(external("o").of_command(*id).recorded())).collect();
        whole(&events, limit)
    }

    #[test]
    fn fewer_than_asked_for_are_whole() {
        assert_eq!(whole_of(&[], 3), 0);
        assert_eq!(whole_of(&[1, 2], 3), 2);
        assert_eq!(whole_of(&[1, 1], 3), 2);
    }

    #[test]
    fn the_last_command_of_a_full_read_may_go_on() {
        assert_eq!(whole_of(&[1, 2, 3], 3), 2);
        assert_eq!(whole_of(&[1, 2, 2], 3), 1);
    }

    #[test]
    fn one_command_may_fill_a_read() {
        assert_eq!(whole_of(&[1, 1, 1], 3), 0);
    }
}
