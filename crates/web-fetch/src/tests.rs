//! A server that behaves well and badly, on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

struct WebServer {
    address: SocketAddr,
    tls: WebTls,
    connections: Arc<AtomicUsize>,
}

impl WebServer {
    /// Answers each path by [`answer_to`], with a certificate for 127.0.0.1 of an authority of its own.
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &authority).unwrap();
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = rustls::ServerConfig::builder_with_provider(identity::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(acceptor.clone(), stream));
            }
        });
        let roots = identity::web_roots(authority.as_ref().pem().as_bytes()).unwrap();
        Self { address, tls: WebTls::trusting(roots).unwrap(), connections }
    }

    /// "ok <body>" or the error's text.
    async fn fetched(&self, path: &str, redirects: usize, allowed: &[IpNet]) -> String {
        match fetch(&self.url(path), &self.rules(redirects, allowed)).await {
            Ok(document) => format!("ok {}", document.body.escape_ascii()),
            Err(error) => error.to_string(),
        }
    }

    /// "<status> <body>" or the error's text.
    async fn posted(&self, path: &str, who: Option<&'static str>) -> String {
        let allowed = [address::parse_block("127.0.0.1").unwrap()];
        let authorization = who.map(http::HeaderValue::from_static);
        let form =
            WebForm { body: zeroize::Zeroizing::new("token=a%20b".to_owned()), authorization };
        match post(&self.url(path), form, &self.rules(3, &allowed)).await {
            Ok(answer) => format!("{} {}", answer.status.as_u16(), answer.body.escape_ascii()),
            Err(error) => error.to_string(),
        }
    }

    fn url(&self, path: &str) -> WebUrl {
        WebUrl::parse(&format!("https://{}{path}", self.address)).unwrap()
    }

    fn rules<'a>(&'a self, redirects: usize, allowed: &'a [IpNet]) -> FetchRules<'a, PlainDial> {
        FetchRules {
            tls: &self.tls,
            addresses: AddressPolicy { allowed, is_own_port: &|port| port == 15000 },
            redirects,
            connect_deadline: Duration::from_secs(10),
            deadline: Duration::from_secs(2),
            user_agent: "postern-test",
            dial: PlainDial,
        }
    }
}

async fn serve(acceptor: TlsAcceptor, stream: tokio::net::TcpStream) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap();
    let posted = match head.lines().find_map(|line| line.strip_prefix("content-length: ")) {
        Some(length) => {
            let mut body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut body).await.unwrap();
            Some(body)
        }
        None => None,
    };
    if let Some(framing) = path.strip_prefix("/endless/") {
        return answer_without_end(&mut stream, framing == "chunked").await;
    }
    let answered = match (path, posted) {
        ("/echo", Some(body)) => {
            let who = head.lines().find_map(|line| line.strip_prefix("authorization: "));
            let body = String::from_utf8(body).unwrap();
            Some(answer("400 Bad Request", "", &format!("{body} by {}", who.unwrap_or("nobody"))))
        }
        (path, _) => answer_to(path),
    };
    match answered {
        // The other side may have seen enough before all is written.
        Some(answer) => drop(stream.write_all(&answer).await),
        None => std::future::pending().await,
    }
    let _ = stream.shutdown().await;
}

/// Goes on until the other side has ended the connection.
async fn answer_without_end(stream: &mut (impl tokio::io::AsyncWrite + Unpin), is_chunked: bool) {
    let (framing, part) = match is_chunked {
        true => ("transfer-encoding: chunked", format!("1000\r\n{}\r\n", " ".repeat(0x1000))),
        false => ("connection: close", " ".repeat(0x1000)),
    };
    let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n");
    let mut written = stream.write_all(head.as_bytes()).await;
    while written.is_ok() {
        written = stream.write_all(part.as_bytes()).await;
    }
}

