//! The authority as an issuer that verifiers outside find: by npm's openid-client, which knows nothing of us, and by a
//! bare client for what that one would never send.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use crate::support::holder::Holder;
use crate::support::web_certificate::web_certificate;
use crate::support::{CART, Ca, Running, free_address, id, within};
use authority::ca::token_issuer::IssuerUrl;
use authority::clock::{RequestTime, wall_clock};
use authority::serve::bundle_endpoint::{BundleEndpoint, ServerProfile};
use issuance_messages::exchange_token_request::Subject;
use rcgen::CertificateParams;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_util::sync::{CancellationToken, DropGuard};

const MENU: &str = "spiffe://cluster.local/ns/shop/sa/menu";

/// An authority whose bundle endpoint is an issuer of the web, and a workload with its SVID in files.
struct World {
    dir: TempDir,
    authority: Running,
    endpoint: SocketAddr,
    issuer: String,
    _ca: Ca,
    _stop: DropGuard,
}

impl World {
    async fn new(path: &str) -> Self {
        let (endpoint, dir) = (free_address().await, tempfile::tempdir().unwrap());
        let issuer = format!("https://{endpoint}{path}");
        let mut ca = Ca::new();
        ca.settings.jwt_issuer = Some(IssuerUrl::parse(&issuer).unwrap());
        let authority = ca.start().await;
        let (leaf, key, ca_pem) = web_certificate(&["127.0.0.1"]);
        let file = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        file("web.pem", &leaf.pem());
        file("web-key.pem", &key.serialize_pem());
        file("ca.pem", &ca_pem);
        let profile = ServerProfile::Web {
            certificate: dir.path().join("web.pem"),
            key: dir.path().join("web-key.pem"),
        };
        let served = BundleEndpoint::new(&profile, Arc::clone(&authority.authority)).unwrap();
        let listener = TcpListener::bind(endpoint).await.unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(served.serve(listener, stop.clone()));
        let cart = Holder::of(&ca, &authority, CART).await;
        let chain: String = cart.chain.iter().map(|der| pem(der)).collect();
        file("svid.pem", &chain);
        file("svid-key.pem", &cart.key.serialize_pem());
        Self { dir, authority, endpoint, issuer, _ca: ca, _stop: stop.drop_guard() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A token for cart, as a gateway would have it signed.
    fn token(&self) -> String {
        let now = RequestTime { wall: wall_clock(), monotonic: Instant::now() };
        let earlier = json!({
            "iss": self.issuer, "sub": "ann", "aud": [CART], "exp": now.wall + 200, "iat": now.wall,
            "jti": "1", "act": {"sub": "spiffe://cluster.local/ns/edge/sa/gateway"},
            "orig_iss": "https://id.example", "email": "ann@example.org",
        });
        let authority = &self.authority.authority;
        authority.publisher.jwt_keys.now().signer(now.wall).unwrap().token(&earlier).unwrap()
    }

    /// One request of a client that shows `certificate`, or none.
    async fn ask(&self, certificate: Option<(&Path, &Path)>, request: &str) -> String {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
        let config = match certificate {
            Some((chain, key)) => {
                let chain = CertificateDer::pem_file_iter(chain).unwrap().map(Result::unwrap);
                let key = PrivateKeyDer::from_pem_file(key).unwrap();
                config.with_client_auth_cert(chain.collect(), key).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        let stream = TcpStream::connect(self.endpoint).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(name, stream).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // How the other end closes is not the question.
        let _ = within("an answer", stream.read_to_end(&mut answer)).await;
        String::from_utf8(answer).unwrap()
    }
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

fn post(path: &str, kind: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// What `tests/setup` has installed, beside this program.
fn peer(name: &str) -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().nth(3).unwrap();
    let peer = target.join("peers").join(name);
    assert!(peer.exists(), "{} is not there: run `tests/setup test`", peer.display());
    peer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_openid_connect_verifies_and_exchanges_tokens() {
    for path in ["", "/mesh"] {
        let world = World::new(path).await;
        std::fs::write(world.path("token"), world.token()).unwrap();
        let mut program = Command::new(peer("oidc/node"));
        program.arg(peer("openid-client/verifier.mjs")).arg(&world.issuer);
        program.arg(world.path("ca.pem")).arg(CART);
        program.args(["svid.pem", "svid-key.pem", "token"].map(|name| world.path(name)));
        program.args([CART, MENU]);
        let output = tokio::task::spawn_blocking(move || program.output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut second = seen["first"].clone();
        second["aud"] = json!([MENU]);
        second["act"] = json!({"sub": CART, "act": seen["first"]["act"]});
        second["iat"] = seen["second"]["iat"].clone();
        second["jti"] = seen["second"]["jti"].clone();
        assert_eq!(seen["second"], second);
        assert_eq!(second["iss"], world.issuer.as_str());
        assert!((150..=200).contains(&seen["expires_in"].as_u64().unwrap()), "{seen}");
        for (name, expect) in [
            ("issued_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("token_type", "bearer"),
            ("without_certificate", "401 invalid_client"),
            ("another_client", "401 invalid_client"),
            ("another_trust_domain", "400 invalid_target"),
            ("broken_token", "400 invalid_request"),
            ("for_somebody_else", "400 invalid_request"),
            ("another_type", "400 invalid_request"),
        ] {
            assert_eq!(seen[name], expect, "{name}");
        }
    }
}

#[tokio::test]
async fn s30_internal_jwt_the_token_endpoint_asks_for_a_live_svid_and_the_pages_for_nothing() {
    let world = World::new("").await;
    let form = oauth_form(&world.token(), CART);
    let (svid, key) = (world.path("svid.pem"), world.path("svid-key.pem"));
    let ours = Some((svid.as_path(), key.as_path()));
    // A certificate of another CA: the pages do not mind, the token endpoint does.
    let stranger = rcgen::KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![rcgen::SanType::URI(CART.try_into().unwrap())];
    std::fs::write(world.path("other.pem"), params.self_signed(&stranger).unwrap().pem()).unwrap();
    std::fs::write(world.path("other-key.pem"), stranger.serialize_pem()).unwrap();
    let (other, other_key) = (world.path("other.pem"), world.path("other-key.pem"));
    let other = Some((other.as_path(), other_key.as_path()));
    const FORM: &str = "application/x-www-form-urlencoded";
    let token = |body: &str| post("/token", FORM, body);
    let long = "a".repeat(25 * 1024);
    for (row, certificate, request, status, words) in [
        ("the SVID", ours, token(&form), "200", "\"token_type\":\"Bearer\""),
        ("kept by nobody", ours, token(&form), "200", "cache-control: no-store"),
        ("a charset", ours, post("/token", &format!("{FORM}; charset=UTF-8"), &form), "200", ""),
        ("no certificate", None, token(&form), "401", "invalid_client"),
        ("of another CA", other, token(&form), "401", "invalid_client"),
        ("JSON", ours, post("/token", "application/json", "{}"), "400", "invalid_request"),
        ("no form", ours, token("%"), "400", "invalid_request"),
        ("no fields", ours, token(""), "400", "no grant_type"),
        ("no UTF-8", ours, token("grant_type=%ff"), "400", "invalid_request"),
        ("too long", ours, token(&long), "400", "invalid_request"),
        ("twice", ours, token(&format!("{form}&client_id=a")), "400", "invalid_request"),
        ("GET", ours, get("/token"), "405", "allow: POST"),
        ("the document", None, get("/.well-known/openid-configuration"), "200", "\"jwks_uri\""),
        ("of another CA", other, get("/.well-known/openid-configuration"), "200", "max-age=300"),
        ("the keys", None, get("/keys"), "200", "\"use\":\"sig\""),
        ("POST", None, post("/keys", FORM, ""), "405", "allow: GET"),
        ("the bundle", None, get("/bundle.json"), "200", "spiffe_sequence"),
        ("elsewhere", None, get("/mesh/keys"), "404", ""),
    ] {
        let answer = world.ask(certificate, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{row}: {answer}");
        assert!(answer.contains(words), "{row}: {answer}");
        assert!(!answer.contains("ann@"), "{row}: {answer}");
    }
    let again = Subject::SubjectToken(world.token());
    let now = RequestTime { wall: wall_clock(), monotonic: Instant::now() };
    let ours = world.authority.authority.exchange_for(&id(CART), MENU, 0, &again, now);
    assert!(ours.is_ok(), "the same token by the agent's way");
}

fn oauth_form(token: &str, client: &str) -> String {
    let encoded = |text: &str| text.replace(':', "%3A").replace('/', "%2F");
    format!(
        "grant_type={}&subject_token={token}&subject_token_type={}&audience={}&client_id={}",
        encoded("urn:ietf:params:oauth:grant-type:token-exchange"),
        encoded("urn:ietf:params:oauth:token-type:jwt"),
        encoded(MENU),
        encoded(client)
    )
}

#[tokio::test]
async fn without_an_issuer_the_endpoint_has_no_such_pages() {
    let mut world = World::new("").await;
    let ca = Ca::new();
    let authority = ca.start().await;
    let profile =
        ServerProfile::Web { certificate: world.path("web.pem"), key: world.path("web-key.pem") };
    let served = BundleEndpoint::new(&profile, Arc::clone(&authority.authority)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.endpoint = listener.local_addr().unwrap();
    tokio::spawn(served.serve(listener, CancellationToken::new()));
    for path in ["/keys", "/.well-known/openid-configuration"] {
        assert!(world.ask(None, &get(path)).await.starts_with("HTTP/1.1 404"), "{path}");
    }
    let token = post("/token", "application/x-www-form-urlencoded", "");
    assert!(world.ask(None, &token).await.starts_with("HTTP/1.1 404"));
    assert!(world.ask(None, &get("/bundle.json")).await.starts_with("HTTP/1.1 200"));
}
