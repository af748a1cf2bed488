//! Tokens of a workload's own for a host outside: npm's oidc-provider issues them, the proxy fetches, keeps and adds them,
//! and the app knows nothing of it.

use std::time::Duration;

use postern_tests::certificates::replace;
use postern_tests::{Answer, App, Mesh, Pod, wait};
use serde_json::{Value, json};

use crate::egress::{HOST, authority, serve_tls};
use crate::tokens::Issuer;

/// As curl takes it: whoever may ask about tokens.
const CART: &[&str] = &["--user", "cart:a%20secret%20of%20the%20tests"];

fn object(version: &str, kind: &str, spec: &Value) -> String {
    let metadata = json!({"name": "bank", "namespace": "shop"});
    json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}).to_string()
}

fn secret(text: &str) -> String {
    let metadata = json!({"name": "bank", "namespace": "shop"});
    let data = json!({"client-secret": text});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})
        .to_string()
}

/// The bank, which says what it was sent, over TLS on its port 8443.
fn bank(mesh: &Mesh, issuer: &Issuer) -> Pod {
    let bank = mesh.pod("bank").outside().app(App::new("shop-cart")).start();
    bank.wait_for_app(8080);
    let web = authority();
    std::fs::write(mesh.directory().join("web.pem"), web.as_ref().pem()).unwrap();
    serve_tls(&bank, HOST, &web);
    let port = json!({"number": 80, "name": "p", "protocol": "HTTP", "targetPort": 8443});
    let spec = json!({
        "hosts": [HOST], "location": "MESH_EXTERNAL", "resolution": "STATIC",
        "ports": [port], "endpoints": [{"address": bank.ipv4().to_string()}],
    });
    mesh.policy("bank", &object("networking.istio.io/v1", "ServiceEntry", &spec));
    let spec = json!({
        "hosts": [HOST], "issuer": issuer.url, "clientId": "bob", "scopes": ["buy"],
        "clientSecretRef": {"name": "bank"},
    });
    mesh.policy("token", &object("policy.postern.dev/v1alpha1", "ClientCredentials", &spec));
    mesh.policy("secret", &secret("a secret of the tests"));
    bank
}

fn counted(pod: &Pod, result: &str) -> f64 {
    pod.metrics().sum("postern_client_credentials_total", &[("result", result)])
}

#[test]
fn an_app_calls_a_host_outside_with_a_token_that_its_proxy_has_fetched() {
    let mesh = Mesh::start();
    let mut issuer = Issuer::start(&mesh);
    let bank = bank(&mesh, &issuer);
    let frontend = mesh.pod("frontend");
    let frontend = frontend
        .config(json!({"tokens": {"certificateAuthorities": "/run/postern/issuer.pem"}}))
        .lay_out();
    replace(&frontend.directory().join("issuer.pem"), &issuer.authority);
    frontend.start_processes();
    frontend.ready();
    let resolve = format!("{HOST}:80:{}", bank.ipv4());
    let get = |more: &[&str]| -> Answer {
        let url = format!("http://{HOST}/balance");
        frontend.curl_with(&[&["--resolve", &resolve], more, &[&*url]].concat())
    };

    // Without TLS of the proxy's own no token leaves, and the request neither.
    wait::until("the host to be known", Duration::from_secs(20), || {
        let answer = get(&[]);
        if answer.reason() == "client_credentials_unavailable" {
            Ok(())
        } else {
            Err(format!("{answer:?}"))
        }
    });
    let roots = mesh.directory().join("web.pem").display().to_string();
    let tls = json!({"host": HOST, "trafficPolicy": {"tls": {"mode": "SIMPLE", "caCertificates": roots}}});
    mesh.policy("tls", &object("networking.istio.io/v1", "DestinationRule", &tls));
    wait::until("a token", Duration::from_secs(20), || {
        let answer = get(&[]);
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    });

    // What the app says of itself is replaced, and the token is the issuer's.
    let sent = get(&["-H", "authorization: Bearer of-the-app"]).expect(200);
    let token = sent.header("x-was-sent").and_then(|value| value.strip_prefix("Bearer "));
    let token = token.unwrap_or_else(|| panic!("no token: {sent:?}")).to_owned();
    let form = format!("token={token}");
    let (status, about) = issuer.ask(&[CART, &["--data", &form]].concat(), "/token/introspection");
    let about: Value = serde_json::from_str(&about).unwrap();
    assert_eq!((status, &about["active"], &about["scope"]), (200, &json!(true), &json!("buy")));
    assert_eq!(counted(&frontend, "fetched"), 1.0, "it was asked for once");

    // The provider is away: the token is good, and another secret has none.
    issuer.process.kill();
    let again = get(&[]).expect(200);
    assert_eq!(again.header("x-was-sent"), Some(&*format!("Bearer {token}")));
    mesh.policy("secret", &secret("another one"));
    wait::until("the other secret to be of no use", Duration::from_secs(20), || {
        let answer = get(&[]);
        if answer.reason() == "client_credentials_unavailable" {
            Ok(())
        } else {
            Err(format!("{answer:?}"))
        }
    });
    frontend.expect_log(&[("status", "503"), ("reason", "client_credentials_unavailable")]);
    let log = std::fs::read_to_string(frontend.directory().join("proxy.out")).unwrap();
    assert!(
        !log.contains(&token) && !log.contains("secret of the tests"),
        "a secret is in the log"
    );
}
