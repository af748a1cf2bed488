//! Which types a schema lets through: what the text of a parameter is read as.

use std::cell::Cell;
use std::collections::HashSet;

use serde_json::{Map, Value};

/// How far references and combinations are followed; beyond, everything is thought possible.
const MAX_STEPS: usize = 16;
/// How many schemas are looked at for one shape; beyond, everything is thought possible.
const MAX_LOOKS: usize = 2_000;

/// The most properties told apart; what is in the others is read as text.
const MAX_PROPERTIES: usize = 2_000;

/// A set of the types of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Types(u8);

impl Types {
    pub(crate) const NULL: Self = Self(1);
    pub(crate) const BOOLEAN: Self = Self(2);
    pub(crate) const NUMBER: Self = Self(4);
    pub(crate) const STRING: Self = Self(8);
    pub(crate) const ARRAY: Self = Self(16);
    pub(crate) const OBJECT: Self = Self(32);
    pub(crate) const ALL: Self = Self(63);
    const NONE: Self = Self(0);

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn named(name: &str) -> Self {
        match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "number" | "integer" => Self::NUMBER,
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => Self::NONE,
        }
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(_) => Self::NUMBER,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }
}

/// What is wrong with a vague shape.
pub(crate) const WITHOUT_TYPE: &str = "a schema without `type`: text could be read as what its keywords do not look at; write the type";

/// What a parameter, or a field of a form, is read as.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// The types it may have.
    pub(crate) types: Types,
    /// Those of the items, where it is a list.
    pub(crate) items: Types,
    /// Those of the properties, where it is an object, and those of their items.
    pub(crate) properties: Vec<(Box<str>, Types, Types)>,
    /// The properties that have to be there.
    pub(crate) required: Vec<Box<str>>,
    /// Whether no other properties are let through.
    pub(crate) closed: bool,
    /// Whether it says something of values but not their types, so that the text could be read as what it says nothing of.
    pub(crate) is_vague: bool,
    /// The same of its items or properties.
    pub(crate) is_vague_within: bool,
}

impl Shape {
    /// The shape of a schema in `root`.
    pub(crate) fn of(root: &Value, schema: &Value) -> Self {
        let look = Look { root, left: Cell::new(MAX_LOOKS) };
        let (mut properties, mut known) = (Vec::new(), HashSet::new());
        look.collect_properties(schema, MAX_STEPS, &mut known, &mut properties);
        let mut shape = Self {
            types: look.types(schema, MAX_STEPS),
            items: look.items(schema),
            properties,
            required: Vec::new(),
            closed: false,
            is_vague: look.is_vague(schema),
            is_vague_within: look.is_vague_within(schema),
        };
        look.collect_demands(schema, MAX_STEPS, &mut shape);
        shape
    }

    /// The types of a property and of its items.
    pub(crate) fn property(&self, name: &str) -> Option<(Types, Types)> {
        let found = self.properties.iter().find(|(known, ..)| &**known == name);
        found.map(|(_, types, items)| (*types, *items))
    }
}

/// A look through schemas that may refer to each other in circles.
struct Look<'a> {
    root: &'a Value,
    /// How many schemas may still be looked at.
    left: Cell<usize>,
}

impl<'a> Look<'a> {
    /// One step further; `None` when that is too far.
    fn step(&self, steps: usize) -> Option<usize> {
        self.left.set(self.left.get().checked_sub(1)?);
        steps.checked_sub(1)
    }

    fn types(&self, schema: &Value, steps: usize) -> Types {
        let Some(steps) = self.step(steps) else {
            return Types::ALL;
        };
        let mut found = own_types(schema);
        if let Some(target) = self.target(schema) {
            found = found.and(self.types(target, steps));
        }
        for all in members(schema, "allOf") {
            found = found.and(self.types(all, steps));
        }
        for keyword in ["anyOf", "oneOf"] {
            if schema.get(keyword).is_some() {
                let any = members(schema, keyword).map(|any| self.types(any, steps));
                found = found.and(any.fold(Types::NONE, Types::or));
            }
        }
        found
    }

    /// Whether a schema says something of a value without its type.
    fn is_vague(&self, schema: &Value) -> bool {
        let says = schema.as_object().is_some_and(|fields| !fields.is_empty());
        // What nothing can be is a property of the other direction.
        let is_nothing = schema.get("not").and_then(Value::as_object).is_some_and(Map::is_empty);
        says && !is_nothing && self.types(schema, MAX_STEPS) == Types::ALL
    }

