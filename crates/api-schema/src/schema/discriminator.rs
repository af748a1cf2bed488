//! `discriminator`: the property by which one of several schemas is chosen.
//!
//! Beside `oneOf` or `anyOf` the property's value chooses the one schema that has to hold, and a value without a schema
//! is refused. So a message is judged once and not once by each schema, and what is wrong is told of the one that was
//! meant. In a schema that others build on (`allOf`), the discriminator adds nothing to what that schema says itself
//! (OpenAPI 3.1.1, section 4.8.25: it never changes what is valid).

use serde_json::{Map, Value, json};

use super::compile::reference_to;
use super::translate::{DESCRIBING, Translation, pointer_of_component};
use crate::reader::{Part, pointer_of};

/// What has to hold instead of `oneOf` or `anyOf`, which are taken out of `out`.
pub(super) fn translate(
    translation: &mut Translation<'_, '_, '_>,
    part: &Part<'_>,
    out: &mut Map<String, Value>,
) -> Option<Value> {
    let field = part.field("discriminator")?;
    let reader = &mut *translation.reader;
    let found = reader.fields(&field, &["propertyName", "mapping"])?;
    let Some(property) = found.get("propertyName").and_then(Value::as_str) else {
        reader.problem(&field.pointer, "no `propertyName`");
        return None;
    };
    let keyword =
        ["oneOf", "anyOf"].into_iter().find(|keyword| part.value.get(keyword).is_some())?;
    let members = part.field(keyword)?.items();
    let mut targets = Vec::new();
    if part.value.get("oneOf").is_some() && part.value.get("anyOf").is_some() {
        reader.problem(
            &field.pointer,
            "both `oneOf` and `anyOf` beside it; which one it chooses of is not said",
        );
    }
    for member in &members {
        let fields = member.value.as_object().into_iter().flatten();
        let describes =
            |name: &str| name == "$ref" || DESCRIBING.contains(&name) || name.starts_with("x-");
        if fields.map(|(name, _)| name.as_str()).any(|name| !describes(name)) {
            let message =
                "more than a `$ref`; beside a discriminator write it in the schema itself";
            reader.problem(&member.pointer, message);
        }
        let reference = member.value.get("$ref").and_then(Value::as_str);
        match reference.and_then(|reference| pointer_of(reference).ok()) {
            Some(target) => targets.push(target),
            None => {
                let message = "no `$ref`; beside a discriminator each schema needs a name";
                reader.problem(&member.pointer, message);
            }
        }
    }
    let mut choices: Vec<(String, String)> = Vec::new();
    for (name, target) in
        field.field("mapping").map(|mapping| mapping.entries()).unwrap_or_default()
    {
        let pointer = target.value.as_str().map(|text| match text.starts_with('#') {
            true => pointer_of(text).unwrap_or_default(),
            false => pointer_of_component(text),
        });
        match pointer.filter(|pointer| targets.contains(pointer)) {
            Some(pointer) => choices.push((name.to_owned(), pointer)),
            None => reader.problem(&target.pointer, format!("none of the schemas of `{keyword}`")),
        }
    }
    for target in targets {
        if !choices.iter().any(|(_, pointer)| *pointer == target) {
            let name = target.rsplit('/').next().unwrap_or_default();
            choices.push((name.replace("~1", "/").replace("~0", "~"), target));
        }
    }
    out.remove(keyword);
    Some(choose(property, &choices))
}

fn choose(property: &str, choices: &[(String, String)]) -> Value {
    let names: Vec<&String> = choices.iter().map(|(name, _)| name).collect();
    let chosen: Vec<Value> = choices
        .iter()
        .map(|(name, pointer)| {
            json!({
                "if": {"properties": {property: {"const": name}}},
                "then": {"$ref": reference_to(pointer)},
            })
        })
        .collect();
    json!({
        "type": "object",
        "required": [property],
        "properties": {property: {"enum": names}},
        "allOf": chosen,
    })
}
