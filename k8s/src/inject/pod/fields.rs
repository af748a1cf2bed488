//! Fields of a pod, each with its place: what has another shape than Kubernetes gives it can be found in a file.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::LocatedName;

/// The longest text of a file that is shown, in characters.
const MOST_SHOWN: usize = 64;

/// A field that Kubernetes would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedField {
    /// Where it is, or should be: a JSON pointer (RFC 6901).
    pointer: String,
    /// What was found; nothing where the field is missing.
    found: Option<String>,
    /// What to write.
    expected: String,
}

impl MalformedField {
    /// A field that is not there.
    pub(crate) fn missing(pointer: &str, expected: &str) -> Self {
        Self { pointer: pointer.to_owned(), found: None, expected: expected.to_owned() }
    }

    /// The JSON pointer (RFC 6901) into the pod.
    pub(crate) fn pointer(&self) -> &str {
        &self.pointer
    }

    /// The same field with its pointer into an object whose pod is at `above`.
    pub(crate) fn below(&self, above: &str) -> Self {
        Self { pointer: format!("{above}{}", self.pointer), ..self.clone() }
    }
}

impl fmt::Display for MalformedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = dotted(&self.pointer);
        match &self.found {
            Some(found) => write!(f, "{field}: found {found}; write {}", self.expected),
            None => write!(f, "{field} is missing; write {}", self.expected),
        }
    }
}

/// A JSON pointer as people write it: `spec.containers[0].name`, `metadata.annotations["a/b"]`.
pub(crate) fn dotted(pointer: &str) -> String {
    let mut text = String::new();
    for key in pointer.split('/').skip(1) {
        let key: String =
            key.replace("~1", "/").replace("~0", "~").chars().take(MOST_SHOWN).collect();
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit()) {
            text.push_str(&format!("[{key}]"));
        } else if !key.is_empty() && key.bytes().all(word) {
            let dot = if text.is_empty() { "" } else { "." };
            text.push_str(&format!("{dot}{key}"));
        } else {
            text.push_str(&format!("[{key:?}]"));
        }
    }
    if text.is_empty() { "the whole".to_owned() } else { text }
}

/// A key as a part of a pointer.
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A field that may be there. An explicit `null`, which templates often leave behind, means the same as nothing.
#[derive(Debug, Clone)]
pub(crate) struct LocatedField<'a> {
    pub(crate) value: Option<&'a Value>,
    pub(crate) pointer: String,
}

impl<'a> LocatedField<'a> {
    /// The object itself.
    pub(crate) fn whole(value: &'a Value) -> Self {
        Self { value: Some(value), pointer: String::new() }
    }

    /// A field of this mapping.
    pub(crate) fn at(&self, key: &str) -> Self {
        let value = self.value.and_then(|value| value.get(key)).filter(|value| !value.is_null());
        Self { value, pointer: format!("{}/{}", self.pointer, escaped(key)) }
    }
}

/// Reads fields, and collects what is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct FieldReader {
    mistakes: Vec<MalformedField>,
}

impl FieldReader {
    /// Every mistake so far.
    pub(crate) fn mistakes(self) -> Vec<MalformedField> {
        self.mistakes
    }

    /// Notes that a field is missing.
    pub(crate) fn missing(&mut self, field: &LocatedField<'_>, expected: &str) {
        self.mistakes.push(MalformedField::missing(&field.pointer, expected));
    }

    fn wrong(&mut self, field: &LocatedField<'_>, value: &Value, expected: &str) {
        let quoted = match value {
            Value::Number(_) | Value::Bool(_) if expected == TEXT => {
                format!("{TEXT}: {:?}, in quotes", value.to_string())
            }
            _ => expected.to_owned(),
        };
        let found = Some(described(value));
        self.mistakes.push(MalformedField {
            pointer: field.pointer.clone(),
            found,
            expected: quoted,
        });
    }

    /// A text.
    pub(crate) fn text(&mut self, field: &LocatedField<'_>) -> Option<String> {
        self.read(field, TEXT, |value| value.as_str().map(str::to_owned))
    }

