//! Where the next page of a list begins, as text that a caller gives back.
//!
//! Opaque to callers and short-lived, yet handed out: base64url without padding of a format byte, the CRC-32 of the list's name, the last member of
//! the page, and the CRC-32 of all that. Bound to its list, because a member of one list is a valid place in another and would silently show
//! the wrong page. Both checksums are there against mistakes; whoever forges a token only reads another page of what they may read anyway.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tally_runtime::limits;

const FORMAT: u8 = 1;
const CHECKSUM_BYTES: usize = 4;

/// Why a text isn't the token of a page of the list.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// It was changed, or never was one.
    #[error("is not a page token that was handed out")]
    NotAToken,
    /// It is one, of another list.
    #[error("was made for another list: the other fields must be the same as for the page before")]
    OtherList,
}

/// The token for what comes after `member` in `list`.
pub fn encode(list: &str, member: &str) -> String {
    let mut bytes = vec![FORMAT];
    bytes.extend_from_slice(&crc32fast::hash(list.as_bytes()).to_be_bytes());
    bytes.extend_from_slice(member.as_bytes());
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token that was handed out, for whichever list.
#[derive(Debug)]
pub struct PageToken {
    made_for: u32,
    member: String,
}

impl PageToken {
    /// From its text.
    ///
    /// # Errors
    /// When it is not one that was handed out.
    pub fn decode(text: &str) -> Result<Self, Malformed> {
        if text.len() > limits::TOKEN_CHARS_MAX {
            return Err(Malformed::NotAToken);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Malformed::NotAToken)?;
        let (checked, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Malformed::NotAToken)?;
        if crc32fast::hash(checked) != u32::from_be_bytes(*checksum) {
            return Err(Malformed::NotAToken);
        }
        let Some((&FORMAT, rest)) = checked.split_first() else { return Err(Malformed::NotAToken) };
        let (made_for, member) = rest.split_first_chunk::<CHECKSUM_BYTES>().ok_or(Malformed::NotAToken)?;
        let member = String::from_utf8(member.to_vec()).map_err(|_| Malformed::NotAToken)?;
        Ok(Self { made_for: u32::from_be_bytes(*made_for), member })
    }

    /// The member of `list` after which the page begins.
    ///
    /// # Errors
    /// When it was made for another list.
    pub fn place_in(self, list: &str) -> Result<String, Malformed> {
        if crc32fast::hash(list.as_bytes()) == self.made_for { Ok(self.member) } else { Err(Malformed::OtherList) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(list: &str, text: &str) -> Result<String, Malformed> {
        PageToken::decode(text)?.place_in(list)
    }

    const LIST: &str = "customer/c1";
    const MEMBER: &str = "00000000000000000042:0192f0c1-7e1b-7c11-8d2e-1f2a3b4c5d6e";

    #[test]
    fn a_token_leads_back_to_its_place() {
        assert_eq!(decode(LIST, &encode(LIST, MEMBER)), Ok(MEMBER.to_owned()));
    }

    #[test]
    fn a_token_of_another_list_is_refused() {
        for other in ["customer/c2", "customer/c1/OPEN", "status/OPEN"] {
            assert_eq!(decode(other, &encode(LIST, MEMBER)), Err(Malformed::OtherList));
        }
    }

    #[test]
    fn what_was_not_handed_out_is_refused() {
        let token = encode(LIST, MEMBER);
        let too_long = "A".repeat(limits::TOKEN_CHARS_MAX + 1);
        for text in
            ["A", "AAAA", "\0", "ü", MEMBER, &token[1..], &token[..token.len() - 1], &format!("{token}="), &too_long]
        {
            assert_eq!(decode(LIST, text), Err(Malformed::NotAToken), "{text}");
        }
    }

    #[test]
    fn a_format_that_is_not_known_is_refused() {
        let mut bytes = URL_SAFE_NO_PAD.decode(encode(LIST, MEMBER)).expect("just encoded");
        let end = bytes.len() - CHECKSUM_BYTES;
        bytes[0] = FORMAT + 1;
        let checksum = crc32fast::hash(&bytes[..end]).to_be_bytes();
        bytes[end..].copy_from_slice(&checksum);
        assert_eq!(decode(LIST, &URL_SAFE_NO_PAD.encode(bytes)), Err(Malformed::NotAToken));
    }

    proptest! {
        #[test]
        fn one_changed_bit_is_seen(bit in 0..(5 + MEMBER.len() + CHECKSUM_BYTES) * 8) {
            let mut bytes = URL_SAFE_NO_PAD.decode(encode(LIST, MEMBER)).expect("just encoded");
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(decode(LIST, &URL_SAFE_NO_PAD.encode(bytes)), Err(Malformed::NotAToken));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}") {
            let _ = decode(LIST, &text);
        }
    }
}
