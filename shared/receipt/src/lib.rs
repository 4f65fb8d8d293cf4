//! Receipt tokens: what a command hands out and a query waits for.

mod token;

pub use token::{Malformed, TOKEN_LENGTH, Token};
