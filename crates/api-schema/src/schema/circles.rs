//! Schemas that refer to each other in circles.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{Schemas, compile};
use crate::reader::{Reader, pointer_of};

impl Schemas {
    /// Finds schemas that refer to themselves without a step into the value: they would let everything through.
    pub(crate) fn check_circles(&self, reader: &mut Reader<'_>) {
        let mut done: HashSet<&str> = HashSet::new();
        for start in self.in_place.keys() {
            let mut path: Vec<(&str, usize)> = vec![(start, 0)];
            let mut on_path: HashSet<&str> = HashSet::from([start.as_str()]);
            while let Some((at, next)) = path.last_mut() {
                let edge = self.in_place.get(*at).and_then(|edges| edges.get(*next));
                *next += 1;
                match edge {
                    None => {
                        done.insert(at);
                        on_path.remove(at);
                        path.pop();
                    }
                    Some(edge) if on_path.contains(edge.as_str()) => {
                        reader.problem(at, "a schema that refers to itself for the same value");
                    }
                    Some(edge) if done.contains(edge.as_str()) => {}
                    Some(edge) => {
                        on_path.insert(edge);
                        path.push((edge, 0));
                    }
                }
            }
        }
    }
}

/// Whether a place can be told at a cost that does not grow with a power of the value's depth.
///
/// Whether a value is valid is remembered for each part of it. Why it is not is worked out anew in each branch of an
/// `oneOf` or `anyOf`, so that a schema that holds itself in several branches would cost branches to the power of the
/// depth. Such a schema says no, and not where.
pub(super) fn tells_places(root: &Value, pointer: &str) -> bool {
    let mut walk = Walk { root, state: HashMap::new(), circle: false, choice: false };
    if let Some(schema) = root.pointer(pointer) {
        walk.schema(schema);
    }
    !(walk.circle && walk.choice)
}

/// A walk through all that a schema refers to.
struct Walk<'a> {
    root: &'a Value,
    /// Targets of references: true while they are being walked through.
    state: HashMap<&'a str, bool>,
    circle: bool,
    choice: bool,
}

impl<'a> Walk<'a> {
    fn schema(&mut self, value: &'a Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.schema(item)),
            Value::Object(fields) => {
                self.choice |= fields.contains_key("oneOf") || fields.contains_key("anyOf");
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    self.reference(reference);
                }
                fields.values().for_each(|field| self.schema(field));
            }
            _ => {}
        }
    }

    fn reference(&mut self, reference: &'a str) {
        match self.state.get(reference) {
            Some(under_way) => self.circle |= under_way,
            None => {
                self.state.insert(reference, true);
                let pointer = pointer_of(compile::fragment(reference)).ok();
                if let Some(target) = pointer.and_then(|pointer| self.root.pointer(&pointer)) {
                    self.schema(target);
                }
                self.state.insert(reference, false);
            }
        }
    }
}
