//! A multipart body (RFC 7578): fields as arguments, files by their names, the headers of every part.
//!
//! What is not as the standard has it is taken apart all the same, as a lenient application would, and said in
//! `MULTIPART_STRICT_ERROR`.

use std::borrow::Cow;

use zentinel_modsec::parser::VariableName;

use super::body::{add_text, has_plain_charset};
use super::{Facts, MOST_VALUES, split_once};
use crate::inspection::NotRead;

/// The most lines of a part's head.
const MOST_LINES: usize = 32;

/// Adds what the parts say; whether there were parts at all.
pub(super) fn add<'a>(
    facts: &mut Facts<'a>,
    body: &'a [u8],
    content_type: &'a [u8],
    complete: bool,
) -> bool {
    facts.processor = "MULTIPART";
    let Some(boundary) = boundary(content_type).filter(|boundary| is_boundary(boundary)) else {
        facts.multipart_error = true;
        facts.leave_out(NotRead::Malformed);
        facts.body_error = Some("the multipart body has no boundary");
        return false;
    };
    let mut parts = Parts { rest: body, boundary, closed: false, odd: false };
    let mut files = 0;
    let mut any = false;
    if parts.next().is_some_and(|preamble| !preamble.is_empty()) {
        parts.odd = true;
    }
    let is_form = content_type.to_ascii_lowercase().starts_with(b"multipart/form-data");
    let mut many = 0;
    while many < MOST_VALUES {
        let Some(part) = parts.next() else { break };
        (any, many) = (true, many + 1);
        files += add_part(facts, part, is_form);
    }
    facts.multipart_error |= parts.odd
        || (complete && many < MOST_VALUES && !parts.closed)
        || !is_plain_boundary(content_type);
    if !parts.closed && !parts.rest.is_empty() {
        facts.leave_out(NotRead::TooMany);
    }
    if facts.multipart_error {
        facts.leave_out(NotRead::Malformed);
    }
    // Behind the last part there is nothing, but some read on.
    if !parts.rest.trim_ascii().is_empty() {
        add_text(facts, parts.rest);
    }
    facts.add_one(VariableName::FilesCombinedSize, files.to_string().into_bytes());
    any
}

/// The parameter `boundary`, quoted or not.
fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    parameter(content_type, b"boundary").filter(|boundary| !boundary.is_empty())
}

/// Whether there is one boundary, whoever looks for it, and by whatever way.
fn is_plain_boundary(content_type: &[u8]) -> bool {
    const NAME: &[u8] = b"boundary";
    let text = content_type.to_ascii_lowercase();
    let first = text.windows(NAME.len()).position(|window| window == NAME).unwrap_or_default();
    let before = text.get(..first).unwrap_or_default().trim_ascii_end();
    let after = text.get(first + NAME.len()..).unwrap_or_default();
    let all = parameters(content_type);
    let is_bare = |one: &Parameter<'_>| {
        one.is_plain || (one.value.contains(&b'\'') && !one.value.contains(&b'"'))
    };
    before.ends_with(b";")
        && after.starts_with(b"=")
        && all.iter().filter(|one| one.name == NAME).count() == 1
        && all.iter().all(is_bare)
        && (after.starts_with(b"=\"") || !split_once(after, b';').0.contains(&b','))
}

/// RFC 2046, section 5.1.1.
fn is_boundary(boundary: &[u8]) -> bool {
    boundary.len() <= 70
        && boundary
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte))
}

/// The pieces between lines that begin with `--` and the boundary; the first is what stands before all parts.
struct Parts<'a> {
    rest: &'a [u8],
    boundary: &'a [u8],
    closed: bool,
    odd: bool,
}

