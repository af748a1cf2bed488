//! A user's token ends where it comes in; inside, tokens of the mesh's own authority say who the user is, and which
//! workloads the request has come through.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_tests::{Answer, App, Mesh, Pod, wait};
use rcgen::{KeyPair, PKCS_ED25519, SigningKey as _};
use serde_json::{Value, json};

const ISSUER: &str = "https://id.example";
/// What the front end vouches for, the cart passes on, and the payments take.
const PATH: [&str; 2] = ["cart", "frontend"];

/// An issuer whose keys stand in the resources.
struct Issuer(KeyPair);

impl Issuer {
    fn new() -> Self {
        Self(KeyPair::generate_for(&PKCS_ED25519).unwrap())
    }

    fn keys(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.0.public_key_raw());
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]}).to_string()
    }

    /// A token for `ann`, good for an hour.
    fn token(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let header = json!({"alg": "EdDSA", "kid": "k", "typ": "JWT"});
        let claims = json!({
            "iss": ISSUER, "sub": "ann", "aud": "shop", "exp": now + 3600, "iat": now,
            "email": "ann@example.com", "salary": 100,
        });
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()).unwrap());
        format!("{signed}.{signature}")
    }
}

/// A front end, a cart and payments, whose apps show what reaches them; reports, which is skipped; and somebody outside.
struct Shop {
    frontend: Pod,
    cart: Pod,
    payments: Pod,
    reports: Pod,
    outside: Pod,
    issuer: Issuer,
    mesh: Mesh,
}

fn object(api: &str, kind: &str, name: &str, spec: &Value) -> String {
    json!({
        "apiVersion": api, "kind": kind,
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    })
    .to_string()
}

impl Shop {
    fn open() -> Self {
        let mesh = Mesh::with_authority_and(&["--registry", "/run/postern/registry.yaml"]);
        let issuer = Issuer::new();
        let security = "security.istio.io/v1";
        let rules = json!([
            {"issuer": ISSUER, "audiences": ["shop"], "jwks": issuer.keys(), "forwardOriginalToken": true},
            {"issuer": "spiffe://cluster.local", "forwardOriginalToken": true},
        ]);
        let rules = json!({ "jwtRules": rules });
        mesh.policy("users", &object(security, "RequestAuthentication", "users", &rules));
        let known = json!({"rules": [{"from": [{"source": {"requestPrincipals": ["*"]}}]}]});
        mesh.policy("known", &object(security, "AuthorizationPolicy", "known", &known));
        let own = "policy.postern.dev/v1alpha1";
        mesh.policy("exchange", &object(own, "TokenExchange", "users", &json!({})));
        let shows = |name: &str| {
            let pod = mesh.pod(name).port(8080, "http").app(App::new("shop-cart"));
            let pod = pod.start();
            pod.wait_for_app(8080);
            pod
        };
        let (frontend, cart, payments) = (shows("frontend"), shows("cart"), shows("payments"));
        let reports = mesh.pod("reports").start();
        let outside = mesh.pod("outside").outside().app(App::new("shop-cart")).start();
        outside.wait_for_app(8080);
        mesh.authority().let_vouch(&[&frontend.spiffe_id()]);
        Self { frontend, cart, payments, reports, outside, issuer, mesh }
    }

    /// What the front end's app is given of a user who comes with a token of the web.
    fn entered(&self) -> String {
        self.entered_with(&self.issuer.token())
    }

    fn entered_with(&self, token: &str) -> String {
        wait::until_true("the front end to vouch for users", || {
            asks(&self.reports, "frontend", token).status == 200
        });
        let answer = asks(&self.reports, "frontend", token);
        assert!(!answer.body.contains(token), "the user's own token goes inside: {}", answer.body);
        bearer(&answer)
    }
}

/// Asks a service what reaches its app.
fn asks(from: &Pod, service: &str, token: &str) -> Answer {
    let header = format!("authorization: Bearer {token}");
    from.curl_with(&["-H", &header, &format!("http://{service}:8080/headers")])
}

/// The token that reached the app.
fn bearer(answer: &Answer) -> String {
    authorization(answer).unwrap_or_else(|| panic!("no token in {}", answer.body))
}

