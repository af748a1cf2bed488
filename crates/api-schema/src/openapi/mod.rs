//! An OpenAPI description, read from its tree.

mod content;
mod operations;
mod parameters;
mod servers;

use serde_json::Value;

use crate::operation::OperationParts;
use crate::paths::{Paths, Template};
use crate::problem::DescriptionProblem;
use crate::reader::{Part, Reader, Version};
use crate::schema::{CompiledSchemas, Schemas};
use crate::text;
use operations::PathReader;

/// The most operations of a description.
const MAX_OPERATIONS: usize = 2_000;

/// A description that was read whole.
pub(crate) struct Reading {
    pub(crate) operations: Vec<OperationParts>,
    pub(crate) paths: Paths,
    /// Of each path, its operations.
    pub(crate) items: Vec<Vec<usize>>,
    pub(crate) schemas: CompiledSchemas,
}

/// Reads a description; all that is wrong with it is told at once.
pub(crate) fn read(
    text: &str,
    base_path: Option<&str>,
) -> Result<Reading, Vec<DescriptionProblem>> {
    let tree = text::read(text).map_err(|problem| vec![problem])?;
    let version = version(&tree.root).map_err(|message| {
        let pointer = String::new();
        vec![DescriptionProblem { pointer, line: Some(1), message }]
    })?;
    let mut reader = Reader::new(&tree, version);
    let root = Part { pointer: String::new(), value: &tree.root };
    check_root(&mut reader, &root);

    let mut schemas = Schemas::new(&tree.root);
    read_components(&mut reader, &mut schemas, &root);
    let (operations, paths, items) = read_paths(&mut reader, &mut schemas, &root, base_path);
    schemas.check_circles(&mut reader);
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    let schemas = CompiledSchemas::compile(schemas, &mut reader);
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    Ok(Reading { operations, paths, items, schemas })
}

fn version(root: &Value) -> Result<Version, String> {
    let of = |text: &str, minor: &str| {
        let patch = text.strip_prefix(minor);
        patch.is_some_and(|patch| {
            patch.bytes().all(|byte| byte.is_ascii_digit()) && !patch.is_empty()
        })
    };
    match root.get("openapi") {
        Some(Value::String(text)) if of(text, "3.0.") => Ok(Version::V30),
        Some(Value::String(text)) if of(text, "3.1.") => Ok(Version::V31),
        Some(Value::String(_)) => Err("another version than OpenAPI 3.0 or 3.1".to_owned()),
        _ if root.get("swagger").is_some() => {
            Err("Swagger 2.0; convert the description to OpenAPI 3".to_owned())
        }
        _ => Err("no `openapi: 3.0.…` or `openapi: 3.1.…`".to_owned()),
    }
}

fn check_root(reader: &mut Reader<'_>, root: &Part<'_>) {
    let mut known = vec![
        "openapi",
        "info",
        "servers",
        "paths",
        "components",
        "security",
        "tags",
        "externalDocs",
    ];
    if reader.version == Version::V31 {
        known.extend(["jsonSchemaDialect", "webhooks"]);
    }
    reader.fields(root, &known);
    if let Some(dialect) = root.field("jsonSchemaDialect")
        && !dialect.value.as_str().is_some_and(|name| crate::schema::DIALECTS.contains(&name))
    {
        reader.problem(&dialect.pointer, "another dialect than JSON Schema 2020-12");
    }
}

/// All schemas with a name are read, used or not: a mistake is told before somebody uses it.
fn read_components<'a>(reader: &mut Reader<'a>, schemas: &mut Schemas, root: &Part<'a>) {
    let Some(components) = root.field("components") else {
        return;
    };
    let mut known = vec![
        "schemas",
        "responses",
        "parameters",
        "examples",
        "requestBodies",
        "headers",
        "securitySchemes",
        "links",
        "callbacks",
    ];
    if reader.version == Version::V31 {
        known.push("pathItems");
    }
    reader.fields(&components, &known);
    for (_, schema) in components.field("schemas").map(|all| all.entries()).unwrap_or_default() {
        schemas.read(reader, &schema);
    }
    schemas.follow(reader);
}

type Read = (Vec<OperationParts>, Paths, Vec<Vec<usize>>);

fn read_paths<'a>(
    reader: &mut Reader<'a>,
    schemas: &mut Schemas,
    root: &Part<'a>,
    base_path: Option<&str>,
) -> Read {
    let (mut operations, mut paths, mut items) = (Vec::new(), Paths::default(), Vec::new());
    let Some(all) = root.field("paths") else {
        reader.problem("", "no `paths`, so that nothing would be let through");
        return (operations, paths, items);
    };
    let fixed = base_path.map(|base| servers::fixed(reader, base));
    let of_root = fixed.clone().unwrap_or_else(|| servers::bases(reader, root));
    for (path, item) in all.entries() {
        if path.starts_with("x-") {
            continue;
        }
        let template = match Template::read(path) {
            Ok(template) => template,
            Err(message) => {
                reader.problem(&item.pointer, message);
                continue;
            }
        };
        let Some(item) = reader.resolve(item) else {
            continue;
        };
        let bases = match (&fixed, item.field("servers")) {
            (None, Some(_)) => servers::bases(reader, &item),
            _ => of_root.clone(),
        };
        for base in &bases {
            if let Err(message) = paths.add(base, &template, items.len()) {
                reader.problem(&item.pointer, message);
            }
        }
        let read = PathReader { reader: &mut *reader, schemas: &mut *schemas, root }
            .read(path, &template, &item);
        items.push((operations.len()..operations.len() + read.len()).collect());
        operations.extend(read);
        if operations.len() > MAX_OPERATIONS {
            reader.problem(&all.pointer, format!("more than {MAX_OPERATIONS} operations"));
            break;
        }
    }
    if paths.has_twins() {
        reader
            .problem(&all.pointer, "two paths that differ in the names of their parameters alone");
    }
    check_ids(reader, &operations);
    (operations, paths, items)
}

fn check_ids(reader: &mut Reader<'_>, operations: &[OperationParts]) {
    let mut known = std::collections::HashSet::new();
    for id in operations.iter().filter_map(|operation| operation.id.as_deref()) {
        if !known.insert(id) {
            reader.problem("/paths", format!("the operationId `{id}` twice"));
        }
    }
}
