//! A Schema Object of OpenAPI 3.0 or 3.1 as a schema of JSON Schema 2020-12.
//!
//! Keywords that only describe are dropped; keywords that are not known are refused by name, because a validator would
//! pass over them and let more through than whoever wrote them meant.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::formats::{self, Format};
use super::{Direction, Schemas, compile, discriminator};
use crate::reader::{Part, Reader, Version};
use crate::text::escape;

/// Keywords that say nothing about what is valid.
pub(super) const DESCRIBING: &[&str] = &[
    "title",
    "description",
    "default",
    "example",
    "examples",
    "deprecated",
    "externalDocs",
    "xml",
    "$comment",
];
/// Keywords of both versions that are taken as they are.
const TAKEN: &[&str] = &[
    "multipleOf",
    "maxLength",
    "minLength",
    "maxItems",
    "minItems",
    "uniqueItems",
    "maxProperties",
    "minProperties",
    "enum",
    "maximum",
    "minimum",
];
/// Keywords of JSON Schema 2020-12 that are taken as they are.
const TAKEN_31: &[&str] = &[
    "const",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "dependentRequired",
    "minContains",
    "maxContains",
];
/// Keywords of 2020-12 that only describe text (JSON Schema Validation, section 8).
const DESCRIBING_31: &[&str] = &["contentEncoding", "contentMediaType", "contentSchema"];
/// Keywords that hold one schema for the value itself, in 3.1.
const SAME_VALUE_31: &[&str] = &["if", "then", "else"];
/// Keywords that hold one schema for values within, in 3.1.
const WITHIN_31: &[&str] =
    &["propertyNames", "unevaluatedItems", "unevaluatedProperties", "contains"];
/// Dialects a schema of 3.1 may say it is written in.
pub(crate) const DIALECTS: &[&str] = &[
    "https://json-schema.org/draft/2020-12/schema",
    "https://spec.openapis.org/oas/3.1/dialect/base",
];
/// How far properties are looked for in what a schema is combined of.
const MAX_STEPS: usize = 8;
/// How many schemas are looked at for them.
const MAX_LOOKS: usize = 200;

/// The most schemas of one `allOf`, `anyOf`, `oneOf` or `prefixItems`.
const MAX_MEMBERS: usize = 1_000;

/// The translation of one schema for one direction.
pub(super) struct Translation<'t, 'a, 's> {
    pub(super) reader: &'t mut Reader<'a>,
    pub(super) schemas: &'s mut Schemas,
    pub(super) direction: Direction,
}