fn authorization(answer: &Answer) -> Option<String> {
    let shown: Value = serde_json::from_str(&answer.body).unwrap();
    let mut headers = shown["headers"].as_array().unwrap().iter();
    let value = headers.find(|header| header[0] == "authorization")?;
    value[1].as_str().unwrap().strip_prefix("Bearer ").map(str::to_owned)
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// The workloads that act, the current one first.
fn actors(claims: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut act = &claims["act"];
    while let Some(actor) = act["sub"].as_str() {
        found.push(actor.rsplit('/').next().unwrap().to_owned());
        act = &act["act"];
    }
    found
}

#[test]
fn a_users_token_is_exchanged_from_service_to_service_and_names_the_path() {
    let shop = Shop::open();
    let entered = shop.entered();
    let said = claims(&entered);
    assert_eq!((&said["sub"], &said["orig_iss"]), (&json!("ann"), &json!(ISSUER)));
    assert_eq!(said["aud"], json!([shop.frontend.spiffe_id()]));
    assert_eq!((&said["email"], &said["salary"]), (&json!("ann@example.com"), &Value::Null));
    assert_eq!(actors(&said), PATH[1..]);

    // The front end's app passes on what it got, and the cart's does the same.
    let at_cart = bearer(&asks(&shop.frontend, "cart", &entered).expect(200));
    assert_eq!(claims(&at_cart)["aud"], json!([shop.cart.spiffe_id()]));
    assert_eq!(actors(&claims(&at_cart)), PATH[1..]);
    let at_payments = bearer(&asks(&shop.cart, "payments", &at_cart).expect(200));
    let said = claims(&at_payments);
    assert_eq!((&said["sub"], &said["email"]), (&json!("ann"), &json!("ann@example.com")));
    assert_eq!(said["aud"], json!([shop.payments.spiffe_id()]));
    assert_eq!(actors(&said), PATH);

    // Asked for once, and used again.
    assert_eq!(bearer(&asks(&shop.cart, "payments", &at_cart)), at_payments);
    shop.cart.expect_metric("postern_token_exchange_total", &[("result", "cached")]);
    let log = std::fs::read_to_string(shop.cart.directory().join("proxy.out")).unwrap();
    assert!(!log.contains(&at_cart), "a token is in the log");
}

#[test]
fn a_token_of_the_mesh_is_of_no_use_to_who_was_skipped_nor_outside() {
    let shop = Shop::open();
    let entered = shop.entered();
    let at_cart = bearer(&asks(&shop.frontend, "cart", &entered).expect(200));

    // Reports got hold of the cart's token: it cannot exchange it, and without exchanging it nobody takes it.
    asks(&shop.reports, "payments", &at_cart).expect_refusal(401, "token_exchange_refused");
    shop.reports.expect_metric("postern_token_exchange_total", &[("result", "refused")]);
    let (message, signature) = at_cart.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{message}.{other}{}", &signature[1..]);
    asks(&shop.cart, "payments", &forged).expect_refusal(401, "token_exchange_refused");
    let only_cart = json!({"selector": {"matchLabels": {"app": "cart"}}});
    let own = "policy.postern.dev/v1alpha1";
    shop.mesh.policy("exchange", &object(own, "TokenExchange", "users", &only_cart));
    wait::until_true("reports to pass on what it has", || {
        asks(&shop.reports, "payments", &at_cart).reason() == "token_audience"
    });

    // To a host outside goes what is the app's own, and no token of the mesh.
    let entry = json!({
        "hosts": ["api.example.com"], "location": "MESH_EXTERNAL", "resolution": "STATIC",
        "ports": [{"number": 8080, "name": "http", "protocol": "HTTP"}],
        "endpoints": [{"address": shop.outside.ipv4().to_string()}],
    });
    let entry = object("networking.istio.io/v1", "ServiceEntry", "bank", &entry);
    shop.mesh.policy("bank", &entry);
    let resolve = format!("api.example.com:8080:{}", shop.outside.ipv4());
    let leaves = |token: &str| {
        let header = format!("authorization: Bearer {token}");
        let url = "http://api.example.com:8080/headers";
        shop.cart.curl_with(&["--resolve", &resolve, "-H", &header, url])
    };
    wait::until_true("the host to be allowed", || leaves("a.b.c").status == 200);
    assert_eq!(authorization(&leaves("a.b.c")).as_deref(), Some("a.b.c"));
    assert_eq!(authorization(&leaves(&at_cart).expect(200)), None);
}

#[test]
fn without_an_authority_no_user_goes_inside() {
    let shop = Shop::open();
    let token = shop.issuer.token();
    shop.entered_with(&token);
    shop.mesh.authority().kill();
    // What was got before holds until it ends; nobody says anything else of a user.
    asks(&shop.reports, "frontend", &token).expect(200);
    let narrower = json!({"claims": ["salary"]});
    let own = "policy.postern.dev/v1alpha1";
    shop.mesh.policy("exchange", &object(own, "TokenExchange", "users", &narrower));
    wait::until_true("the front end to have no answer", || {
        asks(&shop.reports, "frontend", &token).reason() == "token_exchange_unavailable"
    });
    asks(&shop.reports, "frontend", &token).expect_refusal(503, "token_exchange_unavailable");
}
