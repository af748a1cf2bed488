//! A cursor over the tree that knows what it may find, and collects every diagnostic instead of stopping at the first.
//!
//! Every method that reads a value returns `None` after noting what is wrong; the caller goes on with the next field.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::scalar::{self, PlainScalar};
use super::{Diagnostic, DiagnosticCode, NodeKind, SourcePosition, YamlNode, nearest};

/// Reads values and collects diagnostics, for one file.
#[derive(Debug)]
pub struct YamlReader {
    file: Arc<str>,
    diagnostics: Vec<Diagnostic>,
}

/// A node together with the key it stood under, for messages.
#[derive(Debug, Clone, Copy)]
pub struct YamlValue<'n> {
    /// The node.
    pub node: &'n YamlNode,
    /// The key (a list item has its list's).
    pub name: &'n str,
}

impl<'n> YamlValue<'n> {
    /// The value of a key, where this is a mapping that has it. Notes nothing.
    pub fn get(&self, key: &str) -> Option<Self> {
        let NodeKind::Map(entries) = &self.node.kind else { return None };
        let (key, node) = entries.iter().find(|(known, _)| &*known.text == key)?;
        Some(YamlValue { node, name: &key.text })
    }

    /// True for a sequence.
    pub fn is_list(&self) -> bool {
        matches!(self.node.kind, NodeKind::List(_))
    }

    /// True for a sequence without items.
    pub fn is_empty_list(&self) -> bool {
        matches!(&self.node.kind, NodeKind::List(items) if items.is_empty())
    }

    /// The text of a scalar, whatever it would be read as.
    pub fn scalar(&self) -> Option<&'n str> {
        match &self.node.kind {
            NodeKind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// What the value is, for a message, where it is none that Kubernetes takes for text: a number, a boolean, nothing,
    /// a list.
    pub fn unquoted(&self) -> Option<String> {
        let is_text = match &self.node.kind {
            NodeKind::Scalar { text, plain } => {
                !plain || scalar::resolve(text) == PlainScalar::Text
            }
            _ => false,
        };
        (!is_text).then(|| describe(self.node))
    }

    /// True for quoted text of no characters.
    pub fn is_empty_text(&self) -> bool {
        matches!(&self.node.kind, NodeKind::Scalar { text, plain: false } if text.is_empty())
    }

    /// True for exactly this text.
    pub fn is_text(&self, expected: &str) -> bool {
        matches!(&self.node.kind, NodeKind::Scalar { text, .. } if &**text == expected)
    }
}

/// A mapping whose keys are taken one by one; [`YamlMapping::finish`] reports those nobody asked for.
#[derive(Debug)]
pub struct YamlMapping<'n> {
    mark: SourcePosition,
    name: &'n str,
    entries: &'n [(super::MappingKey, YamlNode)],
    taken: Vec<bool>,
    known: Vec<&'static str>,
}

impl YamlReader {
    /// A reader for a file, by the name messages show.
    pub fn new(file: Arc<str>) -> Self {
        Self { file, diagnostics: Vec::new() }
    }