impl<'a> Parts<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.closed || self.rest.is_empty() {
            return None;
        }
        let Some((begin, end)) = self.delimiter() else {
            return Some(std::mem::take(&mut self.rest));
        };
        let part = self.rest.get(..begin).unwrap_or_default();
        let after = self.rest.get(end..).unwrap_or_default();
        self.closed = after.starts_with(b"--");
        let (line, rest) = split_once(after, b'\n');
        let line = if self.closed { line.get(2..).unwrap_or_default() } else { line };
        let blanks = match rest {
            Some(_) => line.strip_suffix(b"\r"),
            // The last line may end the body.
            None => self.closed.then_some(line),
        };
        self.odd |=
            !blanks.is_some_and(|line| line.iter().all(|byte| matches!(byte, b' ' | b'\t')));
        self.rest = rest.unwrap_or_default();
        if self.closed && !self.rest.trim_ascii().is_empty() {
            self.odd = true;
        }
        if part.ends_with(b"\r\n") {
            return part.get(..part.len() - 2);
        }
        if part.ends_with(b"\n") {
            self.odd = true;
            return part.get(..part.len() - 1);
        }
        Some(part)
    }

    /// Where the next delimiter begins and ends: at the beginning of a line only.
    fn delimiter(&self) -> Option<(usize, usize)> {
        let whole = self.boundary.len() + 2;
        let mut from = 0;
        loop {
            let line = self.rest.get(from..)?;
            if line.starts_with(b"--")
                && line.get(2..).is_some_and(|line| line.starts_with(self.boundary))
            {
                return Some((from, from + whole));
            }
            from += line.iter().position(|byte| *byte == b'\n')? + 1;
        }
    }
}

/// Adds one part; the size of its file, 0 for a field.
fn add_part<'a>(facts: &mut Facts<'a>, part: &'a [u8], is_form: bool) -> usize {
    let (head, content) = head_and_content(part);
    facts.multipart_error |= !is_plain_head(head);
    let lines: Vec<&[u8]> = head
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .collect();
    let disposition =
        lines.iter().find(|line| header_name(line).eq_ignore_ascii_case(b"content-disposition"));
    let disposition =
        disposition.map_or(&b""[..], |line| split_once(line, b':').1.unwrap_or_default());
    let name = parameter(disposition, b"name");
    let file = parameter(disposition, b"filename").or_else(|| parameter(disposition, b"filename*"));
    let is_about = |line: &&&[u8]| header_name(line).eq_ignore_ascii_case(b"content-disposition");
    facts.multipart_error |= (is_form && name.is_none())
        || lines.iter().filter(is_about).count() > 1
        || lines.len() > MOST_LINES
        || !lines.iter().all(|line| is_plain_line(line));
    let name = name.unwrap_or_default();
    if lines.len() > MOST_LINES {
        add_text(facts, head);
    }
    for line in lines.into_iter().take(MOST_LINES) {
        facts.add(VariableName::MultipartPartHeaders, name, line);
    }
    match file {
        Some(file) => add_file(facts, name, file, content),
        None => {
            facts.add_argument(Cow::Borrowed(name), Cow::Borrowed(content));
            0
        }
    }
}

fn add_file<'a>(facts: &mut Facts<'a>, name: &'a [u8], file: &'a [u8], content: &'a [u8]) -> usize {
    facts.add(VariableName::Files, name, file);
    facts.add(VariableName::FilesNames, name, name);
    facts.add(VariableName::FilesSizes, name, content.len().to_string().into_bytes());
    // A file without a name is what some applications take for a field.
    if file.is_empty() {
        facts.add_argument(Cow::Borrowed(name), Cow::Borrowed(content));
    }
    content.len()
}

/// Head and content of a part: the head ends at the first blank line, whatever its line ends.
fn head_and_content(part: &[u8]) -> (&[u8], &[u8]) {
    let mut from = 0;
    for line in part.split_inclusive(|byte| *byte == b'\n') {
        if matches!(line, b"\r\n" | b"\n") {
            return (
                part.get(..from).unwrap_or_default(),
                part.get(from + line.len()..).unwrap_or_default(),
            );
        }
        from += line.len();
    }
    (part, b"")
}

