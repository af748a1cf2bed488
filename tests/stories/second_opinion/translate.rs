//! From the policy language to Envoy's RBAC filter, the way the language's own control plane translates it.
//!
//! Written from the language's description and knowing nothing of our evaluator: it reads the documents as data.

use serde_json::{Map, Value, json};

/// The rules of all policies of one action, for the filter of that action; `None` when there is no such policy, and so
/// no filter.
pub(super) fn rbac(policies: &[Value], action: &str) -> Option<Value> {
    let chosen: Vec<&Value> =
        policies.iter().filter(|policy| policy["spec"]["action"] == action).collect();
    let mut named = Map::new();
    for policy in &chosen {
        for (index, rule) in list(&policy["spec"]["rules"]).iter().enumerate() {
            let name = policy["metadata"]["name"].as_str().unwrap();
            named.insert(format!("{name}[{index}]"), policy_of(rule));
        }
    }
    (!chosen.is_empty()).then(|| json!({"rules": {"action": action, "policies": named}}))
}

fn policy_of(rule: &Value) -> Value {
    let (mut permissions, mut principals) = (Vec::new(), Vec::new());
    if let Some(sources) = rule["from"].as_array() {
        principals.push(PRINCIPAL.any(sources.iter().map(|item| PRINCIPAL.part(&item["source"]))));
    }
    if let Some(operations) = rule["to"].as_array() {
        let operations = operations.iter().map(|item| PERMISSION.part(&item["operation"]));
        permissions.push(PERMISSION.any(operations));
    }
    for condition in list(&rule["when"]) {
        let key = condition["key"].as_str().unwrap();
        let (words, into) = match key {
            "destination.port" => (&PERMISSION, &mut permissions),
            _ => (&PRINCIPAL, &mut principals),
        };
        if condition.get("values").is_some() {
            into.push(words.field(key, &condition["values"]));
        }
        if condition.get("notValues").is_some() {
            into.push(words.negation(words.field(key, &condition["notValues"])));
        }
    }
    json!({
        "permissions": [PERMISSION.all(permissions)],
        "principals": [PRINCIPAL.all(principals)],
    })
}

/// How one half of an Envoy policy spells and, or, not.
struct Words {
    and: &'static str,
    or: &'static str,
    not: &'static str,
    list: &'static str,
}

const PERMISSION: Words =
    Words { and: "and_rules", or: "or_rules", not: "not_rule", list: "rules" };
const PRINCIPAL: Words = Words { and: "and_ids", or: "or_ids", not: "not_id", list: "ids" };

impl Words {
    fn all(&self, parts: Vec<Value>) -> Value {
        match parts.is_empty() {
            true => json!({"any": true}),
            false => json!({(self.and): {(self.list): parts}}),
        }
    }

    fn any(&self, parts: impl Iterator<Item = Value>) -> Value {
        json!({(self.or): {(self.list): parts.collect::<Vec<_>>()}})
    }

    fn negation(&self, part: Value) -> Value {
        json!({(self.not): part})
    }

    /// A source or an operation: all of its fields.
    fn part(&self, fields: &Value) -> Value {
        let fields = fields.as_object().unwrap().iter().map(|(name, values)| {
            match name.strip_prefix("not") {
                Some(name) => self.negation(self.field(&name.to_lowercase(), values)),
                None => self.field(&name.to_lowercase(), values),
            }
        });
        self.all(fields.collect())
    }

    /// A field or condition: any of its values.
    fn field(&self, name: &str, values: &Value) -> Value {
        self.any(list(values).iter().map(|value| matcher(name, value.as_str().unwrap())))
    }
}

/// One value of a field of this name (in lower case) or of a condition with this key.
fn matcher(name: &str, value: &str) -> Value {
    let header = |name: &str, text: Value| match value {
        "*" => json!({"header": {"name": name, "present_match": true}}),
        _ => json!({"header": {"name": name, "string_match": text}}),
    };
    match name {
        "principals" | "source.principal" => peer(principal(value)),
        "namespaces" | "source.namespace" => peer(regex(&format!(".*/ns/{}/.*", glob(value)))),
        "serviceaccounts" => {
            let (namespace, account) = value.split_once('/').unwrap();
            let (namespace, account) = (glob(namespace), glob(account));
            peer(regex(&format!("spiffe://.+/ns/{namespace}/(.+/|)sa/{account}(/.+)?")))
        }
        "trustdomains" => peer(json!({"prefix": format!("spiffe://{value}/")})),
        "ipblocks" | "source.ip" => {
            let (address, length) = value.split_once('/').unwrap_or((value, "32"));
            let length: u8 = length.parse().unwrap();
            json!({"direct_remote_ip": {"address_prefix": address, "prefix_len": length}})
        }
        "ports" | "destination.port" => json!({"destination_port": value.parse::<u16>().unwrap()}),
        "methods" => header(":method", text(value)),
        "hosts" => {
            let mut text = text(value);
            text["ignore_case"] = true.into();
            header(":authority", text)
        }
        "paths" => path(value),
        _ => {
            let name =
                name.strip_prefix("request.headers[").and_then(|name| name.strip_suffix(']'));
            header(name.unwrap_or_else(|| panic!("a field of no known name")), text(value))
        }
    }
}

fn peer(name: Value) -> Value {
    json!({"authenticated": {"principal_name": name}})
}

fn principal(value: &str) -> Value {
    match value.strip_prefix('*') {
        Some("") => regex(".+"),
        Some(suffix) => regex(&format!("spiffe://.*{}", escaped(suffix))),
        None => text(&format!("spiffe://{value}")),
    }
}

fn path(value: &str) -> Value {
    if value.contains('{') {
        let template = value.replace("{**}", "**").replace("{*}", "*");
        return json!({"uri_template": {
            "name": "envoy.path.match.uri_template.uri_template_matcher",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
                "path_template": template,
            },
        }});
    }
    let path = if value == "*" { regex(".+") } else { text(value) };
    json!({"url_path": {"path": path}})
}

/// The three forms of a text that are not `*` alone.
fn text(value: &str) -> Value {
    match (value.strip_prefix('*'), value.strip_suffix('*')) {
        (Some(suffix), _) => json!({"suffix": suffix}),
        (None, Some(prefix)) => json!({"prefix": prefix}),
        (None, None) => json!({"exact": value}),
    }
}

fn regex(pattern: &str) -> Value {
    json!({"safe_regex": {"regex": pattern}})
}

/// A text with `*` at one end, as part of a regular expression.
fn glob(value: &str) -> String {
    escaped(value).replace('*', ".*")
}

fn escaped(text: &str) -> String {
    text.replace('.', "\\.")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
