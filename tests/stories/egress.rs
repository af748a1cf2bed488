//! Calls to hosts outside the mesh: what a ServiceEntry allows is taken there, in TLS of the proxy's own where a
//! DestinationRule says so, and nothing else is.

use std::sync::Arc;

use postern_tests::{Answer, App, Mesh, Pod, raw, wait, websocket};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub(crate) const HOST: &str = "api.example.com";

/// A bank on the web, which answers in plaintext on 8080 and over TLS on 8443, and a front end in the mesh.
struct Scene {
    frontend: Pod,
    bank: Pod,
    /// Somebody else, whose addresses the front end dials: the proxy must not believe them.
    stranger: Pod,
    mesh: Mesh,
}

fn scene() -> Scene {
    let mesh = Mesh::start();
    let bank = mesh.pod("bank").outside().app(App::new("shop-cart")).start();
    bank.wait_for_app(8080);
    let authority = authority();
    std::fs::write(mesh.directory().join("web.pem"), authority.as_ref().pem()).unwrap();
    serve_tls(&bank, HOST, &authority);
    let stranger = mesh.pod("stranger").outside().start();
    let frontend = mesh.pod("frontend").start();
    Scene { frontend, bank, stranger, mesh }
}

impl Scene {
    /// Allows the host on this port, at the bank's target port.
    fn allow(&self, number: u16, protocol: &str, target: u16) {
        let address = self.bank.ipv4().to_string();
        let port =
            json!({"number": number, "name": "p", "protocol": protocol, "targetPort": target});
        let spec = json!({
            "hosts": [HOST], "location": "MESH_EXTERNAL", "resolution": "STATIC",
            "ports": [port], "endpoints": [{"address": address}],
        });
        self.mesh.policy("bank", &object("ServiceEntry", &spec));
    }

    fn rule(&self, tls: &Value) {
        let spec = json!({"host": HOST, "trafficPolicy": {"tls": tls}});
        self.mesh.policy("bank-rule", &object("DestinationRule", &spec));
    }

    /// Asks for the URL of a host that resolves to the stranger.
    fn get(&self, url: &str, more: &[&str]) -> Answer {
        let (scheme, rest) = url.split_once("://").unwrap();
        let host = rest.split('/').next().unwrap();
        let port = if scheme == "https" { 443 } else { 80 };
        let resolve = format!("{host}:{port}:{}", self.stranger.ipv4());
        self.frontend.curl_with(&[&["--resolve", &resolve], more, &[url]].concat())
    }

    fn roots(&self) -> String {
        self.mesh.directory().join("web.pem").display().to_string()
    }
}

fn object(kind: &str, spec: &Value) -> String {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": kind,
        "metadata": {"name": "bank", "namespace": "shop"}, "spec": spec,
    })
    .to_string()
}

#[test]
fn requests_go_to_the_host_that_is_allowed_whatever_address_was_dialled() {
    let scene = scene();
    let url = format!("http://{HOST}/cart/ann");
    scene.get(&url, &[]).expect_refusal(403, "egress_denied");
    scene.allow(80, "HTTP", 8080);
    wait::until_true("the host to be allowed", || scene.get(&url, &[]).status == 200);
    scene.get(&url, &["--http2-prior-knowledge"]).expect(200);
    scene.get("http://www.example.com/cart/ann", &[]).expect_refusal(403, "egress_denied");
    let dialled = scene.stranger.at(80);
    scene.frontend.run(async move {
        let socket = websocket::open(dialled, &format!("ws://{HOST}/events")).await;
        assert_eq!(socket.unwrap().ask("hi").await.as_deref(), Ok("you said: hi"));
    });
    scene.frontend.expect_log(&[
        ("kind", "request"),
        ("direction", "outbound"),
        ("host", HOST),
        ("status", "200"),
        ("upstream", &scene.bank.at(8080).to_string()),
    ]);
    scene.frontend.expect_metric(
        "postern_requests_total",
        &[("destination_service", HOST), ("response_code", "200"), ("mtls", "none")],
    );
}

#[test]
fn the_proxy_begins_tls_and_checks_whom_it_speaks_to() {
    let scene = scene();
    let url = format!("http://{HOST}/balance");
    scene.allow(80, "HTTP", 8443);
    scene.rule(&json!({"mode": "SIMPLE", "caCertificates": scene.roots()}));
    wait::until_true("TLS to begin", || scene.get(&url, &[]).status == 200);
    assert_eq!(scene.get(&url, &[]).expect(200).body, format!("{HOST}\n"));
    let other = json!({
        "mode": "SIMPLE", "caCertificates": scene.roots(), "subjectAltNames": ["www.example.com"],
    });
    scene.rule(&other);
    wait::until_true("another name to be asked for", || scene.get(&url, &[]).status != 200);
    scene.get(&url, &[]).expect_refusal(503, "upstream_tls_failed");
    scene.frontend.expect_metric(
        "postern_tls_handshakes_total",
        &[("side", "client"), ("result", "bad_certificate")],
    );
    scene.rule(&json!({"mode": "SIMPLE", "caCertificates": "/nowhere/ca.pem"}));
    let said = "/nowhere/ca.pem: No such file";
    wait::until_true("the missing file to be told", || {
        scene.get(&url, &[]).expect_refusal(503, "upstream_tls_failed");
        scene.frontend.log().iter().any(|line| line.0.to_string().contains(said))
    });
}

