//! An authority that signs certificates.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// The name that servers of tests are called by.
const SERVER: &str = "localhost";

/// An authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Pem {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// A new one, which nobody trusts yet.
    ///
    /// # Panics
    /// When it can't be made.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of tests");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a server on this machine.
    pub fn server(&self) -> Pem {
        self.sign(&[SERVER, "127.0.0.1"], &[ExtendedKeyUsagePurpose::ServerAuth])
    }

    /// A certificate for a server on this machine that calls others of its kind.
    pub fn peer(&self) -> Pem {
        self.sign(&[SERVER, "127.0.0.1"], &[ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth])
    }

    /// A certificate for a client.
    pub fn client(&self) -> Pem {
        self.sign(&["a-client"], &[ExtendedKeyUsagePurpose::ClientAuth])
    }

    fn sign(&self, names: &[&str], purposes: &[ExtendedKeyUsagePurpose]) -> Pem {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.extended_key_usages = purposes.to_vec();
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Pem { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// What a client needs that trusts this authority, and shows `identity` if it has one.
    pub fn trusted(&self, identity: Option<&Pem>) -> ClientTlsConfig {
        let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.pem())).domain_name(SERVER);
        match identity {
            Some(Pem { certificate, key }) => config.identity(Identity::from_pem(certificate, key)),
            None => config,
        }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