    /// A text that must be there and not be empty.
    pub(crate) fn filled(&mut self, field: &LocatedField<'_>, expected: &str) -> Option<String> {
        let Some(value) = field.value else {
            self.missing(field, expected);
            return None;
        };
        if value == "" {
            self.wrong(field, value, expected);
        }
        self.text(field)
    }

    /// Notes names that stand twice.
    pub(crate) fn once<'a>(&mut self, names: impl Iterator<Item = &'a LocatedName>, what: &str) {
        let mut seen = BTreeSet::new();
        for LocatedName { name, pointer } in names.filter(|named| !named.name.is_empty()) {
            if !seen.insert(name) {
                let found = described(&Value::String(name.clone()));
                let found = Some(format!("{found}, the name of another {what}"));
                let expected = "a name that no other has".to_owned();
                self.mistakes.push(MalformedField { pointer: pointer.clone(), found, expected });
            }
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, field: &LocatedField<'_>) -> Option<bool> {
        self.read(field, "true or false, without quotes", Value::as_bool)
    }

    /// A whole number.
    pub(crate) fn integer(&mut self, field: &LocatedField<'_>) -> Option<i64> {
        self.read(field, "a whole number, without quotes", Value::as_i64)
    }

    /// A number of seconds.
    pub(crate) fn seconds(&mut self, field: &LocatedField<'_>) -> Option<u32> {
        let seconds = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
        self.read(field, "a number of seconds, without quotes", seconds)
    }

    /// A port.
    pub(crate) fn port(&mut self, field: &LocatedField<'_>) -> Option<u16> {
        let number = |value: &Value| value.as_u64().and_then(|n| u16::try_from(n).ok());
        let port = |value: &Value| number(value).filter(|port| *port != 0);
        self.read(field, "a port, 1 to 65535, without quotes", port)
    }

    /// A mapping; false where there is none.
    pub(crate) fn mapping(&mut self, field: &LocatedField<'_>) -> bool {
        self.read(field, "a mapping", |value| value.as_object()).is_some()
    }

    /// The texts of a mapping; an empty value is an empty text.
    pub(crate) fn texts(&mut self, field: &LocatedField<'_>) -> Vec<(String, String)> {
        let map = self.read(field, "a mapping of texts", |value| value.as_object());
        let keys = map.into_iter().flat_map(|map| map.keys());
        let pairs = keys.filter_map(|key| {
            let value = field.at(key);
            let text = if value.value.is_none() { Some(String::new()) } else { self.text(&value) };
            Some((key.clone(), text?))
        });
        pairs.collect()
    }

    /// The items of a list, each of which is a mapping.
    pub(crate) fn mappings<'a>(&mut self, field: &LocatedField<'a>) -> Vec<LocatedField<'a>> {
        let items = self.read(field, "a list (a sequence)", |value| value.as_array());
        let items = items.into_iter().flatten().enumerate().map(|(index, value)| LocatedField {
            value: Some(value),
            pointer: format!("{}/{index}", field.pointer),
        });
        items.filter(|item| self.mapping(item)).collect()
    }

    fn read<'a, T>(
        &mut self,
        field: &LocatedField<'a>,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = field.value?;
        let good = read(value);
        if good.is_none() {
            self.wrong(field, value, expected);
        }
        good
    }
}

const TEXT: &str = "a text";

fn described(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) => format!("the boolean {value}"),
        Value::Number(_) => format!("the number {value}"),
        Value::String(text) => {
            format!("the text {:?}", text.chars().take(MOST_SHOWN).collect::<String>())
        }
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_as_people_write_them() {
        for (pointer, expect) in [
            ("", "the whole"),
            (
                "/spec/containers/0/ports/1/containerPort",
                "spec.containers[0].ports[1].containerPort",
            ),
            (
                "/metadata/annotations/postern.dev~1mtls",
                "metadata.annotations[\"postern.dev/mtls\"]",
            ),
            ("/a/b~0c", "a[\"b~c\"]"),
            ("/a/x\ny", "a[\"x\\ny\"]"),
        ] {
            assert_eq!(dotted(pointer), expect, "{pointer}");
        }
    }
}
