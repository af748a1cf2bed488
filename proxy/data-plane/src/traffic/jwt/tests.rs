//! Self-signed tokens, one table per idea. Everything goes through [`authenticate`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod binding;
mod cached;
mod claims;
mod internal;
mod places;
mod signatures;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::SpiffeId;
use identity::jws::KeySet;
use policy::{PolicyDefaults, Resources, Snapshot, SourceFile, Workload};
use serde_json::{Value, json};

use crate::traffic::jwt::*;

/// The current second in all tests.
const NOW: u64 = 1_800_000_000;

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A private key of a kind.
enum TestSigner {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair, &'static str),
    Ed(Ed25519KeyPair),
}

impl TestSigner {
    fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    fn p256() -> Self {
        Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(), "P-256")
    }

    fn p384() -> Self {
        Self::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(), "P-384")
    }

    fn ed25519() -> Self {
        Self::Ed(Ed25519KeyPair::generate().unwrap())
    }

    /// The public key, without `kid`, `use` and `alg`.
    fn jwk(&self) -> Value {
        match self {
            Self::Rsa(key) => {
                let public = key.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({"kty": "RSA", "n": b64(n.big_endian_without_leading_zero()), "e": b64(e.big_endian_without_leading_zero())})
            }
            Self::Ec(key, curve) => {
                let point = key.public_key().as_ref()[1..].to_vec();
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "x": b64(x), "y": b64(y)})
            }
            Self::Ed(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key())}),
        }
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let padding: &dyn aws_lc_rs::signature::RsaEncoding = match algorithm {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(key, _) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    /// A token of these texts, valid or not; `alg` of the header decides how it is signed.
    fn raw(&self, header: &str, claims: &str) -> String {
        let named: Value = serde_json::from_str(header).unwrap_or_default();
        let algorithm = named.get("alg").and_then(Value::as_str).unwrap_or("");
        let message = format!("{}.{}", b64(header), b64(claims));
        format!("{message}.{}", b64(self.sign(algorithm, message.as_bytes())))
    }

    fn token(&self, header: Value, claims: Value) -> String {
        self.raw(&header.to_string(), &claims.to_string())
    }
}

/// The issuer most tests are about; its key is made once.
fn signer() -> &'static TestSigner {
    static SIGNER: OnceLock<TestSigner> = OnceLock::new();
    SIGNER.get_or_init(TestSigner::p256)
}

fn with_id(mut jwk: Value, id: &str) -> Value {
    jwk["kid"] = id.into();
    jwk
}

/// Claims that are valid now, with these set; `null` removes one.
fn claims(changes: Value) -> Value {
    let mut claims = json!({"iss": "https://id.example", "sub": "alice", "aud": "cart", "exp": NOW + 300, "iat": NOW - 10});
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

/// A valid token of [`signer`], with these claims changed.
fn token(changes: Value) -> String {
    signer().token(json!({"alg": "ES256", "kid": "k1"}), claims(changes))
}

const RULE: &str =
    "issuer: 'https://id.example', jwksUri: 'https://id.example/keys', audiences: [cart]";

/// The state of a proxy.
struct TokenFixture {
    rules: Arc<TokenRules>,
    keys: Arc<KeyBook>,
    cache: TokenCache,
    used: UsedProofs,
    peer: Option<Peer>,
    now: u64,
    asked: RefCell<Vec<KeySource>>,
}

impl TokenFixture {
    /// With these items of `jwtRules` and this spec of a TokenPolicy, if any, and no keys.
    fn without_keys(rules: &str, policy: &str) -> Self {
        let mut text = format!(
            "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: r, namespace: shop}}\nspec: {{jwtRules: [{rules}]}}\n"
        );
        if !policy.is_empty() {
            text.push_str(&format!(
                "---\napiVersion: policy.postern.dev/v1alpha1\nkind: TokenPolicy\nmetadata: {{name: t, namespace: shop}}\nspec: {policy}\n"
            ));
        }
        let file = SourceFile { name: "r.yaml".into(), bytes: text.clone().into_bytes() };
        let resources = Resources::parse(&[file], "postern-system")
            .unwrap_or_else(|diagnostics| panic!("{diagnostics}\n{text}"));
        let workload = Workload {
            namespace: "shop".into(),
            service_account: "cart".into(),
            labels: BTreeMap::new(),
        };
        let snapshot = Snapshot::build(&resources, &workload, &PolicyDefaults::default());
        Self {
            rules: snapshot.tokens().clone(),
            keys: Arc::default(),
            cache: TokenCache::default(),
            used: UsedProofs::default(),
            peer: Some(peer("spiffe://td/ns/edge/sa/gateway", 1)),
            now: NOW,
            asked: RefCell::default(),
        }
    }

    fn set_keys(&mut self, source: &KeySource, keys: &[Value]) {
        let set = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        self.keys = Arc::new(self.keys.with(source, Some(Arc::new(set))));
    }

    /// With the keys of [`signer`] for every rule.
    fn new(rules: &str, policy: &str) -> Self {
        let mut world = Self::without_keys(rules, policy);
        for rule in world.rules.clone().rules() {
            world.set_keys(&rule.jwt.keys, &[with_id(signer().jwk(), "k1")]);
        }
        world
    }

    fn usual() -> Self {
        Self::new(&format!("{{{RULE}}}"), "")
    }

    fn desk<T>(&self, use_it: impl FnOnce(&TokenContext<'_>) -> T) -> T {
        let unknown_key = |source: &KeySource| self.asked.borrow_mut().push(source.clone());
        use_it(&TokenContext {
            rules: &self.rules,
            keys: &self.keys,
            cache: &self.cache,
            used_proofs: &self.used,
            peer: self.peer.as_ref(),
            normalization: PathNormalization::default(),
            now: self.now,
            unknown_key: &unknown_key,
        })
    }

    /// Authenticates a request and returns what the app would receive.
    fn ask(&self, parts: Parts) -> Result<(AuthenticatedToken, Parts), TokenRefusal> {
        let mut parts = parts;
        let target = parts.uri.to_string();
        let host = HostName::parse("cart", Some(80)).unwrap();
        let path = CanonicalPath::parse(&target, PathNormalization::default()).unwrap();
        let found = self.desk(|desk| authenticate(desk, &mut parts, &host, &path))?;
        found.hide_parameter(&mut parts);
        Ok((found, parts))
    }

    /// "alice", "nobody", or the code of the refusal.
    fn who(&self, parts: Parts) -> String {
        match self.ask(parts) {
            Ok((found, _)) => found.claims().map_or("nobody".into(), |claims| {
                claims.subject.clone().unwrap_or_else(|| "no subject".into())
            }),
            Err(refusal) => refusal.as_str().into(),
        }
    }

    /// The same for a token in the usual place.
    fn who_bears(&self, token: &str) -> String {
        self.who(bearing(token))
    }
}

fn peer(id: &str, leaf: u8) -> Peer {
    Peer {
        id: SpiffeId::parse(id).unwrap(),
        not_after: NOW + 600,
        leaf_sha256: [leaf; 32],
        sni: None,
    }
}

/// A request with these headers.
fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = http::Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn bearing(token: &str) -> Parts {
    request("GET", "/", &[("authorization", &format!("Bearer {token}"))])
}
