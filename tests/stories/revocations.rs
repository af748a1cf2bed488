//! Tokens that are ended before their time: every sidecar refuses them within two seconds, however many there are, and what
//! is open with them ends.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use postern_tests::certificates::replace;
use postern_tests::{Answer, App, Mesh, Pod, wait, websocket};
use serde_json::{Value, json};

use crate::tokens::Issuer;

/// Within which a revocation is in force everywhere, from the file's rename.
const PROMISE: Duration = Duration::from_secs(2);
/// The same where a whole file is read again, in programs that are not optimised: there it takes ten times as long.
const PROMISE_OF_A_DEBUG_BUILD: Duration = Duration::from_secs(8);
/// Entries of one object: as many as a cluster stores in one.
const OF_AN_OBJECT: usize = 10_000;

/// Two carts, who take tokens of one issuer, and the front end, who calls them.
struct Revocations {
    carts: [Pod; 2],
    frontend: Pod,
    issuer: Issuer,
    mesh: Mesh,
}

fn scene() -> Revocations {
    let mesh = Mesh::start();
    let issuer = Issuer::start(&mesh);
    let keys = json!({"jwtRules": [{"issuer": issuer.url, "audiences": ["urn:cart"]}]});
    mesh.policy("keys", &object("security.istio.io/v1", "RequestAuthentication", "keys", &keys));
    let users = json!({"requestPrincipals": [format!("{}/*", issuer.url)]});
    let rules = json!({"rules": [{"from": [{"source": users}]}]});
    mesh.policy("users", &object("security.istio.io/v1", "AuthorizationPolicy", "users", &rules));
    let carts = ["cart", "basket"].map(|name| {
        let pod = mesh.pod(name).port(8080, "http").app(App::new("shop-cart"));
        let pod =
            pod.config(json!({"tokens": {"certificateAuthorities": "/run/postern/web-ca.pem"}}));
        let pod = pod.lay_out();
        replace(&pod.directory().join("web-ca.pem"), &issuer.authority);
        pod.start_processes();
        pod.ready();
        pod
    });
    let frontend = mesh.pod("frontend").start();
    Revocations { carts, frontend, issuer, mesh }
}

impl Revocations {
    fn call(&self, cart: &Pod, token: &str) -> Answer {
        let header = format!("authorization: Bearer {token}");
        let url = format!("http://{}:8080/cart/ann", cart.name());
        self.frontend.curl_with(&[&url, "-H", &header])
    }

    fn expect_taken(&self, token: &str) {
        for cart in &self.carts {
            // The keys may still be on their way.
            wait::until("the token to be taken", Duration::from_secs(50), || {
                let answer = self.call(cart, token);
                if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
            });
        }
    }

    /// Puts a list in force, and returns when every cart has refused the token for the first time.
    fn revoke(&self, file: &str, spec: &Value, token: &str, within: Duration) -> Duration {
        let text = object("policy.postern.dev/v1alpha1", "TokenRevocation", file, spec);
        let start = Instant::now();
        self.mesh.policy(file, &text);
        for cart in &self.carts {
            wait::until("the token to be refused", within, || {
                let answer = self.call(cart, token);
                if answer.reason() == "token_revoked" { Ok(()) } else { Err(format!("{answer:?}")) }
            });
        }
        start.elapsed()
    }
}

fn object(version: &str, kind: &str, name: &str, spec: &Value) -> String {
    let metadata = json!({"name": name, "namespace": "shop"});
    json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}).to_string()
}

/// What stands in the middle of a JSON Web Token.
fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn entry(url: &str, token: &str) -> Value {
    json!({"issuer": url, "id": claims(token)["jti"]})
}