/// Whether all who read such a head find the same lines in it.
fn is_plain_head(head: &[u8]) -> bool {
    head.split_inclusive(|byte| *byte == b'\n').all(|line| {
        let Some(line) = line.strip_suffix(b"\r\n") else { return false };
        let name = split_once(line, b':');
        name.1.is_some()
            && !name.0.is_empty()
            && !name.0.iter().any(u8::is_ascii_whitespace)
            && !line.iter().any(|byte| matches!(byte, 0 | b'\r'))
    })
}

/// Whether a line says what nobody reads otherwise.
fn is_plain_line(line: &[u8]) -> bool {
    let (name, value) = split_once(line, b':');
    let value = value.unwrap_or_default().trim_ascii().to_ascii_lowercase();
    match name.to_ascii_lowercase().as_slice() {
        b"content-disposition" => is_plain_disposition(&value),
        b"content-transfer-encoding" => matches!(value.as_slice(), b"7bit" | b"8bit" | b"binary"),
        b"content-type" => has_plain_charset(&value),
        _ => true,
    }
}

/// Each parameter once and in one form. Of an escaped backslash before a quote some take the quote for escaped.
fn is_plain_disposition(value: &[u8]) -> bool {
    let all = parameters(value);
    let has = |wanted: &[u8]| all.iter().any(|one| one.name == wanted);
    let once = all
        .iter()
        .enumerate()
        .all(|(place, one)| !all.iter().skip(place + 1).any(|other| other.name == one.name));
    let extended = all.iter().any(|one| one.name.contains(&b'*') && one.name != b"filename*");
    once && !extended
        && (!has(b"filename*") || has(b"filename"))
        && all.iter().all(|one| one.is_plain)
        && !value.windows(3).any(|window| window == br#"\\""#)
}

fn header_name(line: &[u8]) -> &[u8] {
    split_once(line, b':').0.trim_ascii()
}

/// A parameter of a header (`; name="value"`), without its quotes.
struct Parameter<'a> {
    /// In lower case.
    name: Vec<u8>,
    value: &'a [u8],
    /// Nothing stands behind its quotes, and no other quotes are used.
    is_plain: bool,
}

fn parameter<'a>(header: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    parameters(header).into_iter().find(|one| one.name == wanted).map(|one| one.value)
}

fn parameters(header: &[u8]) -> Vec<Parameter<'_>> {
    let mut all = Vec::new();
    let mut rest = split_once(header, b';').1;
    while let Some(text) = rest {
        let (name, value) = split_once(text, b'=');
        let Some(value) = value else { break };
        // A parameter without a value stands before it.
        let name = name.rsplit(|byte| *byte == b';').next().unwrap_or_default();
        let value = value.trim_ascii_start();
        let is_quoted = value.first() == Some(&b'"');
        let (value, after) = parameter_value(value);
        let (behind, next) = split_once(after, b';');
        let is_plain = behind.trim_ascii().is_empty()
            && (is_quoted
                || !(value.starts_with(b"'")
                    || value.iter().any(|byte| matches!(byte, b'"' | b'\\'))));
        all.push(Parameter { name: name.trim_ascii().to_ascii_lowercase(), value, is_plain });
        rest = next;
    }
    all
}

/// A value, and what stands after it. A backslash within quotes takes the next byte with it.
fn parameter_value(text: &[u8]) -> (&[u8], &[u8]) {
    let Some(within) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(|byte| *byte == b';').unwrap_or(text.len());
        return (
            text.get(..end).unwrap_or_default().trim_ascii_end(),
            text.get(end..).unwrap_or_default(),
        );
    };
    let mut escaped = false;
    for (end, byte) in within.iter().enumerate() {
        match (escaped, byte) {
            (false, b'"') => {
                return (
                    within.get(..end).unwrap_or_default(),
                    within.get(end + 1..).unwrap_or_default(),
                );
            }
            (false, b'\\') => escaped = true,
            _ => escaped = false,
        }
    }
    (within, b"")
}
