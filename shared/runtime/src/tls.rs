//! TLS 1.3 by rustls, with certificates that are read again when their files change: connections that stand keep theirs, new ones get the new.

mod expiry;

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use prometheus::{IntCounter, IntGauge};
use rustls::crypto::ring;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::{RootCertStore, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::task::AbortOnDropHandle;

use crate::connections::METRICS;

/// gRPC is HTTP/2 and nothing else.
const PROTOCOL: &[u8] = b"h2";
const RELOAD_INTERVAL_MS: u64 = 10_000;
const HANDSHAKE_MS_MAX: u64 = 5_000;

/// How a port is encrypted.
#[derive(Args, Clone, Debug)]
pub(crate) struct TlsArgs {
    /// File with the server's certificate and those between it and its authority, in PEM; without it there is no TLS. Read again when it changes
    #[arg(long, env = "TALLY_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// File with the private key of that certificate, in PEM
    #[arg(long, env = "TALLY_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// File with the authorities, in PEM, one of which must have signed a client's certificate; without it clients need none
    #[arg(long, env = "TALLY_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,

    /// Milliseconds between two looks at the files of certificates, keys and tokens
    #[arg(long, env = "TALLY_RELOAD_INTERVAL_MS", default_value_t = RELOAD_INTERVAL_MS, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    pub reload_interval_ms: u64,

    /// Milliseconds that a TLS hand-shake may take
    #[arg(long, env = "TALLY_TLS_HANDSHAKE_MS_MAX", default_value_t = HANDSHAKE_MS_MAX, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub tls_handshake_ms_max: u64,
}

impl Default for TlsArgs {
    fn default() -> Self {
        Self {
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            reload_interval_ms: RELOAD_INTERVAL_MS,
            tls_handshake_ms_max: HANDSHAKE_MS_MAX,
        }
    }
}

impl TlsArgs {
    /// How often files are looked at.
    pub(crate) fn reload_interval(&self) -> Duration {
        Duration::from_millis(self.reload_interval_ms)
    }

    /// Whether clients must show a certificate.
    pub(crate) fn is_mutual(&self) -> bool {
        self.tls_client_ca.is_some()
    }
}

/// What the files say, as they are.
#[derive(Clone, Eq, PartialEq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_authorities: Option<Vec<u8>>,
}

/// The encryption of a port.
pub(crate) struct Tls {
    current: Arc<RwLock<Arc<ServerConfig>>>,
    pub(crate) handshake_timeout: Duration,
    _reloading: AbortOnDropHandle<()>,
}

impl Tls {
    /// Reads the files, if there is to be TLS. Inside of a runtime.
    ///
    /// # Errors
    /// When a file can't be read, or is no certificate or key.
    pub(crate) fn load(args: &TlsArgs) -> anyhow::Result<Option<Self>> {
        let (Some(certificate), Some(key)) = (args.tls_cert.clone(), args.tls_key.clone()) else { return Ok(None) };
        let paths = Paths { certificate, key, client_authorities: args.tls_client_ca.clone() };
        let files = paths.read()?;
        let current = Arc::new(RwLock::new(Arc::new(configure(&files)?)));
        let reloading = tokio::spawn(reload(paths, files, args.reload_interval(), Arc::clone(&current)));
        Ok(Some(Self {
            current,
            handshake_timeout: Duration::from_millis(args.tls_handshake_ms_max),
            _reloading: AbortOnDropHandle::new(reloading),
        }))
    }

    /// What the next connection is to use.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Paths {
    certificate: PathBuf,
    key: PathBuf,
    client_authorities: Option<PathBuf>,
}

impl Paths {
    fn read(&self) -> anyhow::Result<Files> {
        let read = |path: &PathBuf| fs::read(path).with_context(|| format!("can't read {}", path.display()));
        Ok(Files {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
            client_authorities: self.client_authorities.as_ref().map(read).transpose()?,
        })
    }
}

/// Looks at the files again and again, for ever. What is half written, or wrong, changes nothing: the old certificate goes on.
async fn reload(paths: Paths, mut known: Files, interval: Duration, current: Arc<RwLock<Arc<ServerConfig>>>) {
    loop {
        tokio::time::sleep(interval).await;
        let read = paths.read().and_then(|files| {
            if files == known {
                return Ok(None);
            }
            Ok(Some((configure(&files)?, files)))
        });
        match read {
            Ok(None) => {}
            Ok(Some((config, files))) => {
                known = files;
                *current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                METRICS.tls_reloads.inc();
                tracing::info!("new connections get the new certificate");
            }
            Err(error) => {
                METRICS.tls_reload_failures.inc();
                tracing::warn!(error = format!("{error:#}"), "the certificate is not renewed; the one before stays");
            }
        }
    }
}

fn configure(files: &Files) -> anyhow::Result<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&files.certificate)
        .collect::<Result<_, _>>()
        .context("the certificate is no PEM")?;
    let leaf = chain.first().context("there is no certificate in its file")?;
    let expires = expiry::expires_at(leaf).context("the certificate says no time of its end")?;
    let key = PrivateKeyDer::from_pem_slice(&files.key).context("the private key is no PEM")?;
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&version::TLS13])?;
    let builder = match &files.client_authorities {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for authority in CertificateDer::pem_slice_iter(pem) {
                roots.add(authority.context("the clients' authorities are no PEM")?)?;
            }
            ensure!(!roots.is_empty(), "there is no authority in the file for clients");
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?,
            )
        }
    };
    let mut config = builder.with_single_cert(chain, key).context("certificate and key don't fit")?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    METRICS.tls_expires_at.set(expires);
    Ok(config)
}

/// The counters of TLS.
pub(crate) fn register() -> prometheus::Result<(IntCounter, IntCounter, IntCounter, IntGauge)> {
    Ok((
        prometheus::register_int_counter!("tally_tls_reloads_total", "Times that a new certificate was taken.")?,
        prometheus::register_int_counter!(
            "tally_tls_reload_failures_total",
            "Times that changed files of certificates could not be used, so that the ones before stayed."
        )?,
        prometheus::register_int_counter!("tally_tls_handshake_failures_total", "TLS hand-shakes that failed.")?,
        prometheus::register_int_gauge!(
            "tally_tls_certificate_expiry_timestamp_seconds",
            "When the certificate that new connections get ends; 0 without TLS."
        )?,
    ))
}
