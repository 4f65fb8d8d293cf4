//! Who may call: an issuer of tokens, a server of its keys, and an authority for certificates, of a test's own.

mod authority;
mod issuer;
mod key_server;

pub use authority::{Authority, Pem};
pub use issuer::{Algorithm, Issuer};
pub use key_server::{Answer, KeyServer};
