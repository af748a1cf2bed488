//! A YAML file as a tree of nodes that remember where they stood.
//!
//! The tree is built from the parser's events, not by serde: a second key of the same name, the quotes around a scalar
//! and the place of a key are all lost on the way through serde, and all three matter here.

use std::collections::HashMap;
use std::sync::Arc;

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, Span, Tag};

use super::{Diagnostic, json_documents};

/// The largest file taken, in bytes (4 MiB): thousands of policies; a Kubernetes object ends at 1.5 MiB.
pub const MAX_FILE_BYTES: usize = 4 << 20;
/// The deepest nesting taken; our deepest resource needs 12.
pub const MAX_DEPTH: usize = 48;
/// The most nodes a file may have once its aliases are expanded: what 4 MiB can hold in honest YAML.
pub const MAX_NODES: usize = 1 << 20;
/// The most keys in one mapping.
pub const MAX_KEYS: usize = 1024;
/// The most documents in one file.
pub const MAX_DOCUMENTS: usize = 20_000;

/// A place in a file; both numbers count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourcePosition {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl SourcePosition {
    /// The file as a whole.
    pub const FILE: Self = Self { line: 0, column: 0 };

    /// Where a span of a part begins that itself begins at `base`.
    fn start_of(span: &Span, base: Self) -> Self {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (line, column) = (number(span.start.line()), number(span.start.col()));
        // Only the part's first line has something before it.
        let before = if line <= 1 { base.column } else { 1 };
        Self {
            line: line.saturating_add(base.line).saturating_sub(1),
            column: column.saturating_add(before),
        }
    }
}

/// One YAML node.
#[derive(Debug, Clone)]
pub struct YamlNode {
    /// Where it begins.
    pub mark: SourcePosition,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is. Numbers and booleans stay text here: only the field that is read knows what it wants.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// A scalar; `plain` when it stood without quotes and tag, so that YAML 1.2's core schema may see a number, a
    /// boolean or null in it.
    Scalar {
        /// The text after escapes.
        text: Box<str>,
        /// Unquoted and untagged.
        plain: bool,
    },
    /// A sequence.
    List(Vec<YamlNode>),
    /// A mapping, without its duplicate keys (the first wins, the others are diagnostics).
    Map(Vec<(MappingKey, YamlNode)>),
}

/// A mapping's key.
#[derive(Debug, Clone)]
pub struct MappingKey {
    /// Where it begins.
    pub mark: SourcePosition,
    /// The key.
    pub text: Box<str>,
}

/// One document of a file.
#[derive(Debug, Clone)]
pub struct YamlDocument {
    /// Its root node; `None` for an empty document (comments only).
    pub root: Option<YamlNode>,
}

/// Reads a file into its documents, YAML or JSON in a row. Problems of form are added to `diagnostics`; a syntax error
/// ends the file there, because nothing after it can be trusted. A byte-order mark and CRLF line ends are fine.
pub fn read(file: &Arc<str>, bytes: &[u8], diagnostics: &mut Vec<Diagnostic>) -> Vec<YamlDocument> {
    let mut builder = TreeBuilder::new(file, diagnostics);
    let Some(text) = builder.check_file(bytes) else {
        return Vec::new();
    };
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
    };
    for part in json_documents::parts(text) {
        builder.base = part.at;
        for event in Parser::new_from_str_with_options(part.text, options.clone()) {
            match event {
                Ok((event, span)) => {
                    if !builder.event(event, &span) {
                        return Vec::new();
                    }
                }
                Err(error) => {
                    builder.syntax_error(&error);
                    return Vec::new();
                }
            }
        }
    }
    builder.documents
}

/// A collection that is still open.
struct OpenCollection {
    mark: SourcePosition,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<YamlNode>),
    Map { entries: Vec<(MappingKey, YamlNode)>, pending: Option<MappingKey>, skip_value: bool },
}

