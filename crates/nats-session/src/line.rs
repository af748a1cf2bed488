//! Control lines: a verb and its arguments, parted by blanks, ended by CR LF.

use message_access::SessionEnd;

/// The longest control line, as nats-server has it by default, with room for its end.
pub(crate) const CONTROL_LINE_BYTES: usize = 4096 + 2;

/// The most arguments that any verb has.
const ARGUMENTS: usize = 4;

/// A control line without its end, in two: `PUB orders.new 5` is `PUB` and `orders.new 5`.
pub(crate) struct Line<'a> {
    pub(crate) verb: &'a str,
    pub(crate) rest: &'a str,
}

/// The arguments of a line, none empty.
pub(crate) struct Arguments<'a> {
    list: [&'a str; ARGUMENTS],
    count: usize,
}

impl<'a> Arguments<'a> {
    /// # Errors
    /// More arguments than any verb has.
    pub(crate) fn of(rest: &'a str) -> Result<Self, SessionEnd> {
        let mut arguments = Self { list: [""; ARGUMENTS], count: 0 };
        for argument in rest.split([' ', '\t']).filter(|argument| !argument.is_empty()) {
            let Some(place) = arguments.list.get_mut(arguments.count) else {
                return Err(malformed("a control line with more arguments than its verb has"));
            };
            *place = argument;
            arguments.count += 1;
        }
        Ok(arguments)
    }

    pub(crate) fn as_slice(&self) -> &[&'a str] {
        self.list.get(..self.count).unwrap_or_default()
    }
}

/// Takes a whole line apart. Only what every reader understands alike is a line: it ends with CR LF, is UTF-8, and has
/// neither another CR nor any control character but the tab that parts arguments.
///
/// # Errors
/// Anything else.
pub(crate) fn split(line: &[u8]) -> Result<Line<'_>, SessionEnd> {
    let text = line
        .strip_suffix(b"\r\n")
        .and_then(|line| std::str::from_utf8(line).ok())
        .filter(|line| !line.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t'))
        .ok_or_else(|| malformed("a control line that is no line of text ended by CR LF"))?;
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    let (verb, rest) = text.split_at(end);
    Ok(Line { verb, rest })
}

/// A length as nats-server reads it: digits only.
///
/// # Errors
/// Anything else.
pub(crate) fn length(text: &str) -> Result<usize, SessionEnd> {
    let digits = !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| malformed("a control line with a length that is no number"))
}

pub(crate) fn malformed(what: &str) -> SessionEnd {
    SessionEnd::Malformed(what.to_owned())
}
