//! End-user tokens, and the key sets of issuers.

use std::sync::{Arc, LazyLock};

use data_plane::traffic::jwt::keys::KeyBook;
use data_plane::traffic::jwt::{TokenCache, TokenContext, UsedProofs, authenticate};
use http::HeaderValue;
use identity::TrustDomain;
use identity::jws::KeySet;
use identity::jwt::JwtBundle;
use identity::jwt::internal::verify_internal_jwt;
use policy::{
    CanonicalPath, HostName, PathNormalization, PolicyDefaults, Resources, Snapshot, SourceFile,
    Workload,
};
use rustls_pki_types::UnixTime;

const JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;
const RULES: &str = "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: r, namespace: shop}\nspec:\n  jwtRules:\n    - {issuer: me, jwksUri: 'https://me.example/keys', outputPayloadToHeader: x-payload}\n    - {issuer: me, jwksUri: 'https://me.example/keys', fromCookies: [session], fromParams: [t], fromHeaders: [{name: x-jwt, prefix: 'v1 '}, {name: x-jwt}]}\n";

#[expect(
    clippy::expect_used,
    reason = "rules of our own that cannot be read are a mistake in this file"
)]
static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let file = SourceFile { name: "r.yaml".to_owned(), bytes: RULES.as_bytes().to_vec() };
    let resources = Resources::parse(&[file], "postern-system").expect("good rules");
    let workload = Workload {
        namespace: "shop".to_owned(),
        service_account: "cart".to_owned(),
        labels: std::collections::BTreeMap::new(),
    };
    Snapshot::build(&resources, &workload, &PolicyDefaults::default())
});

#[expect(
    clippy::expect_used,
    reason = "keys of our own that cannot be read are a mistake in this file"
)]
static KEYS: LazyLock<Arc<KeyBook>> = LazyLock::new(|| {
    let keys = Arc::new(KeySet::parse(JWKS.as_bytes()).expect("good keys"));
    let source = &SNAPSHOT.tokens().rules()[0].jwt.keys;
    Arc::new(KeyBook::default().with(source, Some(keys)))
});

/// The same key as the mesh's own.
#[expect(
    clippy::expect_used,
    reason = "keys of our own that cannot be read are a mistake in this file"
)]
static BUNDLE: LazyLock<JwtBundle> = LazyLock::new(|| {
    let trust_domain = TrustDomain::parse("cluster.local").expect("a trust domain");
    let jwks = JWKS.replace("\"kid\"", "\"use\":\"jwt-svid\",\"kid\"");
    JwtBundle::parse(trust_domain, jwks.as_bytes()).expect("good keys")
});

/// Four lines: `authorization`, `x-jwt`, `cookie`, the query. Nobody here holds the key, so nobody is anybody, and what
/// only a token makes is never there.
pub fn token(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let token = text.strip_prefix("Bearer ").unwrap_or(text).trim_end();
        let internal = verify_internal_jwt(token, &BUNDLE, UnixTime::now(), 0);
        assert!(internal.is_err(), "a token of the mesh without a signature");
    }
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let (mut parts, ()) = http::Request::new(()).into_parts();
    for name in ["authorization", "x-jwt", "cookie"] {
        if let Ok(value) = HeaderValue::from_bytes(lines.next().unwrap_or_default()) {
            parts.headers.append(name, value);
        }
    }
    parts.headers.insert("x-payload", HeaderValue::from_static("forged"));
    let target = format!("/?{}", String::from_utf8_lossy(lines.next().unwrap_or_default()));
    let Ok(path) = CanonicalPath::parse(&target, PathNormalization::default()) else { return };
    let Ok(host) = HostName::parse("cart", Some(80)) else { return };
    let desk = TokenContext {
        rules: SNAPSHOT.tokens(),
        keys: &KEYS,
        cache: &TokenCache::default(),
        used_proofs: &UsedProofs::default(),
        peer: None,
        normalization: PathNormalization::default(),
        now: 1_800_000_000,
        unknown_key: &|_| {},
    };
    if let Ok(found) = authenticate(&desk, &mut parts, &host, &path) {
        assert!(found.claims().is_none(), "a token without a signature");
        assert!(!parts.headers.contains_key("x-payload"), "a header nobody made");
    }
}

/// A key set as an issuer sends it: read twice it is the same.
pub fn jwks(data: &[u8]) {
    if let Ok(keys) = KeySet::parse(data) {
        assert!(KeySet::parse(data).is_ok_and(|again| again == keys));
    }
}