#[test]
#[allow(clippy::print_stdout, reason = "a figure for whoever reads the test's output")]
fn a_revoked_token_is_refused_everywhere_and_what_is_open_with_it_ends_by_the_clock() {
    let scene = scene();
    let (token, other) = (scene.issuer.token(), scene.issuer.token());
    scene.expect_taken(&token);
    scene.expect_taken(&other);
    let open = |token: &str| {
        let address = scene.carts[0].at(8080);
        let url = format!("ws://cart:8080/events?access_token={token}");
        scene.frontend.run(async move {
            let mut socket = websocket::open(address, &url).await.unwrap();
            assert_eq!(socket.ask("a").await.unwrap(), "you said: a");
            socket
        })
    };
    let (mut ends, mut stays) = (open(&token), open(&other));

    let by_id = json!({"tokens": [entry(&scene.issuer.url, &token)]});
    let took = scene.revoke("by-id", &by_id, &token, PROMISE);
    println!("a token was refused at two sidecars {took:?} after it was listed");
    scene.expect_taken(&other);
    let (end, goes_on) = scene.frontend.run(async move {
        let end = ends.next().await;
        (end, stays.ask("b").await)
    });
    assert!(end.is_err(), "{end:?}");
    assert_eq!(goes_on.unwrap(), "you said: b");
    scene.carts[0].expect_log(&[("status", "401"), ("reason", "token_revoked")]);
    scene.carts[1].expect_metric(
        "postern_requests_total",
        &[("response_code", "401"), ("reason", "token_revoked")],
    );

    // By subject: what was issued before a moment. Who signs in again is let in again.
    let issued = claims(&other)["iat"].as_u64().unwrap();
    let subject = json!({"issuer": scene.issuer.url, "subject": "ann", "issuedBefore": issued + 1});
    let took = scene.revoke("by-subject", &json!({"subjects": [subject]}), &other, PROMISE);
    println!("all tokens of a subject were refused at two sidecars {took:?} after it was listed");
    wait::pass_unix(i64::try_from(issued + 1).unwrap());
    scene.expect_taken(&scene.issuer.token());

    // It is no way to be let in again, but a mistake can be taken back.
    scene.mesh.remove_policy("by-id");
    scene.mesh.remove_policy("by-subject");
    scene.expect_taken(&token);
}

/// One more beside as many as a proxy keeps, in a file of its own and in one that holds many.
#[test]
#[allow(clippy::print_stdout, reason = "a figure for whoever reads the test's output")]
fn one_more_of_a_hundred_thousand_revocations_is_in_force_within_two_seconds_by_the_clock() {
    let scene = scene();
    let [token, other, spare] = [(); 3].map(|()| scene.issuer.token());
    [&token, &other, &spare].iter().for_each(|token| scene.expect_taken(token));
    let list = |number: usize, more: &Value| {
        let mut items = String::new();
        for at in 0..OF_AN_OBJECT - 2 {
            let _ = write!(
                items,
                "{{\"issuer\":\"{}\",\"id\":\"token-{number}-{at}\"}},",
                scene.issuer.url
            );
        }
        let items: Value = serde_json::from_str(&format!("[{items}{more}]")).unwrap();
        json!({ "tokens": items })
    };
    let nothing = json!({"issuer": "nobody", "id": "none"});
    let first = list(0, &nothing);
    for number in 0..10 {
        let spec = if number == 0 { first.clone() } else { list(number, &nothing) };
        let name = format!("many-{number}");
        let text = object("policy.postern.dev/v1alpha1", "TokenRevocation", &name, &spec);
        scene.mesh.policy(&name, &text);
    }
    // All of them are read with the last one, which this token tells.
    let last = json!({"tokens": [entry(&scene.issuer.url, &spare)]});
    scene.revoke("last", &last, &spare, Duration::from_secs(60));
    scene.expect_taken(&other);
    let alone = json!({"tokens": [entry(&scene.issuer.url, &token)]});
    let alone = scene.revoke("alone", &alone, &token, PROMISE);
    let among = list(0, &entry(&scene.issuer.url, &other));
    let among = scene.revoke("many-0", &among, &other, PROMISE_OF_A_DEBUG_BUILD);
    println!(
        "beside 100,000 revocations, two sidecars refused a token after {alone:?} (a file of its own) and {among:?} (one of 10,000)"
    );
}