impl Translation<'_, '_, '_> {
    /// Translates a schema that stands by itself.
    pub(super) fn root(&mut self, part: &Part<'_>) -> Value {
        let schema = self.schema(part, &HashSet::new());
        if let Err((below, message)) = compile::check_form(&schema) {
            self.reader.problem(&format!("{}{below}", part.pointer), message);
            return Value::Bool(false);
        }
        schema
    }

    /// Translates a schema; `hidden` are properties that do not belong to this direction, known from around it.
    fn schema(&mut self, part: &Part<'_>, hidden: &HashSet<String>) -> Value {
        if self.direction == Direction::Request {
            // What was read as a part of another one is read anew; its edges are the same.
            self.schemas.in_place.insert(part.pointer.clone(), Vec::new());
        }
        let fields = match part.value {
            Value::Object(fields) => fields,
            Value::Bool(_) if self.reader.version == Version::V31 => return part.value.clone(),
            _ => {
                self.reader.problem(&part.pointer, "something else than a schema");
                return Value::Bool(false);
            }
        };
        let mut out = Map::new();
        let mut hidden = hidden.clone();
        let mut looks = MAX_LOOKS;
        self.collect_hidden(part.value, MAX_STEPS, &mut looks, &mut hidden);
        for (name, value) in fields {
            let field = Part { pointer: part.below(name), value };
            self.keyword(name, part, &field, &hidden, &mut out);
        }
        self.types(part, &mut out);
        if self.reader.version == Version::V30 {
            self.exclusive_bounds(part, &mut out);
        }
        if let Some(chosen) = discriminator::translate(self, part, &mut out) {
            also(&mut out, chosen);
        }
        Value::Object(out)
    }

    fn keyword(
        &mut self,
        name: &str,
        part: &Part<'_>,
        field: &Part<'_>,
        hidden: &HashSet<String>,
        out: &mut Map<String, Value>,
    ) {
        let of_31 = self.reader.version == Version::V31;
        match name {
            _ if DESCRIBING.contains(&name) || name.starts_with("x-") => {}
            _ if of_31 && DESCRIBING_31.contains(&name) => {}
            // Read beside the others, once all are there.
            "type" | "discriminator" => {}
            "nullable" if !of_31 => self.expect_truth(field),
            "exclusiveMinimum" | "exclusiveMaximum" if !of_31 => self.expect_truth(field),
            "readOnly" | "writeOnly" => self.expect_truth(field),
            "$ref" => self.reference(part, field, out),
            "allOf" | "anyOf" | "oneOf" => {
                let around = if name == "allOf" { hidden.clone() } else { HashSet::new() };
                let members = self.members(part, field, &around, true);
                out.insert(name.to_owned(), members);
            }
            "prefixItems" if of_31 => {
                let members = self.members(part, field, &HashSet::new(), false);
                out.insert(name.to_owned(), members);
            }
            "not" => self.one(name, part, field, true, out),
            _ if of_31 && SAME_VALUE_31.contains(&name) => self.one(name, part, field, true, out),
            "items" => self.one(name, part, field, false, out),
            _ if of_31 && WITHIN_31.contains(&name) => self.one(name, part, field, false, out),
            "additionalProperties" => match field.value {
                Value::Bool(_) => drop(out.insert(name.to_owned(), field.value.clone())),
                _ => self.one(name, part, field, false, out),
            },
            "properties" => self.properties(field, out),
            "patternProperties" if of_31 => self.named(name, field, out),
            "dependentSchemas" if of_31 => {
                for (_, schema) in field.entries() {
                    self.same_value(part, &schema.pointer);
                }
                self.named(name, field, out);
            }
            "$defs" if of_31 => self.named(name, field, out),
            "required" => self.required(field, hidden, out),
            "pattern" => self.pattern(field, out),
            "format" => self.format(field, out),
            "$schema" if of_31 && field.value.as_str().is_some_and(|it| DIALECTS.contains(&it)) => {
            }
            _ if TAKEN.contains(&name) || of_31 && TAKEN_31.contains(&name) => {
                out.insert(name.to_owned(), field.value.clone());
            }
            _ => {
                let version = if of_31 { "3.1" } else { "3.0" };
                let message =
                    format!("the keyword `{name}`, which is not understood in OpenAPI {version}");
                self.reader.problem(&field.pointer, message);
            }
        }
    }

    fn expect_truth(&mut self, field: &Part<'_>) {
        if !field.value.is_boolean() {
            self.reader.problem(&field.pointer, "something else than true or false");
        }
    }

    fn reference(&mut self, part: &Part<'_>, field: &Part<'_>, out: &mut Map<String, Value>) {
        let Some(reference) = field.value.as_str() else {
            self.reader.problem(&field.pointer, "a reference that is no text");
            return;
        };
        match self.reader.target(reference) {
            Ok(target) => {
                self.same_value(part, &target.pointer);
                self.schemas.references.push((field.pointer.clone(), reference.to_owned()));
                out.insert("$ref".to_owned(), compile::reference_to(&target.pointer));
            }
            Err(message) => self.reader.problem(&field.pointer, message),
        }
    }

    /// Notes that a schema applies to the same value as the one it stands in.
    fn same_value(&mut self, part: &Part<'_>, other: &str) {
        // Both directions have the same ones.
        if self.direction == Direction::Request {
            let edges = self.schemas.in_place.entry(part.pointer.clone()).or_default();
            edges.push(other.to_owned());
        }
    }

    fn one(
        &mut self,
        name: &str,
        part: &Part<'_>,
        field: &Part<'_>,
        same_value: bool,
        out: &mut Map<String, Value>,
    ) {
        if same_value {
            self.same_value(part, &field.pointer);
        }
        let schema = self.schema(field, &HashSet::new());
        out.insert(name.to_owned(), schema);
    }

    fn members(
        &mut self,
        part: &Part<'_>,
        field: &Part<'_>,
        hidden: &HashSet<String>,
        same_value: bool,
    ) -> Value {
        if field.value.as_array().is_some_and(|members| members.len() > MAX_MEMBERS) {
            self.reader.problem(&field.pointer, format!("more than {MAX_MEMBERS} schemas"));
            return Value::Array(vec![Value::Bool(false)]);
        }
        let members = field.items();
        if members.is_empty() {
            self.reader.problem(&field.pointer, "something else than a list of schemas");
        }
        let mut translated = Vec::new();
        for member in members {
            if same_value {
                self.same_value(part, &member.pointer);
            }
            translated.push(self.schema(&member, hidden));
        }
        Value::Array(translated)
    }

    fn named(&mut self, name: &str, field: &Part<'_>, out: &mut Map<String, Value>) {
        if !field.value.is_object() {
            self.reader.problem(&field.pointer, "something else than an object of schemas");
        }
        let mut schemas = Map::new();
        for (key, schema) in field.entries() {
            if name == "patternProperties"
                && let Err(message) = self.schemas.check_pattern(key)
            {
                self.reader.problem(&schema.pointer, message);
            }
            schemas.insert(key.to_owned(), self.schema(&schema, &HashSet::new()));
        }
        out.insert(name.to_owned(), Value::Object(schemas));
    }

    fn properties(&mut self, field: &Part<'_>, out: &mut Map<String, Value>) {
        self.named("properties", field, out);
        let Some(Value::Object(properties)) = out.get_mut("properties") else {
            return;
        };
        for (name, property) in field.entries() {
            self.schemas.names.insert(name.into());
            if hides(self.reader, property.value, self.direction) {
                properties.insert(name.to_owned(), json!({"not": {}}));
            }
        }
    }

    fn required(
        &mut self,
        field: &Part<'_>,
        hidden: &HashSet<String>,
        out: &mut Map<String, Value>,
    ) {
        let Some(names) = field.value.as_array() else {
            self.reader.problem(&field.pointer, "something else than a list of names");
            return;
        };
        let belongs = |name: &&Value| name.as_str().is_none_or(|name| !hidden.contains(name));
        let names = names.iter().filter(belongs).cloned().collect();
        out.insert("required".to_owned(), Value::Array(names));
    }

    /// Properties that do not belong to this direction, of a schema and of all that it is combined of.
    fn collect_hidden(
        &self,
        schema: &Value,
        steps: usize,
        looks: &mut usize,
        hidden: &mut HashSet<String>,
    ) {
        let (Some(steps), Some(left)) = (steps.checked_sub(1), looks.checked_sub(1)) else {
            return;
        };
        *looks = left;
        if let Some(Value::Object(properties)) = schema.get("properties") {
            for (name, property) in properties {
                if hides(self.reader, property, self.direction) {
                    hidden.insert(name.clone());
                }
            }
        }
        let all = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
        for part in all.chain(target(self.reader, schema)) {
            self.collect_hidden(part, steps, looks, hidden);
        }
    }

    fn pattern(&mut self, field: &Part<'_>, out: &mut Map<String, Value>) {
        let Some(pattern) = field.value.as_str() else {
            self.reader.problem(&field.pointer, "a pattern that is no text");
            return;
        };
        match self.schemas.check_pattern(pattern) {
            Ok(()) => drop(out.insert("pattern".to_owned(), field.value.clone())),
            Err(message) => self.reader.problem(&field.pointer, message),
        }
    }

    fn format(&mut self, field: &Part<'_>, out: &mut Map<String, Value>) {
        match field.value.as_str().and_then(formats::meaning) {
            Some(Format::Checked) => drop(out.insert("format".to_owned(), field.value.clone())),
            Some(Format::Bounds(bounds)) => also(out, Value::Object(bounds)),
            Some(Format::SaysNothing) => {}
            None => {
                let message = "a format that is not known, so that nothing would be checked; write a `pattern`";
                self.reader.problem(&field.pointer, message);
            }
        }
    }

    /// `type`, and in 3.0 `nullable`, which adds null to a type that is given beside it.
    fn types(&mut self, part: &Part<'_>, out: &mut Map<String, Value>) {
        let Some(field) = part.field("type") else {
            return;
        };
        if self.reader.version == Version::V31 {
            out.insert("type".to_owned(), field.value.clone());
            return;
        }
        const NAMES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
        let Some(name) = field.value.as_str().filter(|name| NAMES.contains(name)) else {
            let message =
                format!("a type that OpenAPI 3.0 does not have; it has {}", NAMES.join(", "));
            self.reader.problem(&field.pointer, message);
            return;
        };
        if name == "array" && part.field("items").is_none() {
            self.reader
                .problem(&part.pointer, "an array without `items`, which OpenAPI 3.0 asks for");
        }
        let nullable = part.value.get("nullable") == Some(&Value::Bool(true));
        out.insert("type".to_owned(), if nullable { json!([name, "null"]) } else { json!(name) });
    }

    /// In 3.0 `exclusiveMinimum` says how `minimum` is meant.
    fn exclusive_bounds(&mut self, part: &Part<'_>, out: &mut Map<String, Value>) {
        for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")]
        {
            if part.value.get(exclusive) == Some(&Value::Bool(true)) {
                match out.remove(bound) {
                    Some(value) => drop(out.insert(exclusive.to_owned(), value)),
                    None => self
                        .reader
                        .problem(&part.below(exclusive), format!("no `{bound}` beside it")),
                }
            }
        }
    }
}

/// Adds a schema that has to hold as well.
fn also(out: &mut Map<String, Value>, schema: Value) {
    let all = out.entry("allOf").or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(all) = all {
        all.push(schema);
    }
}

/// Whether a property does not belong to messages of a direction.
fn hides(reader: &Reader<'_>, property: &Value, direction: Direction) -> bool {
    let mut schema = Some(property);
    for _ in 0..MAX_STEPS {
        match schema {
            Some(found) if found.get(direction.hides()) == Some(&Value::Bool(true)) => return true,
            Some(found) => schema = target(reader, found),
            None => return false,
        }
    }
    false
}

fn target<'a>(reader: &Reader<'a>, schema: &Value) -> Option<&'a Value> {
    let reference = schema.get("$ref")?.as_str()?;
    reader.target(reference).ok().map(|target| target.value)
}

/// The pointer of a schema that a discriminator's mapping means by a name.
pub(super) fn pointer_of_component(name: &str) -> String {
    format!("/components/schemas/{}", escape(name))
}
