//! Lines in, lines out.
#![allow(clippy::unwrap_used, clippy::panic)]

mod gateway;
mod lines;
mod messages;
mod outbound;
mod tokens;
mod verdicts;

use crate::explain::*;
use policy::{Resources, SourceFile};
use serde_json::{Value, json};

const LEAST: &str = "workload: {namespace: shop, serviceAccount: cart, labels: {app: cart}}\nidentity: {workloadApi: unix:///run/a}\n";

/// Answers the lines under a configuration (added to the least one) and the specs of AuthorizationPolicies `shop/p0`,
/// `shop/p1`, ….
fn answers(config: &str, specs: &[&str], lines: &str) -> (Vec<Value>, ExplainOutcome) {
    let config =
        Config::parse("c", format!("{LEAST}{config}").as_bytes()).unwrap_or_else(|m| panic!("{m}"));
    let text: String = specs
        .iter()
        .enumerate()
        .map(|(index, spec)| format!("---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p{index}, namespace: shop}}\nspec: {spec}\n"))
        .collect();
    let files = [SourceFile { name: "r".into(), bytes: format!("# none\n{text}").into_bytes() }];
    answers_of(&config, &files, lines)
}

/// Answers the lines under a configuration and resources.
fn answers_of(config: &Config, files: &[SourceFile], lines: &str) -> (Vec<Value>, ExplainOutcome) {
    let resources =
        Resources::parse(files, &config.root_namespace).unwrap_or_else(|m| panic!("{m}"));
    let snapshot = Snapshot::build(&resources, &config.workload, &config.defaults);
    let routes = RouteTable::build(&resources, &config.workload);
    let gateways = GatewayTable::build(&resources, &GatewaySelection::default());
    let called = CalledServices { routes, gateways, resources: &resources };
    let mut out = Vec::new();
    let outcome = run(config, &snapshot, &called, lines.as_bytes(), &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    (out.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), outcome)
}

#[track_caller]
fn check(config: &str, specs: &[&str], line: &Value, expect: Value) {
    let (mut found, outcome) = answers(config, specs, &line.to_string());
    // Beside the verdict; they have tests of their own.
    for key in ["nearest", "would", "note"] {
        found[0].as_object_mut().unwrap().remove(key);
    }
    assert_eq!(found, [expect], "{config} {specs:?} {line}");
    assert_eq!(outcome, ExplainOutcome::AllUnderstood);
}

fn line(principal: &str, method: &str, host: &str, path: &str) -> Value {
    json!({
        "source": {"principal": principal, "ip": "10.0.0.7"},
        "destination": {"ip": "10.0.0.9", "port": 8080},
        "connection": {"sni": ""},
        "request": {"method": method, "host": host, "path": path, "headers": {}}
    })
}

fn answer(
    decision: &str,
    policy: Option<&str>,
    rule: Option<u32>,
    reason: &str,
    path: Option<&str>,
) -> Value {
    json!({"decision": decision, "policy": policy, "rule": rule, "reason": reason, "path": path})
}

const FRONTEND: &str = "cluster.local/ns/shop/sa/frontend";
const ALLOW: &str = "{rules: [{to: [{operation: {methods: [POST]}}]}, {from: [{source: {principals: [cluster.local/ns/shop/sa/frontend]}}]}]}";

#[test]
fn the_line_of_the_manual() {
    let line = json!({"source":{"principal":FRONTEND,"ip":"10.0.0.7"},"destination":{"ip":"10.0.0.9","port":8080},"connection":{"sni":""},
        "request":{"method":"GET","host":"cart","path":"/a?b","headers":{"x":["y"]},"jwt":{"iss":"i","sub":"s","aud":["a"],"claims":{}}}});
    check(
        "",
        &[ALLOW],
        &line,
        answer("allow", Some("shop/p0"), Some(1), "policy_allowed", Some("/a")),
    );
}
