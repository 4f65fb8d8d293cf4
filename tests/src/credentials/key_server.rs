//! An issuer's keys at a URL: a server of HTTPS that counts who asks, and does what servers do on bad days.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use super::Pem;

/// What a request is answered with.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A status and a body.
    With(StatusCode, String),
    /// Nothing: the connection is closed.
    HangUp,
    /// Nothing, until there is another answer; then the connection is closed.
    Silence,
}

impl Answer {
    /// A key set.
    pub fn keys(set: impl ToString) -> Self {
        Self::With(StatusCode::OK, set.to_string())
    }
}

/// A server of keys. It ends when this is dropped.
#[derive(Debug)]
pub struct KeyServer {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    answer: watch::Sender<Answer>,
    serving: JoinHandle<()>,
}

impl KeyServer {
    /// Starts one with this certificate.
    ///
    /// # Panics
    /// When it can't be used.
    pub async fn start(Pem { certificate, key }: &Pem, answer: Answer) -> Self {
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain.expect("a certificate"), key)
            .expect("a pair");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (answer, answers) = watch::channel(answer);
        let asked = Arc::new(AtomicUsize::new(0));
        let serving = tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), Arc::clone(&asked), answers));
        Self { address, asked, answer, serving }
    }

    /// Where its keys are.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/keys", self.address.port())
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Answers with this from now on.
    pub fn answer(&self, answer: Answer) {
        self.answer.send_replace(answer);
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    asked: Arc<AtomicUsize>,
    answers: watch::Receiver<Answer>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, acceptor.clone(), Arc::clone(&asked), answers.clone()));
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, asked: Arc<AtomicUsize>, answers: watch::Receiver<Answer>) {
    // Who doesn't trust the certificate goes away.
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let answering = service_fn(move |_: Request<Incoming>| {
        asked.fetch_add(1, Ordering::Relaxed);
        answered(answers.clone())
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answering).await;
}

/// An error closes the connection.
async fn answered(mut answers: watch::Receiver<Answer>) -> io::Result<Response<Full<Bytes>>> {
    let answer = answers.borrow_and_update().clone();
    match answer {
        Answer::With(status, body) => {
            let mut response = Response::new(Full::from(body));
            *response.status_mut() = status;
            Ok(response)
        }
        Answer::HangUp => Err(io::ErrorKind::ConnectionReset.into()),
        Answer::Silence => {
            let _ = answers.changed().await;
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
}
