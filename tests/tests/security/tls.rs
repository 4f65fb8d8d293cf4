//! TLS: from end to end, mutual, with certificates that change, and with bounds.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use system_tests::client::{ReadAfter, RustClient, TallyClient};
use system_tests::credentials::{Authority, Pem};
use system_tests::{Samples, Service, Tally, eventually};
use tally_api::projections::v1::ListProjectionsRequest;
use tally_api::projections::v1::projection_admin_service_client::ProjectionAdminServiceClient;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
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
async fn the_admin_api_takes_tls_and_certificates_as_all_ports_do() {
    let (folder, authority, clients) = (Folder::new(), Authority::new(), Authority::new());
    let mut environment = write(&folder, &authority.server());
    let listed = async |tally: &Tally, tls: ClientTlsConfig| {
        let mut admin = ProjectionAdminServiceClient::new(channel(&tally.projector, tls));
        admin.list_projections(ListProjectionsRequest::default()).await.map(|answer| answer.into_inner().projections)
    };
    let tally = Tally::start_with_environment(&borrowed(&environment)).await;
    assert!(!listed(&tally, authority.trusted(None)).await.unwrap().is_empty());
    assert_eq!(listed(&tally, Authority::new().trusted(None)).await.unwrap_err().code(), Code::Unavailable);
    let mut open = ProjectionAdminServiceClient::new(tally.projector.channel());
    assert!(open.list_projections(ListProjectionsRequest::default()).await.is_err(), "not in the open");

    environment.push(("TALLY_TLS_CLIENT_CA", folder.write("clients.pem", &clients.pem())));
    let mutual = Tally::start_with_environment(&borrowed(&environment)).await;
    assert!(!listed(&mutual, authority.trusted(Some(&clients.client()))).await.unwrap().is_empty());
    assert!(listed(&mutual, authority.trusted(None)).await.is_err());
    assert!(listed(&mutual, authority.trusted(Some(&authority.client()))).await.is_err());
}

/// Shakes hands by these versions alone.
async fn hand_shake(
    service: &Service,
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> io::Result<()> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(service.address()).await?;
    TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await.map(drop)
}

#[tokio::test]
async fn nothing_older_than_tls_1_3_is_spoken_by_any_service() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let tally = Tally::start_with_environment(&borrowed(&write(&folder, &authority.server()))).await;
    for service in tally.services() {
        let name = service.name();
        hand_shake(service, &authority, &[&version::TLS13]).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let refusal = hand_shake(service, &authority, &[&version::TLS12]).await.expect_err(name);
        assert!(refusal.to_string().contains("ProtocolVersion"), "{name}: {refusal}");
    }
}

/// Calls again and again, none of which may fail, while `exchange` goes on.
async fn no_call_is_dropped_during(standing: &RustClient, exchange: impl Future<Output = ()>) {
    let calls = async {
        loop {
            standing.validate_only().allocate("o1", "LAMP", 1).await.expect("no call is dropped");
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = calls => {}
        () = exchange => {}
    }
    standing.validate_only().allocate("o1", "LAMP", 1).await.expect("the connection from before stands");
}

#[tokio::test]
async fn a_new_authority_for_clients_is_taken_without_a_dropped_call() {
    let (folder, authority, old, new) = (Folder::new(), Authority::new(), Authority::new(), Authority::new());
    let mut environment = write(&folder, &authority.server());
    environment.push(("TALLY_TLS_CLIENT_CA", folder.write("clients.pem", &old.pem())));
    let tally = Tally::start_with_environment(&borrowed(&environment)).await;
    let with = |pem: &Pem| client(&tally, &authority.trusted(Some(pem)));
    let (old_client, new_client) = (old.client(), new.client());
    let standing = with(&old_client);
    standing.create_batch("b1", "LAMP", 5, None).await.unwrap();
    let allocates = async |pem: &Pem| with(pem).validate_only().allocate("o2", "LAMP", 1).await;
    assert!(allocates(&new_client).await.unwrap_err().is_local);
    no_call_is_dropped_during(&standing, async {
        // What is no authority changes nothing.
        folder.write("clients.pem", "");
        eventually("the empty file is seen and refused", async || {
            let failures = Samples::of(&tally.command).await.sum("tally_tls_reload_failures_total", &[]);
            (failures >= 1.0).then_some(())
        })
        .await;
        allocates(&old_client).await.expect("the old one stays");
        assert!(allocates(&new_client).await.unwrap_err().is_local);
        // As it is done: first both, then the new one alone.
        folder.write("clients.pem", &format!("{}{}", old.pem(), new.pem()));
        eventually("the new one comes in", async || allocates(&new_client).await.ok()).await;
        allocates(&old_client).await.expect("and the old one, too");
        folder.write("clients.pem", &new.pem());
        eventually("the old one comes in no more", async || {
            allocates(&old_client).await.err().filter(|error| error.is_local)
        })
        .await;
        allocates(&new_client).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_new_certificate_is_taken_without_a_dropped_call() {
    let (folder, old, new) = (Folder::new(), Authority::new(), Authority::new());
    let tally = Tally::start_with_environment(&borrowed(&write(&folder, &old.server()))).await;
    let standing = client(&tally, &old.trusted(None));
    standing.create_batch("b1", "LAMP", 5, None).await.unwrap();
    no_call_is_dropped_during(&standing, async {
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
    })
    .await;
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
