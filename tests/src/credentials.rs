//! Who may call: an issuer of tokens, and an authority for certificates, of a test's own.

mod authority;
mod issuer;

pub use authority::{Authority, Pem};
pub use issuer::{Algorithm, Issuer};
