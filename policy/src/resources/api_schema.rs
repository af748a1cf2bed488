//! ApiSchema (`policy.postern.dev/v1alpha1`): the OpenAPI description that requests are compared with; see
//! `docs/api-schemas.md`.

mod document;

use std::sync::Arc;

use api_schema::JsonLimits;

use super::listener_target;
use super::object::ResourceObject;
use super::selector;
use crate::Workload;
use crate::api_schema::{
    AnswerCheck, ApiSchemaScope, ApiSchemaSettings, SchemaMode, UnknownOperations,
};
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};

const MODES: &[(&str, SchemaMode)] =
    &[("detect", SchemaMode::Detect), ("block", SchemaMode::Block)];
const UNKNOWN_OPERATIONS: &[(&str, UnknownOperations)] =
    &[("deny", UnknownOperations::Deny), ("allow", UnknownOperations::Allow)];
const ANSWERS: &[(&str, AnswerCheck)] = &[
    ("ignore", AnswerCheck::Ignore),
    ("detect", AnswerCheck::Detect),
    ("block", AnswerCheck::Block),
];
/// The most ports of one ApiSchema: each is an API of the workload.
const MAX_PORTS: usize = 16;
/// The longest base path, in bytes.
const MAX_BASE_PATH: usize = 1024;

/// An ApiSchema. The one that is closest to a request holds as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiSchema {
    name: Arc<str>,
    namespace: Arc<str>,
    scope: ApiSchemaScope,
    settings: Arc<ApiSchemaSettings>,
}

impl ApiSchema {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Arc<str> {
        &self.namespace
    }

    /// Whom it is about.
    pub fn scope(&self) -> &ApiSchemaScope {
        &self.scope
    }

    /// What it says.
    pub fn settings(&self) -> &Arc<ApiSchemaSettings> {
        &self.settings
    }

    /// True when it is about the workload's sidecar: in its namespace or the root one, and selected.
    pub fn selects(&self, workload: &Workload, root_namespace: &str) -> bool {
        let reaches = *self.namespace == *workload.namespace || *self.namespace == *root_namespace;
        match &self.scope {
            ApiSchemaScope::Workloads { selector, .. } => {
                reaches && selector.matches(&workload.labels)
            }
            ApiSchemaScope::Edge(_) => false,
        }
    }
}

pub(super) fn read(reader: &mut YamlReader, object: &ResourceObject<'_>) -> Option<ApiSchema> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` with a `document`", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let scope = read_scope(reader, &mut map, &object.namespace);
    let settings = read_settings(reader, &mut map, &object.full_name());
    map.finish(reader);
    Some(ApiSchema {
        name: object.full_name().into(),
        namespace: Arc::clone(&object.namespace),
        scope: scope?,
        settings: Arc::new(settings?),
    })
}

/// One of the two must be written: a description is about one API, and hardly ever about all of a namespace.
fn read_scope(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    namespace: &Arc<str>,
) -> Option<ApiSchemaScope> {
    let selector = map.take("selector");
    let refs = map.take("targetRefs");
    let ports = map.take("ports");
    match (selector, refs) {
        (Some(selector), None) => {
            let selector = selector::read(reader, selector);
            let ports = ports.map_or(Some(Vec::new()), |v| read_ports(reader, v));
            Some(ApiSchemaScope::Workloads { selector: selector?, ports: ports? })
        }
        (None, Some(refs)) => {
            refuse_ports(reader, ports);
            let targets = listener_target::read_with_routes(reader, refs, namespace)?;
            ports.is_none().then_some(ApiSchemaScope::Edge(targets))
        }
        (Some(_), Some(refs)) => {
            let found = "`targetRefs` beside `selector`";
            reader.report(refs.node.mark, found, "one of the two", None);
            None
        }
        (None, None) => {
            let found = "neither `selector` nor `targetRefs`";
            let expected = "`selector` for sidecars, or `targetRefs` for a gateway";
            let fix = "selector: {} means every workload of the namespace".to_owned();
            let code = DiagnosticCode::MissingKey;
            reader.report_with_code(code, map.mark(), found, expected, Some(fix));
            None
        }
    }
}

fn read_ports(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Vec<u16>> {
    let items = reader.filled_list(value, MAX_PORTS)?;
    let ports: Vec<_> = items.into_iter().map(|item| reader.port(item)).collect();
    ports.into_iter().collect()
}

fn refuse_ports(reader: &mut YamlReader, ports: Option<YamlValue<'_>>) {
    let Some(ports) = ports else { return };
    let fix = "name the listener by `sectionName`".to_owned();
    let code = DiagnosticCode::NoEffect;
    let found = "`ports` beside `targetRefs`";
    reader.report_with_code(code, ports.node.mark, found, "`ports` with a selector", Some(fix));
}

/// Every field is read, so that all mistakes are told.
fn read_settings(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    policy: &str,
) -> Option<ApiSchemaSettings> {
    let base_path = map.take("basePath").map(|v| read_base_path(reader, v));
    let wrong_path = base_path == Some(None);
    let document = map.require(reader, "document");
    let below = base_path.as_ref().and_then(Option::as_deref);
    let document = document.and_then(|v| document::read(reader, v, below));
    let mode = map.take("mode").map_or_else(default, |v| reader.choice(v, MODES));
    let unknown = map.take("unknownOperations");
    let unknown = unknown.map_or_else(default, |v| reader.choice(v, UNKNOWN_OPERATIONS));
    let answers = map.take("answers").map_or_else(default, |v| reader.choice(v, ANSWERS));
    let json = map.take("json").map_or_else(default, |v| read_json(reader, v));
    Some(ApiSchemaSettings {
        policy: policy.into(),
        document: document.filter(|_| !wrong_path)?,
        mode: mode?,
        unknown_operations: unknown?,
        answers: answers?,
        json: json?,
    })
}

fn default<T: Default>() -> Option<T> {
    Some(T::default())
}

fn read_base_path(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Box<str>> {
    reader.parsed(value, "a path such as /api/v1", |text| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        if !text.starts_with('/') || text.len() > MAX_BASE_PATH || !text.bytes().all(plain) {
            return Err("a path begins with / and has letters, digits, -, ., _, ~");
        }
        let path = text.trim_end_matches('/');
        let whole = path.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
        match path {
            "" => Ok("/".into()),
            path if whole => Ok(path.into()),
            _ => Err("a path in one spelling"),
        }
    })
}

/// `json`: each can be made smaller or larger, and none can be taken away.
fn read_json(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<JsonLimits> {
    let default = JsonLimits::default();
    let mut map = reader.mapping(value)?;
    let max_bytes = map.take("maxBytes").map_or(Some(default.max_bytes), |v| {
        reader.parsed(v, "a size from 1KiB to 16MiB", document::size)
    });
    let mut number = |reader: &mut YamlReader, key, default, most| {
        map.take(key).map_or(Some(default), |v| usize::try_from(reader.integer(v, 1..=most)?).ok())
    };
    let max_depth = number(reader, "maxDepth", default.max_depth, 120);
    let max_nodes = number(reader, "maxNodes", default.max_nodes, 1_000_000);
    let max_keys = number(reader, "maxKeys", default.max_keys, 100_000);
    map.finish(reader);
    Some(JsonLimits {
        max_bytes: max_bytes?,
        max_depth: max_depth?,
        max_nodes: max_nodes?,
        max_keys: max_keys?,
    })
}

#[cfg(test)]
mod tests;