    /// The file's name.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// What was wrong.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics
    }

    /// How many diagnostics there are so far.
    pub fn diagnostic_count(&self) -> usize {
        self.diagnostics.len()
    }

    /// Notes a diagnostic at a position.
    pub fn report(
        &mut self,
        mark: SourcePosition,
        found: impl Into<String>,
        expected: impl Into<String>,
        fix: Option<String>,
    ) {
        self.report_with_code(DiagnosticCode::Value, mark, found, expected, fix);
    }

    /// Notes a diagnostic with another code than that of a wrong value.
    pub fn report_with_code(
        &mut self,
        code: DiagnosticCode,
        mark: SourcePosition,
        found: impl Into<String>,
        expected: impl Into<String>,
        fix: Option<String>,
    ) {
        self.diagnostics
            .push(Diagnostic::new(&self.file, mark, found, expected, fix).with_code(code));
    }

    /// Notes that a value is not what its field takes: "`port`: found …; expected …".
    pub fn report_value(
        &mut self,
        value: YamlValue<'_>,
        expected: impl Display,
        fix: Option<String>,
    ) {
        self.report_value_with_code(DiagnosticCode::Value, value, expected, fix);
    }

    /// Notes that a value is not what its field takes, with the code of that problem.
    pub fn report_value_with_code(
        &mut self,
        code: DiagnosticCode,
        value: YamlValue<'_>,
        expected: impl Display,
        fix: Option<String>,
    ) {
        let found = format!("{} for {}", describe(value.node), titled(value.name));
        self.report_with_code(code, value.node.mark, found, expected.to_string(), fix);
    }

    /// Says of all diagnostics from the `from`th on in which object they are.
    pub fn within(&mut self, object: &Arc<str>, from: usize) {
        for diagnostic in self.diagnostics.iter_mut().skip(from) {
            diagnostic.object = Some(Arc::clone(object));
        }
    }

    /// The value as a mapping.
    pub fn mapping<'n>(&mut self, value: YamlValue<'n>) -> Option<YamlMapping<'n>> {
        let NodeKind::Map(entries) = &value.node.kind else {
            self.report_value_with_code(DiagnosticCode::Form, value, "a mapping", None);
            return None;
        };
        Some(YamlMapping {
            mark: value.node.mark,
            name: value.name,
            entries,
            taken: vec![false; entries.len()],
            known: Vec::new(),
        })
    }

    /// The value as a list, possibly empty.
    pub fn list<'n>(&mut self, value: YamlValue<'n>) -> Option<Vec<YamlValue<'n>>> {
        let NodeKind::List(items) = &value.node.kind else {
            self.report_value_with_code(DiagnosticCode::Form, value, "a list", None);
            return None;
        };
        Some(items.iter().map(|node| YamlValue { node, name: value.name }).collect())
    }

    /// The value as a list of 1 to `most` items.
    ///
    /// An empty list is refused: whether it means "none" or "no restriction" is exactly what readers get wrong.
    pub fn filled_list<'n>(
        &mut self,
        value: YamlValue<'n>,
        most: usize,
    ) -> Option<Vec<YamlValue<'n>>> {
        let items = self.list(value)?;
        if items.is_empty() {
            let fix = format!("remove `{}`, or name at least one", value.name);
            self.report_with_code(
                DiagnosticCode::EmptyList,
                value.node.mark,
                format!("an empty list for `{}`", value.name),
                "at least one item",
                Some(fix),
            );
            return None;
        }
        if items.len() > most {
            let found = format!("{} items for `{}`", items.len(), value.name);
            self.report(value.node.mark, found, format!("at most {most}"), None);
            return None;
        }
        Some(items)
    }

    /// The value as text that is not empty. An unquoted number or boolean is no text, as in Kubernetes.
    pub fn text<'n>(&mut self, value: YamlValue<'n>) -> Option<&'n str> {
        match &value.node.kind {
            NodeKind::Scalar { text, plain } => match scalar::resolve(text) {
                PlainScalar::Text => return Some(text),
                PlainScalar::Null if !plain && text.is_empty() => {
                    self.report_value(value, "text that is not empty", None);
                }
                _ if !plain => return Some(text),
                PlainScalar::Null => {
                    self.report_value_with_code(DiagnosticCode::Unquoted, value, "text", None)
                }
                _ => {
                    let fix = Some(format!("write \"{text}\" in quotes"));
                    self.report_value_with_code(DiagnosticCode::Unquoted, value, "text", fix);
                }
            },
            _ => self.report_value_with_code(DiagnosticCode::Form, value, "text", None),
        }
        None
    }

    /// The value as a whole number within `range`.
    pub fn integer(&mut self, value: YamlValue<'_>, range: RangeInclusive<u64>) -> Option<u64> {
        let number = match &value.node.kind {
            NodeKind::Scalar { text, plain: true } if text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().ok()
            }
            _ => None,
        };
        let number = number.filter(|n| range.contains(n));
        if number.is_none() {
            let fix =
                unquoted_number(value.node).map(|text| format!("write {text} without quotes"));
            self.report_value(
                value,
                format_args!("a whole number from {} to {}", range.start(), range.end()),
                fix,
            );
        }
        number
    }

    /// The value as a port, 1 to 65535.
    pub fn port(&mut self, value: YamlValue<'_>) -> Option<u16> {
        let number = self.integer(value, 1..=u64::from(u16::MAX))?;
        u16::try_from(number).ok()
    }

    /// The value as `true` or `false`.
    pub fn boolean(&mut self, value: YamlValue<'_>) -> Option<bool> {
        if let NodeKind::Scalar { text, plain: true } = &value.node.kind
            && let PlainScalar::Boolean(boolean) = scalar::resolve(text)
        {
            return Some(boolean);
        }
        self.report_value_with_code(DiagnosticCode::Form, value, "true or false", None);
        None
    }

    /// The value as one of the given words.
    pub fn choice<T: Copy>(&mut self, value: YamlValue<'_>, choices: &[(&str, T)]) -> Option<T> {
        let names = || choices.iter().map(|(name, _)| *name);
        let text = match &value.node.kind {
            NodeKind::Scalar { text, .. } => &**text,
            _ => "",
        };
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice);
        if found.is_none() {
            let expected = format!("one of {}", names().collect::<Vec<_>>().join(", "));
            let fix = nearest(text, names()).map(|name| format!("did you mean {name}?"));
            self.report_value(value, expected, fix);
        }
        found
    }

    /// The value as text that `parse` understands; its error becomes the advice.
    pub fn parsed<T, E: Display>(
        &mut self,
        value: YamlValue<'_>,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(value)?;
        match parse(text) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.report_value(value, expected, Some(error.to_string()));
                None
            }
        }
    }
}

