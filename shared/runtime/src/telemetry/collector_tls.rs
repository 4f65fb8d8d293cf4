//! TLS to the collector of traces, by OpenTelemetry's variables: `OTEL_EXPORTER_OTLP_CERTIFICATE` (whom to trust; without it the public
//! authorities that the program has with it), `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE` and `…_CLIENT_KEY`, each also as
//! `OTEL_EXPORTER_OTLP_TRACES_…`, which goes first. The exporter leaves them to its user.

use std::env::VarError;
use std::fs;

use anyhow::{Context, bail};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

const GENERAL: &str = "OTEL_EXPORTER_OTLP_";
const OF_TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_";

/// None where traces go out in the open.
pub(super) fn of(variable: impl Fn(String) -> Result<String, VarError>) -> anyhow::Result<Option<ClientTlsConfig>> {
    let value = |name: &str| {
        [OF_TRACES, GENERAL]
            .iter()
            .find_map(|prefix| variable(format!("{prefix}{name}")).ok().filter(|value| !value.trim().is_empty()))
    };
    let file = |name: &str| {
        let read =
            |path: String| fs::read(path.trim()).with_context(|| format!("the file that {name} names can't be read"));
        value(name).map(read).transpose()
    };
    if !value("ENDPOINT").is_some_and(|endpoint| endpoint.trim().starts_with("https://")) {
        return Ok(None);
    }
    let mut tls = match file("CERTIFICATE")? {
        Some(authority) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority)),
        None => ClientTlsConfig::new().with_webpki_roots(),
    };
    match (file("CLIENT_CERTIFICATE")?, file("CLIENT_KEY")?) {
        (Some(certificate), Some(key)) => tls = tls.identity(Identity::from_pem(certificate, key)),
        (None, None) => {}
        (Some(_), None) | (None, Some(_)) => {
            bail!("of a client's certificate and key there is one, and both are needed")
        }
    }
    Ok(Some(tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_these(variables: &[(&str, &str)]) -> anyhow::Result<Option<ClientTlsConfig>> {
        of(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
        })
    }

    #[test]
    fn only_https_has_tls() {
        let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
        assert!(of_these(&[(endpoint, "http://collector:4317")]).is_ok_and(|tls| tls.is_none()));
        assert!(of_these(&[(endpoint, "https://collector:4317")]).is_ok_and(|tls| tls.is_some()));
        let of_traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:4317");
        assert!(of_these(&[(endpoint, "https://collector:4317"), of_traces]).is_ok_and(|tls| tls.is_none()));
    }

    #[test]
    fn a_file_that_is_away_and_half_an_identity_are_refused() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4317");
        assert!(of_these(&[endpoint, ("OTEL_EXPORTER_OTLP_CERTIFICATE", "no-such-file")]).is_err());
        assert!(of_these(&[endpoint, ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "Cargo.toml")]).is_err());
    }
}
