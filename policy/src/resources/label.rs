//! The syntax of Kubernetes labels and annotations: what no object can carry, no selector can ever match.
//!
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>

use std::collections::BTreeMap;

use super::object::is_dns_subdomain;
use crate::yaml::{YamlReader, YamlValue};

/// The longest name and the longest value, in bytes.
const MAX_PART: usize = 63;

const KEY_ADVICE: &str = "a label's key is a name, or prefix/name: the name of letters, digits, '-', '_' and '.', beginning and \
     ending with a letter or digit, at most 63; the prefix a DNS name in lower case, at most 253";
const VALUE_ADVICE: &str = "a label's value is letters, digits, '-', '_' and '.', beginning and ending with a letter or digit, at most 63";

/// Reads a mapping of labels as an object carries them. A value may be empty there.
pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
) -> Option<BTreeMap<String, String>> {
    let mut map = reader.mapping(value)?;
    let mut labels = BTreeMap::new();
    for (key, value) in map.entries() {
        if key.text.contains('*') || value.scalar().is_some_and(|text| text.contains('*')) {
            reader.report_value(
                value,
                "a label without *",
                Some("labels are compared whole".into()),
            );
            continue;
        }
        let right_key = is_key(&key.text);
        if !right_key {
            let found = format!("the label key \"{}\"", key.text);
            reader.report(key.mark, found, "a key that a label can have", Some(KEY_ADVICE.into()));
        }
        let text = if value.is_empty_text() { Some("") } else { reader.text(value) };
        let Some(text) = text else { continue };
        if !is_value(text) {
            reader.report_value(value, "a value that a label can have", Some(VALUE_ADVICE.into()));
        } else if right_key {
            labels.insert(key.text.to_string(), text.to_owned());
        }
    }
    Some(labels)
}

/// `[prefix/]name`: the key of a label, and of an annotation.
pub(super) fn is_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_name(name),
        None => is_name(text),
    }
}

fn is_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let edges = [text.bytes().next(), text.bytes().last()];
    text.len() <= MAX_PART
        && edges.iter().all(|edge| edge.is_some_and(|b| b.is_ascii_alphanumeric()))
        && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values() {
        let long = "a".repeat(64);
        let name = "n".repeat(63);
        let prefix = ["a.".repeat(125), "abc".to_owned()].concat();
        for (text, key, value) in [
            ("app", true, true),
            ("a.b_c-D9", true, true),
            (&*name, true, true),
            (&*long, false, false),
            ("", false, true),
            ("-a", false, false),
            ("a-", false, false),
            (".", false, false),
            ("a b", false, false),
            ("ä", false, false),
            ("app.kubernetes.io/name", true, false),
            (&*format!("{prefix}/n"), true, false),
            (&*format!("a{prefix}/n"), false, false),
            ("App.io/name", false, false),
            ("/name", false, false),
            ("app.io/", false, false),
            ("a/b/c", false, false),
            ("a..b/c", false, false),
        ] {
            assert_eq!((is_key(text), is_value(text)), (key, value), "{text}");
        }
    }
}