    fn is_vague_within(&self, schema: &'a Value) -> bool {
        let vague_items = |schema: &'a Value| {
            self.find(schema, "items", MAX_STEPS).is_some_and(|items| self.is_vague(items))
        };
        let is_vague = |schema: &'a Value| self.is_vague(schema) || vague_items(schema);
        let others = self.find(schema, "additionalProperties", MAX_STEPS);
        vague_items(schema)
            || others.is_some_and(|others| self.is_vague(others))
            || self.has_property(schema, MAX_STEPS, &is_vague)
    }

    fn has_property(
        &self,
        schema: &'a Value,
        steps: usize,
        is: &impl Fn(&'a Value) -> bool,
    ) -> bool {
        let Some(steps) = self.step(steps) else {
            return false;
        };
        let own = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        own.map(|(_, property)| property).any(is)
            || self.parts(schema).any(|part| self.has_property(part, steps, is))
    }

    fn items(&self, schema: &'a Value) -> Types {
        let items = self.find(schema, "items", MAX_STEPS);
        items.map_or(Types::ALL, |items| self.types(items, MAX_STEPS))
    }

    /// The first schema of a keyword, here or in what this schema is combined of.
    fn find(&self, schema: &'a Value, keyword: &str, steps: usize) -> Option<&'a Value> {
        let steps = self.step(steps)?;
        if let Some(found) = schema.get(keyword) {
            return Some(found);
        }
        self.parts(schema).find_map(|part| self.find(part, keyword, steps))
    }

    fn collect_properties(
        &self,
        schema: &'a Value,
        steps: usize,
        known: &mut HashSet<&'a str>,
        found: &mut Vec<(Box<str>, Types, Types)>,
    ) {
        let Some(steps) = self.step(steps) else {
            return;
        };
        if let Some(Value::Object(properties)) = schema.get("properties") {
            for (name, property) in properties {
                if known.len() < MAX_PROPERTIES && known.insert(name) {
                    let of_property = self.types(property, MAX_STEPS);
                    found.push((name.as_str().into(), of_property, self.items(property)));
                }
            }
        }
        for part in self.parts(schema) {
            self.collect_properties(part, steps, known, found);
        }
    }

    /// What a schema and all that has to hold beside it ask of an object.
    fn collect_demands(&self, schema: &'a Value, steps: usize, shape: &mut Shape) {
        let Some(steps) = self.step(steps) else {
            return;
        };
        if let Some(Value::Array(names)) = schema.get("required") {
            shape.required.extend(names.iter().filter_map(Value::as_str).map(Box::from));
        }
        for keyword in ["additionalProperties", "unevaluatedProperties"] {
            shape.closed |= schema.get(keyword) == Some(&Value::Bool(false));
        }
        for part in self.target(schema).into_iter().chain(members(schema, "allOf")) {
            self.collect_demands(part, steps, shape);
        }
    }

    /// What a schema is combined of.
    fn parts(&self, schema: &'a Value) -> impl Iterator<Item = &'a Value> {
        let combined =
            ["allOf", "anyOf", "oneOf"].into_iter().flat_map(|keyword| members(schema, keyword));
        self.target(schema).into_iter().chain(combined)
    }

    fn target(&self, schema: &Value) -> Option<&'a Value> {
        let reference = super::compile::fragment(schema.get("$ref")?.as_str()?);
        self.root.pointer(&crate::reader::pointer_of(reference).ok()?)
    }
}

/// What a schema says of types itself.
fn own_types(schema: &Value) -> Types {
    let mut found = match schema.get("type") {
        Some(Value::String(name)) => Types::named(name),
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).map(Types::named).fold(Types::NONE, Types::or)
        }
        _ => Types::ALL,
    };
    if let Some(value) = schema.get("const") {
        found = found.and(Types::of(value));
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        found = found.and(values.iter().map(Types::of).fold(Types::NONE, Types::or));
    }
    found
}

fn members<'a>(schema: &'a Value, keyword: &str) -> impl Iterator<Item = &'a Value> {
    schema.get(keyword).and_then(Value::as_array).into_iter().flatten()
}
