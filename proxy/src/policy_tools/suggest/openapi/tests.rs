//! Descriptions in, skeletons of policies out.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use data_plane::control::config::Config;
use policy::{DefaultAuthorization, PolicyDefaults, Resources, Snapshot, SourceFile};

use super::*;
use crate::explain::{InputLine, explain};

const DESCRIPTION: &str = r#"openapi: 3.1.0
info: {title: Accounts, version: "1"}
servers: [{url: "https://bank.example/v1"}]
components:
  securitySchemes:
    login:
      type: oauth2
      flows: {clientCredentials: {tokenUrl: "https://id.example/token", scopes: {read: r, write: w}}}
paths:
  /accounts/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      tags: [accounts]
      responses: {"200": {description: fine}}
    put:
      tags: [accounts]
      security: [{login: [write]}]
      responses: {"200": {description: fine}}
  /transfers:
    post:
      tags: [transfers]
      security: [{login: [read, write]}]
      responses: {"200": {description: fine}}
"#;

fn args(from: &[&str]) -> SuggestArgs {
    SuggestArgs {
        config: None,
        log: None,
        openapi: Some(PathBuf::from("api.yaml")),
        base_path: None,
        from: from.iter().map(|&from| from.to_owned()).collect(),
        namespace: "bank".to_owned(),
        service_account: Some("accounts".to_owned()),
        name: None,
        distinct: 8,
        include_denied: false,
        dry_run: false,
    }
}

fn suggested(from: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("api.yaml");
    std::fs::write(&file, DESCRIPTION).unwrap();
    let found = suggest(&file, None, &args(from)).unwrap();
    assert!(found.remarks.is_empty(), "{:?}", found.remarks);
    found.policy.unwrap()
}

fn parse(policy: &str) -> Result<Resources, String> {
    let file = SourceFile { name: "suggestion".into(), bytes: policy.as_bytes().to_vec() };
    Resources::parse(&[file], "postern-system").map_err(|mistakes| mistakes.to_string())
}

#[test]
fn the_skeleton_of_a_description() {
    let expect = "\
# Suggested by `postern-proxy policy suggest --openapi`. Read every line before it is enforced.
# Fill in who calls: a rule that names <callers of …> is refused.
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: accounts-allow
  namespace: bank
spec:
  selector: {matchLabels: {app: accounts}}
  action: ALLOW
  rules:
    # accounts
    - from:
        - source: {principals: [\"<callers of accounts>\"]}
      to:
        - operation: {methods: [GET, HEAD], paths: [\"/v1/accounts/{*}\"]}
    # accounts
    - from:
        - source: {principals: [\"<callers of accounts>\"]}
      to:
        - operation: {methods: [PUT], paths: [\"/v1/accounts/{*}\"]}
      when:
        - {key: \"request.auth.claims[scope]\", values: [write]}
    # transfers
    - from:
        - source: {principals: [\"<callers of transfers>\"]}
      to:
        - operation: {methods: [POST], paths: [/v1/transfers]}
      when:
        - {key: \"request.auth.claims[scope]\", values: [read]}
        - {key: \"request.auth.claims[scope]\", values: [write]}
";
    let found = suggested(&[]);
    assert_eq!(found, expect);
    assert_eq!(found, suggested(&[]), "the same each time");
    let refused = parse(&found).unwrap_err();
    assert!(refused.contains("<callers of accounts>"), "{refused}");
}

#[test]
fn once_filled_in_it_allows_what_is_described_and_nothing_else() {
    let resources = parse(&suggested(&["cluster.local/ns/bank/sa/desk"])).unwrap();
    let text = "workload: {namespace: bank, serviceAccount: accounts, labels: {app: accounts}}\n\
                identity: {workloadApi: unix:///run/a}\ninbound: {ports: {8080: {protocol: http}}}\n";
    let config = Config::parse("c", text.as_bytes()).unwrap();
    let defaults =
        PolicyDefaults { authorization: DefaultAuthorization::Deny, ..PolicyDefaults::default() };
    let snapshot = Snapshot::build(&resources, &config.workload, &defaults);
    for (row, caller, scopes, method, path, expect) in [
        ("described", "desk", "", "GET", "/v1/accounts/1", "allow"),
        ("asked about", "desk", "", "HEAD", "/v1/accounts/1", "allow"),
        ("with the scope", "desk", "write", "PUT", "/v1/accounts/1", "allow"),
        ("with both scopes", "desk", "write read", "POST", "/v1/transfers", "allow"),
        ("with one of two scopes", "desk", "write", "POST", "/v1/transfers", "deny"),
        ("without a scope", "desk", "", "PUT", "/v1/accounts/1", "deny"),
        ("with another scope", "desk", "rewrite", "PUT", "/v1/accounts/1", "deny"),
        ("another method", "desk", "write", "DELETE", "/v1/accounts/1", "deny"),
        ("a longer path", "desk", "", "GET", "/v1/accounts/1/x", "deny"),
        ("below no base path", "desk", "", "GET", "/accounts/1", "deny"),
        ("another caller", "till", "", "GET", "/v1/accounts/1", "deny"),
    ] {
        let line = serde_json::json!({
            "source": {"principal": format!("cluster.local/ns/bank/sa/{caller}")},
            "destination": {"port": 8080},
            "request": {
                "method": method, "host": "accounts", "path": path,
                "jwt": {"iss": "https://id.example", "sub": "ann", "claims": {"scope": scopes}},
            },
        });
        let input: InputLine = serde_json::from_value(line).unwrap();
        assert_eq!(explain(&config, &snapshot, &input).decision, expect, "{row}");
    }
}

#[test]
fn what_a_rule_cannot_say_is_said_in_a_remark() {
    let of = |security: &str, path: &str| {
        let text = format!(
            "openapi: 3.1.0\ninfo: {{title: t, version: '1'}}\ncomponents:\n  securitySchemes:\n    \
             oauth: {{type: oauth2, flows: {{}}}}\n    user: {{type: http, scheme: bearer}}\n    \
             key: {{type: apiKey, in: header, name: x-key}}\npaths:\n  {path}:\n    get:\n      \
             security: {security}\n      responses: {{default: {{description: d}}}}\n"
        );
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("api.yaml");
        std::fs::write(&file, text).unwrap();
        let found = suggest(&file, None, &args(&["cluster.local/ns/a/sa/b"])).unwrap();
        (found.policy.unwrap_or_default(), found.remarks.join("\n"))
    };
    let any_token = "requestPrincipals: [\"*\"]";
    for (row, security, path, policy, without, remark) in [
        ("a token of no scope", "[{user: []}]", "/a", any_token, "values", ""),
        ("a token and a key", "[{user: [], key: []}]", "/a", any_token, "values", "`key`"),
        ("a token or a key", "[{oauth: [w]}, {key: []}]", "/a", "values: [w]", "no rule", "`key`"),
        ("a key", "[{key: []}]", "/a", "principals", any_token, "`key`"),
        ("nothing", "[]", "/a", "principals", any_token, ""),
        ("a star of its own", "[]", "/files/*", "", "/files", "which no rule can name"),
    ] {
        let (written, remarks) = of(security, path);
        assert!(written.contains(policy), "{row}: {written}");
        assert!(!written.contains(without), "{row}: {written}");
        assert!(remarks.contains(remark), "{row}: {remarks}");
        assert_eq!(written.matches("- from:").count(), usize::from(!policy.is_empty()), "{row}");
        assert_eq!(remarks.is_empty(), remark.is_empty(), "{row}: {remarks}");
    }
}
