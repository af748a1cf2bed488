//! End-user tokens of a real issuer (npm's oidc-provider): discovered, verified, rotated while traffic flows, and kept
//! while the issuer is down.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use postern_tests::certificates::replace;
use postern_tests::{App, Mesh, Pod, Process, wait};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

/// An issuer in a pod outside the mesh, with a web certificate of its own making.
pub(crate) struct Issuer {
    pod: Pod,
    pub(crate) process: Process,
    pub(crate) url: String,
    /// Who vouches for its web certificate, PEM.
    pub(crate) authority: String,
}

/// The issuer as `tests/setup` installed it.
fn script() -> PathBuf {
    let target =
        postern_tests::binary("postern-proxy").parent().unwrap().parent().unwrap().to_owned();
    let script = target.join("peers/oidc/issuer.mjs");
    assert!(script.is_file(), "{} is not there: run `tests/setup test`", script.display());
    script
}

fn run_issuer(pod: &Pod, url: &str) -> Process {
    let script = script();
    let node = script.with_file_name("node");
    let script = script.display().to_string();
    let arguments = [&*script, url, "/run/postern/web.pem", "/run/postern/web-key.pem"];
    pod.start_program("issuer", &node, &arguments)
}

impl Issuer {
    pub(crate) fn start(mesh: &Mesh) -> Self {
        let pod = mesh.pod("issuer").outside().start();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let web = CertificateParams::new([pod.ipv4().to_string()]).unwrap();
        let web = web.signed_by(&key, &authority).unwrap();
        replace(&pod.directory().join("web.pem"), &web.pem());
        replace(&pod.directory().join("web-key.pem"), &key.serialize_pem());
        let url = format!("https://{}:8443", pod.ipv4());
        let process = run_issuer(&pod, &url);
        let mut issuer = Self { pod, process, url, authority: authority.as_ref().pem() };
        let mut started = Instant::now();
        wait::until("the issuer to answer", Duration::from_secs(60), || {
            if issuer.ask(&[], "/.well-known/openid-configuration").0 == 200 {
                return Ok(());
            }
            // It is somebody else's program: one that hangs at its start is started again.
            if started.elapsed() > Duration::from_secs(15) {
                issuer.process = run_issuer(&issuer.pod, &issuer.url);
                started = Instant::now();
            }
            Err(issuer.process.stderr())
        });
        issuer
    }

    pub(crate) fn ask(&self, arguments: &[&str], path: &str) -> (u16, String) {
        let url = format!("{}{path}", self.url);
        let answer = self.pod.curl_with(&[&["-k"], arguments, &[&*url]].concat());
        (answer.status, answer.body)
    }

    /// A token for `ann`, good for five minutes.
    pub(crate) fn token(&self) -> String {
        let form = "grant_type=client_credentials&client_id=ann&client_secret=a%20secret%20of%20the%20tests&scope=buy";
        let (status, body) = self.ask(&["--data", form], "/token");
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    fn rotate(&self) {
        assert_eq!(self.ask(&["-X", "POST"], "/rotate").0, 200);
    }

    /// A cart for whom only the front end with a token of this issuer may call.
    fn cart(&self, mesh: &Mesh) -> Pod {
        let authentication = json!({
            "apiVersion": "security.istio.io/v1",
            "kind": "RequestAuthentication",
            "metadata": {"name": "users", "namespace": "shop"},
            "spec": {"jwtRules": [{"issuer": self.url, "audiences": ["urn:cart"]}]},
        });
        let source = json!({
            "principals": ["cluster.local/ns/shop/sa/frontend"],
            "requestPrincipals": [format!("{}/ann", self.url)],
        });
        let scope = json!({"key": "request.auth.claims[scope]", "values": ["buy"]});
        let policy = json!({
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"name": "users", "namespace": "shop"},
            "spec": {"rules": [{"from": [{"source": source}], "when": [scope]}]},
        });
        mesh.policy("tokens", &format!("{authentication}\n---\n{policy}\n"));
        let cart = mesh.pod("cart").port(8080, "http").app(App::new("shop-cart"));
        let cart =
            cart.config(json!({"tokens": {"certificateAuthorities": "/run/postern/web-ca.pem"}}));
        let cart = cart.lay_out();
        replace(&cart.directory().join("web-ca.pem"), &self.authority);
        cart.start_processes();
        cart.ready();
        cart
    }
}

