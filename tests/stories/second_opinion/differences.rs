//! Where we mean to differ from Envoy, each with its reason. Both verdicts are asserted: a row that is no difference any
//! more fails as well. The same table, in words, is in docs/policy.md.

use serde_json::{Value, json};

use super::{Question, opinions, policy};

/// One difference: policies, a request, our verdict, Envoy's.
struct Row {
    name: &'static str,
    why: &'static str,
    allow: Option<Value>,
    deny: Option<Value>,
    ask: Question,
    ours: &'static str,
    envoy: &'static str,
}

/// A request of the web workload for a path.
fn get(path: &str) -> Question {
    Question {
        set: 0,
        peer: 1,
        port: 8080,
        method: "GET".to_owned(),
        host: "cart.shop".to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
    }
}

fn with(headers: &[(&'static str, &'static str)]) -> Question {
    Question { headers: headers.to_vec(), ..get("/p") }
}

fn paths(patterns: &[&str]) -> Value {
    json!({"to": [{"operation": {"paths": patterns}}]})
}

fn hosts(patterns: &[&str]) -> Value {
    json!({"to": [{"operation": {"hosts": patterns}}]})
}

fn source(field: &str, value: &str) -> Value {
    json!({"from": [{"source": {field: [value]}}]})
}

fn role(values: &[&str]) -> Value {
    json!({"when": [{"key": "request.headers[x-role]", "values": values}]})
}

impl Row {
    /// We deny what Envoy allows.
    fn stricter(name: &'static str, ask: Question, why: &'static str) -> Self {
        Self { name, why, allow: None, deny: None, ask, ours: "deny", envoy: "allow" }
    }

    /// We allow what Envoy denies.
    fn wider(name: &'static str, ask: Question, why: &'static str) -> Self {
        Self { ours: "allow", envoy: "deny", ..Self::stricter(name, ask, why) }
    }

    fn allow(self, rule: Value) -> Self {
        Self { allow: Some(rule), ..self }
    }

    /// Denies by this rule, and allows everything else.
    fn deny(self, rule: Value) -> Self {
        Self { allow: Some(json!({})), deny: Some(rule), ..self }
    }

    fn policies(&self) -> Vec<Value> {
        let rules = [("ALLOW", &self.allow), ("DENY", &self.deny)];
        let rules = rules.into_iter().filter_map(|(action, rule)| Some((action, rule.as_ref()?)));
        rules.map(|(action, rule)| policy(&action.to_lowercase(), action, &json!([rule]))).collect()
    }
}

fn table() -> Vec<Row> {
    let mut rows = defaults_and_names();
    rows.extend(path_readings());
    rows.extend(host_spellings());
    rows.extend(header_values());
    rows
}

fn defaults_and_names() -> Vec<Row> {
    vec![
        Row::stricter("no policy at all", get("/p"), "what nobody allowed is denied"),
        Row {
            deny: Some(paths(&["/admin"])),
            ..Row::stricter(
                "a policy that denies and none that allows",
                get("/p"),
                "what nobody allowed is denied",
            )
        },
        Row::stricter(
            "a name with a namespace inside it",
            Question { peer: 6, ..get("/p") },
            "namespaces are read from the parsed id, not found somewhere in its text",
        )
        .allow(source("namespaces", "shop")),
        Row::stricter(
            "a name that goes on after the account",
            Question { peer: 7, ..get("/p") },
            "a service account is the whole name of its parts",
        )
        .allow(source("serviceAccounts", "shop/web")),
    ]
}

