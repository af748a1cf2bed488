//! Translated schemas, compiled, and what they say of a value.

use std::collections::HashSet;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternCache, PatternOptions, Registry, Validator};
use serde_json::{Value, json};

use super::{Direction, SchemaId, Schemas, circles, formats};
use crate::percent;
use crate::reader::Reader;
use crate::refusal::SchemaRefusal;

/// The name of the description among schemas.
const DESCRIPTION: &str = "urn:postern:description";
/// The largest compiled pattern, in bytes.
const MAX_PATTERN: usize = 256 << 10;
/// The most patterns of a description; those that are the same count once.
pub(super) const MAX_PATTERNS: usize = 1_000;
/// What a pattern may use for its automaton, for each thread that searches: a slower search needs nothing of it.
const MAX_AUTOMATON: usize = 64 << 10;
/// The longest pointer told, in bytes.
const MAX_PLACE: usize = 200;

/// All schemas of a description, compiled.
#[derive(Debug)]
pub(crate) struct CompiledSchemas {
    validators: Vec<Validator>,
    /// Of each validator, which messages it judges, and whether it can tell a place at a bounded cost.
    directions: Vec<Direction>,
    telling: Vec<bool>,
    names: HashSet<Box<str>>,
}

impl CompiledSchemas {
    /// Compiles what was read. Problems are told to the reader.
    pub(crate) fn compile(schemas: Schemas, reader: &mut Reader<'_>) -> Self {
        let request = schemas.translated(Direction::Request);
        let answer = schemas.translated(Direction::Answer);
        let (mut reached, mut values) = (Vec::new(), 0_usize);
        for (pointer, direction) in &schemas.roots {
            if values <= circles::MAX_COMPILED {
                let reach = circles::reach(schemas.translated(*direction), pointer);
                values = values.saturating_add(reach.values);
                reached.push(reach);
            }
        }
        let mut validators = Vec::new();
        if values > circles::MAX_COMPILED {
            let message =
                "schemas that are too large once each is written out; split the description";
            reader.problem("", message);
        } else if let (Ok(request), Ok(answer)) = (registry(request), registry(answer)) {
            let patterns = PatternCache::new();
            for (pointer, direction) in &schemas.roots {
                let registry = match direction {
                    Direction::Request => &request,
                    Direction::Answer => &answer,
                };
                match build(registry, &patterns, pointer) {
                    Ok(validator) => validators.push(validator),
                    Err(message) => reader.problem(pointer, message),
                }
            }
        } else {
            reader.problem("", "schemas that cannot be told apart");
        }
        let directions = schemas.roots.iter().map(|(_, direction)| *direction).collect();
        let telling = reached.iter().map(|reach| reach.tells_places).collect();
        Self { validators, directions, telling, names: schemas.names }
    }

    /// Looks whether a value is as a schema says; `place` is where the value stands.
    pub(crate) fn check(
        &self,
        id: SchemaId,
        value: &Value,
        place: &str,
    ) -> Result<(), SchemaRefusal> {
        let Some(validator) = self.validators.get(id.0) else {
            return Err(SchemaRefusal::mismatch(place, "schema"));
        };
        // Almost everything is valid, and that is told without looking for a place.
        if validator.is_valid(value) {
            return Ok(());
        }
        if !self.telling.get(id.0).is_some_and(|telling| *telling) {
            return Err(SchemaRefusal::mismatch(place, "schema"));
        }
        let Err(error) = validator.validate(value) else {
            return Err(SchemaRefusal::mismatch(place, "schema"));
        };
        let below = self.known_names(error.instance_path().as_str());
        let keyword = match error.kind() {
            // What stands for a property that does not belong to this direction.
            ValidationErrorKind::Not { schema } if *schema == json!({}) => {
                self.directions.get(id.0).map_or("not", |direction| direction.hides())
            }
            ValidationErrorKind::FalseSchema => "false",
            kind => kind.keyword(),
        };
        Err(SchemaRefusal::mismatch(format!("{place}{below}"), keyword))
    }

    /// A pointer with the names that the description does not have replaced by `*`.
    fn known_names(&self, pointer: &str) -> String {
        let mut known = String::new();
        for part in pointer.split('/').skip(1) {
            let name = part.replace("~1", "/").replace("~0", "~");
            let index = !part.is_empty()
                && part.len() < 8
                && part.bytes().all(|byte| byte.is_ascii_digit());
            let told = if index || self.names.contains(name.as_str()) { part } else { "*" };
            if known.len() + told.len() > MAX_PLACE {
                known.push_str("/…");
                break;
            }
            known.push('/');
            known.push_str(told);
        }
        known
    }
}

fn registry(translated: &Value) -> Result<Registry<'_>, String> {
    Registry::new()
        .draft(Draft::Draft202012)
        .add(DESCRIPTION, translated)
        .and_then(|builder| builder.prepare())
        .map_err(|error| error.to_string())
}

fn build(
    registry: &Registry<'_>,
    patterns: &PatternCache,
    pointer: &str,
) -> Result<Validator, String> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .with_registry(registry)
        .should_validate_formats(true)
        .with_format("byte", formats::is_base64)
        .with_format("base64url", formats::is_base64url)
        .with_pattern_options(linear())
        .with_pattern_cache(patterns.clone())
        .build(&json!({"$ref": reference_to(pointer)}))
        .map_err(|error| format!("a schema that cannot be compiled ({error})"))
}

fn linear() -> PatternOptions<jsonschema::Regex> {
    PatternOptions::regex().size_limit(MAX_PATTERN).dfa_size_limit(MAX_AUTOMATON)
}

/// A reference to a schema of the description.
pub(super) fn reference_to(pointer: &str) -> Value {
    let fragment = percent::encode(pointer, |byte| percent::of_segment(byte) || byte == b'/');
    Value::String(format!("{DESCRIPTION}#{fragment}"))
}

/// The fragment of a reference to a schema of the description.
pub(super) fn fragment(reference: &str) -> &str {
    reference.strip_prefix(DESCRIPTION).unwrap_or(reference)
}

/// Looks whether a pattern can be searched in linear time.
pub(super) fn check_pattern(pattern: &str) -> Result<(), String> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .with_pattern_options(linear())
        .build(&json!({"pattern": pattern}))
        .map(drop)
        .map_err(|_| {
            "a pattern that is broken, too large, or looks around or back; only what takes linear time is taken".to_owned()
        })
}

/// Looks whether the keywords of a translated schema have the form that JSON Schema gives them; where and why not.
pub(super) fn check_form(schema: &Value) -> Result<(), (String, String)> {
    jsonschema::draft202012::meta::validate(schema).map_err(|error| {
        let message = format!("not of the form that `{}` asks for", error.kind().keyword());
        (error.instance_path().as_str().to_owned(), message)
    })
}
