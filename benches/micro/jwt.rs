//! End-user tokens: one that was never seen, one that was, and the bare signature check beside them.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_plane::traffic::jwt::keys::KeyBook;
use data_plane::traffic::jwt::{TokenCache, TokenContext, UsedProofs, authenticate};
use divan::{Bencher, black_box};
use http::request::Parts;
use identity::jws::KeySet;
use policy::{
    CanonicalPath, HostName, PathNormalization, PolicyDefaults, Resources, Snapshot, SourceFile,
    Workload,
};
use serde_json::json;

fn main() {
    divan::main();
}

const NOW: u64 = 1_800_000_000;

/// What a token costs at least.
#[divan::bench]
fn es256_signature_alone(bencher: Bencher<'_, '_>) {
    let issuer = Issuer::new();
    let (message, signature) = issuer.signed();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, issuer.key.public_key().as_ref());
    bencher.bench(|| key.verify(black_box(message.as_bytes()), black_box(&signature)).is_ok());
}

/// At most one and a half times the signature alone.
#[divan::bench]
fn es256_token_first_seen(bencher: Bencher<'_, '_>) {
    let issuer = Issuer::new();
    bencher.with_inputs(|| (issuer.request(), TokenCache::default())).bench_values(
        |(mut parts, cache)| {
            issuer.authenticate(&mut parts, &cache);
            (parts, cache)
        },
    );
}

/// At most two microseconds.
#[divan::bench]
fn es256_token_seen_before(bencher: Bencher<'_, '_>) {
    let (issuer, cache) = (Issuer::new(), TokenCache::default());
    issuer.authenticate(&mut issuer.request(), &cache);
    bencher.with_inputs(|| issuer.request()).bench_values(|mut parts| {
        issuer.authenticate(&mut parts, &cache);
        parts
    });
}

struct Issuer {
    key: EcdsaKeyPair,
    snapshot: Snapshot,
    keys: Arc<KeyBook>,
    used: UsedProofs,
    host: HostName,
}

#[expect(
    clippy::expect_used,
    reason = "an issuer of our own that cannot be made is a mistake in this file"
)]
impl Issuer {
    fn new() -> Self {
        let rules = "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: r, namespace: shop}\nspec: {jwtRules: [{issuer: me, audiences: [cart], jwksUri: 'https://me.example/keys'}]}\n";
        let file = SourceFile { name: "r.yaml".into(), bytes: rules.into() };
        let resources = Resources::parse(&[file], "postern-system").expect("good rules");
        let workload = Workload {
            namespace: "shop".into(),
            service_account: "cart".into(),
            labels: BTreeMap::new(),
        };
        let snapshot = Snapshot::build(&resources, &workload, &PolicyDefaults::default());
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let (x, y) = key.public_key().as_ref()[1..].split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let set = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "a", "x": x, "y": y}]});
        let set = Arc::new(KeySet::parse(set.to_string().as_bytes()).expect("good keys"));
        let source = &snapshot.tokens().rules()[0].jwt.keys;
        let keys = Arc::new(KeyBook::default().with(source, Some(set)));
        let host = HostName::parse("cart", Some(80)).expect("a host");
        Self { key, snapshot, keys, used: UsedProofs::default(), host }
    }

    /// What is signed, and the signature: the claims of a usual access token.
    fn signed(&self) -> (String, Vec<u8>) {
        let header = json!({"alg": "ES256", "kid": "a", "typ": "at+jwt"}).to_string();
        let claims = json!({
            "iss": "me", "sub": "5f0c7a2e-8f6b-4f0e-9d77-0f6f0a8f8f11", "aud": ["cart"], "exp": NOW + 300, "iat": NOW,
            "jti": "pb_tL347gGM1-fmDok4GxLh34qbl1pP0egWV2hhhSIu", "client_id": "web", "scope": "openid profile buy",
            "realm_access": {"roles": ["buyer", "reviewer"]}, "email": "ann@shop.example", "email_verified": true,
        });
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).expect("signs");
        (message, signature.as_ref().to_vec())
    }

    fn request(&self) -> Parts {
        static TOKEN: std::sync::Mutex<Option<(Vec<u8>, String)>> = std::sync::Mutex::new(None);
        let mut kept = TOKEN.lock().expect("nobody panicked");
        let public = self.key.public_key().as_ref();
        if kept.as_ref().is_none_or(|(of, _)| of != public) {
            let (message, signature) = self.signed();
            let token = format!("Bearer {message}.{}", URL_SAFE_NO_PAD.encode(signature));
            *kept = Some((public.to_vec(), token));
        }
        let token = kept.as_ref().map_or("", |(_, token)| token);
        let request = http::Request::get("/cart/ann").header("authorization", token);
        request.body(()).expect("a good request").into_parts().0
    }

    fn authenticate(&self, parts: &mut Parts, cache: &TokenCache) {
        let path = CanonicalPath::parse("/cart/ann", PathNormalization::default()).expect("a path");
        let desk = TokenContext {
            rules: self.snapshot.tokens(),
            keys: &self.keys,
            cache,
            used_proofs: &self.used,
            peer: None,
            normalization: PathNormalization::default(),
            now: NOW,
            unknown_key: &|_| {},
        };
        let found = authenticate(&desk, black_box(parts), &self.host, &path);
        assert!(found.is_ok_and(|found| found.claims().is_some()), "a good token");
    }
}
