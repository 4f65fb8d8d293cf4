//! What TLS to Redis needs, from the Redis URL: `rediss://…?sslrootcert=FILE&sslcert=FILE&sslkey=FILE`, the names that Postgres has for them.
//!
//! Without `sslrootcert` the public authorities are trusted that the program has with it, and no others. Files are PEM, and are read at the
//! start.

use std::fs;

use percent_encoding::percent_decode_str;
use redis::{ClientTlsConfig, TlsCertificates};

use crate::Error;

const NOT_READ: Error = Error::Settings("a file with a certificate or key that the Redis URL names can't be read");

/// The URL without what is about certificates, and the certificates: of a `rediss://` URL alone.
pub(crate) fn parse(redis_url: &str) -> Result<(String, Option<TlsCertificates>), Error> {
    let (address, query) = redis_url.split_once('?').unwrap_or((redis_url, ""));
    let (mut authority, mut certificate, mut key) = (None, None, None);
    let mut others = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "sslrootcert" => authority = Some(read(value)?),
            "sslcert" => certificate = Some(read(value)?),
            "sslkey" => key = Some(read(value)?),
            _ => others.push(pair),
        }
    }
    let client_tls = match (certificate, key) {
        (Some(client_cert), Some(client_key)) => Some(ClientTlsConfig { client_cert, client_key }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            return Err(Error::Settings("the Redis URL names one of sslcert and sslkey, and needs both"));
        }
    };
    let is_tls = address.starts_with("rediss://");
    if !is_tls && (authority.is_some() || client_tls.is_some()) {
        return Err(Error::Settings("the Redis URL names certificates, and only rediss:// has a use for them"));
    }
    let address = if others.is_empty() { address.to_owned() } else { format!("{address}?{}", others.join("&")) };
    Ok((address, is_tls.then_some(TlsCertificates { client_tls, root_cert: authority })))
}

fn read(path: &str) -> Result<Vec<u8>, Error> {
    let path = percent_decode_str(path).decode_utf8().map_err(|_| NOT_READ)?;
    fs::read(path.as_ref()).map_err(|_| NOT_READ)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_there_is_nothing_to_know() {
        for url in ["redis://:p@h:1/0", "redis://h:1,h:2", "redis://h:1/?protocol=resp3"] {
            let (address, certificates) = parse(url).expect("a URL");
            assert_eq!(address, url);
            assert!(certificates.is_none());
        }
        assert!(parse("redis://h:1/?sslrootcert=Cargo.toml").is_err());
    }

    #[test]
    fn files_are_read_and_taken_out_of_the_url() {
        let (address, certificates) =
            parse("rediss://h:1,h:2/?sslrootcert=Cargo%2Etoml&protocol=resp3").expect("a URL");
        assert_eq!(address, "rediss://h:1,h:2/?protocol=resp3");
        assert!(certificates.is_some_and(|it| it.root_cert.is_some() && it.client_tls.is_none()));
        let both = parse("rediss://h:1/?sslcert=Cargo.toml&sslkey=Cargo.toml").expect("a URL");
        assert!(both.1.is_some_and(|it| it.root_cert.is_none() && it.client_tls.is_some()));
        assert!(parse("rediss://h:1/").is_ok_and(|(_, certificates)| certificates.is_some()));
    }

    #[test]
    fn what_is_half_or_away_is_refused_by_name() {
        assert!(parse("rediss://h:1/?sslcert=Cargo.toml").is_err());
        assert_eq!(parse("rediss://h:1/?sslrootcert=no-such-file").err(), Some(NOT_READ));
    }
}