fn call(from: &Pod, tokens: &[&str]) -> postern_tests::Answer {
    let headers: Vec<_> =
        tokens.iter().map(|token| format!("authorization: Bearer {token}")).collect();
    let mut arguments = vec!["http://cart:8080/cart/ann"];
    for header in &headers {
        arguments.extend(["-H", header]);
    }
    from.curl_with(&arguments)
}

fn wait_for_keys(frontend: &Pod, token: &str) {
    wait::until("the issuer's keys", Duration::from_secs(50), || {
        let answer = call(frontend, &[token]);
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    });
}

#[test]
fn s39_claims_a_real_issuers_tokens() {
    let mesh = Mesh::start();
    let issuer = Issuer::start(&mesh);
    let cart = issuer.cart(&mesh);
    let frontend = mesh.pod("frontend").start();
    let reports = mesh.pod("reports").start();
    let token = issuer.token();
    wait_for_keys(&frontend, &token);

    call(&frontend, &[]).expect_refusal(403, "no_matching_allow");
    call(&reports, &[&token]).expect_refusal(403, "no_matching_allow");
    call(&frontend, &[&token, &token]).expect_refusal(401, "two_tokens");
    call(&frontend, &["x.y.z"]).expect_refusal(401, "token_malformed");
    let (message, signature) = token.rsplit_once('.').unwrap();
    let swapped: String = signature.chars().rev().collect();
    let forged = call(&frontend, &[&format!("{message}.{swapped}")]);
    assert_eq!(forged.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    assert_eq!(forged.status, 401);
    cart.expect_metric(
        "postern_requests_total",
        &[("response_code", "401"), ("reason", "two_tokens")],
    );
    cart.expect_metric("postern_token_key_updates_total", &[("result", "success")]);

    // Bound to another workload, the token is worth nothing in the front end's hands.
    let binding = json!({
        "apiVersion": "policy.postern.dev/v1alpha1",
        "kind": "TokenPolicy",
        "metadata": {"name": "users", "namespace": "shop"},
        "spec": {"issuer": issuer.url, "principals": ["cluster.local/ns/edge/sa/gateway"]},
    });
    mesh.policy("binding", &binding.to_string());
    wait::until_true("the binding to act", || {
        call(&frontend, &[&token]).reason() == "token_presenter"
    });
    cart.expect_log(&[("status", "401"), ("reason", "token_presenter")]);
    let log = std::fs::read_to_string(cart.directory().join("proxy.out")).unwrap();
    assert!(!log.contains(message), "a token is in the log");
}

#[test]
fn s38_kid_and_jwks_state_a_real_issuer_rotates_and_goes_down() {
    let mesh = Mesh::start();
    let mut issuer = Issuer::start(&mesh);
    let cart = issuer.cart(&mesh);
    let frontend = mesh.pod("frontend").start();
    let before = issuer.token();
    wait_for_keys(&frontend, &before);

    issuer.rotate();
    let after = issuer.token();
    call(&frontend, &[&after]).expect_refusal(401, "token_key_unknown");
    call(&frontend, &[&before]).expect(200);
    // At most one fetch in thirty seconds, so at most so long.
    wait_for_keys(&frontend, &after);
    call(&frontend, &[&before]).expect_refusal(401, "token_key_unknown");

    issuer.process.kill();
    call(&frontend, &[&after]).expect(200);
    wait::until("the failed fetch to be seen", Duration::from_secs(50), || {
        // The withdrawn key makes the proxy ask again.
        call(&frontend, &[&before]).expect_refusal(401, "token_key_unknown");
        let failures =
            cart.metrics().sum("postern_token_key_updates_total", &[("result", "failure")]);
        if failures > 0.0 { Ok(()) } else { Err("no failure is counted".to_owned()) }
    });
    call(&frontend, &[&after]).expect(200);
}
