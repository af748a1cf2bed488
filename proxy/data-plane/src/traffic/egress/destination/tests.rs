//! Which version goes out, and which connections are used again: real servers on loopback.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::atomic::AtomicUsize;

use http_body_util::BodyExt as _;
use identity::tls::{ALPN_H2, ALPN_HTTP11};
use policy::traffic_policy::CaCertificates;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::control::config::Config;
use crate::traffic::egress::EgressPool;
use crate::traffic::state::ProxyState;

const HOST: &str = "api.example.com";

/// A server, with the number of connections it has taken.
struct Server {
    address: SocketAddr,
    taken: Arc<AtomicUsize>,
    tls: Option<Arc<UpstreamTls>>,
    _files: tempfile::TempDir,
}

/// Answers over HTTP/2 where that is agreed on (or `alpn` is empty and the client begins so), else over HTTP/1.1; closes
/// each connection of HTTP/1.1 after `most` requests. Over TLS where `alpn` is given.
async fn server(alpn: Option<&[&[u8]]>, most: usize) -> Server {
    let files = tempfile::tempdir().unwrap();
    let tls = alpn.map(|alpn| acceptor(alpn, files.path()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let (counted, acceptor) = (taken.clone(), tls.as_ref().map(|(acceptor, _)| acceptor.clone()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Relaxed);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Some(acceptor) = acceptor else { return http1(stream, most).await };
                let Ok(stream) = acceptor.accept(stream).await else { return };
                match stream.get_ref().1.alpn_protocol() {
                    Some(ALPN_H2) => http2(stream).await,
                    _ => http1(stream, most).await,
                }
            });
        }
    });
    Server { address, taken, tls: tls.map(|(_, tls)| tls), _files: files }
}

async fn http1(mut stream: impl AsyncRead + AsyncWrite + Unpin, most: usize) {
    for _ in 0..most {
        if stream.read(&mut [0; 4096]).await.is_ok_and(|read| read == 0) {
            return;
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhttp/1.1").await;
    }
}

async fn http2(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data("h2".into(), true).unwrap();
    }
}

fn acceptor(alpn: &[&[u8]], files: &std::path::Path) -> (TlsAcceptor, Arc<UpstreamTls>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let ca = files.join("ca.pem");
    std::fs::write(&ca, authority.as_ref().pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let mut config = rustls::ServerConfig::builder_with_provider(identity::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let tls = UpstreamTls {
        mode: UpstreamTlsMode::Simple,
        ca_certificates: CaCertificates::File(ca.display().to_string().into()),
        sni: None,
        subject_alt_names: Arc::default(),
    };
    (TlsAcceptor::from(Arc::new(config)), Arc::new(tls))
}

/// A proxy that calls one server, whose port is declared so.
struct Caller {
    state: Arc<ProxyState>,
    pool: EgressPool,
    destination: Arc<EgressDestination>,
}

fn caller(server: &Server, protocol: Declared) -> Caller {
    let text = json!({
        "workload": {"namespace": "shop", "serviceAccount": "frontend"},
        "identity": {"workloadApi": "unix:///run/agent.sock"},
    });
    let config = Config::parse("p", text.to_string().as_bytes()).unwrap();
    let state = ProxyState::new(config.traffic_settings(), 1).unwrap();
    let key = EgressKey::new(server.address, &HOST.into(), protocol, server.tls.as_ref());
    let pool = EgressPool::default();
    let destination = pool.destination(&state, key, &ConnectionPool::default());
    Caller { state, pool, destination }
}

impl Caller {
    /// The version that the server saw, or the reason why there is no answer.
    async fn ask(&self, version: Version, content_type: &str) -> String {
        let dialer = EgressDialer { state: &self.state, pool: &self.pool };
        let mut request = Box::new(Request::new(Body::empty()));
        *request.uri_mut() = "/".parse().unwrap();
        *request.version_mut() = version;
        for (name, value) in [("host", HOST), ("content-type", content_type)] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let http2 = self.destination.wants_http2(version);
        let answered = match self.destination.reach(&dialer, http2).await {
            Ok(connection) => self.destination.send(&dialer, connection, request).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(response) => {
                let body = response.into_body().collect().await.unwrap().to_bytes();
                String::from_utf8(body.to_vec()).unwrap()
            }
            Err(error) => error.reason().to_owned(),
        }
    }
}

impl Caller {
    /// Until the connection is free again, or its end has been seen.
    async fn until_idle(&self, ended: bool) {
        let is_free = || self.destination.http1.lock().iter().any(|lease| lease.client.is_ready());
        let settled = async {
            while is_free() == ended {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), settled).await.unwrap();
    }
}

#[tokio::test]
async fn requests_go_out_as_their_port_is_declared_and_the_server_agrees() {
    const BOTH: &[&[u8]] = &[ALPN_H2, ALPN_HTTP11];
    let (one, two) = (Version::HTTP_11, Version::HTTP_2);
    let (plain, grpc) = ("text/plain", "application/grpc");
    for (row, alpn, protocol, version, content, expect) in [
        ("HTTP/1.1 stays", Some(BOTH), Declared::Http, one, plain, "http/1.1"),
        ("HTTP/2 where the server has it", Some(BOTH), Declared::Http, two, plain, "h2"),
        ("gRPC, too", Some(BOTH), Declared::Http, two, grpc, "h2"),
        ("the server chooses", Some(&[ALPN_HTTP11][..]), Declared::Http, two, plain, "http/1.1"),
        ("and has no gRPC", Some(&[ALPN_HTTP11]), Declared::Http, two, grpc, "grpc_needs_http2"),
        ("declared HTTP/2", Some(BOTH), Declared::Http2, one, plain, "h2"),
        (
            "declared, and not had",
            Some(&[ALPN_HTTP11]),
            Declared::Grpc,
            two,
            grpc,
            "upstream_tls_failed",
        ),
        ("plaintext of a port of HTTP/1.1", None, Declared::Http, two, plain, "http/1.1"),
    ] {
        let server = server(alpn, 100).await;
        let caller = caller(&server, protocol);
        assert_eq!(caller.ask(version, content).await, expect, "{row}");
        assert_eq!(caller.ask(version, content).await, expect, "{row}, again");
    }
}

#[tokio::test]
async fn connections_are_used_again_until_the_server_closes_them() {
    const BOTH: &[&[u8]] = &[ALPN_H2, ALPN_HTTP11];
    for (row, alpn, version, most, expect) in [
        ("HTTP/1.1", None, Version::HTTP_11, 100, 1),
        ("HTTP/1.1 over TLS", Some(BOTH), Version::HTTP_11, 100, 1),
        ("HTTP/2", Some(BOTH), Version::HTTP_2, 100, 1),
        ("two requests a connection", None, Version::HTTP_11, 2, 3),
    ] {
        let server = server(alpn, most).await;
        let caller = caller(&server, Declared::Http);
        for asked in 1..=6 {
            assert_ne!(caller.ask(version, "text/plain").await, "upstream_reset", "{row}");
            if version == Version::HTTP_11 {
                caller.until_idle(asked % most == 0).await;
            }
        }
        assert_eq!(server.taken.load(Relaxed), expect, "{row}");
    }
}
