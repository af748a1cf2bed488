//! A container's variables: plain ones, those of the downward API, and `$(NAME)` in values and arguments
//! (<https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/>).

use serde_json::Value;

/// Names and values, in the order of the spec.
pub(super) type Variables = Vec<(String, String)>;

/// The variables of a container.
pub(super) fn variables(pod: &Value, container: &Value) -> Variables {
    let mut found = Variables::new();
    for variable in container["env"].as_array().into_iter().flatten() {
        let name = variable["name"].as_str().expect("a variable has a name").to_owned();
        let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some(path) => field(pod, path),
            None => expand(variable["value"].as_str().unwrap_or_default(), &found),
        };
        found.push((name, value));
    }
    found
}

/// What a `fieldPath` names: a text of the pod, or its labels or annotations as the downward API writes them.
pub(super) fn field(pod: &Value, path: &str) -> String {
    let pointer = format!("/{}", path.replace('.', "/"));
    match pod.pointer(&pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(map)) => {
            map.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
        }
        found => panic!("{path} of a pod is {found:?}"),
    }
}

/// Replaces `$(NAME)` by what is known; `$$` is `$`, and an unknown reference stays.
pub(super) fn expand(text: &str, known: &Variables) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let reference = after.strip_prefix('(').and_then(|after| after.split_once(')'));
        match (after.strip_prefix('$'), reference) {
            (Some(after), _) => {
                expanded.push('$');
                rest = after;
            }
            (None, Some((name, after))) => {
                match known.iter().rev().find(|(found, _)| found == name) {
                    Some((_, value)) => expanded.push_str(value),
                    None => expanded.push_str(&format!("$({name})")),
                }
                rest = after;
            }
            (None, None) => {
                expanded.push('$');
                rest = after;
            }
        }
    }
    expanded + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_become_values() {
        let known = vec![("A".to_owned(), "1".to_owned()), ("B".to_owned(), "$(A)".to_owned())];
        for (text, expect) in [
            ("a$(A)b$(A)", "a1b1"),
            ("$(B)", "$(A)"),
            ("$(NONE)", "$(NONE)"),
            ("$$(A)", "$(A)"),
            ("$", "$"),
            ("$(A", "$(A"),
            ("plain", "plain"),
        ] {
            assert_eq!(expand(text, &known), expect, "{text}");
        }
    }
}
