//! ApiKeyPolicy (`policy.postern.dev/v1alpha1`): which API keys are accepted, whose they are and what they are for; see
//! `docs/api-keys.md`.

mod keys;

use std::sync::Arc;

use super::listener_target;
use super::object::ResourceObject;
use super::selector::{self, MatchLabels};
use crate::Workload;
use crate::api_key::{ApiKey, ApiKeyMode, ApiKeyPlace};
use crate::client_traffic::ClientTrafficTarget;
use crate::header_names::advice_on_removed_header;
use crate::yaml::{DiagnosticCode, YamlReader, YamlValue};

/// The header that has a key where nothing is written.
const DEFAULT_HEADER: &str = "x-api-key";
const MODES: &[(&str, ApiKeyMode)] =
    &[("required", ApiKeyMode::Required), ("optional", ApiKeyMode::Optional)];
/// Fields that mean something to everybody on the way, and what stands against a key in them.
const OTHERS: &[&str] =
    &["authorization", "cookie", "host", "content-type", "content-length", "dpop", "forwarded"];

/// An ApiKeyPolicy. All that are about a workload or a listener hold together.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKeyPolicy {
    name: Arc<str>,
    namespace: Arc<str>,
    selector: MatchLabels,
    targets: Vec<ClientTrafficTarget>,
    place: ApiKeyPlace,
    mode: ApiKeyMode,
    forwards: bool,
    keys: Vec<Arc<ApiKey>>,
}

impl ApiKeyPolicy {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The Gateways, ListenerSets and listeners it is about; empty: it selects workloads.
    pub fn targets(&self) -> &[ClientTrafficTarget] {
        &self.targets
    }

    /// True when it is about the workload: in its namespace or the root one, and selected.
    pub fn selects(&self, workload: &Workload, root_namespace: &str) -> bool {
        let scope = *self.namespace == *workload.namespace || *self.namespace == *root_namespace;
        self.targets.is_empty() && scope && self.selector.matches(&workload.labels)
    }

    /// Where its keys stand in a request.
    pub fn place(&self) -> &ApiKeyPlace {
        &self.place
    }

    /// Whether a request must carry a key.
    pub fn mode(&self) -> ApiKeyMode {
        self.mode
    }

    /// Whether the app gets the key.
    pub fn forwards(&self) -> bool {
        self.forwards
    }

    /// The keys.
    pub fn keys(&self) -> &[Arc<ApiKey>] {
        &self.keys
    }
}

pub(super) fn read(reader: &mut YamlReader, object: &ResourceObject<'_>) -> Option<ApiKeyPolicy> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` with `keys`", None);
        return None;
    };
    let name: Arc<str> = object.full_name().into();
    let mut map = reader.mapping(spec)?;
    let selector = map.take("selector").map(|v| selector::read(reader, v));
    let refs = map.take("targetRefs");
    let targets = refs.map(|v| listener_target::read(reader, v, &object.namespace));
    let place = map.take("from").map(|v| read_place(reader, v));
    let mode = map.take("mode").map(|v| reader.choice(v, MODES));
    let forwards = map.take("forward").map(|v| reader.boolean(v));
    let keys = map.require(reader, "keys").and_then(|v| keys::read(reader, v, &name));
    map.finish(reader);
    if let Some(refs) = refs.filter(|_| selector.is_some()) {
        reader.report(refs.node.mark, "`targetRefs` beside `selector`", "one of the two", None);
    }
    Some(ApiKeyPolicy {
        name,
        namespace: Arc::clone(&object.namespace),
        selector: selector.unwrap_or_else(|| Some(MatchLabels::default()))?,
        targets: targets.unwrap_or_else(|| Some(Vec::new()))?,
        place: place.unwrap_or_else(|| Some(ApiKeyPlace::Header(DEFAULT_HEADER.into())))?,
        mode: mode.unwrap_or_else(|| Some(ApiKeyMode::default()))?,
        forwards: forwards.unwrap_or(Some(false))?,
        keys: keys?,
    })
}

fn read_place(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<ApiKeyPlace> {
    let mut map = reader.mapping(value)?;
    let header = map.take("header").map(|v| read_header(reader, v));
    let query = map.take("query").map(|v| {
        let name = reader.parsed(v, "the name of a query parameter", parameter_name)?;
        Some(ApiKeyPlace::Query(name))
    });
    map.finish(reader);
    if header.is_some() == query.is_some() {
        let found = if header.is_some() { "`header` beside `query`" } else { "no place" };
        reader.report(value.node.mark, found, "`header` or `query`", None);
    }
    header.or(query)?
}

fn read_header(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<ApiKeyPlace> {
    let name = reader.parsed(value, "the name of a header", header_name)?;
    let removed = advice_on_removed_header(&name);
    let other = OTHERS.contains(&&*name).then_some("others read it, too; write such as x-api-key");
    if let Some(advice) = removed.or(other) {
        let expected = "a header of its own for the key";
        let code = DiagnosticCode::Value;
        reader.report_value_with_code(code, value, expected, Some(advice.to_owned()));
        return None;
    }
    Some(ApiKeyPlace::Header(name))
}

/// Plain names alone: no two of them are taken for each other.
fn header_name(text: &str) -> Result<Box<str>, &'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    match text.len() <= 64 && text.bytes().all(plain) {
        true => Ok(text.to_ascii_lowercase().into()),
        false => Err("letters, digits and '-', at most 64"),
    }
}

fn parameter_name(text: &str) -> Result<Box<str>, &'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    match text.len() <= 64 && text.bytes().all(plain) {
        true => Ok(text.into()),
        false => Err("letters, digits, '-', '_' and '.', at most 64"),
    }
}

#[cfg(test)]
mod tests;
