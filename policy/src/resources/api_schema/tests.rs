//! What an ApiSchema is read as: nothing is compared with less, or less strictly, than what was written.
#![allow(clippy::unwrap_used)]

use api_schema::JsonLimits;

use crate::api_schema::{AnswerCheck, ApiDocument, ApiSchemaScope, SchemaMode, UnknownOperations};
use crate::resources::{DEFAULT_ROOT_NAMESPACE, ReadOptions, survey};
use crate::{Resources, SourceFile};

/// A description with one operation.
const DOCUMENT: &str = "'{\"openapi\": \"3.1.0\", \"info\": {\"title\": \"a\", \"version\": \"1\"}, \"paths\": \
                        {\"/a\": {\"get\": {\"responses\": {\"200\": {\"description\": \"fine\"}}}}}}'";

fn file(spec: &str) -> SourceFile {
    let text = format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: ApiSchema\nmetadata: {{name: p, namespace: web}}\nspec: {spec}\n"
    );
    SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() }
}

#[test]
fn what_is_written_is_read() {
    let spec = format!(
        "{{selector: {{matchLabels: {{app: a}}}}, ports: [8080, 9090], document: {{inline: {DOCUMENT}}},
          mode: block, unknownOperations: allow, answers: block,
          json: {{maxBytes: 64KiB, maxDepth: 4, maxNodes: 10, maxKeys: 5}}}}"
    );
    let resources = Resources::parse(&[file(&spec)], DEFAULT_ROOT_NAMESPACE).unwrap();
    let [object] = resources.api_schemas() else { unreachable!("one object") };
    assert_eq!((&**object.name(), &**object.namespace()), ("web/p", "web"));
    let ApiSchemaScope::Workloads { ports, .. } = object.scope() else { unreachable!("selects") };
    assert_eq!(ports, &[8080, 9090]);
    let settings = object.settings();
    assert!(matches!(settings.document, ApiDocument::Inline(_)));
    assert_eq!(settings.mode, SchemaMode::Block);
    assert_eq!(settings.unknown_operations, UnknownOperations::Allow);
    assert_eq!(settings.answers, AnswerCheck::Block);
    let json = JsonLimits { max_bytes: 65_536, max_depth: 4, max_nodes: 10, max_keys: 5 };
    assert_eq!(settings.json, json);
}

#[test]
fn where_nothing_is_written_a_description_is_watched_and_strict() {
    let gateway = "{group: gateway.networking.k8s.io, kind: Gateway, name: edge}";
    let spec = format!(
        "{{targetRefs: [{gateway}], document: {{path: /etc/postern/a.yaml}}, basePath: /api/v1/}}"
    );
    let resources = Resources::parse(&[file(&spec)], DEFAULT_ROOT_NAMESPACE).unwrap();
    let [object] = resources.api_schemas() else { unreachable!("one object") };
    assert!(matches!(object.scope(), ApiSchemaScope::Edge(targets) if targets.len() == 1));
    let settings = object.settings();
    let ApiDocument::File(file) = &settings.document else { unreachable!("a file") };
    assert_eq!(&*file.path, "/etc/postern/a.yaml");
    assert_eq!(file.base_path.as_deref(), Some("/api/v1"));
    assert_eq!(settings.mode, SchemaMode::Detect);
    assert_eq!(settings.unknown_operations, UnknownOperations::Deny);
    assert_eq!(settings.answers, AnswerCheck::Ignore);
    assert_eq!(settings.json, JsonLimits::default());
}

#[test]
fn what_compares_nothing_or_something_else_is_refused() {
    let document = format!("document: {{inline: {DOCUMENT}}}");
    let with = |rest: &str| format!("{{selector: {{}}, {document}, {rest}}}");
    let of = |written: &str| format!("{{selector: {{}}, document: {written}}}");
    let gateway = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]";
    for (row, spec, expect) in [
        ("no document", "{selector: {}}".to_owned(), "no `document`"),
        ("nobody", format!("{{{document}}}"), "neither `selector` nor `targetRefs`"),
        ("two scopes", with(gateway), "one of the two"),
        ("ports of a gateway", format!("{{{gateway}, ports: [80], {document}}}"), "sectionName"),
        ("no ports", with("ports: []"), "an empty list"),
        ("two places", of("{path: /a, inline: a}"), "`inline` or `path`"),
        ("no place", of("{}"), "`inline` or `path`"),
        ("a relative path", of("{path: a.yaml}"), "absolute path"),
        ("a description that is not quoted", of("{inline: {openapi: 3.1.0}}"), "as one text"),
        ("another mode", with("mode: enforce"), "one of detect, block"),
        ("other answers", with("answers: deny"), "one of ignore, detect, block"),
        ("other operations", with("unknownOperations: ignore"), "one of deny, allow"),
        ("no description", of("{inline: hello}"), "in the description"),
        ("a base path of dots", with("basePath: /a/../b"), "a path in one spelling"),
        ("a base path with a query", with("basePath: /a?b"), "a path begins with /"),
        ("no bytes", with("json: {maxBytes: 1B}"), "1KiB to 16MiB"),
        ("endless depth", with("json: {maxDepth: 100000}"), "from 1 to 120"),
        ("an unknown limit", with("json: {depth: 3}"), "maxDepth"),
        ("a misspelt key", with("modes: block"), "did you mean `mode`"),
    ] {
        let found = survey(&[file(&spec)], &ReadOptions::strict(DEFAULT_ROOT_NAMESPACE));
        let told: Vec<_> = found.diagnostics.iter().map(ToString::to_string).collect();
        assert!(told.join("\n").contains(expect), "{row}: {told:?}");
    }
}
