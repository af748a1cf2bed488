//! The text of a description as a tree, and in which line each part of it begins.
//!
//! The tree is built from the parser's events, because serde loses lines and names that stand twice. JSON is read the
//! same way: YAML 1.2 contains it, but for its pairs of surrogates, for which the reader of JSON is asked first.

use std::collections::HashMap;

use serde_json::{Map, Number, Value};
use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, Tag};

use crate::limits::JsonLimits;
use crate::problem::DescriptionProblem;

/// The longest description taken, in bytes.
pub(crate) const MAX_BYTES: usize = 4 << 20;
/// The deepest nesting taken.
const MAX_DEPTH: usize = 100;
/// The most values, aliases expanded.
const MAX_NODES: usize = 400_000;

/// The longest name, in bytes.
const MAX_NAME: usize = 1_024;
/// The longest place of a part: the names around it, in bytes.
const MAX_POINTER: usize = 8 << 10;
/// What the places of all parts may take together, in bytes.
const MAX_POINTERS: usize = 32 << 20;
/// What anchors and aliases may copy, in bytes.
const MAX_COPIED: usize = 4 * MAX_BYTES;
/// What the places may take whose lines are remembered, in bytes; of the others, the closest one around is told.
const MAX_LINES: usize = 16 << 20;

/// A description's tree.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) root: Value,
    /// The line of each part, by its JSON pointer; empty for a description in JSON.
    pub(crate) lines: HashMap<String, u32>,
}

/// Reads a description.
pub(crate) fn read(text: &str) -> Result<Tree, DescriptionProblem> {
    if text.len() > MAX_BYTES {
        return Err(problem(None, "longer than 4 MiB".to_owned()));
    }
    if text.trim_start().starts_with('{')
        && let Some(root) = read_json(text)?
    {
        check_places(&root)?;
        return Ok(Tree { root, lines: HashMap::new() });
    }
    let mut builder = Builder::default();
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| {
            let line = u32::try_from(error.marker().line()).ok();
            problem(line, format!("broken YAML ({})", error.info()))
        })?;
        builder.line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
        builder.event(event).map_err(|message| problem(Some(builder.line), message))?;
    }
    let root = builder.root.ok_or_else(|| problem(None, "no description at all".to_owned()))?;
    check_places(&root)?;
    Ok(Tree { root, lines: builder.lines })
}

/// A description in JSON; `None` where it is none, so that the reader of YAML says where.
fn read_json(text: &str) -> Result<Option<Value>, DescriptionProblem> {
    let limits = JsonLimits {
        max_bytes: MAX_BYTES,
        max_depth: MAX_DEPTH,
        max_nodes: MAX_NODES,
        max_keys: MAX_NODES,
    };
    match limits.read(text.as_bytes()) {
        Ok(root) => Ok(Some(root)),
        Err(refusal) if refusal.keyword == "syntax" => Ok(None),
        Err(refusal) => Err(problem(None, format!("no description in JSON ({})", refusal.keyword))),
    }
}

