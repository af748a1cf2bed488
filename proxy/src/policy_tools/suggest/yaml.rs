//! The policy as people write it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use policy::Workload;

use super::rules::{SuggestedOperation, SuggestedRule};

/// What stands above the rules.
#[derive(Clone, Copy)]
pub(super) struct PolicyHeader<'a> {
    pub(super) name: &'a str,
    pub(super) workload: &'a Workload,
    pub(super) dry_run: bool,
}

/// The labels that by custom name an app; one is enough to select it.
const NAMING_LABELS: [&str; 2] = ["app", "app.kubernetes.io/name"];

pub(super) fn policy(head: &PolicyHeader<'_>, rules: &[SuggestedRule]) -> String {
    let mut out =
        String::from("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n");
    // Writing to a String cannot fail.
    let _ = writeln!(out, "  name: {}", scalar(head.name));
    let _ = writeln!(out, "  namespace: {}", scalar(&head.workload.namespace));
    if head.dry_run {
        out.push_str("  annotations: {istio.io/dry-run: \"true\"}\n");
    }
    out.push_str("spec:\n");
    out.push_str(&selector(head.workload));
    out.push_str("  action: ALLOW\n  rules:\n");
    for SuggestedRule { callers, operations } in rules {
        let _ = writeln!(out, "    - from:\n        - source: {{principals: {}}}", list(callers));
        out.push_str("      to:\n");
        for operation in operations {
            let _ = writeln!(out, "        - operation: {}", fields(operation));
        }
    }
    out
}

pub(super) fn selector(workload: &Workload) -> String {
    let named = NAMING_LABELS.iter().find_map(|name| workload.labels.get_key_value(*name));
    let labels: Vec<String> = match named {
        Some(label) => vec![label],
        None => workload.labels.iter().collect(),
    }
    .into_iter()
    .map(|(key, value)| format!("{}: {}", scalar(key), scalar(value)))
    .collect();
    match labels.is_empty() {
        true => {
            "  # The workload has no labels, so this is about every workload of the namespace.\n"
                .to_owned()
        }
        false => format!("  selector: {{matchLabels: {{{}}}}}\n", labels.join(", ")),
    }
}

fn fields(operation: &SuggestedOperation) -> String {
    let ports: Vec<String> = operation.ports.iter().map(|port| format!("\"{port}\"")).collect();
    let mut fields = vec![format!("ports: [{}]", ports.join(", "))];
    if !operation.methods.is_empty() {
        fields.push(format!("methods: {}", list(&operation.methods)));
        fields.push(format!("paths: {}", list(&operation.paths)));
    }
    format!("{{{}}}", fields.join(", "))
}

pub(super) fn list(values: &BTreeSet<String>) -> String {
    let values: Vec<String> = values.iter().map(|value| scalar(value)).collect();
    format!("[{}]", values.join(", "))
}

/// Plain where YAML reads nothing else into it, else in double quotes, where JSON and YAML agree.
pub(super) fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    match begins && !word && text.chars().all(plain) {
        true => text.to_owned(),
        false => serde_json::Value::from(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::scalar;

    #[test]
    fn scalars() {
        for (text, expect) in [
            ("/cart/ann", "/cart/ann"),
            ("GET", "GET"),
            ("/cart/{*}", "\"/cart/{*}\""),
            ("null", "\"null\""),
            ("On", "\"On\""),
            ("1.2", "\"1.2\""),
            ("/a: b", "\"/a: b\""),
            ("/a#b", "\"/a#b\""),
            ("/\"", "\"/\\\"\""),
        ] {
            assert_eq!(scalar(text), expect);
        }
    }
}
