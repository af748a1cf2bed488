//! Tokens that only their issuer can read: npm's oidc-provider is asked about them, once for many requests, and what it has
//! said counts for a short while.

use std::time::{Duration, Instant};

use postern_tests::certificates::replace;
use postern_tests::{Answer, App, Mesh, Pod, wait};
use serde_json::{Value, json};

use crate::gateway_scene::{gateway, target};
use crate::tokens::Issuer;

/// As curl takes it.
const BOB: &[&str] = &["--user", "bob:a%20secret%20of%20the%20tests"];

impl Issuer {
    /// A token of `bob` that nobody can read, good for five minutes.
    fn opaque_token(&self) -> String {
        let form = ["--data", "grant_type=client_credentials&scope=buy"];
        let (status, body) = self.ask(&[BOB, &form].concat(), "/token");
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        let token = answer["access_token"].as_str().unwrap().to_owned();
        assert!(!token.contains('.'), "it is opaque: {token}");
        token
    }

    fn revoke(&self, token: &str) {
        let form = format!("token={token}");
        assert_eq!(self.ask(&[BOB, &["--data", &form]].concat(), "/token/revocation").0, 200);
    }

    /// A cart for whom only buyers among the issuer's clients may call, by tokens of either sort.
    fn asking_cart(&self, mesh: &Mesh, more: &Value) -> Pod {
        mesh.policy("introspection", &self.introspection(more).to_string());
        mesh.policy("secret", &client_secret());
        let buyers = json!({"key": "request.auth.claims[role]", "values": ["buyer"]});
        let words = json!({"key": "request.auth.claims[scope]", "values": ["buy"]});
        let users = json!({"requestPrincipals": [format!("{}/bob", self.url)]});
        let ann = json!({"requestPrincipals": [format!("{}/ann", self.url)]});
        let rules = json!([
            {"from": [{"source": users}], "when": [buyers, words]},
            {"from": [{"source": ann}]},
        ]);
        mesh.policy(
            "cart-users",
            &object("security.istio.io/v1", "AuthorizationPolicy", &json!({"rules": rules})),
        );
        let cart = mesh.pod("cart").port(8080, "http").app(App::new("shop-cart"));
        let cart =
            cart.config(json!({"tokens": {"certificateAuthorities": "/run/postern/web-ca.pem"}}));
        let cart = cart.lay_out();
        replace(&cart.directory().join("web-ca.pem"), &self.authority);
        cart.start_processes();
        cart.ready();
        cart
    }

    fn introspection(&self, more: &Value) -> Value {
        let mut spec = json!({
            "issuer": self.url,
            "clientId": "cart",
            "clientSecretRef": {"name": "cart-client"},
            "audiences": ["urn:cart"],
            "claimHeaders": [{"header": "x-user", "claim": "sub"}],
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_str(&object("policy.postern.dev/v1alpha1", "TokenIntrospection", &spec))
            .unwrap()
    }
}

/// What a cart, or a gateway, proves itself to the issuer by.
fn client_secret() -> String {
    let metadata = json!({"name": "cart-client", "namespace": "shop"});
    let data = json!({"client-secret": "a secret of the tests"});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})
        .to_string()
}

fn object(version: &str, kind: &str, spec: &Value) -> String {
    let metadata = json!({"name": "users", "namespace": "shop"});
    json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}).to_string()
}

fn call(from: &Pod, token: &str) -> Answer {
    let header = format!("authorization: Bearer {token}");
    from.curl_with(&["http://cart:8080/cart/bob", "-H", &header])
}

fn counted(cart: &Pod, result: &str, cache: &str) -> f64 {
    let labels = [("result", result), ("cache", cache)];
    cart.metrics().sum("postern_introspection_total", &labels)
}

#[test]
fn an_issuer_is_asked_about_tokens_that_nobody_else_can_read() {
    let mesh = Mesh::start();
    let mut issuer = Issuer::start(&mesh);
    let cart = issuer.asking_cart(&mesh, &json!({"cache": {"ttl": "3s", "negative": "1s"}}));
    let frontend = mesh.pod("frontend").start();
    let (token, other, spare) =
        (issuer.opaque_token(), issuer.opaque_token(), issuer.opaque_token());

    // Asked once, and known from then on.
    call(&frontend, &token).expect(200);
    assert_eq!((counted(&cart, "active", "miss"), counted(&cart, "active", "hit")), (1.0, 0.0));
    call(&frontend, &token).expect(200);
    cart.expect_metric("postern_introspection_total", &[("result", "active"), ("cache", "hit")]);

    frontend.curl("http://cart:8080/cart/bob").expect_refusal(403, "no_matching_allow");
    call(&frontend, "nobody-issued-this").expect_refusal(401, "token_inactive");
    call(&frontend, "no%20token").expect_refusal(401, "token_malformed");
    let twice = format!("authorization: Bearer {token}");
    let twice = ["http://cart:8080/cart/bob", "-H", &*twice, "-H", &*twice];
    frontend.curl_with(&twice).expect_refusal(401, "two_tokens");
    let refused = call(&frontend, "nobody-issued-this");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    cart.expect_log(&[("status", "401"), ("reason", "token_inactive")]);

    // What the issuer takes back counts for no longer than it is kept.
    issuer.revoke(&token);
    wait::until("the revocation to be seen", Duration::from_secs(5), || {
        let answer = call(&frontend, &token);
        if answer.reason() == "token_inactive" { Ok(()) } else { Err(format!("{answer:?}")) }
    });

    // Without its issuer a token is good for as long as what it said is kept, and nobody new comes in.
    call(&frontend, &other).expect(200);
    let known = Instant::now();
    issuer.process.kill();
    call(&frontend, &spare).expect_refusal(503, "introspection_unavailable");
    let goes_on = call(&frontend, &other);
    assert!(goes_on.status == 200 || known.elapsed() > Duration::from_secs(3), "{goes_on:?}");
    wait::until("what is known to end", Duration::from_secs(5), || {
        let answer = call(&frontend, &other);
        if answer.reason() == "introspection_unavailable" {
            Ok(())
        } else {
            Err(format!("{answer:?}"))
        }
    });
    assert!(counted(&cart, "unavailable", "miss") >= 2.0);
    cart.expect_log(&[("status", "503"), ("reason", "introspection_unavailable")]);
    let log = std::fs::read_to_string(cart.directory().join("proxy.out")).unwrap();
    assert!(
        !log.contains(&token) && !log.contains("secret of the tests"),
        "a secret is in the log"
    );
}

