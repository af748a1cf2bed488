//! Schemas that refer to each other in circles.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{Schemas, compile};
use crate::reader::{Reader, pointer_of};

/// How many schemas may apply to one value one within the other: what a check of one value takes of the stack.
const MAX_COMBINED: usize = 32;
/// How much may be compiled, in values of the description, each as often as it is reached.
pub(super) const MAX_COMPILED: usize = 1_000_000;

impl Schemas {
    /// Finds schemas that refer to themselves without a step into the value: they would let everything through. And
    /// those that are combined of too many, one within the other.
    pub(crate) fn check_circles(&self, reader: &mut Reader<'_>) {
        let mut heights: HashMap<&str, usize> = HashMap::new();
        for start in self.in_place.keys() {
            let mut path: Vec<(&str, usize)> = vec![(start, 0)];
            let mut on_path: HashSet<&str> = HashSet::from([start.as_str()]);
            while let Some((at, next)) = path.last_mut() {
                let edges = self.in_place.get(*at).map(Vec::as_slice).unwrap_or_default();
                let edge = edges.get(*next);
                *next += 1;
                match edge {
                    None => {
                        let below = edges.iter().filter_map(|edge| heights.get(edge.as_str()));
                        let height = 1 + below.max().copied().unwrap_or_default();
                        if height == MAX_COMBINED + 1 {
                            let message = format!(
                                "combined of more than {MAX_COMBINED} schemas, one within the other"
                            );
                            reader.problem(at, message);
                        }
                        heights.insert(at, height);
                        on_path.remove(at);
                        path.pop();
                    }
                    Some(edge) if on_path.contains(edge.as_str()) => {
                        reader.problem(at, "a schema that refers to itself for the same value");
                    }
                    Some(edge) if heights.contains_key(edge.as_str()) => {}
                    Some(edge) => {
                        on_path.insert(edge);
                        path.push((edge, 0));
                    }
                }
            }
        }
    }
}

/// What a schema reaches.
pub(super) struct Reach {
    /// How many values of the description.
    pub(super) values: usize,
    /// Whether a place can be told at a cost that does not grow with a power of the value's depth.
    ///
    /// Whether a value is valid is remembered for each part of it. Why it is not is worked out anew in each branch of
    /// an `oneOf` or `anyOf`, so that a schema that holds itself in several branches would cost branches to the power
    /// of the depth. Such a schema says no, and not where.
    pub(super) tells_places: bool,
}

/// What a step of the walk is.
enum Step<'a> {
    Look(&'a Value),
    Leave(&'a str),
}

/// Looks at all that a schema reaches. No recursion: references may be as long a chain as the description has room for.
pub(super) fn reach(root: &Value, pointer: &str) -> Reach {
    // Targets of references: true while what they reach is being looked at.
    let mut state: HashMap<&str, bool> = HashMap::new();
    let (mut values, mut circle, mut choice) = (0, false, false);
    let mut steps: Vec<Step<'_>> = root.pointer(pointer).map(Step::Look).into_iter().collect();
    while let Some(step) = steps.pop() {
        let value = match step {
            Step::Look(value) => value,
            Step::Leave(reference) => {
                state.insert(reference, false);
                continue;
            }
        };
        values += 1;
        match value {
            Value::Array(items) => steps.extend(items.iter().map(Step::Look)),
            Value::Object(fields) => {
                choice |= fields.contains_key("oneOf") || fields.contains_key("anyOf");
                steps.extend(fields.values().map(Step::Look));
                let Some(Value::String(reference)) = fields.get("$ref") else {
                    continue;
                };
                match state.get(reference.as_str()) {
                    Some(under_way) => circle |= under_way,
                    None => {
                        state.insert(reference, true);
                        steps.push(Step::Leave(reference));
                        let pointer = pointer_of(compile::fragment(reference)).ok();
                        let target = pointer.and_then(|pointer| root.pointer(&pointer));
                        steps.extend(target.map(Step::Look));
                    }
                }
            }
            _ => {}
        }
    }
    Reach { values, tells_places: !(circle && choice) }
}
