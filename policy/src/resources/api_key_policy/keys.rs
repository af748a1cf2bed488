//! `keys`: what is written of each key, which is never the key.

use std::collections::HashSet;
use std::sync::Arc;

use crate::api_key::{ApiKey, ApiKeyFacts, ApiKeyHash};
use crate::yaml::{DiagnosticCode, YamlReader, YamlValue, parse_timestamp};

/// The most keys of one policy: an object of Kubernetes holds as many.
const MAX_KEYS: usize = 4096;
/// The most scopes of a key.
const MAX_SCOPES: usize = 64;
/// The longest name of a key, a client or a scope, in bytes.
const MAX_NAME: usize = 128;

/// Reads the keys of `policy`, `namespace/name`.
pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    policy: &Arc<str>,
) -> Option<Vec<Arc<ApiKey>>> {
    let items = reader.filled_list(value, MAX_KEYS)?;
    let read: Vec<_> = items
        .into_iter()
        .map(|item| read_key(reader, item, policy).map(|key| (item, Arc::new(key))))
        .collect();
    let read = read.into_iter().collect::<Option<Vec<_>>>()?;
    refuse_second(reader, &read);
    Some(read.into_iter().map(|(_, key)| key).collect())
}

/// Two keys of one name, and one key twice: what is known of whoever sends it must not depend on the order.
fn refuse_second(reader: &mut YamlReader, keys: &[(YamlValue<'_>, Arc<ApiKey>)]) {
    let (mut ids, mut hashes) = (HashSet::new(), HashSet::new());
    for (item, key) in keys {
        let id = &key.facts.id;
        let found = match (ids.insert(id), hashes.insert(key.hash)) {
            (false, _) => format!("the key {id} again"),
            (true, false) => format!("the hash of {id}, which another key has"),
            (true, true) => continue,
        };
        let code = DiagnosticCode::Repeated;
        let fix = "give each key an `id` and a `hash` of its own".to_owned();
        reader.report_with_code(code, item.node.mark, found, "each key once", Some(fix));
    }
}

fn read_key(reader: &mut YamlReader, value: YamlValue<'_>, policy: &Arc<str>) -> Option<ApiKey> {
    let mut map = reader.mapping(value)?;
    let id = map.require(reader, "id");
    let id = id.and_then(|v| reader.parsed(v, "the name of a key", name));
    let client = map.require(reader, "client");
    let client = client.and_then(|v| reader.parsed(v, "the name of a client", name));
    let hash = map.require(reader, "hash");
    let hash = hash.and_then(|v| read_hash(reader, v));
    let scopes = map.take("scopes").map(|v| {
        let items = reader.filled_list(v, MAX_SCOPES)?;
        items.into_iter().map(|item| reader.parsed(item, "a scope", scope)).collect()
    });
    let not_before = map.take("notBefore").map(|v| (v, read_time(reader, v)));
    let not_after = map.take("notAfter").map(|v| (v, read_time(reader, v)));
    refuse_the_key_itself(reader, map.take_unsupported("key"));
    map.finish(reader);
    if let (Some((_, Some(begin))), Some((value, Some(end)))) = (not_before, not_after)
        && end <= begin
    {
        reader.report_value(value, "a moment after `notBefore`", None);
    }
    let time = |written: Option<(_, Option<u64>)>| written.map_or(Some(None), |(_, t)| t.map(Some));
    Some(ApiKey {
        facts: ApiKeyFacts {
            policy: Arc::clone(policy),
            id: id?,
            client: client?,
            scopes: scopes.unwrap_or_else(|| Some(Vec::new()))?,
        },
        hash: hash?,
        not_before: time(not_before)?,
        not_after: time(not_after)?,
    })
}

fn refuse_the_key_itself(reader: &mut YamlReader, key: Option<YamlValue<'_>>) {
    let Some(key) = key else { return };
    // The value is not shown: it may be a key that is in use.
    let found = "a key in a policy, where everybody who may read policies can read it";
    let fix = "write its hash, and replace the key".to_owned();
    reader.report(key.node.mark, found, "`hash`", Some(fix));
}

fn read_time(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<u64> {
    reader.parsed(value, "a moment in UTC", |text| {
        parse_timestamp(text).ok_or("RFC 3339 in UTC, such as \"2027-01-31T00:00:00Z\"")
    })
}

/// Names go to logs and metrics, and policies compare them.
fn name(text: &str) -> Result<Arc<str>, &'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@');
    match text.len() <= MAX_NAME && text.bytes().all(plain) {
        true => Ok(text.into()),
        false => Err("letters, digits, '-', '_', '.' and '@', at most 128"),
    }
}

/// A scope as tokens have them (RFC 6749 §3.3).
fn scope(text: &str) -> Result<Arc<str>, &'static str> {
    let fits = |b: u8| (b'!'..=b'~').contains(&b) && b != b'"' && b != b'\\';
    match text.len() <= MAX_NAME && text.bytes().all(fits) {
        true => Ok(text.into()),
        false => Err("one word of visible ASCII characters without '\"' and '\\', at most 128"),
    }
}

/// The value is not shown where it is no hash: it may be a key that is in use.
fn read_hash(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<ApiKeyHash> {
    let text = reader.text(value)?;
    let hash = hash_text(text);
    if let Err(advice) = hash {
        let (found, expected) = ("no hash for `hash`", "sha256: and 64 hexadecimal digits");
        reader.report(value.node.mark, found, expected, Some(advice.to_owned()));
    }
    hash.ok()
}

fn hash_text(text: &str) -> Result<ApiKeyHash, &'static str> {
    let advice = "write what `postern-proxy api-key new` prints, or printf %s KEY | sha256sum";
    let digits = text.strip_prefix("sha256:").ok_or(advice)?.as_bytes();
    let mut hash = [0; 32];
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != hash.len() || !rest.is_empty() {
        return Err(advice);
    }
    for (byte, pair) in hash.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        let value = high.zip(low).map(|(high, low)| high << 4 | low).ok_or(advice)?;
        *byte = u8::try_from(value).map_err(|_| advice)?;
    }
    Ok(ApiKeyHash(hash))
}