/// Refuses names and places that are long: readers keep the place of each schema, and a place repeats all names around it.
fn check_places(root: &Value) -> Result<(), DescriptionProblem> {
    let mut all = 0_usize;
    let mut left = vec![(root, 0_usize)];
    while let Some((value, length)) = left.pop() {
        all = all.saturating_add(length);
        if length > MAX_POINTER || all > MAX_POINTERS {
            return Err(problem(None, "names that are too long for how deep they nest".to_owned()));
        }
        match value {
            Value::Array(items) => left.extend(items.iter().map(|item| (item, length + 7))),
            Value::Object(entries) => {
                for (name, entry) in entries {
                    check_name(name).map_err(|message| problem(None, message))?;
                    left.push((entry, length + escape(name).len() + 1));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Built {
    match name.len() > MAX_NAME {
        true => Err(format!("a name longer than {MAX_NAME} bytes")),
        false => Ok(()),
    }
}

fn problem(line: Option<u32>, message: String) -> DescriptionProblem {
    DescriptionProblem { pointer: String::new(), line, message }
}

/// A collection that is still open.
enum Open {
    List { items: Vec<Value>, anchor: usize },
    Map { entries: Map<String, Value>, name: Option<String>, anchor: usize },
}

#[derive(Default)]
struct Builder {
    root: Option<Value>,
    documents: usize,
    open: Vec<Open>,
    /// The pointer of what is being read.
    pointer: String,
    /// How long the pointer was before each open collection's own part was added.
    lengths: Vec<usize>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    /// The bytes that anchors and aliases copied.
    copied: usize,
    line: u32,
    lines: HashMap<String, u32>,
    /// The bytes of the places in `lines`.
    lines_length: usize,
}

/// A part that aliases may mean.
struct Anchored {
    value: Value,
    nodes: usize,
    depth: usize,
    bytes: usize,
}

type Built = Result<(), String>;

impl Builder {
    fn event(&mut self, event: Event<'_>) -> Built {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err("a second document; a description is one".to_owned());
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                check_tag(tag.as_deref())?;
                let plain = style == ScalarStyle::Plain && tag.is_none();
                return self.scalar(&text, plain, anchor);
            }
            Event::SequenceStart(_, anchor, tag) => {
                check_tag(tag.as_deref())?;
                return self.enter(Open::List { items: Vec::new(), anchor });
            }
            Event::MappingStart(_, anchor, tag) => {
                check_tag(tag.as_deref())?;
                return self.enter(Open::Map { entries: Map::new(), name: None, anchor });
            }
            Event::SequenceEnd | Event::MappingEnd => return self.leave(),
            Event::Alias(id) => {
                let anchored = self.anchors.get(&id).ok_or("an alias to a part that holds it")?;
                if self.open.len().saturating_add(anchored.depth) > MAX_DEPTH {
                    return Err(format!("nested deeper than {MAX_DEPTH} levels"));
                }
                count_copied(&mut self.copied, anchored.bytes)?;
                let (value, nodes) = (anchored.value.clone(), anchored.nodes);
                self.place();
                return self.add(value, 0, nodes);
            }
            Event::UnresolvedAlias(name) => return Err(format!("the alias *{name} of no anchor")),
            _ => {}
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, plain: bool, anchor: usize) -> Built {
        if let Some(Open::Map { entries, name: name @ None, .. }) = self.open.last_mut() {
            if plain && text == "<<" {
                return Err("a merge key; write its names out".to_owned());
            }
            check_name(text)?;
            if entries.contains_key(text) {
                return Err(format!("the name `{text}` a second time"));
            }
            *name = Some(text.to_owned());
            // A name's line is its value's: that is where a reader looks.
            self.place();
            return Ok(());
        }
        let value = if plain { plain_scalar(text) } else { Value::String(text.to_owned()) };
        if matches!(self.open.last(), None | Some(Open::List { .. })) {
            self.place();
        }
        self.add(value, anchor, 1)
    }

    fn enter(&mut self, open: Open) -> Built {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        match self.open.last() {
            Some(Open::Map { name: None, .. }) => {
                return Err("a list or a mapping as a name".to_owned());
            }
            Some(Open::Map { .. }) => {}
            _ => self.place(),
        }
        self.lengths.push(self.pointer.len());
        if let Some(part) = self.part() {
            self.pointer.push('/');
            self.pointer.push_str(&part);
        }
        self.open.push(open);
        Ok(())
    }

    fn leave(&mut self) -> Built {
        let length = self.lengths.pop().unwrap_or_default();
        self.pointer.truncate(length);
        match self.open.pop() {
            Some(Open::List { items, anchor }) => self.add(Value::Array(items), anchor, 1),
            Some(Open::Map { entries, anchor, .. }) => self.add(Value::Object(entries), anchor, 1),
            None => Ok(()),
        }
    }

    /// Puts a finished value where it belongs; `size` is what it adds to the count.
    fn add(&mut self, value: Value, anchor: usize, size: usize) -> Built {
        self.nodes = self.nodes.saturating_add(size);
        if anchor != 0 {
            let (nodes, depth, bytes) = (size_of(&value), depth_of(&value), bytes_of(&value));
            self.nodes = self.nodes.saturating_add(nodes);
            count_copied(&mut self.copied, bytes)?;
            let anchored = Anchored { value: value.clone(), nodes, depth, bytes };
            self.anchors.insert(anchor, anchored);
        }
        if self.nodes > MAX_NODES {
            return Err(format!("more than {MAX_NODES} values, aliases expanded"));
        }
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Open::List { items, .. }) => items.push(value),
            Some(Open::Map { entries, name, .. }) => {
                let name = name.take().ok_or("an alias as a name")?;
                entries.insert(name, value);
            }
        }
        Ok(())
    }

    /// Remembers the line of what begins here.
    fn place(&mut self) {
        if self.lines_length > MAX_LINES || self.pointer.len() > MAX_POINTER {
            return;
        }
        let pointer = match self.part() {
            Some(part) => format!("{}/{part}", self.pointer),
            None => self.pointer.clone(),
        };
        self.lines_length += pointer.len();
        self.lines.entry(pointer).or_insert(self.line);
    }

    /// The part of the pointer that the next value has within the innermost collection.
    fn part(&self) -> Option<String> {
        match self.open.last()? {
            Open::List { items, .. } => Some(items.len().to_string()),
            Open::Map { name, .. } => name.as_deref().map(escape),
        }
    }
}

/// A name as a part of a JSON pointer (RFC 6901, section 3).
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn size_of(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size_of).sum(),
        Value::Object(entries) => entries.values().map(size_of).sum(),
        _ => 0,
    }
}

fn count_copied(copied: &mut usize, bytes: usize) -> Built {
    *copied = copied.saturating_add(bytes);
    match *copied > MAX_COPIED {
        true => Err("aliases that become more than 16 MiB".to_owned()),
        false => Ok(()),
    }
}

fn bytes_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(bytes_of).sum(),
        Value::Object(entries) => {
            entries.iter().map(|(name, entry)| name.len() + bytes_of(entry)).sum()
        }
        _ => 0,
    }
}

