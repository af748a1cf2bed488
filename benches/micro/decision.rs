//! The decision for one request, under few and many rules: the last rule allows, so all that can be skipped must be.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use divan::{Bencher, black_box};
use identity::SpiffeId;
use policy::{
    CanonicalPath, ConnectionFacts, HostName, HttpFacts, PathNormalization, PolicyDefaults,
    Resources, Snapshot, SourceFile, Workload,
};
use serde_json::{Value, json};

fn main() {
    divan::main();
}

const RULES: &[usize] = &[10, 10_000];
/// Fewer than a policy may have (512).
const RULES_OF_A_POLICY: usize = 500;
/// As many as the proxy compares after a refusal.
const RULES_COMPARED: usize = 64;

/// Each rule names a caller of its own, as most rules do.
#[divan::bench(args = RULES)]
fn rules_that_name_callers(bencher: Bencher<'_, '_>, rules: usize) {
    let rule = |number| {
        let principal = format!("cluster.local/ns/shop/sa/caller-{number}");
        json!({"from": [{"source": {"principals": [principal]}}], "to": [operation("/api/*")]})
    };
    authorize(bencher, rules, rule, "/api/v1/items", true);
}

/// No rule names a caller, so each has to be looked at.
#[divan::bench(args = RULES)]
fn rules_for_anyone(bencher: Bencher<'_, '_>, rules: usize) {
    let rule = |number| json!({"to": [operation(&format!("/api/{number}/*"))]});
    authorize(bencher, rules, rule, &format!("/api/{}/items", rules - 1), true);
}

/// Nothing allows the request.
#[divan::bench(args = RULES)]
fn refused(bencher: Bencher<'_, '_>, rules: usize) {
    let rule = |number| {
        let principal = format!("cluster.local/ns/other/sa/caller-{number}");
        json!({"from": [{"source": {"principals": [principal]}}]})
    };
    authorize(bencher, rules, rule, "/", false);
}

/// What a refusal costs with its explanation: the rule that came nearest, as the log tells it.
#[divan::bench(args = RULES)]
fn refused_and_told(bencher: Bencher<'_, '_>, rules: usize) {
    let rule = |number| {
        let principal = format!("cluster.local/ns/other/sa/caller-{number}");
        json!({"from": [{"source": {"principals": [principal]}}]})
    };
    let snapshot = snapshot(&(0..rules).map(rule).collect::<Vec<_>>());
    judged("/", rules, |connection, request| {
        bencher.bench_local(|| {
            let decided = snapshot.authorize_request(black_box(connection), black_box(request));
            let denial = decided.err()?;
            snapshot.nearest_miss(connection, Some(request), &denial, RULES_COMPARED)
        });
    });
}

fn operation(path: &str) -> Value {
    json!({"operation": {"methods": ["GET"], "paths": [path]}})
}

fn authorize(
    bencher: Bencher<'_, '_>,
    rules: usize,
    rule: impl Fn(usize) -> Value,
    path: &str,
    expect: bool,
) {
    let snapshot = snapshot(&(0..rules).map(rule).collect::<Vec<_>>());
    judged(path, rules, |connection, request| {
        assert_eq!(snapshot.authorize_request(connection, request).is_ok(), expect);
        bencher
            .bench_local(|| snapshot.authorize_request(black_box(connection), black_box(request)));
    });
}

/// Hands over a GET of the last of so many callers.
fn judged(path: &str, callers: usize, test: impl FnOnce(&ConnectionFacts<'_>, &HttpFacts<'_>)) {
    let peer = id(&format!("spiffe://cluster.local/ns/shop/sa/caller-{}", callers - 1));
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let connection = ConnectionFacts {
        peer: Some(&peer),
        source_ip: ip,
        remote_ip: None,
        destination: SocketAddr::new(ip, 8080),
        sni: None,
    };
    let host = good(HostName::parse("cart.shop", Some(80)));
    let path = good(CanonicalPath::parse(path, PathNormalization::MergeSlashes));
    let request = HttpFacts {
        method: "GET",
        host: &host,
        path: &path,
        headers: &(),
        token: None,
        api_key: None,
    };
    test(&connection, &request);
}

fn snapshot(rules: &[Value]) -> Snapshot {
    let documents = rules.chunks(RULES_OF_A_POLICY).enumerate().map(|(number, rules)| {
        let policy = json!({
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"name": format!("policy-{number:03}"), "namespace": "shop"},
            "spec": {"action": "ALLOW", "rules": rules},
        });
        // One file each: JSON is YAML.
        SourceFile { name: format!("{number}.yaml"), bytes: policy.to_string().into_bytes() }
    });
    let resources = good(Resources::parse(&documents.collect::<Vec<_>>(), "postern-system"));
    let workload = Workload {
        namespace: "shop".to_owned(),
        service_account: "cart".to_owned(),
        labels: [("app".to_owned(), "cart".to_owned())].into(),
    };
    Snapshot::build(&resources, &workload, &PolicyDefaults::default())
}

fn id(text: &str) -> SpiffeId {
    good(SpiffeId::parse(text))
}

#[expect(
    clippy::expect_used,
    reason = "input of our own that is refused is a mistake in this file"
)]
fn good<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    result.expect("good input")
}