/// However many tokens that nobody issued come, the issuer is asked about each and the good one stays known.
#[test]
fn garbage_takes_nobodys_token_out_of_the_cache() {
    let mesh = Mesh::start();
    let issuer = Issuer::start(&mesh);
    let cart = issuer.asking_cart(&mesh, &json!({}));
    let frontend = mesh.pod("frontend").start();
    let token = issuer.opaque_token();
    call(&frontend, &token).expect(200);
    let asked = counted(&cart, "active", "miss");
    // One curl for many: each with a token of its own.
    let urls: Vec<String> = (0..400)
        .map(|at| format!("next\nurl = http://cart:8080/cart/bob\nheader = \"authorization: Bearer garbage-{at}\"\n"))
        .collect();
    replace(&frontend.directory().join("garbage.curl"), urls.concat().trim_start_matches("next\n"));
    let _ = frontend.curl_with(&["-K", "/run/postern/garbage.curl"]);
    assert!(
        counted(&cart, "inactive", "miss") >= 400.0,
        "{}",
        cart.metrics().lines("postern_introspection_total")
    );
    call(&frontend, &token).expect(200);
    assert_eq!(counted(&cart, "active", "miss"), asked, "it was not asked about again");
}

/// Tokens that a RequestAuthentication verifies are verified, beside those that are asked about.
#[test]
fn both_sorts_of_tokens_at_one_workload() {
    let mesh = Mesh::start();
    let issuer = Issuer::start(&mesh);
    let keys = json!({"jwtRules": [{"issuer": issuer.url, "audiences": ["urn:cart"]}]});
    mesh.policy("keys", &object("security.istio.io/v1", "RequestAuthentication", &keys));
    let cart = issuer.asking_cart(&mesh, &json!({}));
    let frontend = mesh.pod("frontend").start();
    let (readable, opaque) = (issuer.token(), issuer.opaque_token());
    wait::until("the issuer's keys", Duration::from_secs(50), || {
        let answer = call(&frontend, &readable);
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    });
    call(&frontend, &opaque).expect(200);
    let (one, other) =
        (format!("authorization: Bearer {opaque}"), format!("access_token={readable}"));
    let both = format!("http://cart:8080/cart/bob?{other}");
    frontend.curl_with(&[&both, "-H", &one]).expect_refusal(401, "two_tokens");
    // It was verified by the issuer's keys alone.
    assert_eq!(cart.metrics().sum("postern_introspection_total", &[]), 1.0);
    // Whoever's policy is gone is nobody.
    mesh.remove_policy("introspection");
    wait::until_true("the policy to be gone", || call(&frontend, &opaque).status == 401);
    call(&frontend, &readable).expect(200);
}

/// A listener that asks, beside one that does not: there a token means nothing.
#[test]
fn a_gateways_listener_asks_about_the_tokens_of_its_clients() {
    let scene = gateway();
    let issuer = Issuer::start(&scene.mesh);
    replace(&scene.edge.directory().join("issuer.pem"), &issuer.authority);
    let authorities = json!({"tokens": {"certificateAuthorities": "/run/postern/issuer.pem"}});
    scene.edge.configure(&authorities);
    drop(scene.edge.upgrade_proxy("believing"));
    scene.mesh.policy("secret", &client_secret());
    let asking = issuer.introspection(&json!({"targetRefs": target(Some("shop"))}));
    scene.mesh.policy("introspection", &asking.to_string());
    let users = json!({"requestPrincipals": [format!("{}/bob", issuer.url)]});
    let selector = json!({"matchLabels": {"app": "edge"}});
    let spec = json!({"selector": selector, "rules": [{"from": [{"source": users}]}]});
    scene.mesh.policy("edge-users", &object("security.istio.io/v1", "AuthorizationPolicy", &spec));
    let bearer = format!("authorization: Bearer {}", issuer.opaque_token());
    wait::until("the issuer to be asked", Duration::from_secs(20), || {
        let answer = scene.get("https://shop.example/cart/bob", &["-H", &bearer]);
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    });
    let get = |url: &str, token: &str| scene.get(url, &["-H", token]);
    get("https://shop.example/cart/bob", "x: y").expect_refusal(403, "no_matching_allow");
    let garbage = get("https://shop.example/cart/bob", "authorization: Bearer garbage");
    garbage.expect_refusal(401, "token_inactive");
    get("http://shop.example/cart/bob", &bearer).expect_refusal(403, "no_matching_allow");
    scene.edge.expect_log(&[("status", "401"), ("reason", "token_inactive")]);
}
