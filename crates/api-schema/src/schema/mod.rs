//! Schemas of a description: read strictly, translated to JSON Schema 2020-12, compiled once.
//!
//! A schema means something else in a request than in an answer (`readOnly`, `writeOnly`), so there are two translations
//! of the whole description. Each schema keeps its place in them, and so do references.

mod circles;
mod compile;
mod discriminator;
mod formats;
pub(crate) mod shape;
mod translate;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::reader::{Part, Reader};
pub(crate) use compile::CompiledSchemas;
use shape::Shape;
pub(crate) use translate::DIALECTS;
use translate::Translation;

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    /// A request, to which `readOnly` properties do not belong.
    Request,
    /// An answer, to which `writeOnly` properties do not belong.
    Answer,
}

impl Direction {
    /// The keyword of properties that do not belong to a message of this direction.
    pub(crate) fn hides(self) -> &'static str {
        match self {
            Self::Request => "readOnly",
            Self::Answer => "writeOnly",
        }
    }
}

/// A schema that messages are checked with, by its place among all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SchemaId(usize);

/// The schemas met so far.
#[derive(Debug)]
pub(crate) struct Schemas {
    request: Value,
    answer: Value,
    /// Each schema read, by its pointer, and which others apply to the same value.
    in_place: HashMap<String, Vec<String>>,
    /// References that are yet to be followed: from where, to where.
    references: Vec<(String, String)>,
    /// All names of properties.
    names: HashSet<Box<str>>,
    /// Patterns that were looked at, and what is wrong with them.
    patterns: HashMap<String, Result<(), String>>,
    roots: Vec<(String, Direction)>,
    ids: HashMap<(String, Direction), SchemaId>,
}

impl Schemas {
    pub(crate) fn new(root: &Value) -> Self {
        Self {
            request: root.clone(),
            answer: root.clone(),
            in_place: HashMap::new(),
            references: Vec::new(),
            names: HashSet::new(),
            patterns: HashMap::new(),
            roots: Vec::new(),
            ids: HashMap::new(),
        }
    }

    /// Takes a schema that messages are to be checked with, and all that it refers to.
    pub(crate) fn root(
        &mut self,
        reader: &mut Reader<'_>,
        part: &Part<'_>,
        direction: Direction,
    ) -> SchemaId {
        self.read(reader, part);
        self.follow(reader);
        let pointer = self.end_of(&part.pointer, direction);
        let next = SchemaId(self.roots.len());
        let key = (pointer, direction);
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        self.roots.push(key.clone());
        self.ids.insert(key, next);
        next
    }

    /// The types that a schema lets through.
    pub(crate) fn shape(&self, id: SchemaId) -> Shape {
        let Some((pointer, direction)) = self.roots.get(id.0) else {
            return Shape::of(&Value::Null, &Value::Bool(true));
        };
        let root = self.translated(*direction);
        Shape::of(root, root.pointer(pointer).unwrap_or(&Value::Null))
    }

    fn translated(&self, direction: Direction) -> &Value {
        match direction {
            Direction::Request => &self.request,
            Direction::Answer => &self.answer,
        }
    }

    /// Where a schema that is nothing but a reference ends, so that all who use it share what is compiled.
    fn end_of(&self, pointer: &str, direction: Direction) -> String {
        let mut end = pointer.to_owned();
        for _ in 0..16 {
            let schema = self.translated(direction).pointer(&end).and_then(Value::as_object);
            let reference = schema
                .filter(|schema| schema.len() == 1)
                .and_then(|schema| schema.get("$ref")?.as_str())
                .and_then(|reference| crate::reader::pointer_of(compile::fragment(reference)).ok());
            match reference {
                Some(target) => end = target,
                None => break,
            }
        }
        end
    }

    /// Reads a schema, once.
    pub(crate) fn read(&mut self, reader: &mut Reader<'_>, part: &Part<'_>) {
        if self.in_place.contains_key(&part.pointer) {
            return;
        }
        for direction in [Direction::Request, Direction::Answer] {
            let told = reader.problems.len();
            let schema =
                Translation { reader: &mut *reader, schemas: &mut *self, direction }.root(part);
            if direction == Direction::Answer {
                // What is wrong is wrong in both directions, and told once.
                reader.problems.truncate(told);
            }
            let translated = match direction {
                Direction::Request => &mut self.request,
                Direction::Answer => &mut self.answer,
            };
            if let Some(place) = translated.pointer_mut(&part.pointer) {
                *place = schema;
            }
        }
    }

    /// Looks at a pattern, once.
    fn check_pattern(&mut self, pattern: &str) -> Result<(), String> {
        if let Some(known) = self.patterns.get(pattern) {
            return known.clone();
        }
        if self.patterns.len() >= compile::MAX_PATTERNS {
            return Err(format!("more than {} patterns", compile::MAX_PATTERNS));
        }
        let checked = compile::check_pattern(pattern);
        self.patterns.insert(pattern.to_owned(), checked.clone());
        checked
    }

    /// Reads what schemas refer to, until everything was read.
    pub(crate) fn follow(&mut self, reader: &mut Reader<'_>) {
        while let Some((from, reference)) = self.references.pop() {
            match reader.target(&reference) {
                Ok(target) => self.read(reader, &target),
                Err(message) => reader.problem(&from, message),
            }
        }
    }
}
