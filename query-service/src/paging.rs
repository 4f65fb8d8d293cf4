//! Lists in pages: what a caller may say, and where the next page begins.

use tally_runtime::{Violations, limits};

use crate::page_token::{self, PageToken};

/// How many entries a page is to have.
pub(crate) fn page_size(violations: &mut Violations, given: i32) -> usize {
    match usize::try_from(given) {
        Ok(0) => limits::PAGE_SIZE_DEFAULT,
        Ok(given) => given.min(limits::PAGE_SIZE_MAX),
        Err(_) => {
            violations.add("page_size", "must not be negative");
            limits::PAGE_SIZE_DEFAULT
        }
    }
}

/// The member of `list` that the page before ended with. The token is looked at even where it isn't known for which list.
pub(crate) fn after(violations: &mut Violations, list: Option<&str>, page_token: &str) -> Option<String> {
    if page_token.is_empty() {
        return None;
    }
    let place = PageToken::decode(page_token).and_then(|token| list.map(|list| token.place_in(list)).transpose());
    place.map_err(|malformed| violations.add("page_token", malformed.to_string())).ok().flatten()
}

/// A page of at most `page_size` out of one entry more, if there are so many: that one says whether there is another page, for which the
/// token is. Empty for none.
pub(crate) fn cut<T>(list: &str, mut entries: Vec<(String, T)>, page_size: usize) -> (Vec<T>, String) {
    let is_last = entries.len() <= page_size;
    entries.truncate(page_size);
    let next_page_token = match entries.last() {
        Some((member, _)) if !is_last => page_token::encode(list, member),
        Some(_) | None => String::new(),
    };
    (entries.into_iter().map(|(_, entry)| entry).collect(), next_page_token)
}
