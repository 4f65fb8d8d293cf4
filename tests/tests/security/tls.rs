//! TLS: from end to end, mutual, with certificates that change, and with bounds.

use std::time::Duration;

use system_tests::client::{ReadAfter, RustClient, TallyClient};
use system_tests::credentials::{Authority, Pem};
use system_tests::{Samples, Service, Tally, eventually};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tonic::Code;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use super::{Folder, borrowed};

fn write(folder: &Folder, Pem { certificate, key }: &Pem) -> Vec<(&'static str, String)> {
    vec![
        ("TALLY_TLS_CERT", folder.write("cert.pem", certificate)),
        ("TALLY_TLS_KEY", folder.write("key.pem", key)),
        ("TALLY_RELOAD_INTERVAL_MS", "20".to_owned()),
        ("TALLY_METRICS_LISTEN", "127.0.0.1:0".to_owned()),
    ]
}

fn channel(service: &Service, tls: ClientTlsConfig) -> Channel {
    let endpoint = Endpoint::from_shared(format!("https://{}", service.address())).unwrap();
    endpoint.tls_config(tls).unwrap().connect_lazy()
}

fn client(tally: &Tally, tls: &ClientTlsConfig) -> RustClient {
    RustClient::over(channel(&tally.command, tls.clone()), channel(&tally.query, tls.clone()))
}

#[tokio::test]
async fn calls_are_made_over_tls_and_not_without() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let tally = Tally::start_with_environment(&borrowed(&write(&folder, &authority.server()))).await;
    let trusting = client(&tally, &authority.trusted(None));
    let receipt = trusting.create_batch("b1", "LAMP", 5, None).await.unwrap();
    assert_eq!(trusting.get_stock("LAMP", &receipt.seen()).await.unwrap().available_now, 5);

    let stranger = client(&tally, &Authority::new().trusted(None));
    assert!(stranger.allocate("o1", "LAMP", 1).await.unwrap_err().is_local);
    assert!(tally.client().allocate("o1", "LAMP", 1).await.unwrap_err().is_local, "not in the open");
    let samples = Samples::of(&tally.command).await;
    assert!(samples.sum("tally_tls_handshake_failures_total", &[]) >= 1.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(samples.sum("tally_tls_certificate_expiry_timestamp_seconds", &[]) > now);
}

#[tokio::test]
async fn where_clients_need_a_certificate_none_comes_in_without_a_right_one() {
    let (folder, authority, clients) = (Folder::new(), Authority::new(), Authority::new());
    let mut environment = write(&folder, &authority.server());
    environment.push(("TALLY_TLS_CLIENT_CA", folder.write("clients.pem", &clients.pem())));
    let tally = Tally::start_with_environment(&borrowed(&environment)).await;
    let with = |identity: Option<&Pem>| client(&tally, &authority.trusted(identity));
    with(Some(&clients.client())).create_batch("b1", "LAMP", 5, None).await.unwrap();
    assert!(with(None).allocate("o1", "LAMP", 1).await.unwrap_err().is_local);
    assert!(with(Some(&authority.client())).allocate("o1", "LAMP", 1).await.unwrap_err().is_local);
    assert!(with(Some(&clients.server())).allocate("o1", "LAMP", 1).await.unwrap_err().is_local, "a server's is none");
}

#[tokio::test]
async fn a_new_certificate_is_taken_without_a_dropped_call() {
    let (folder, old, new) = (Folder::new(), Authority::new(), Authority::new());
    let tally = Tally::start_with_environment(&borrowed(&write(&folder, &old.server()))).await;
    let standing = client(&tally, &old.trusted(None));
    standing.create_batch("b1", "LAMP", 5, None).await.unwrap();
    let calls = async {
        let mut count = 0;
        loop {
            standing.validate_only().allocate("o1", "LAMP", 1).await.expect("no call is dropped");
            count += 1;
            tokio::task::yield_now().await;
            if count == i32::MAX {
                return;
            }
        }
    };
    let exchange = async {
        // The certificate alone fits no key: half of an exchange changes nothing.
        let Pem { certificate, key } = new.server();
        folder.write("cert.pem", &certificate);
        eventually("the half exchange is seen and refused", async || {
            let failures = Samples::of(&tally.command).await.sum("tally_tls_reload_failures_total", &[]);
            (failures >= 1.0).then_some(())
        })
        .await;
        client(&tally, &old.trusted(None)).validate_only().allocate("o2", "LAMP", 1).await.expect("the old one stays");
        folder.write("key.pem", &key);
        eventually("new connections get the new one", async || {
            let fresh = client(&tally, &new.trusted(None));
            fresh.validate_only().allocate("o3", "LAMP", 1).await.ok()
        })
        .await;
        assert!(client(&tally, &old.trusted(None)).allocate("o4", "LAMP", 1).await.unwrap_err().is_local);
    };
    tokio::select! {
        () = calls => unreachable!("it goes on for ever"),
        () = exchange => {}
    }
    standing.validate_only().allocate("o1", "LAMP", 1).await.expect("the connection from before stands");
}

#[tokio::test]
async fn who_does_not_shake_hands_is_sent_away_and_no_more_come_in_than_may() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let mut environment = write(&folder, &authority.server());
    environment.push(("TALLY_TLS_HANDSHAKE_MS_MAX", "200".to_owned()));
    environment.push(("TALLY_CONNECTIONS_MAX", "2".to_owned()));
    let tally = Tally::start_with_environment(&borrowed(&environment)).await;
    let mut silent = TcpStream::connect(tally.query.address()).await.unwrap();
    let read = tokio::time::timeout(Duration::from_secs(30), silent.read(&mut [0; 1])).await;
    assert!(matches!(read.expect("in time"), Ok(0) | Err(_)), "it is closed");

    let asks = || client(&tally, &authority.trusted(None)).deadline(Duration::from_secs(20));
    let mut inside: Vec<RustClient> = Vec::new();
    for _ in 0..2 {
        let client = asks();
        eventually("an answer", async || {
            let code = client.get_stock("X", &ReadAfter::nothing()).await.unwrap_err().code;
            (code == Code::NotFound).then_some(())
        })
        .await;
        inside.push(client);
    }
    assert_eq!(Samples::of(&tally.query).await.sum("tally_connections", &[]), 2.0);
    let third = asks();
    let nothing = ReadAfter::nothing();
    let waits = third.get_stock("X", &nothing);
    tokio::pin!(waits);
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut waits).await.is_err(), "there is no room for it");
    inside.pop();
    assert_eq!(waits.await.unwrap_err().code, Code::NotFound, "now there is");
}