#[test]
fn tls_of_the_apps_own_goes_to_the_host_that_its_server_name_is_allowed_for() {
    let scene = scene();
    let url = format!("https://{HOST}/balance");
    let roots = scene.roots();
    let get = |url: &str| scene.get(url, &["--cacert", &roots]);
    assert_eq!(get(&url).status, 0, "nothing is allowed yet");
    scene.allow(443, "TLS", 8443);
    wait::until_true("the host to be allowed", || get(&url).status == 200);
    assert_eq!(get(&url).body, format!("{HOST}\n"));
    assert_eq!(get("https://www.example.com/").status, 0);
    scene.frontend.expect_log(&[("direction", "outbound"), ("reason", "egress_denied")]);
    scene.frontend.expect_log(&[("kind", "connection"), ("destination_service", HOST)]);
    // Requests in the clear do not leave by a port that is declared for TLS.
    let resolve = format!("{HOST}:443:{}", scene.stranger.ipv4());
    let clear = scene.frontend.curl_with(&["--resolve", &resolve, &format!("http://{HOST}:443/")]);
    clear.expect_refusal(403, "egress_denied");
}

#[test]
fn where_everything_outside_may_be_called_requests_go_where_they_were_sent() {
    let scene = scene();
    let open = json!({"defaults": {"egress": "allow"}});
    let clerk = scene.mesh.pod("clerk").config(open).start();
    clerk.curl(&format!("http://{}/cart/ann", scene.bank.at(8080))).expect(200);
    let roots = scene.roots();
    let resolve = format!("{HOST}:8443:{}", scene.bank.ipv4());
    let url = format!("https://{HOST}:8443/");
    clerk.curl_with(&["--resolve", &resolve, "--cacert", &roots, &url]).expect(200);
}

#[test]
fn a_block_of_addresses_opens_its_ports_and_no_other() {
    let scene = scene();
    let url = format!("http://{}/cart/ann", scene.bank.at(8080));
    let orders = scene.bank.at(9000);
    let count =
        || scene.frontend.run(async move { raw::say_and_half_close(orders, b"COUNT ann\n").await });
    scene.frontend.curl(&url).expect_refusal(403, "egress_denied");
    assert_eq!(count().text(), "");
    let port = |number: u16, protocol: &str| json!({"number": number, "name": format!("p{number}"), "protocol": protocol});
    let spec = json!({
        "hosts": ["bank.example.com"], "location": "MESH_EXTERNAL", "resolution": "NONE",
        "addresses": [format!("{}/31", scene.bank.ipv4())],
        "ports": [port(8080, "HTTP"), port(9000, "TCP")],
    });
    scene.mesh.policy("bank", &object("ServiceEntry", &spec));
    wait::until_true("the block to be open", || scene.frontend.curl(&url).status == 200);
    assert_eq!(count().text(), "0\nBYE 1\n");
    // Whoever answers there may serve others by their Host, and those are not named.
    let fronted = |host: &str| scene.frontend.curl_with(&["-H", &format!("host: {host}"), &url]);
    fronted("evil.example.com:8080").expect_refusal(403, "egress_denied");
    fronted("bank.example.com:8080").expect(200);
    let other = format!("http://{}/", scene.bank.at(8443));
    scene.frontend.curl(&other).expect_refusal(403, "egress_denied");
}

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "an authority of the web");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Answers every request on 8443 with the server name that was asked for, and with its `authorization` in `x-was-sent`.
pub(crate) fn serve_tls(pod: &Pod, name: &str, authority: &Authority) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    pod.run(async move {
        let listener = TcpListener::bind("[::]:8443").await.unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Who does not like us hangs up.
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let asked = stream.get_ref().1.server_name().unwrap_or("-").to_owned();
                    let mut head = vec![0; 8192];
                    let read = stream.read(&mut head).await.unwrap_or(0);
                    let head = String::from_utf8_lossy(head.get(..read).unwrap_or_default());
                    let mut lines = head.lines();
                    let sent = lines.find_map(|line| line.strip_prefix("authorization: "));
                    let sent = sent.unwrap_or("-");
                    if read > 0 {
                        let length = asked.len() + 1;
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\nx-was-sent: {sent}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{asked}\n"
                        );
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                    let _ = stream.shutdown().await;
                });
            }
        });
    });
}
