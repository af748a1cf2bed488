//! Issuers that behave well and badly, as small https servers on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Mutex;

use policy::{Resources, SourceFile};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::control::installer::ResourceInstaller;
use crate::control::jwks::*;
use crate::traffic::jwt::keys::KeyBook;
use crate::traffic::provider_calls::ProviderCalls;

/// A set of one key, of this `kid`.
fn keys(id: &str) -> String {
    let x = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
    let y = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";
    format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}","kid":"{id}"}}]}}"#)
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
        .into_bytes()
}

fn ok(body: &str) -> Vec<u8> {
    answer("200 OK", "", body)
}

/// A server on loopback with a certificate of its own authority, named by IP address.
struct TestIssuer {
    address: SocketAddr,
    directory: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TestIssuer {
    /// Answers every path by this function; `None` leaves the caller waiting.
    async fn start(
        respond: impl Fn(&str, SocketAddr) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &authority).unwrap();
        std::fs::write(directory.path().join("ca.pem"), authority.as_ref().pem()).unwrap();
        std::fs::write(directory.path().join("leaf.pem"), leaf.pem()).unwrap();
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = rustls::ServerConfig::builder_with_provider(identity::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (respond, seen) = (Arc::new(respond), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, respond, seen) = (acceptor.clone(), respond.clone(), seen.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap());
                    }
                    let head = String::from_utf8(head).unwrap();
                    let path = head.split(' ').nth(1).unwrap().to_owned();
                    seen.lock().unwrap().push(path.clone());
                    match respond(&path, address) {
                        // The other side may have seen enough before all is written.
                        Some(answer) => drop(stream.write_all(&answer).await),
                        None => std::future::pending().await,
                    }
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { address, directory, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// A configuration that may call it, with these further lines of `tokens`.
    fn config(&self, more: &str) -> Config {
        let directory = self.directory.path().display();
        config(&format!(
            "certificateAuthorities: {directory}/ca.pem, allowAddresses: [127.0.0.1]{more}"
        ))
    }
}

fn config(tokens: &str) -> Config {
    let text = format!(
        "workload: {{namespace: shop, serviceAccount: cart}}\nidentity: {{workloadApi: 'unix:///run/agent.sock'}}\ntokens: {{{tokens}}}\n"
    );
    Config::parse("proxy.yaml", text.as_bytes())
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

/// "ok <body>" or the error's text.
async fn fetched(config: &Config, address: &str) -> String {
    let calls = ProviderCalls::new(&config.traffic_settings());
    match calls.get(address, Duration::from_millis(1500)).await {
        Ok(document) => format!("ok {}", document.body.escape_ascii()),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn s35_ssrf_and_file_reads_fetches() {
    let issuer = TestIssuer::start(|path, address| {
        Some(match path {
            "/keys" => ok("{}"),
            "/big" => ok(&"x".repeat((1 << 20) + 1)),
            "/endless" => [
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(),
                b"8000\r\n"
                    .iter()
                    .chain(&[b'x'; 0x8000])
                    .chain(b"\r\n")
                    .copied()
                    .collect::<Vec<u8>>()
                    .repeat(64),
            ]
            .concat(),
            "/largest" => ok(&" ".repeat(1 << 20)),
            "/zipped" => answer("200 OK", "content-encoding: gzip\r\n", "x"),
            "/redirect" => answer("302 Found", "location: /keys\r\n", ""),
            "/absolute" => answer(
                "308 Permanent Redirect",
                &format!("location: https://{address}/redirect\r\n"),
                "",
            ),
            "/loop" => answer("302 Found", "location: /loop\r\n", ""),
            "/plain" => answer("302 Found", "location: http://127.0.0.1/keys\r\n", ""),
            "/loopback6" => answer("302 Found", "location: https://[::1]:9/keys\r\n", ""),
            "/metadata" => {
                answer("307 Temporary Redirect", "location: https://169.254.169.254/latest\r\n", "")
            }
            "/admin" => answer("302 Found", "location: https://127.0.0.1:15000/config\r\n", ""),
            "/nowhere" => answer("302 Found", "", ""),
            "/silent" => return None,
            "/garbage" => b"hello\r\n\r\n".to_vec(),
            _ => answer("404 Not Found", "", ""),
        })
    })
    .await;
    let config = issuer.config("");
    for (path, expect) in [
        ("/keys", "ok {}"),
        ("/redirect", "ok {}"),
        ("/absolute", "ok {}"),
        ("/loop", "asks for more than 3 redirects"),
        ("/plain", "is no https address"),
        ("/nowhere", "is no https address"),
        ("/loopback6", "[::1] is not called"),
        ("/metadata", "169.254.169.254 is not called"),
        ("/admin", "its port is one of the program's own"),
        ("/big", "sent more than 1 MiB"),
        ("/endless", "sent more than 1 MiB"),
        ("/largest", "ok   "),
        ("/zipped", "sent an encoded body"),
        ("/missing", "answered 404"),
        ("/garbage", "invalid HTTP"),
        ("/silent", "1.5s"),
    ] {
        let found = fetched(&config, &issuer.url(path)).await;
        assert!(found.contains(expect), "{path}: {}", &found[..found.len().min(200)]);
    }
}

#[tokio::test]
async fn a_file_of_authorities_with_anything_else_in_it_is_refused_by_name() {
    let issuer = TestIssuer::start(|_, _| Some(ok("{}"))).await;
    let file = |name: &str| std::fs::read_to_string(issuer.directory.path().join(name)).unwrap();
    let (ca, leaf) = (file("ca.pem"), file("leaf.pem"));
    for (name, text, expect) in [
        ("a CA", ca.clone(), "ok {}"),
        ("the server's own certificate", leaf.clone(), "ca.pem: certificate 0 "),
        ("beside a CA", format!("{ca}{leaf}"), "ca.pem: certificate 1 "),
        ("a damaged block", format!("{ca}{}", &ca[..99]), "ca.pem: damaged PEM at certificate 1 "),
        ("nothing", String::new(), "ca.pem: no PEM certificate"),
    ] {
        std::fs::write(issuer.directory.path().join("ca.pem"), text).unwrap();
        let found = fetched(&issuer.config(""), &issuer.url("/")).await;
        assert!(found.contains(expect), "{name}: {found}");
    }
}

#[tokio::test]
async fn s35_ssrf_and_file_reads_by_default_nothing_local() {
    let issuer = TestIssuer::start(|_, _| Some(ok("{}"))).await;
    let authority = format!("certificateAuthorities: {}/ca.pem", issuer.directory.path().display());
    let local = config(&authority);
    let named = format!("https://localhost:{}/", issuer.address.port());
    for address in [issuer.url("/"), named.clone(), "https://[::ffff:127.0.0.1]:9/".into()] {
        let found = fetched(&local, &address).await;
        assert!(found.contains("tokens.allowAddresses"), "{address}: {found}");
    }
    assert!(issuer.asked.lock().unwrap().is_empty());
    // An untrusted authority, and a name that the certificate does not have.
    let strange = config("allowAddresses: [127.0.0.1], certificateAuthorities: /no/such.pem");
    assert!(fetched(&strange, &issuer.url("/")).await.contains("tokens.certificateAuthorities"));
    let found = fetched(&issuer.config(", keyDirectories: [/a]"), &named).await;
    assert!(found.contains("certificate") || found.contains("tokens.allowAddresses"), "{found}");
}

/// The rules of a proxy that trusts the issuers of these `jwtRules`.
fn resources(rules: &str) -> Resources {
    let text = format!(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: r, namespace: shop}}\nspec: {{jwtRules: [{rules}]}}\n"
    );
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
    Resources::parse(&[file], "postern-system")
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

/// Waits until it holds; the caller's own deadline is ten seconds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come");
}

#[tokio::test]
async fn f31_each_issuer_for_itself() {
    let broken = Arc::new(Mutex::new(true));
    let switch = broken.clone();
    let issuer = TestIssuer::start(move |path, address| {
        Some(match path {
            "/.well-known/openid-configuration" => ok(&format!(
                r#"{{"issuer":"https://{address}","jwks_uri":"https://{address}/keys"}}"#
            )),
            "/other/.well-known/openid-configuration" => ok(&format!(
                r#"{{"issuer":"https://{address}","jwks_uri":"https://{address}/keys"}}"#
            )),
            "/keys" => ok(&keys("a")),
            "/late" if *switch.lock().unwrap() => answer("503 Service Unavailable", "", ""),
            "/late" => ok(&keys("late")),
            "/garbage" => ok("<html>"),
            _ => return None,
        })
    })
    .await;
    let installer = ResourceInstaller::new(issuer.config(""), 1).unwrap();
    let state = &installer.state;
    tokio::spawn(keep(state.clone(), installer.config.clone()));
    let (url, timeout) = (|path: &str| issuer.url(path), "timeout: 500ms");
    installer.install(&resources(&format!(
        "{{issuer: '{}'}}, {{issuer: '{}', {timeout}}}, {{issuer: b, jwksUri: '{}', {timeout}}}, {{issuer: c, jwksUri: '{}', {timeout}}}, {{issuer: d, jwksUri: '{}', {timeout}}}, {{issuer: e, jwks: '{}'}}",
        url(""), url("/other"), url("/late"), url("/garbage"), url("/silent"), keys("e"),
    )));
    let has = |source: &KeySource| state.token_keys.keys().get(source).is_some();
    let uri = |path: &str| KeySource::Uri(url(path).into());
    assert!(has(&KeySource::Inline(keys("e").into())), "inline keys are there at once");
    until("discovered keys", || has(&KeySource::Discovery(url("").into()))).await;
    until("two tries", || {
        issuer.asked.lock().unwrap().iter().filter(|p| *p == "/late").count() >= 2
    })
    .await;
    assert!(!has(&uri("/late")));
    *broken.lock().unwrap() = false;
    until("keys of the issuer that was down", || has(&uri("/late"))).await;
    for (name, source) in [
        ("a document of another issuer", KeySource::Discovery(url("/other").into())),
        ("garbage", uri("/garbage")),
        ("silence", uri("/silent")),
    ] {
        assert!(!has(&source), "{name}");
    }
    // Removed rules take their keys with them, and unchanged ones keep theirs.
    let before = state.token_keys.keys();
    installer
        .install(&resources(&format!("{{issuer: b, jwksUri: '{}', {timeout}}}", url("/late"))));
    assert!(has(&uri("/late")) && !has(&KeySource::Discovery(url("").into())));
    let keys_of = |book: &KeyBook| Arc::as_ptr(book.get(&uri("/late")).unwrap());
    assert_eq!(keys_of(&before), keys_of(&state.token_keys.keys()));
}

#[tokio::test]
async fn f31_a_file_of_keys_is_followed() {
    let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let write = |directory: &tempfile::TempDir, name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = write(&inside, "good.json", &keys("a"));
    let other = write(&outside, "other.json", &keys("a"));
    let link = inside.path().join("link.json");
    std::os::unix::fs::symlink(&other, &link).unwrap();
    let missing = inside.path().join("missing.json").display().to_string();
    let config = config(&format!("keyDirectories: [{}]", inside.path().display()));
    let installer = ResourceInstaller::new(config, 1).unwrap();
    let state = &installer.state;
    tokio::spawn(keep(state.clone(), installer.config.clone()));
    let rules: Vec<_> = [&good, &other, &link.display().to_string(), &missing]
        .iter()
        .map(|path| format!("{{issuer: me, jwksUri: 'file://{path}'}}"))
        .collect();
    installer.install(&resources(&rules.join(", ")));
    let has = |path: &str| state.token_keys.keys().get(&KeySource::File(path.into())).is_some();
    for (name, path, expect) in [
        ("in the directory", &*good, true),
        ("elsewhere", &other, false),
        ("a link that leads elsewhere", &link.display().to_string(), false),
        ("missing", &missing, false),
    ] {
        assert_eq!(has(path), expect, "{name}");
    }
    let first = state.token_keys.keys();
    write(&inside, "good.json", "{\"keys\": [");
    write(&inside, "missing.json", &keys("b"));
    until("the file that was missing", || has(&missing)).await;
    let keys_of =
        |book: &KeyBook| Arc::as_ptr(book.get(&KeySource::File(good.as_str().into())).unwrap());
    assert_eq!(keys_of(&first), keys_of(&state.token_keys.keys()), "a torn file changes nothing");
    write(&inside, "good.json", &keys("c"));
    until("the new keys", || keys_of(&first) != keys_of(&state.token_keys.keys())).await;
}
