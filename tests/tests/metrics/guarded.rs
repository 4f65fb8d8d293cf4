//! What the processes count where callers need TLS and a token.

use std::path::PathBuf;

use serde_json::json;
use sha2::{Digest, Sha256};
use system_tests::client::{RustClient, TallyClient};
use system_tests::credentials::{Authority, Pem};
use system_tests::{Samples, Service, Tally, eventually, target_dir};
use tonic::Code;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use super::{METRICS, complaints};

const TOKEN: &str = "of-a-test";

/// The files of the processes, which end with this.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        let folder = target_dir().join("system-tests").join(format!("guarded-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// Whole, at once.
    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.0.join("half"), text).unwrap();
        std::fs::rename(self.0.join("half"), self.0.join(name)).unwrap();
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn channel(service: &Service, tls: &ClientTlsConfig) -> Channel {
    let endpoint = Endpoint::from_shared(format!("https://{}", service.address())).unwrap();
    endpoint.tls_config(tls.clone()).unwrap().connect_lazy()
}

#[tokio::test]
async fn refused_calls_and_new_certificates_are_counted_and_promtool_has_nothing_to_say() {
    let (files, authority) = (Files::new(), Authority::new());
    let sha256: String = Sha256::digest(TOKEN).iter().map(|byte| format!("{byte:02x}")).collect();
    let tokens =
        json!({"tokens": [{"name": "clerk", "sha256": sha256, "scopes": ["stock.write", "allocations.write"]}]});
    let Pem { certificate, key } = authority.server();
    let [cert, key, tokens] = [("cert.pem", certificate), ("key.pem", key), ("tokens.json", tokens.to_string())]
        .map(|(name, text)| files.write(name, &text));
    let environment = [
        METRICS[0],
        ("TALLY_TLS_CERT", &cert),
        ("TALLY_TLS_KEY", &key),
        ("TALLY_TOKENS", &tokens),
        ("TALLY_RELOAD_INTERVAL_MS", "20"),
    ];
    let tally = Tally::start_with_environment(&environment).await;
    let tls = authority.trusted(None);
    let stranger = RustClient::over(channel(&tally.command, &tls), channel(&tally.query, &tls));
    let clerk = stranger.with_header("authorization", &format!("Bearer {TOKEN}"));
    clerk.create_batch("b1", "LAMP", 5, None).await.unwrap();
    assert_eq!(stranger.allocate("o1", "LAMP", 1).await.unwrap_err().code, Code::Unauthenticated);
    let guess = stranger.with_header("authorization", "Bearer a-guess");
    assert_eq!(guess.allocate("o1", "LAMP", 1).await.unwrap_err().code, Code::Unauthenticated);
    assert_eq!(clerk.cancel_order("o1", "no").await.unwrap_err().code, Code::PermissionDenied);
    let samples = Samples::of(&tally.command).await;
    for reason in ["TOKEN_MISSING", "TOKEN_INVALID", "SCOPE_MISSING"] {
        assert_eq!(samples.sum("tally_calls_refused_total", &[&format!("reason=\"{reason}\"")]), 1.0, "{reason}");
    }
    assert!(samples.sum("tally_connections", &[]) >= 1.0);
    assert_eq!(samples.sum("tally_tls_reloads_total", &[]), 0.0);

    let expiry = |samples: &Samples| samples.sum("tally_tls_certificate_expiry_timestamp_seconds", &[]);
    assert!(expiry(&samples) > 0.0);
    let Pem { certificate, key } = authority.server();
    files.write("key.pem", &key);
    files.write("cert.pem", &certificate);
    eventually("the new certificate is taken", async || {
        let samples = Samples::of(&tally.command).await;
        (samples.sum("tally_tls_reloads_total", &[]) >= 1.0).then_some(())
    })
    .await;
    clerk.allocate("o1", "LAMP", 1).await.unwrap();
    for service in tally.services() {
        assert_eq!(complaints(&Samples::of(service).await.text), "", "{}", service.name());
    }
}
