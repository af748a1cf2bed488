//! What is wrong in a file, where, and what to write instead.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::SourcePosition;

/// The longest text of one part of a diagnostic, in bytes.
const MOST_TEXT: usize = 1000;

/// What kind of problem a diagnostic reports: a stable word, by which diagnostics are counted and sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosticCode {
    /// It cannot be read as what it is meant to be: broken YAML, a key twice, a value of another type than its field's.
    Form,
    /// Text without quotes that YAML reads as a number, a boolean or nothing.
    Unquoted,
    /// A key that nobody knows here.
    UnknownKey,
    /// A key that must be there.
    MissingKey,
    /// A list without items.
    EmptyList,
    /// A value that its field does not take, or that nothing could ever match.
    Value,
    /// Well formed, and of no effect.
    NoEffect,
    /// Beyond what its writer may say, such as a host of another namespace.
    Reach,
    /// An object of another namespace than the one that was asked for; well formed otherwise.
    OtherNamespace,
    /// An object, host or port again.
    Repeated,
    /// A version of a kind that is not read.
    Version,
    /// Known elsewhere, and not to this version of Postern.
    Unsupported,
    /// A kind that is no policy: it is Kubernetes' own, or another project's.
    NotPolicy,
}

/// One diagnostic, for the person who wrote the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The file's name as it was handed in.
    pub file: Arc<str>,
    /// The line, from 1; 0 when the file as a whole is meant.
    pub line: u32,
    /// The column, from 1, in characters; 0 when the file as a whole is meant.
    pub column: u32,
    /// What was found.
    pub found: String,
    /// What is expected there.
    pub expected: String,
    /// What to write instead, when that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// What kind of problem it reports.
    pub code: DiagnosticCode,
    /// The object it is in, as `kind namespace/name`, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Arc<str>>,
}

impl Diagnostic {
    /// A diagnostic of form at a position of a file; [`Diagnostic::with_code`] sets another code.
    pub fn new(
        file: &Arc<str>,
        mark: SourcePosition,
        found: impl Into<String>,
        expected: impl Into<String>,
        fix: Option<String>,
    ) -> Self {
        Self {
            file: Arc::clone(file),
            line: mark.line,
            column: mark.column,
            found: printable(found.into()),
            expected: expected.into(),
            fix: fix.map(printable),
            code: DiagnosticCode::Form,
            object: None,
        }
    }

    /// The same with this code.
    #[must_use]
    pub fn with_code(self, code: DiagnosticCode) -> Self {
        Self { code, ..self }
    }

    /// The same, in this object.
    #[must_use]
    pub fn within(self, object: Arc<str>) -> Self {
        Self { object: Some(object), ..self }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: ", self.file)?,
            line => write!(f, "{}:{line}:{}: ", self.file, self.column)?,
        }
        write!(f, "found {}; expected {}", self.found, self.expected)?;
        match &self.fix {
            Some(fix) => write!(f, "; {fix}"),
            None => Ok(()),
        }
    }
}

/// A file's own words go to terminals and logs: without control characters, and not at any length (SECURITY-CASES
/// S-52).
fn printable(text: String) -> String {
    if text.len() <= MOST_TEXT && !text.contains(char::is_control) {
        return text;
    }
    let mut shown = String::new();
    for c in text.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
        if shown.len() > MOST_TEXT {
            shown.push('…');
            break;
        }
    }
    shown
}

/// Every diagnostic of a set of files: never empty, in the order of files and lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// `Ok` with the value when there is no diagnostic.
    ///
    /// # Errors
    /// The diagnostics, sorted by file, line and column.
    pub fn ok_unless_any<T>(value: T, mut diagnostics: Vec<Diagnostic>) -> Result<T, Self> {
        if diagnostics.is_empty() {
            return Ok(value);
        }
        diagnostics.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        Err(Self(diagnostics))
    }

    /// These diagnostics, then others.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The first `most` diagnostics as text, a line each, and how many more there are.
    #[must_use]
    pub fn first(&self, most: usize) -> String {
        let lines: Vec<String> = self.0.iter().take(most).map(ToString::to_string).collect();
        match self.0.len().checked_sub(most) {
            None | Some(0) => lines.join("\n"),
            Some(more) => format!("{}\nand {more} more", lines.join("\n")),
        }
    }

    /// The diagnostics one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// The diagnostics as a list.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.0
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