fn path_readings() -> Vec<Row> {
    vec![
        Row::stricter("an escaped slash and DENY", get("/admin%2Fkeys"), "apps that decode it read /admin/keys")
            .deny(paths(&["/admin/*"])),
        Row::stricter(
            "an escaped slash and notPaths",
            get("/files/secret%2Fkeys"),
            "an exception from ALLOW holds in every reading",
        )
        .allow(json!({"to": [{"operation": {"paths": ["/files/*"], "notPaths": ["/files/secret/*"]}}]})),
        Row::stricter("DENY and the path as sent", get("/old/../new"), "a rule that denies also judges the path as it was sent")
            .deny(paths(&["/old/*"])),
        Row::stricter("dots behind an escaped slash", get("/public/..%2Fadmin"), "refused with 400: apps resolve it differently")
            .allow(paths(&["/public/*"])),
        Row::stricter("above the root", get("/../admin"), "refused with 400 instead of ignored").allow(paths(&["/admin"])),
        Row::stricter("overlong UTF-8", get("/public/%C0%AEx"), "refused with 400: a second spelling of '.'")
            .allow(paths(&["/public/*"])),
        Row::stricter("DENY and an escape in the policy", get("/q"), "a policy's own escapes are read as a path's are")
            .deny(paths(&["/%71"])),
        Row::wider("ALLOW and an escape in the policy", get("/q"), "a policy's own escapes are read as a path's are")
            .allow(paths(&["/%71"])),
        Row::stricter("DENY and brackets under {*}", get("/p/[x]/r"), "a segment is anything between slashes")
            .deny(paths(&["/p/{*}/r"])),
        Row::wider("ALLOW and brackets under {*}", get("/p/[x]/r"), "a segment is anything between slashes")
            .allow(paths(&["/p/{*}/r"])),
        Row::stricter("a character no target holds", get("/p/<a>"), "refused with 400: RFC 3986 has it escaped")
            .allow(paths(&["/p/*"])),
        Row::stricter("dots with a parameter", get("/public/..;/admin"), "refused with 400: only some apps take `..;` for `..`")
            .allow(paths(&["/admin"])),
    ]
}

fn host_spellings() -> Vec<Row> {
    let at = |host: &str| Question { host: host.to_owned(), ..get("/p") };
    let why = "one host has one spelling, and a rule without a port means every port";
    vec![
        Row::stricter("DENY and a host with a port", at("cart.shop:8080"), why)
            .deny(hosts(&["cart.shop"])),
        Row::wider("ALLOW and a host with a port", at("cart.shop:8080"), why)
            .allow(hosts(&["cart.shop"])),
        Row::stricter("DENY and a host with a final dot", at("cart.shop."), why)
            .deny(hosts(&["cart.shop"])),
        Row::wider("ALLOW and a host with a final dot", at("cart.shop."), why)
            .allow(hosts(&["cart.shop"])),
    ]
}

fn header_values() -> Vec<Row> {
    let any = "a rule that denies fires when any value matches";
    let all = "a rule that allows needs all values to match, and each one alone";
    vec![
        Row::stricter("DENY and a comma", with(&[("x-role", "admin, guest")]), any)
            .deny(role(&["guest"])),
        Row::stricter("ALLOW and a comma", with(&[("x-role", "admin,guest")]), all)
            .allow(role(&["admin*"])),
        Row::stricter(
            "ALLOW and two lines",
            with(&[("x-role", "admin"), ("x-role", "guest")]),
            all,
        )
        .allow(role(&["admin"])),
        Row::wider("ALLOW and two wanted values", with(&[("x-role", "admin, audit")]), all)
            .allow(role(&["admin", "audit"])),
        Row::stricter(
            "an empty value",
            with(&[("x-role", "")]),
            "* means a value that is not empty",
        )
        .allow(role(&["*"])),
        Row::stricter(
            "an underscore",
            with(&[("x_role", "guest")]),
            "refused with 400: many apps read x_role as x-role",
        )
        .deny(role(&["guest"])),
    ]
}

#[test]
fn s18_policy_semantics_where_we_differ_from_envoy() {
    let mut rows = table();
    for (set, row) in rows.iter_mut().enumerate() {
        row.ask.set = set;
    }
    let sets: Vec<Vec<Value>> = rows.iter().map(Row::policies).collect();
    let questions: Vec<Question> = rows.iter().map(|row| row.ask.clone()).collect();
    let opinions = opinions(&sets, &questions);
    let differ: Vec<String> = rows
        .iter()
        .zip(&opinions)
        .filter(|(row, (ours, envoy))| ours["decision"] != row.ours || envoy != row.envoy)
        .map(|(row, (ours, envoy))| {
            format!(
                "{} ({}): we {ours}, expected {}; Envoy {envoy}, expected {}",
                row.name, row.why, row.ours, row.envoy
            )
        })
        .collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
