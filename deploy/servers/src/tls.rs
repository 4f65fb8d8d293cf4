//! The certificates of a server that speaks TLS.

use crate::Error;
use crate::folder::Folder;

/// The files of a certificate, its key, and the authority, in the server's folder.
pub(crate) const FILES: [&str; 3] = ["server.crt", "server.key", "authority.crt"];

/// What a server shows and trusts, in PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Its certificate, for `localhost` and 127.0.0.1.
    pub certificate: String,
    /// The certificate's key.
    pub key: String,
    /// The authority of clients' certificates.
    pub authority: String,
}

impl Tls {
    pub(crate) fn write_into(&self, folder: &Folder) -> Result<(), Error> {
        for (file, text) in FILES.into_iter().zip([&self.certificate, &self.key, &self.authority]) {
            folder.write_private(file, text)?;
        }
        Ok(())
    }
}
