//! Secret (`v1`): certificates and their keys, what clients prove themselves by, keys of sessions.
//!
//! What a Secret holds is never told, not even where it is wrong: its diagnostics name keys alone. Whether a certificate is
//! one, and the key is its own, is seen by whoever uses it: here it is a status of the listener, and no mistake of the file.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::object::ResourceObject;
use crate::core_group::{Secret, SecretKind};
use crate::yaml::{DiagnosticCode, NodeKind, YamlReader, YamlValue};

/// The longest value, in bytes: what a Secret can hold.
const MAX_VALUE: usize = 1 << 20;

const KINDS: &[(&str, SecretKind)] =
    &[("kubernetes.io/tls", SecretKind::Tls), ("Opaque", SecretKind::Opaque)];

type SecretValue = Arc<Zeroizing<Vec<u8>>>;

/// Reads a Secret of type `kubernetes.io/tls` or `Opaque`. Keys that nothing here refers to are read past.
pub(super) fn read(reader: &mut YamlReader, object: &ResourceObject<'_>) -> Option<Secret> {
    let kind = match object.data.kind {
        Some(kind) => read_kind(reader, kind),
        None => Some(SecretKind::Opaque),
    };
    let data = values(reader, object.data.data, "data");
    let strings = values(reader, object.data.string_data, "stringData");
    let (data, strings) = (data?, strings?);
    let mut value = |key: &'static str| {
        // As the API server does it: `stringData` stands in the place of `data`.
        match strings.and_then(|map| map.get(key)) {
            Some(text) => read_text(reader, text, key).map(Some),
            None => match data.and_then(|map| map.get(key)) {
                Some(encoded) => read_base64(reader, encoded, key).map(Some),
                None => Some(None),
            },
        }
    };
    let [certificate, key, authorities] = ["tls.crt", "tls.key", "ca.crt"].map(&mut value);
    let values = Secret::VALUES.map(|key| value(key).map(|found| found.map(|found| (key, found))));
    let values = values.into_iter().collect::<Option<Vec<_>>>()?;
    Some(Secret {
        id: object.id(),
        kind: kind?,
        certificate: certificate?,
        key: key?,
        authorities: authorities?,
        values: values.into_iter().flatten().collect(),
    })
}

/// The type's word is no secret.
fn read_kind(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<SecretKind> {
    let known = KINDS.iter().find(|(name, _)| value.is_text(name));
    if known.is_none() {
        let fix = "only certificates, keys and secrets of clients are read; keep others in another directory";
        let expected = "kubernetes.io/tls or Opaque";
        let code = DiagnosticCode::Unsupported;
        reader.report_value_with_code(code, value, expected, Some(fix.to_owned()));
    }
    known.map(|(_, kind)| *kind)
}

/// The mapping of values; the inner `None` where there is none.
fn values<'n>(
    reader: &mut YamlReader,
    value: Option<YamlValue<'n>>,
    name: &str,
) -> Option<Option<YamlValue<'n>>> {
    match value.filter(|value| !value.node.is_null()) {
        Some(value) if matches!(value.node.kind, NodeKind::Map(_)) => Some(Some(value)),
        Some(value) => refuse(reader, value, name, "a mapping"),
        None => Some(None),
    }
}

fn read_text(reader: &mut YamlReader, value: YamlValue<'_>, key: &str) -> Option<SecretValue> {
    match value.scalar().filter(|text| text.len() <= MAX_VALUE) {
        Some(text) => Some(Arc::new(Zeroizing::new(text.as_bytes().to_vec()))),
        None => refuse(reader, value, key, "text of at most 1 MiB"),
    }
}

fn read_base64(reader: &mut YamlReader, value: YamlValue<'_>, key: &str) -> Option<SecretValue> {
    let expected = "base64 (RFC 4648 §4) of at most 1 MiB";
    let text = value.scalar().filter(|text| text.len() <= MAX_VALUE.saturating_mul(2));
    let Some(text) = text else { return refuse(reader, value, key, expected) };
    // Lines may be broken, as a block of YAML has it.
    let mut joined = Zeroizing::new(Vec::with_capacity(text.len()));
    joined.extend(text.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    // The room is made at once: a buffer that grew would leave parts of a key behind.
    let mut decoded = Zeroizing::new(vec![0; joined.len()]);
    match STANDARD.decode_slice(joined.as_slice(), &mut decoded) {
        Ok(length) if length <= MAX_VALUE => {
            decoded.truncate(length);
            Some(Arc::new(decoded))
        }
        _ => refuse(reader, value, key, expected),
    }
}

/// Says what is wrong without what stands there.
fn refuse<T>(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    key: &str,
    expected: &str,
) -> Option<T> {
    let found = format!("something else for `{key}`");
    reader.report(value.node.mark, found, expected, None);
    None
}

#[cfg(test)]
mod tests;
