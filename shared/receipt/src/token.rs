//! A position of one log, as text that a caller carries from a command to a query.
//!
//! Wire format, a contract: callers may keep a token across releases. base64url without padding of
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format, [`FORMAT`] |
//! | 16 | log id |
//! | 8 | position, big endian |
//! | 4 | CRC-32 of the bytes before it, big endian |
//!
//! The checksum catches what was cut, pasted together or typed; it is no signature. A forged token makes its forger wait, and no more.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

/// The format that is written. Another one gets another number.
const FORMAT: u8 = 1;
const LOG_ID_BYTES: usize = 16;
const POSITION_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 4;
const CHECKED_BYTES: usize = 1 + LOG_ID_BYTES + POSITION_BYTES;
const TOKEN_BYTES: usize = CHECKED_BYTES + CHECKSUM_BYTES;

/// Characters in an encoded token.
pub const TOKEN_LENGTH: usize = (TOKEN_BYTES * 8).div_ceil(6);

/// The largest position that a log can have: in SQL and protobuf a position is signed.
const POSITION_MAX: u64 = i64::MAX.unsigned_abs();

/// A position of the log `log_id`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Token {
    /// Which log. Positions of different logs can't be compared.
    pub log_id: Uuid,
    /// The position in it; 0 is before the first event.
    pub position: u64,
}

/// Why a text isn't a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// Too short, or too long.
    #[error("a token has {TOKEN_LENGTH} characters")]
    Length,
    /// Not base64url, or not in the one form that encoding gives.
    #[error("this is not a token that was handed out")]
    Encoding,
    /// Not as it was handed out.
    #[error("the token was damaged on its way")]
    Checksum,
    /// Written by a later release, or by nobody.
    #[error("the token has a format that is not known here")]
    Format,
    /// A position that no log can have.
    #[error("the token has a position that no log can have")]
    Position,
}

impl Token {
    /// The token as text.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(TOKEN_BYTES);
        bytes.push(FORMAT);
        bytes.extend_from_slice(self.log_id.as_bytes());
        bytes.extend_from_slice(&self.position.to_be_bytes());
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what [`Token::encode`] wrote.
    ///
    /// # Errors
    /// When `text` is anything else.
    pub fn decode(text: &str) -> Result<Self, Malformed> {
        // Looked at first, so that a long text costs nothing.
        if text.len() != TOKEN_LENGTH {
            return Err(Malformed::Length);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Malformed::Encoding)?;
        let (checked, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Malformed::Length)?;
        if crc32fast::hash(checked) != u32::from_be_bytes(*checksum) {
            return Err(Malformed::Checksum);
        }
        let (format, rest) = checked.split_first().ok_or(Malformed::Length)?;
        if *format != FORMAT {
            return Err(Malformed::Format);
        }
        let (log_id, position) = rest.split_first_chunk::<LOG_ID_BYTES>().ok_or(Malformed::Length)?;
        let position = u64::from_be_bytes(position.try_into().map_err(|_| Malformed::Length)?);
        if position > POSITION_MAX {
            return Err(Malformed::Position);
        }
        Ok(Self { log_id: Uuid::from_bytes(*log_id), position })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOG_ID: Uuid = Uuid::from_u128(0x0192_f0c1_7e1b_7c11_8d2e_1f2a_3b4c_5d6e);

    /// Bytes with a checksum that is right for them.
    fn sealed(format: u8, position: u64) -> String {
        let mut bytes = vec![format];
        bytes.extend_from_slice(LOG_ID.as_bytes());
        bytes.extend_from_slice(&position.to_be_bytes());
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    #[test]
    fn the_format_is_a_contract() {
        let token = Token { log_id: LOG_ID, position: 4_711 };
        assert_eq!(token.encode(), "AQGS8MF-G3wRjS4fKjtMXW4AAAAAAAASZ749nOs");
        assert_eq!(token.encode().len(), TOKEN_LENGTH);
    }

    #[test]
    fn both_ends_of_the_positions_pass() {
        for position in [0, 1, POSITION_MAX] {
            let token = Token { log_id: LOG_ID, position };
            assert_eq!(Token::decode(&token.encode()), Ok(token));
        }
    }

    #[test]
    fn a_text_of_another_length_is_refused() {
        let token = Token { log_id: LOG_ID, position: 1 }.encode();
        for text in [
            "",
            "x",
            &token[1..],
            &token[..TOKEN_LENGTH - 1],
            &format!("{token}="),
            &format!("{token}A"),
            &"A".repeat(1_000_000),
        ] {
            assert_eq!(Token::decode(text), Err(Malformed::Length), "{} characters", text.len());
        }
    }

    #[test]
    fn other_characters_are_refused() {
        let token = Token { log_id: LOG_ID, position: 1 }.encode();
        for other in ["+", "/", "=", " ", "\0", "\n", "ü"] {
            let text = format!("{}{other}", &token[..TOKEN_LENGTH - other.len()]);
            assert_eq!(Token::decode(&text), Err(Malformed::Encoding), "{other:?}");
        }
    }

    #[test]
    fn there_is_one_text_only_for_a_token() {
        // The last character carries four bits that aren't needed: only with all of them 0 it is what was handed out.
        let token = Token { log_id: LOG_ID, position: 4_711 }.encode();
        let (last, alphabet) = (token.len() - 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
        let accepted =
            alphabet.chars().filter(|end| Token::decode(&format!("{}{end}", &token[..last])).is_ok()).count();
        assert_eq!(accepted, 1);
    }

    #[test]
    fn a_format_that_is_not_known_is_refused() {
        for format in [0, FORMAT + 1, u8::MAX] {
            assert_eq!(Token::decode(&sealed(format, 1)), Err(Malformed::Format));
        }
    }

    #[test]
    fn a_position_that_no_log_can_have_is_refused() {
        for position in [POSITION_MAX + 1, u64::MAX] {
            assert_eq!(Token::decode(&sealed(FORMAT, position)), Err(Malformed::Position));
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(log_id: u128, position in 0..=POSITION_MAX) {
            let token = Token { log_id: Uuid::from_u128(log_id), position };
            let text = token.encode();
            prop_assert_eq!(text.len(), TOKEN_LENGTH);
            prop_assert_eq!(Token::decode(&text), Ok(token));
        }

        #[test]
        fn one_changed_bit_is_seen(log_id: u128, position in 0..=POSITION_MAX, bit in 0..TOKEN_BYTES * 8) {
            let text = Token { log_id: Uuid::from_u128(log_id), position }.encode();
            let mut bytes = URL_SAFE_NO_PAD.decode(text).expect("just encoded");
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Token::decode(&URL_SAFE_NO_PAD.encode(bytes)), Err(Malformed::Checksum));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}") {
            let _ = Token::decode(&text);
        }
    }
}
