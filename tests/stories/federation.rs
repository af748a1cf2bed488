//! Two trust domains on one network that believe each other by `https_spiffe`, call each other through agents and
//! proxies, and part.

use std::time::{Duration, Instant};

use postern_tests::{Answer, Finished, Mesh, Pod, wait};
use serde_json::{Value, json};

use crate::bounded::Line;
use crate::scene;

/// From the removal of the entry to the last foreign connection.
const PARTED_WITHIN: Duration = Duration::from_secs(10);
/// An endpoint that was not there yet is asked again after ten seconds.
const MET_WITHIN: Duration = Duration::from_secs(30);

/// The cart of `cluster.local`, and callers from there and from `partner.example`.
struct Partners {
    cart: Pod,
    neighbour: Pod,
    frontend: Pod,
    reports: Pod,
    home: Mesh,
    partner: Mesh,
}

impl Partners {
    /// The cart lets in its neighbour and the partner's front end, and nobody else.
    fn strangers() -> Self {
        let (home, partner) = Mesh::with_partner();
        home.policy("neighbour", &scene::allow("cart", "neighbour"));
        home.policy("partner", &allow_partner());
        let cart = scene::cart(&home);
        let neighbour = home.pod("neighbour").start();
        partner.import(&cart);
        let frontend = partner.pod("frontend").start();
        let reports = partner.pod("reports").start();
        Self { cart, neighbour, frontend, reports, home, partner }
    }

    fn federated() -> Self {
        let scene = Self::strangers();
        scene.federate();
        wait::until("the trust domains to believe each other", MET_WITHIN, || {
            let answer = call(&scene.frontend);
            if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
        });
        scene
    }

    fn federate(&self) {
        let (home, partner) = (self.home.authority(), self.partner.authority());
        home.federate(self.partner.trust_domain(), partner);
        partner.federate(self.home.trust_domain(), home);
    }

    fn distrusted(&self) -> f64 {
        let labels = [("direction", "inbound"), ("reason", "peer_distrusted")];
        self.cart.metrics().sum("postern_connections_closed_total", &labels)
    }

    /// Handshakes in which the cart found nobody to vouch for the caller.
    fn unknown_issuers(&self) -> usize {
        let error = "TLS handshake: invalid peer certificate: UnknownIssuer";
        let fields = [("direction", "inbound"), ("closed", "handshake"), ("error", error)];
        self.cart.log().iter().filter(|line| line.has(&fields)).count()
    }

    fn refused_handshakes(&self) -> f64 {
        let labels = [("direction", "inbound"), ("reason", "handshake")];
        self.cart.metrics().sum("postern_connections_closed_total", &labels)
    }
}

fn allow_partner() -> String {
    json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "cart-allow-partner", "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": {"app": "cart"}},
            "rules": [{"from": [{"source": {"principals": ["partner.example/ns/shop/sa/frontend"]}}]}],
        },
    })
    .to_string()
}

fn call(from: &Pod) -> Answer {
    from.curl("http://cart:8080/cart/ann")
}

/// The trust domains whose bundles the pod's agent hands out.
fn believed(pod: &Pod) -> Vec<String> {
    let fetched = agent(pod, &["fetch", "bundles"]);
    let bundles: Value = serde_json::from_str(&fetched.stdout).unwrap_or_default();
    bundles.as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default()
}

fn agent(pod: &Pod, arguments: &[&str]) -> Finished {
    let socket = ["--socket", "/run/postern/agent.sock"];
    pod.postern("postern-cert-agent", &[arguments, &socket].concat())
}

/// What the pod's agent makes of a token for the cart.
fn validate(pod: &Pod, token: &str) -> Finished {
    std::fs::write(pod.directory().join("token"), token).unwrap();
    let agent = postern_tests::binary("postern-cert-agent").display().to_string();
    let script =
        "\"$0\" validate --audience cart --socket /run/postern/agent.sock </run/postern/token";
    pod.command("sh", &["-c", script, &agent])
}