/// `None` leaves the caller waiting.
fn answer_to(path: &str) -> Option<Vec<u8>> {
    let ok = |body: &str| answer("200 OK", "", body);
    let to = |location: &str| answer("302 Found", &format!("location: {location}\r\n"), "");
    Some(match path {
        "/document" => ok("{}"),
        "/largest" => ok(&" ".repeat(1 << 20)),
        "/too-large" => ok(&" ".repeat((1 << 20) + 1)),
        "/encoded" => answer("200 OK", "content-encoding: gzip\r\n", "x"),
        "/plain" => answer("200 OK", "content-encoding: identity\r\n", "{}"),
        "/redirect" => to("/document"),
        "/twice" => to("/redirect"),
        "/loop" => to("/loop"),
        "/http" => to("http://127.0.0.1/"),
        "/userinfo" => to("https://a@127.0.0.1/"),
        "/nowhere" => answer("302 Found", "", ""),
        "/not-modified" => answer("304 Not Modified", "", ""),
        "/metadata" => to("https://169.254.169.254/latest"),
        "/mapped" => to("https://[::ffff:169.254.169.254]/"),
        "/link" => to("https://169.254.1.1/"),
        "/loopback6" => to("https://[::1]:9/"),
        "/nobody" => to("https://0.0.0.0:9/"),
        "/own-port" => to("https://127.0.0.1:15000/config"),
        "/large-head" => answer("200 OK", &format!("x: {}\r\n", "y".repeat(32 * 1024)), "{}"),
        "/cut" => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}".to_vec(),
        "/silent" => return None,
        _ => answer("404 Not Found", "", ""),
    })
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
        .into_bytes()
}

#[tokio::test]
async fn s35_ssrf_and_file_reads_one_bounded_fetch() {
    let server = WebServer::start().await;
    let allowed = [address::parse_block("127.0.0.1").unwrap()];
    for (path, redirects, expect) in [
        ("/document", 0, "ok {}"),
        ("/largest", 0, "ok   "),
        ("/too-large", 0, "sent more than 1 MiB"),
        ("/encoded", 0, "sent an encoded body"),
        ("/plain", 0, "ok {}"),
        ("/missing", 0, "answered 404"),
        ("/not-modified", 3, "answered 304"),
        ("/redirect", 0, "asks for more than 0 redirects"),
        ("/redirect", 1, "ok {}"),
        ("/twice", 1, "asks for more than 1 redirects"),
        ("/twice", 2, "ok {}"),
        ("/loop", 3, "asks for more than 3 redirects"),
        ("/http", 3, "the scheme must be https"),
        ("/userinfo", 3, "userinfo"),
        ("/nowhere", 3, "is no https address"),
        ("/metadata", 3, "169.254.169.254 is not called at 169.254.169.254:443"),
        ("/mapped", 3, "is not called"),
        ("/link", 3, "169.254.1.1 is not called"),
        ("/loopback6", 3, "[::1] is not called"),
        ("/nobody", 3, "0.0.0.0 is not called"),
        ("/own-port", 3, "its port is one of the program's own"),
        ("/large-head", 0, "no answer"),
        ("/cut", 0, "broke off within the document"),
        ("/silent", 0, "no whole document within 2s"),
    ] {
        let found = server.fetched(path, redirects, &allowed).await;
        assert!(found.contains(expect), "{path}: {}", &found[..found.len().min(200)]);
    }
}

#[tokio::test]
async fn s35_ssrf_and_file_reads_a_forbidden_address_is_never_dialled() {
    let server = WebServer::start().await;
    let found = server.fetched("/document", 3, &[]).await;
    assert!(found.contains("is not called"), "{found}");
    assert_eq!(server.connections.load(Ordering::Relaxed), 0);
}

/// CVE-2026-26998: the answer of a call beside a request was read into memory without a bound. All calls of this kind go
/// through here: keys, discovery, introspection, tokens.
#[tokio::test]
async fn cve_2026_26998_an_answer_without_end_is_read_to_its_bound() {
    let server = WebServer::start().await;
    let allowed = [address::parse_block("127.0.0.1").unwrap()];
    for path in ["/endless/chunked", "/endless/closed"] {
        let fetched = server.fetched(path, 0, &allowed).await;
        assert!(fetched.contains("sent more than 1 MiB"), "{path}: {fetched:.200}");
        let posted = server.posted(path, None).await;
        assert!(posted.contains("sent more than 1 MiB"), "{path}: {posted:.200}");
    }
}

#[tokio::test]
async fn a_form_is_posted_once_and_its_refusal_is_an_answer() {
    let server = WebServer::start().await;
    for (path, who, expect) in [
        ("/echo", None, "400 token=a%20b by nobody"),
        ("/echo", Some("Basic YTpi"), "400 token=a%20b by Basic YTpi"),
        ("/document", None, "200 {}"),
        ("/missing", None, "404 "),
        ("/redirect", None, "answered 302"),
        ("/too-large", None, "sent more than 1 MiB"),
        ("/encoded", None, "sent an encoded body"),
        ("/silent", None, "no whole document within 2s"),
    ] {
        let found = server.posted(path, who).await;
        assert!(found.contains(expect), "{path}: {}", &found[..found.len().min(200)]);
    }
}
