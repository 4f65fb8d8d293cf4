//! Each fault that such a protocol can have is planted, and found.

use super::schedule::run;
use super::world::Fault;

/// By then it must have been found.
const SEEDS_MAX: u64 = 5_000;

fn is_found(fault: Fault) -> String {
    (0..SEEDS_MAX).find_map(|seed| run(seed, fault).err()).unwrap_or_else(|| panic!("{fault:?} was not found"))
}

#[test]
fn a_checkpoint_that_is_written_before_the_views_is_found() {
    is_found(Fault::CheckpointBeforeViews);
}

#[test]
fn a_checkpoint_that_is_written_after_the_views_in_another_step_is_found() {
    is_found(Fault::CheckpointAfterViews);
}

#[test]
fn an_apply_that_compares_nothing_is_found() {
    is_found(Fault::NoCompareAndSet);
}

#[test]
fn an_apply_by_one_who_is_not_the_owner_is_found() {
    let what = is_found(Fault::OwnerNotChecked);
    assert!(what.contains("not the owner"), "{what}");
}

#[test]
fn a_rebuild_that_is_promoted_before_it_has_caught_up_is_found() {
    let what = is_found(Fault::PromotedTooEarly);
    assert!(what.contains("went back"), "{what}");
}

#[test]
fn a_view_that_is_lost_and_not_missed_is_found() {
    is_found(Fault::LossNotNoticed);
}

#[test]
fn a_shard_that_was_emptied_and_is_made_again_without_a_word_is_found() {
    let what = is_found(Fault::LossNotKept);
    assert!(what.contains("does not come to rest"), "{what}");
}

#[test]
fn a_step_to_what_was_live_that_outlives_the_promotion_is_found() {
    let what = is_found(Fault::SwitchLeavesStepsUnderWay);
    assert!(what.contains("a false alarm") || what.contains("without a cause"), "{what}");
}
