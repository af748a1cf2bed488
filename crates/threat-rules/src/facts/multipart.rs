//! A multipart body (RFC 7578): fields as arguments, files by their names, the headers of every part.
//!
//! What is not as the standard has it is taken apart all the same, as a lenient application would, and said in
//! `MULTIPART_STRICT_ERROR`.

use std::borrow::Cow;

use zentinel_modsec::parser::VariableName;

use super::body::looks_like_text;
use super::{Facts, MOST_VALUES, split_once};

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
        facts.body_error = Some("the multipart body has no boundary");
        return false;
    };
    let mut parts = Parts { rest: body, boundary, closed: false, odd: false };
    let mut files = 0;
    let mut any = false;
    if parts.next().is_some_and(|preamble| !preamble.is_empty()) {
        parts.odd = true;
    }
    while let Some(part) = parts.next().filter(|_| facts.all.len() < 4 * MOST_VALUES) {
        any = true;
        files += add_part(facts, part);
    }
    facts.multipart_error |= parts.odd || (complete && !parts.closed);
    facts.add_one(VariableName::FilesCombinedSize, files.to_string().into_bytes());
    any
}

/// The parameter `boundary`, quoted or not.
fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    parameter(content_type, b"boundary").filter(|boundary| !boundary.is_empty())
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
        self.rest = match split_once(after, b'\n') {
            (_, Some(line)) => line,
            (_, None) => b"",
        };
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
fn add_part<'a>(facts: &mut Facts<'a>, part: &'a [u8]) -> usize {
    let (head, content) = head_and_content(part);
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
    facts.multipart_error |= name.is_none();
    let name = name.unwrap_or_default();
    for line in lines {
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
    if file.is_empty() && looks_like_text(content) {
        facts.add_argument(Cow::Borrowed(name), Cow::Borrowed(content));
    }
    content.len()
}

fn head_and_content(part: &[u8]) -> (&[u8], &[u8]) {
    if let Some(content) = part.strip_prefix(b"\r\n").or_else(|| part.strip_prefix(b"\n")) {
        return (b"", content);
    }
    for blank in [&b"\r\n\r\n"[..], b"\n\n"] {
        if let Some(place) = part.windows(blank.len()).position(|window| window == blank) {
            return (
                part.get(..place).unwrap_or_default(),
                part.get(place + blank.len()..).unwrap_or_default(),
            );
        }
    }
    (part, b"")
}

fn header_name(line: &[u8]) -> &[u8] {
    split_once(line, b':').0.trim_ascii()
}

/// A parameter of a header (`; name="value"`), without its quotes.
fn parameter<'a>(header: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut rest = split_once(header, b';').1?;
    loop {
        let (name, value) = split_once(rest, b'=');
        let value = value?;
        // A parameter without a value stands before it.
        let name = name.rsplit(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let (value, after) = parameter_value(value.trim_ascii_start());
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = split_once(after, b';').1?;
    }
}

/// A value, and what stands after it.
fn parameter_value(text: &[u8]) -> (&[u8], &[u8]) {
    for quote in [b'"', b'\''] {
        if text.first() == Some(&quote) {
            let within = text.get(1..).unwrap_or_default();
            let end = within.iter().enumerate().find(|(place, byte)| {
                **byte == quote && (*place == 0 || within.get(place - 1) != Some(&b'\\'))
            });
            return match end {
                Some((end, _)) => (
                    within.get(..end).unwrap_or_default(),
                    within.get(end + 1..).unwrap_or_default(),
                ),
                None => (within, b""),
            };
        }
    }
    let end = text.iter().position(|byte| *byte == b';').unwrap_or(text.len());
    (text.get(..end).unwrap_or_default().trim_ascii_end(), text.get(end..).unwrap_or_default())
}
