//! What all readers of a description share: the tree, references within it, and the problems found.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::problem::DescriptionProblem;
use crate::text::{Tree, escape};

/// The most problems told of one description.
const MAX_PROBLEMS: usize = 100;
/// The longest chain of references from one to the next.
const MAX_REFERENCES: usize = 16;

/// Which OpenAPI a description is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// 3.0: schemas are a dialect of their own.
    V30,
    /// 3.1: schemas are JSON Schema 2020-12.
    V31,
}

/// A part of the description, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Part<'a> {
    pub(crate) pointer: String,
    pub(crate) value: &'a Value,
}

impl<'a> Part<'a> {
    /// The pointer of something in this part.
    pub(crate) fn below(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, escape(name))
    }

    /// A field of this part.
    pub(crate) fn field(&self, name: &str) -> Option<Part<'a>> {
        let value = self.value.get(name)?;
        Some(Part { pointer: self.below(name), value })
    }

    /// The entries of an object; none for anything else.
    pub(crate) fn entries(&self) -> Vec<(&'a str, Part<'a>)> {
        let entries = self.value.as_object().into_iter().flatten();
        entries
            .map(|(name, value)| (name.as_str(), Part { pointer: self.below(name), value }))
            .collect()
    }

    /// The items of a list; none for anything else.
    pub(crate) fn items(&self) -> Vec<Part<'a>> {
        let items = self.value.as_array().into_iter().flatten();
        items
            .enumerate()
            .map(|(index, value)| Part { pointer: format!("{}/{index}", self.pointer), value })
            .collect()
    }
}

/// The fields that are lists, wherever they stand.
const LISTS: [&str; 4] = ["parameters", "security", "servers", "tags"];
/// The fields that are objects, wherever they stand.
const OBJECTS: [&str; 9] = [
    "components",
    "content",
    "encoding",
    "headers",
    "paths",
    "requestBodies",
    "responses",
    "schemas",
    "variables",
];

/// A description that is being read.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) root: &'a Value,
    pub(crate) version: Version,
    lines: &'a HashMap<String, u32>,
    pub(crate) problems: Vec<DescriptionProblem>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(tree: &'a Tree, version: Version) -> Self {
        Self { root: &tree.root, version, lines: &tree.lines, problems: Vec::new() }
    }

    /// Tells of a problem. One that was told already, of a part that several others use, is told once.
    pub(crate) fn problem(&mut self, pointer: &str, message: impl Into<String>) {
        if self.problems.len() >= MAX_PROBLEMS {
            return;
        }
        let line = self.line(pointer);
        let problem =
            DescriptionProblem { pointer: pointer.to_owned(), line, message: message.into() };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// The line of a part, or of the closest one around it.
    fn line(&self, pointer: &str) -> Option<u32> {
        let mut around = pointer;
        loop {
            if let Some(line) = self.lines.get(around) {
                return Some(*line);
            }
            around = &around[..around.rfind('/')?];
        }
    }

    /// The fields of an object, all of which are to be among `known`; extensions (`x-…`) mean nothing to us.
    pub(crate) fn fields<'p>(
        &mut self,
        part: &Part<'p>,
        known: &[&str],
    ) -> Option<&'p Map<String, Value>> {
        let Some(fields) = part.value.as_object() else {
            self.problem(&part.pointer, "something else than an object");
            return None;
        };
        for name in fields.keys() {
            if !known.contains(&name.as_str()) && !name.starts_with("x-") {
                let message = format!("the unknown field `{name}`; known are {}", known.join(", "));
                self.problem(&part.below(name), message);
            }
        }
        self.check_shapes(part, fields);
        Some(fields)
    }

    /// A list where an object belongs, or the other way round, would read as nothing in it, and ask for nothing. What
    /// components are by is names of the writer's own.
    fn check_shapes(&mut self, part: &Part<'_>, fields: &Map<String, Value>) {
        let of_components = part.pointer == "/components";
        for (name, value) in fields {
            let name_is = |names: &[&str]| names.contains(&name.as_str());
            let expected = match (name_is(&LISTS), name_is(&OBJECTS)) {
                (true, _) if !of_components && !value.is_array() => "a list",
                (true, _) if of_components && !value.is_object() => "an object",
                (_, true) if !value.is_object() => "an object",
                _ => continue,
            };
            self.problem(&part.below(name), format!("something else than {expected}"));
        }
    }

    /// A field that is text.
    pub(crate) fn text<'p>(&mut self, part: &Part<'p>, name: &str) -> Option<&'p str> {
        let field = part.field(name)?;
        let text = field.value.as_str();
        if text.is_none() {
            self.problem(&field.pointer, "something else than text");
        }
        text
    }

    /// A field that is true or false; `default` where it is absent.
    pub(crate) fn truth(&mut self, part: &Part<'_>, name: &str, default: bool) -> bool {
        let Some(field) = part.field(name) else {
            return default;
        };
        field.value.as_bool().unwrap_or_else(|| {
            self.problem(&field.pointer, "something else than true or false");
            default
        })
    }

    /// The part itself, or what it refers to.
    pub(crate) fn resolve(&mut self, part: Part<'a>) -> Option<Part<'a>> {
        let mut part = part;
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = part.value.get("$ref") else {
                return Some(part);
            };
            self.fields(&part, &["$ref", "summary", "description"]);
            let at = part.below("$ref");
            let Some(reference) = reference.as_str() else {
                self.problem(&at, "a reference that is no text");
                return None;
            };
            part = match self.target(reference) {
                Ok(target) => target,
                Err(message) => {
                    self.problem(&at, message);
                    return None;
                }
            };
        }
        self.problem(
            &part.pointer,
            "references that go round in a circle, or more than 16 of them",
        );
        None
    }

    /// The part that a reference means.
    pub(crate) fn target(&self, reference: &str) -> Result<Part<'a>, String> {
        let pointer = pointer_of(reference)?;
        match self.root.pointer(&pointer) {
            Some(value) => Ok(Part { pointer, value }),
            None => Err(format!("a reference to nothing: {reference}")),
        }
    }
}

/// The pointer that a reference within the description holds.
pub(crate) fn pointer_of(reference: &str) -> Result<String, String> {
    let outside = || {
        format!(
            "the reference {reference}, which leaves this description; nothing is fetched: put it in here"
        )
    };
    let fragment = reference.strip_prefix('#').ok_or_else(outside)?;
    if !fragment.starts_with('/') {
        return Err(format!("the reference {reference}; only `#/…` is understood"));
    }
    crate::percent::decode(fragment)
        .ok_or_else(|| format!("the reference {reference}, whose escapes are broken"))
}