impl<'n> YamlMapping<'n> {
    /// The value of a key; `None` when it is absent.
    pub fn take(&mut self, key: &'static str) -> Option<YamlValue<'n>> {
        self.known.push(key);
        let at = self.entries.iter().position(|(k, _)| &*k.text == key)?;
        self.taken[at] = true;
        let (name, node) = &self.entries[at];
        Some(YamlValue { node, name: &name.text })
    }

    /// The value of a key that is known but refused: it is not named among the keys one may write.
    pub fn take_unsupported(&mut self, key: &'static str) -> Option<YamlValue<'n>> {
        let value = self.take(key);
        self.known.pop();
        value
    }

    /// The value of a key that must be there.
    pub fn require(&mut self, reader: &mut YamlReader, key: &'static str) -> Option<YamlValue<'n>> {
        let value = self.take(key);
        if value.is_none() {
            let found = format!("no `{key}` in {}", titled(self.name));
            let expected = format!("the key `{key}`");
            reader.report_with_code(DiagnosticCode::MissingKey, self.mark, found, expected, None);
        }
        value
    }

    /// Every entry: for mappings whose keys are names of the writer's own (labels, ports).
    pub fn entries(
        &mut self,
    ) -> impl Iterator<Item = (&'n super::MappingKey, YamlValue<'n>)> + use<'n> {
        self.taken.fill(true);
        self.entries.iter().map(|(key, node)| (key, YamlValue { node, name: &key.text }))
    }

    /// Where the mapping begins.
    pub fn mark(&self) -> SourcePosition {
        self.mark
    }

    /// True when the key is there.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(k, _)| &*k.text == key)
    }

    /// True when there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reports every key that was never asked for.
    pub fn finish(self, reader: &mut YamlReader) {
        let left = self.entries.iter().zip(&self.taken).filter(|(_, taken)| !**taken);
        for ((key, _), _) in left {
            let found = format!("the unknown key `{}` in {}", key.text, titled(self.name));
            let expected = match self.known.is_empty() {
                true => "no key at all".to_owned(),
                false => format!("one of {}", self.known.join(", ")),
            };
            let near = nearest(&key.text, self.known.iter().copied());
            let fix = near.map(|name| format!("did you mean `{name}`?"));
            reader.report_with_code(DiagnosticCode::UnknownKey, key.mark, found, expected, fix);
        }
    }
}

/// The name of a field in a message; the root of a document has none.
fn titled(name: &str) -> String {
    match name {
        "" => "the document".to_owned(),
        name => format!("`{name}`"),
    }
}

/// What a node is, for a person.
fn describe(node: &YamlNode) -> String {
    match &node.kind {
        NodeKind::List(_) => "a list".to_owned(),
        NodeKind::Map(_) => "a mapping".to_owned(),
        NodeKind::Scalar { text, plain } => {
            let shown = shortened(text);
            match scalar::resolve(text) {
                PlainScalar::Null if *plain => "nothing".to_owned(),
                PlainScalar::Number if *plain => format!("the number {shown}"),
                PlainScalar::Boolean(_) if *plain => format!("the boolean {shown}"),
                _ => format!("the text \"{shown}\""),
            }
        }
    }
}

/// A quoted number's digits.
fn unquoted_number(node: &YamlNode) -> Option<&str> {
    match &node.kind {
        NodeKind::Scalar { text, plain: false } if scalar::resolve(text) == PlainScalar::Number => {
            Some(text)
        }
        _ => None,
    }
}

/// At most 80 characters of a text, control characters escaped: messages end up in terminals.
fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        shown.push('…');
    }
    shown
}
