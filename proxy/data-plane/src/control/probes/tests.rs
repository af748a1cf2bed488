//! Probes against small apps on loopback.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::TcpListener;

use ::http::HeaderMap;

use crate::control::probes::*;

/// An app that gives the answer whose key is the start of the requested path; returns its port.
fn app(answers: &'static [(&'static str, &'static str)]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 2048];
            let length = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let answer = answers.iter().find(|(wants, _)| request.contains(wants));
            let answer = answer.map_or("HTTP/1.1 404 Not Found\r\n\r\n", |(_, answer)| answer);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

fn config(probe: &str) -> Config {
    let text = format!(
        "workload: {{namespace: shop, serviceAccount: cart}}\nidentity: {{workloadApi: unix:///a}}\nprobes: [{{container: app, kind: readiness, {probe}}}]\n"
    );
    Config::parse("test", text.as_bytes()).unwrap()
}

async fn probe_outcome(probe: &str) -> ProbeOutcome {
    let config = config(probe);
    let local = "127.0.0.1:15021".parse().unwrap();
    ask(&config, find(&config, "/probe/app/readiness").unwrap(), local, &HeaderMap::new()).await
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret";

#[tokio::test]
async fn http_probes_judge_as_the_kubelet_does() {
    let check = async |row: &str,
                       path: &str,
                       answers: &'static [(&'static str, &'static str)],
                       expect: ProbeOutcome| {
        let probe = format!("http: {{port: {}, path: \"{path}\"}}", app(answers));
        assert_eq!(probe_outcome(&probe).await, expect, "{row}");
    };
    check("fine", "/healthz", &[("GET /healthz HTTP/1.1", OK)], ProbeOutcome::Good).await;
    check("with a query", "/h?full=1", &[("GET /h?full=1 HTTP/1.1", OK)], ProbeOutcome::Good).await;
    check(
        "not fine",
        "/",
        &[("GET / ", "HTTP/1.1 503 X\r\n\r\nsecret")],
        ProbeOutcome::Status(503),
    )
    .await;
    check("unknown", "/x", &[], ProbeOutcome::Status(404)).await;
    check(
        "redirected within",
        "/a",
        &[
            ("GET /a ", "HTTP/1.1 302 X\r\nlocation: /b\r\n\r\n"),
            ("GET /b ", "HTTP/1.1 500 X\r\n\r\n"),
        ],
        ProbeOutcome::Status(500),
    )
    .await;
    check(
        "redirected elsewhere",
        "/a",
        &[("GET /a ", "HTTP/1.1 302 X\r\nlocation: https://login.example/\r\n\r\n")],
        ProbeOutcome::Good,
    )
    .await;
    let port = app(&[("GET /a ", "HTTP/1.1 302 X\r\nlocation: /a\r\n\r\n")]);
    let around = probe_outcome(&format!("http: {{port: {port}, path: /a}}")).await;
    assert_eq!(around, ProbeOutcome::Failed("more than 10 redirects".to_owned()));
}

#[tokio::test]
async fn headers_of_the_probe_are_sent() {
    let port = app(&[("host: cart.example\r\n", OK)]);
    let probe = format!("http: {{port: {port}, headers: [{{name: Host, value: cart.example}}]}}");
    assert_eq!(probe_outcome(&probe).await, ProbeOutcome::Good);
}

#[tokio::test]
async fn tcp_probes_ask_for_a_connection() {
    assert_eq!(probe_outcome(&format!("tcp: {{port: {}}}", app(&[]))).await, ProbeOutcome::Good);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let verdict = probe_outcome(&format!("tcp: {{port: {closed}}}")).await;
    assert!(
        matches!(&verdict, ProbeOutcome::Failed(error) if error.contains("cannot connect")),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn a_silent_app_fails_in_the_probes_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let verdict = probe_outcome(&format!("timeout: 1s, http: {{port: {port}}}")).await;
    assert_eq!(verdict, ProbeOutcome::Failed("no answer within 1s".to_owned()));
}

/// An app that speaks these versions of TLS, with a self-signed certificate; returns its port.
async fn https_app(versions: &[&'static rustls::SupportedProtocolVersion]) -> u16 {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(server));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = acceptor.accept(stream).await else { return };
        // An answer that arrives before its request would be treated as malformed.
        let _ = stream.read(&mut [0; 2048]).await.unwrap();
        stream.write_all(OK.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    port
}

#[tokio::test]
async fn https_probes_take_any_certificate_and_tls_1_2_as_the_kubelet_does() {
    use rustls::version::{TLS12, TLS13};
    for (row, versions) in
        [("1.3", &[&TLS13][..]), ("1.2", &[&TLS12][..]), ("both", &[&TLS12, &TLS13][..])]
    {
        let port = https_app(versions).await;
        let verdict = probe_outcome(&format!("http: {{port: {port}, tls: true}}")).await;
        assert_eq!(verdict, ProbeOutcome::Good, "{row}");
    }
}

/// A health service that gives this answer once, with this gRPC status.
async fn health(message: &'static [u8], status: &'static str) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        let mut body = respond.send_response(::http::Response::new(()), false).unwrap();
        body.send_data(message.into(), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.parse().unwrap());
        body.send_trailers(trailers).unwrap();
        while connection.accept().await.is_some() {}
    });
    port
}

#[tokio::test]
async fn grpc_probes_ask_the_health_service() {
    let check = async |row: &str, message: &'static [u8], status: &'static str, good: bool| {
        let probe = format!("grpc: {{port: {}, service: cart}}", health(message, status).await);
        let verdict = probe_outcome(&probe).await;
        assert_eq!(verdict == ProbeOutcome::Good, good, "{row}: {verdict:?}");
    };
    check("serving", &[0, 0, 0, 0, 2, 8, 1], "0", true).await;
    check("not serving", &[0, 0, 0, 0, 2, 8, 2], "0", false).await;
    check("unknown service", &[], "5", false).await;
    check("no message", &[], "0", false).await;
}

#[test]
fn explicit_listeners_say_where_the_app_is() {
    let text = "workload: {namespace: shop, serviceAccount: cart}\nidentity: {workloadApi: unix:///a}\ninbound: {bind: none, listeners: [{bind: \"[::]:8443\", forward: 127.0.0.1:8080}]}\n";
    let config = Config::parse("test", text.as_bytes()).unwrap();
    let local = "[::ffff:10.0.0.9]:15021".parse().unwrap();
    assert_eq!(app_address(&config, local, 8080), "127.0.0.1:8080".parse().unwrap());
    assert_eq!(app_address(&config, local, 9090), "10.0.0.9:9090".parse().unwrap());
}