#[test]
fn s24_trust_domain_confusion_a_foreign_caller_is_judged_by_its_own_name() {
    let scene = Partners::federated();
    assert_eq!(scene.frontend.principal(), "partner.example/ns/shop/sa/frontend");
    call(&scene.reports).expect_refusal(403, "no_matching_allow");
    call(&scene.neighbour).expect(200);
    // The front end of the cart's own trust domain has the same path, and is somebody else.
    let namesake = scene.home.pod("frontend").start();
    call(&namesake).expect_refusal(403, "no_matching_allow");
    for (pod, status) in [(&scene.frontend, "200"), (&scene.reports, "403"), (&namesake, "403")] {
        let principal = pod.principal();
        let labels = [("source_principal", &*principal), ("response_code", status)];
        scene.cart.expect_metric("postern_requests_total", &labels);
    }
    let both = ["spiffe://cluster.local", "spiffe://partner.example"];
    assert_eq!(believed(&scene.cart), both);
}

#[test]
fn spiffe_federation_7_3_no_entry_no_trust_and_one_side_alone_is_not_enough() {
    let scene = Partners::strangers();
    let refused = |what: &str| {
        let answer = call(&scene.frontend);
        assert!(answer.status >= 502, "{what}: {answer:?}");
    };
    refused("strangers");
    assert_eq!(scene.unknown_issuers(), 0, "the caller has refused the cart");
    // The caller believes the cart; the cart does not believe the caller.
    scene.partner.authority().federate(scene.home.trust_domain(), scene.home.authority());
    wait::until_true("the cart to be shown a foreign certificate", || {
        refused("one side alone");
        scene.unknown_issuers() > 0
    });
    assert_eq!(believed(&scene.frontend).len(), 2);
    assert_eq!(believed(&scene.cart).len(), 1);
    call(&scene.neighbour).expect(200);
}

#[test]
fn f09_a_removed_federation_entry_ends_live_connections_and_refuses_new_ones() {
    let scene = Partners::federated();
    let (line, near) =
        (Line::open(&scene.frontend, &scene.cart), Line::open(&scene.neighbour, &scene.cart));
    let token = agent(&scene.frontend, &["fetch", "jwt", "--audience", "cart"]).ok();
    // The keys of tokens are in no first bundle; they come from the endpoint.
    let proved = wait::until("the partner's keys", MET_WITHIN, || {
        let seen = validate(&scene.cart, &token);
        if seen.code == 0 { Ok(seen.stdout) } else { Err(seen.stderr) }
    });
    assert_eq!(proved.trim(), scene.frontend.spiffe_id());
    assert_eq!(scene.distrusted(), 0.0);
    let before = (scene.refused_handshakes(), scene.unknown_issuers());

    let start = Instant::now();
    scene.home.authority().end_federation();
    let spoken = line.ends_within(PARTED_WITHIN);
    assert!(start.elapsed() < PARTED_WITHIN, "{:?}", start.elapsed());
    assert!(spoken.answers > 0, "{spoken:?}");
    assert!(
        scene.distrusted() > 0.0,
        "{}",
        scene.cart.metrics().lines("postern_connections_closed")
    );

    let answer = call(&scene.frontend);
    assert!(answer.status >= 502, "a foreign caller is let in: {answer:?}");
    wait::until_true("the handshake to be counted and logged", || {
        scene.refused_handshakes() > before.0 && scene.unknown_issuers() > before.1
    });
    assert!(start.elapsed() < PARTED_WITHIN, "{:?}", start.elapsed());
    assert_eq!(believed(&scene.cart), ["spiffe://cluster.local"]);
    let refused = validate(&scene.cart, &token);
    assert_eq!((refused.code, &*refused.stdout), (1, ""), "{}", refused.stderr);

    // Who lives here is not concerned.
    call(&scene.neighbour).expect(200);
    assert!(near.stop().alive);
    // And back: the same policy, the same partner.
    scene.federate();
    wait::until("the partner to be back", MET_WITHIN, || {
        let answer = call(&scene.frontend);
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    });
}
