use std::net::{Ipv4Addr, TcpListener};

use uuid::Uuid;

/// Below the ports that systems give to outgoing connections (Linux: from 32768). A server's port must still be free when it is started
/// again, and a client that dials a closed port of that range may even be connected to itself.
const PORTS: std::ops::Range<u16> = 15_000..32_000;
const TRIES: usize = 100;

/// A port of 127.0.0.1 that nobody listens on at this moment. Whoever uses it may still lose a race for it, and then takes another.
///
/// # Errors
/// When none is found.
pub fn free_port() -> std::io::Result<u16> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        let (_, random, _, _) = Uuid::new_v4().as_fields();
        let port = PORTS.start + random % (PORTS.end - PORTS.start);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Nobody listens on this port of 127.0.0.1 at this moment.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
