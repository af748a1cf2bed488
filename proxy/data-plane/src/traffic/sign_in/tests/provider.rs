//! A provider of OpenID Connect, as a small https server on loopback: it gives tokens as the test says, and notes what it was
//! asked for.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth::{CodeVerifier, parse_form};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::clock::unix_now;

/// The client id of the gateway.
pub(super) const CLIENT: &str = "shop";
/// How long it takes to answer for tokens: long enough that requests meet.
const THINKS: std::time::Duration = std::time::Duration::from_millis(50);
/// Between two looks at what is waited for.
const POLL: std::time::Duration = std::time::Duration::from_millis(5);

pub(super) struct FakeProvider {
    pub(super) address: SocketAddr,
    pub(super) directory: tempfile::TempDir,
    pub(super) memory: Arc<Mutex<Memory>>,
}

/// What the provider knows, and what it does next.
pub(super) struct Memory {
    key: EcdsaKeyPair,
    /// Codes it has given, each with the challenge and the nonce that it was given for.
    codes: HashMap<String, (String, String)>,
    /// Claims of its ID tokens, beside the usual ones.
    pub(super) claims: Value,
    /// `expires_in`.
    pub(super) lasts: u64,
    /// The refresh token that is good.
    pub(super) refresh: Option<String>,
    /// Requests for tokens, by their grant.
    pub(super) asked: Vec<String>,
    /// It is there, and answers with 503.
    pub(super) is_down: bool,
    /// It answers no request for tokens until it may.
    pub(super) is_held: bool,
    /// Requests for tokens that have come.
    pub(super) begun: usize,
    /// The id of the key that it signs with.
    pub(super) key_id: &'static str,
}

impl FakeProvider {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (directory, acceptor) = certificate();
        let memory = Arc::new(Mutex::new(Memory {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            codes: HashMap::new(),
            claims: json!({"sub": "ann", "email": "ann@shop.example", "sid": "sid-1", "secret": 1}),
            lasts: 3600,
            refresh: None,
            asked: Vec::new(),
            is_down: false,
            is_held: false,
            begun: 0,
            key_id: "k",
        }));
        let served = memory.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, memory) = (acceptor.clone(), served.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    serve(stream, address, &memory).await;
                });
            }
        });
        Self { address, directory, memory }
    }

    pub(super) fn issuer(&self) -> String {
        format!("https://{}", self.address)
    }

    /// What a browser gets that has signed in there after this redirect: the query of its callback.
    pub(super) fn authorize(&self, location: &str) -> String {
        let query = location.split_once('?').unwrap().1;
        let fields: HashMap<_, _> = parse_form(query, 8192).unwrap().into_iter().collect();
        assert_eq!(fields["code_challenge_method"], "S256");
        assert_eq!(fields["client_id"], CLIENT);
        let mut memory = self.memory.lock();
        let code = format!("code-{}", memory.codes.len());
        let given = (fields["code_challenge"].clone(), fields["nonce"].clone());
        memory.codes.insert(code.clone(), given);
        format!("state={}&code={code}&iss={}", fields["state"], self.issuer())
    }

    /// A logout token with these claims beside the usual ones.
    pub(super) fn logout_token(&self, more: &Value) -> String {
        let events = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
        let mut claims = json!({
            "iss": self.issuer(), "aud": CLIENT, "iat": unix_now(), "exp": unix_now() + 60,
            "jti": "jti-1", "events": events,
        });
        merge(&mut claims, more);
        self.memory.lock().sign(&claims)
    }

    /// An access token with these claims beside the usual ones.
    pub(super) fn access_token(&self, more: &Value) -> String {
        let mut claims = json!({
            "iss": self.issuer(), "aud": CLIENT, "sub": "program", "exp": unix_now() + 60,
        });
        merge(&mut claims, more);
        self.memory.lock().sign(&claims)
    }

    /// Waits until it has been asked for tokens so often.
    pub(super) async fn until_asked(&self, times: usize) {
        let asked = async {
            while self.memory.lock().begun < times {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), asked).await.unwrap();
    }

    /// What it was asked for since the last call.
    pub(super) fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.memory.lock().asked)
    }
}

fn merge(claims: &mut Value, more: &Value) {
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
}

fn certificate() -> (tempfile::TempDir, TlsAcceptor) {
    let directory = tempfile::tempdir().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    std::fs::write(directory.path().join("ca.pem"), authority.as_ref().pem()).unwrap();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(identity::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)
        .unwrap();
    (directory, TlsAcceptor::from(Arc::new(config)))
}

async fn serve(mut stream: TlsStream<TcpStream>, at: SocketAddr, memory: &Mutex<Memory>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    let (status, answer) = match head.split(' ').nth(1).unwrap() {
        "/.well-known/openid-configuration" => ("200 OK", document(at)),
        "/keys" => ("200 OK", keys(&memory.lock().key)),
        "/token" => {
            memory.lock().begun += 1;
            tokio::time::sleep(THINKS).await;
            while memory.lock().is_held {
                tokio::time::sleep(POLL).await;
            }
            assert!(head.contains("authorization: Basic "), "{head}");
            memory.lock().tokens(at, std::str::from_utf8(&body).unwrap())
        }
        _ => ("404 Not Found", json!({})),
    };
    let answer = answer.to_string();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", answer.len());
    let _ = stream.write_all((head + &answer).as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn document(at: SocketAddr) -> Value {
    json!({
        "issuer": format!("https://{at}"), "jwks_uri": format!("https://{at}/keys"),
        "authorization_endpoint": format!("https://{at}/authorize"),
        "token_endpoint": format!("https://{at}/token"),
        "end_session_endpoint": format!("https://{at}/end"),
        "authorization_response_iss_parameter_supported": true,
    })
}

fn keys(key: &EcdsaKeyPair) -> Value {
    let (x, y) = key.public_key().as_ref()[1..].split_at(32);
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let key = json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": encode(x), "y": encode(y)});
    json!({ "keys": [key] })
}

impl Memory {
    fn sign(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = json!({"alg": "ES256", "kid": self.key_id});
        let message = format!("{}.{}", part(&head), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn tokens(&mut self, at: SocketAddr, form: &str) -> (&'static str, Value) {
        let form: HashMap<_, _> = parse_form(form, 8192).unwrap().into_iter().collect();
        self.asked.push(form["grant_type"].clone());
        if self.is_down {
            return ("503 Service Unavailable", json!({}));
        }
        let refused = ("400 Bad Request", json!({"error": "invalid_grant"}));
        let nonce = match &*form["grant_type"] {
            "authorization_code" => {
                let Some((challenge, nonce)) = self.codes.remove(&form["code"]) else {
                    return refused;
                };
                let verifier = CodeVerifier::kept(&form["code_verifier"]).unwrap();
                assert_eq!(verifier.challenge(), challenge);
                Some(nonce)
            }
            _ if Some(&form["refresh_token"]) == self.refresh.as_ref() => None,
            _ => return refused,
        };
        // Rotated: what was used is used up.
        self.refresh = Some(format!("refresh-{}", self.asked.len()));
        let now = unix_now();
        let mut claims = json!({
            "iss": format!("https://{at}"), "aud": CLIENT, "iat": now, "exp": now + 300,
            "auth_time": now,
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        merge(&mut claims, &self.claims);
        let answer = json!({
            "access_token": "at", "token_type": "Bearer", "expires_in": self.lasts,
            "refresh_token": self.refresh, "id_token": self.sign(&claims),
        });
        ("200 OK", answer)
    }
}