fn depth_of(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or_default(),
        Value::Object(entries) => 1 + entries.values().map(depth_of).max().unwrap_or_default(),
        _ => 0,
    }
}

fn check_tag(tag: Option<&Tag>) -> Built {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() => Err(format!("the tag {}", tag.original())),
        _ => Ok(()),
    }
}

/// What a scalar without quotes is by YAML 1.2's core schema (section 10.3.2).
fn plain_scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && unsigned
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
        && let Some(number) = number(text.strip_prefix('+').unwrap_or(text))
    {
        return Value::Number(number);
    }
    Value::String(text.to_owned())
}

fn number(text: &str) -> Option<Number> {
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    Number::from_f64(text.parse().ok()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn text_becomes_a_tree() {
        let rows = [
            ("a: 1\nb: [x, 'y', \"z\"]", Ok(json!({"a": 1, "b": ["x", "y", "z"]}))),
            ("200: {a: yes, b: 1.5, c: -3}", Ok(json!({"200": {"a": "yes", "b": 1.5, "c": -3}}))),
            ("a: 1.0.0\nb: '3'\nc: 0x10", Ok(json!({"a": "1.0.0", "b": "3", "c": "0x10"}))),
            (r#"{"a": "\ud83d\ude00"}"#, Ok(json!({"a": "😀"}))),
            ("a: &x {b: 1}\nc: *x", Ok(json!({"a": {"b": 1}, "c": {"b": 1}}))),
            ("a: 1\na: 2", Err("line 2: the name `a` a second time")),
            ("a: 1\n<<: {b: 1}", Err("line 2: a merge key; write its names out")),
            ("a: 1\n---\nb: 1", Err("line 2: a second document; a description is one")),
            ("a: !secret 1", Err("line 1: the tag !secret")),
            ("", Err("no description at all")),
            (r#"{"a": 1, "a": 2}"#, Err("no description in JSON (duplicateKey)")),
            ("[a]: 1", Err("line 1: a list or a mapping as a name")),
        ];
        for (text, expect) in rows {
            let found = read(text).map(|tree| tree.root).map_err(|problem| problem.to_string());
            assert_eq!(found, expect.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn each_part_has_its_line() {
        let tree = read("a:\n  b/c: 1\n  d:\n    - e\n    - f:\n        g: 1\n").unwrap();
        let rows = [
            ("/a", 1),
            ("/a/b~1c", 2),
            ("/a/d", 3),
            ("/a/d/0", 4),
            ("/a/d/1", 5),
            ("/a/d/1/f/g", 6),
        ];
        for (pointer, line) in rows {
            assert_eq!(tree.lines.get(pointer), Some(&line), "{pointer}");
        }
    }

    #[test]
    fn aliases_cannot_nest() {
        let (open, close) = ("[".repeat(60), "]".repeat(60));
        let text = format!("a: &a {open}x{close}\nb: {open}*a{close}\n");
        let problem = read(&text).unwrap_err();
        assert_eq!(problem.to_string(), "line 2: nested deeper than 100 levels");
    }

    #[test]
    fn no_description_takes_more_memory_than_it_is_long() {
        let nested: String =
            (0..90).map(|level| format!("{{{level}{}: ", "k".repeat(1_000))).collect();
        let name = "é".repeat(513);
        let inner = "n".repeat(1_000);
        let deep: String = (0..9).map(|_| format!("{{\"{}\": ", inner)).collect();
        let items = format!("[{}1]", "1,".repeat(100_000));
        let around = format!("{{\"{}\": ", &inner[..400]);
        let rows = [
            (
                "an alias to a long text",
                format!("a: &a {}\nb: [{}1]", "x".repeat(500_000), "*a, ".repeat(1_000)),
                "aliases that become more than 16 MiB",
            ),
            (
                "anchors within each other",
                format!("a: {}{}{}", "&a [".repeat(60), "x".repeat(500_000), "]".repeat(60)),
                "aliases that become more than 16 MiB",
            ),
            ("a long name", format!("{name}: 1"), "a name longer than 1024 bytes"),
            ("a long name in JSON", format!("{{\"{name}\": 1}}"), "a name longer than 1024 bytes"),
            (
                "a list far below",
                format!("a: {nested}{items}{}", "}".repeat(90)),
                "too long for how deep they nest",
            ),
            (
                "long names within each other, in JSON",
                format!("{deep}1{}", "}".repeat(9)),
                "too long for how deep they nest",
            ),
            (
                "a long list below long names, in JSON",
                format!("{around}{items}}}"),
                "too long for how deep they nest",
            ),
        ];
        for (row, text, expect) in rows {
            let told = read(&text).unwrap_err().to_string();
            assert!(told.contains(expect) && told.len() < 200, "{row}: {told}");
        }
    }

    #[test]
    fn aliases_cannot_multiply() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = level - 1;
            let items = vec![format!("*a{below}"); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        let problem = read(&text).unwrap_err();
        assert!(problem.message.contains("aliases expanded"), "{problem}");
    }
}
