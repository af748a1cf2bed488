//! Logs in, policies out.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::policy_tools::suggest::*;

const CONFIG: &str = "workload: {namespace: shop, serviceAccount: cart, labels: {app: cart, v: '2'}}\nidentity: {workloadApi: unix:///run/a}\ninbound: {ports: {8080: {protocol: http}, 9000: {protocol: tcp}}}\n";

fn line(caller: &str, decision: &str, what: &str) -> String {
    let asked = match what.split_once(' ') {
        Some((method, path)) => {
            format!(
                "\"kind\":\"request\",\"destination\":\"10.0.0.3:8080\",\"method\":\"{method}\",\"host\":\"cart\",\"path\":\"{path}\",\"status\":200"
            )
        }
        None => format!("\"kind\":\"connection\",\"destination\":\"10.0.0.3:{what}\""),
    };
    format!(
        "{{\"time\":\"t\",\"direction\":\"inbound\",\"source_ip\":\"10.0.0.2\",\"source_principal\":\"{caller}\",\"decision\":\"{decision}\",{asked}}}\n"
    )
}

pub(super) fn args() -> SuggestArgs {
    SuggestArgs {
        config: None,
        log: None,
        openapi: None,
        base_path: None,
        from: Vec::new(),
        namespace: "default".to_owned(),
        service_account: None,
        name: None,
        distinct: 8,
        include_denied: false,
        dry_run: false,
    }
}

fn suggested(log: &str, args: &SuggestArgs) -> SuggestedPolicy {
    let config = Config::parse("c", CONFIG.as_bytes()).unwrap_or_else(|m| panic!("{m}"));
    suggest(&config, &recorded::read(log.as_bytes()).unwrap(), args)
}

const FRONTEND: &str = "cluster.local/ns/shop/sa/frontend";
const REPORTS: &str = "cluster.local/ns/shop/sa/reports";

#[test]
fn the_smallest_policy_for_a_log() {
    let log = [
        line(FRONTEND, "allow", "GET /cart/ann"),
        line(FRONTEND, "allow", "GET /cart/1041"),
        line(FRONTEND, "allow", "POST /cart/1042"),
        line(FRONTEND, "allow", "9000"),
        line(REPORTS, "allow", "GET /health"),
        line("cluster.local/ns/shop/sa/audit", "allow", "GET /health"),
        line(REPORTS, "deny", "DELETE /cart/ann"),
        line("none", "allow", "GET /open"),
        line(FRONTEND, "allow", "GET /gone").replace("200", "404"),
        "{\"time\":\"t\",\"level\":\"INFO\",\"message\":\"certificate in force\"}\n".to_owned(),
        "not JSON\n".to_owned(),
    ]
    .concat();
    let found = suggested(&log, &args());
    let expect = "\
# Suggested by `postern-proxy policy suggest` from 6 recorded requests and connections.
# Replayed on it: 6 of 6 allowed. Read every line before it is enforced.
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: cart-allow
  namespace: shop
spec:
  selector: {matchLabels: {app: cart}}
  action: ALLOW
  rules:
    - from:
        - source: {principals: [cluster.local/ns/shop/sa/audit, cluster.local/ns/shop/sa/reports]}
      to:
        - operation: {ports: [\"8080\"], methods: [GET], paths: [/health]}
    - from:
        - source: {principals: [cluster.local/ns/shop/sa/frontend]}
      to:
        - operation: {ports: [\"8080\"], methods: [GET], paths: [/cart/ann]}
        - operation: {ports: [\"8080\"], methods: [GET, POST], paths: [\"/cart/{*}\"]}
    - from:
        - source: {principals: [cluster.local/ns/shop/sa/frontend]}
      to:
        - operation: {ports: [\"9000\"]}
";
    assert_eq!(found.policy.as_deref(), Some(expect));
    assert_eq!(
        found.remarks,
        [
            "left out: 1 that policy refused (--include-denied takes them)",
            "left out: 1 from callers without identity: a rule for them would let anybody in",
            "left out: 1 that the app answered with 404, 405 or 501",
        ]
    );
}

#[test]
fn settings() {
    let log = line(REPORTS, "deny", "GET /a") + &line(FRONTEND, "allow", "GET /b");
    let policy = |args: SuggestArgs| suggested(&log, &args).policy.unwrap_or_default();
    assert!(!policy(args()).contains("/a]"));
    assert!(policy(SuggestArgs { include_denied: true, ..args() }).contains("/a]"));
    let dry = policy(SuggestArgs { dry_run: true, name: Some("draft".into()), ..args() });
    assert!(dry.contains("name: draft\n") && dry.contains("istio.io/dry-run: \"true\""), "{dry}");
    assert!(dry.contains("1 of 1 allowed"), "{dry}");
    let nothing = suggested(&line(REPORTS, "deny", "GET /a"), &args());
    assert_eq!(nothing.policy, None);
}

/// Whatever a caller sends as a path: the policy can be read, and allows what it was made from.
#[test]
fn s12_odd_paths() {
    for path in [
        "/a%2Fb", "/a*", "/*", "/{*}", "/a b", "/a:b", "/'", "/#", "/a\\\"b", "/é", "/a/", "/null",
        "/~a;b=c",
    ] {
        let path = path
            .replace(' ', "%20")
            .replace('#', "%23")
            .replace("\\\"", "%22")
            .replace('é', "%C3%A9");
        let found = suggested(&line(FRONTEND, "allow", &format!("GET {path}")), &args());
        let policy = found.policy.unwrap_or_else(|| panic!("{path}: {:?}", found.remarks));
        assert!(policy.contains("1 of 1 allowed"), "{path}: {policy}");
    }
}
