use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A digest of a value's whole content: a history has millions of answers, and what counts is whether two are the same.
pub fn digest(value: &impl Debug) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{value:?}").hash(&mut hasher);
    hasher.finish()
}