struct TreeBuilder<'a> {
    file: &'a Arc<str>,
    diagnostics: &'a mut Vec<Diagnostic>,
    /// Where the part begins that is being read.
    base: SourcePosition,
    documents: Vec<YamlDocument>,
    root: Option<YamlNode>,
    open: Vec<OpenCollection>,
    anchors: HashMap<usize, YamlNode>,
    nodes: usize,
}

impl<'a> TreeBuilder<'a> {
    fn new(file: &'a Arc<str>, diagnostics: &'a mut Vec<Diagnostic>) -> Self {
        Self {
            file,
            diagnostics,
            base: SourcePosition { line: 1, column: 1 },
            documents: Vec::new(),
            root: None,
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
        }
    }

    fn diagnostic(
        &mut self,
        mark: SourcePosition,
        found: impl Into<String>,
        expected: &str,
        fix: Option<&str>,
    ) {
        self.diagnostics.push(Diagnostic::new(
            self.file,
            mark,
            found,
            expected,
            fix.map(str::to_owned),
        ));
    }

    fn check_file<'t>(&mut self, bytes: &'t [u8]) -> Option<&'t str> {
        if bytes.len() > MAX_FILE_BYTES {
            let found = format!("a file of {} bytes", bytes.len());
            self.diagnostic(
                SourcePosition::FILE,
                found,
                "at most 4 MiB",
                Some("split it into several files"),
            );
            return None;
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Some(text),
            Err(error) => {
                let mark = mark_of_byte(bytes, error.valid_up_to());
                self.diagnostic(mark, "bytes that are not UTF-8", "UTF-8 text", None);
                None
            }
        }
    }

    fn syntax_error(&mut self, error: &granit_parser::ScanError) {
        let at = error.marker();
        let mark = SourcePosition::start_of(&Span::empty(*at), self.base);
        self.diagnostic(mark, format!("broken YAML ({})", error.info()), "valid YAML 1.2", None);
    }

    /// Takes one event; false when the file must be given up.
    fn event(&mut self, event: Event<'_>, span: &Span) -> bool {
        let mark = SourcePosition::start_of(span, self.base);
        match event {
            Event::DocumentStart(..) => {
                self.root = None;
                self.anchors.clear();
                return self.count_document(mark);
            }
            Event::DocumentEnd => {
                let root = self.root.take().filter(|node| !node.is_null());
                self.documents.push(YamlDocument { root });
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                self.check_tag(tag.as_deref(), mark);
                let kind = NodeKind::Scalar { text: text.as_ref().into(), plain };
                return self.add(YamlNode { mark, kind }, anchor, 1);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), mark);
                return self.open(OpenCollection {
                    mark,
                    anchor,
                    kind: OpenKind::List(Vec::new()),
                });
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), mark);
                let kind = OpenKind::Map { entries: Vec::new(), pending: None, skip_value: false };
                return self.open(OpenCollection { mark, anchor, kind });
            }
            Event::SequenceEnd | Event::MappingEnd => return self.close(),
            Event::Alias(id) => return self.alias(id, mark),
            Event::UnresolvedAlias(name) => {
                self.diagnostic(
                    mark,
                    format!("the alias *{name}"),
                    "an anchor of that name before it",
                    None,
                );
                return false;
            }
            _ => {}
        }
        true
    }

    fn count_document(&mut self, mark: SourcePosition) -> bool {
        let room = self.documents.len() < MAX_DOCUMENTS;
        if !room {
            self.diagnostic(
                mark,
                "more than 20000 documents",
                "fewer in one file",
                Some("split it into several files"),
            );
        }
        room
    }

    fn check_tag(&mut self, tag: Option<&Tag>, mark: SourcePosition) {
        if let Some(tag) = tag
            && !tag.is_yaml_core_schema()
        {
            let found = format!("the tag {}", tag.original());
            self.diagnostic(mark, found, "no tag of your own", Some("remove it"));
        }
    }

    fn open(&mut self, open: OpenCollection) -> bool {
        if self.open.len() >= MAX_DEPTH {
            self.diagnostic(open.mark, "too deep a nesting", "at most 48 levels", None);
            return false;
        }
        self.open.push(open);
        true
    }

    fn close(&mut self) -> bool {
        let Some(open) = self.open.pop() else {
            return false;
        };
        let kind = match open.kind {
            OpenKind::List(items) => NodeKind::List(items),
            OpenKind::Map { entries, .. } => NodeKind::Map(entries),
        };
        self.add(YamlNode { mark: open.mark, kind }, open.anchor, 1)
    }

    /// Copies the anchored node here. Every copy counts against the node limit, so a bomb of aliases runs into it.
    fn alias(&mut self, id: usize, mark: SourcePosition) -> bool {
        let Some(target) = self.anchors.get(&id) else {
            self.diagnostic(
                mark,
                "an alias to a node it is part of",
                "an alias to a finished node",
                None,
            );
            return false;
        };
        let size = target.size();
        if self.nodes.saturating_add(size) > MAX_NODES {
            return self.add(YamlNode::empty(mark), 0, size);
        }
        let copy = YamlNode { mark, kind: target.kind.clone() };
        self.add(copy, 0, size)
    }

    /// Puts a finished node where it belongs; `size` is what it adds to the count.
    fn add(&mut self, node: YamlNode, anchor: usize, size: usize) -> bool {
        self.nodes = self.nodes.saturating_add(size);
        if self.nodes > MAX_NODES {
            self.diagnostic(node.mark, "too many nodes", "at most 1048576, aliases expanded", None);
            return false;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
            self.nodes = self.nodes.saturating_add(node.size());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return true;
        };
        match &mut open.kind {
            OpenKind::List(items) => items.push(node),
            OpenKind::Map { entries, pending, skip_value } => {
                if *skip_value {
                    *skip_value = false;
                } else if let Some(key) = pending.take() {
                    entries.push((key, node));
                } else {
                    self.key(node);
                }
            }
        }
        true
    }

    /// Takes a node in a key's place; a key that cannot stand takes its value with it.
    fn key(&mut self, node: YamlNode) {
        let Some(OpenCollection { kind: OpenKind::Map { entries, pending, skip_value }, .. }) =
            self.open.last_mut()
        else {
            return;
        };
        let NodeKind::Scalar { text, .. } = node.kind else {
            *skip_value = true;
            self.diagnostic(node.mark, "a list or mapping as a key", "a text key", None);
            return;
        };
        if let Some((first, _)) = entries.iter().find(|(key, _)| key.text == text) {
            let fix = format!("`{text}` stands already at line {}; remove one", first.mark.line);
            *skip_value = true;
            self.diagnostic(
                node.mark,
                format!("the key `{text}` again"),
                "each key once",
                Some(&fix),
            );
        } else if entries.len() >= MAX_KEYS {
            *skip_value = true;
            self.diagnostic(node.mark, "too many keys", "at most 1024 in one mapping", None);
        } else if &*text == "<<" {
            *skip_value = true;
            self.diagnostic(node.mark, "a merge key", "plain keys", Some("write the keys out"));
        } else {
            *pending = Some(MappingKey { mark: node.mark, text });
        }
    }
}

impl YamlNode {
    fn empty(mark: SourcePosition) -> Self {
        Self { mark, kind: NodeKind::List(Vec::new()) }
    }

    /// True for nothing at all: an empty value, `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, NodeKind::Scalar { text, plain: true } if matches!(&**text, "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The number of nodes here and below.
    fn size(&self) -> usize {
        1 + match &self.kind {
            NodeKind::Scalar { .. } => 0,
            NodeKind::List(items) => items.iter().map(Self::size).sum(),
            NodeKind::Map(entries) => entries.iter().map(|(_, node)| 1 + node.size()).sum(),
        }
    }
}

/// The line and column of a byte in text that is UTF-8 up to it.
fn mark_of_byte(bytes: &[u8], at: usize) -> SourcePosition {
    let before = String::from_utf8_lossy(&bytes[..at]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    SourcePosition { line: number(line), column: number(column) }
}
