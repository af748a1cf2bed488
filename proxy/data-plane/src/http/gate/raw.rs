//! A check of the bytes of an HTTP/1 connection, for what the HTTP library repairs in silence: the requests of a
//! client, and the answers of an app or a server.
//!
//! hyper drops `Content-Length` beside `Transfer-Encoding`, folds equal repeated lengths into one,
//! and takes a bare LF for a line end; none of it shows in the request it hands over. Another reader
//! of the same bytes may decide otherwise, so all three are refused (S-06, S-07, RFC 9112 §2.2,
//! §6.3). [`RawCheck`] follows the connection byte by byte (heads, bodies by length, chunks) without
//! keeping any of it, and *spoils* the offending byte before the library reads it: hyper then
//! answers 400 and closes, in order, after the answers to the requests before.
//!
//! The check stops at a request for an upgrade other than `h2c`: what follows is no longer HTTP, or is thrown away with
//! the connection ([`super::AdmittedRequest::close_unless_upgraded`]).
//!
//! Answers are followed one at a time, from the moment that a request is sent ([`RawExchange`]): interim
//! heads, the final head, and its chunks for the sake of their trailers. A spoiled byte makes the
//! library give the answer up, and the [`RawExchange`] knows why.
//!
//! An expectation (`Expect: 100-continue`) is hidden from the library, which would answer it by itself as
//! soon as the body is asked for: it is the app's to answer. [`show_expectation`] shows it again.
//!
//! It never looks into a body, so it cannot spoil one. Where it and hyper could disagree about a
//! body's end, hyper refuses the request: lengths are digits, the transfer coding is `chunked` or
//! the gate closes, and chunk syntax is followed as hyper reads it.

mod checked_io;
mod chunks;
mod expectation;

use memchr::memchr;

pub use checked_io::{CheckedIo, RawExchange};
use chunks::ChunkState;
pub use expectation::show_expectation;
use expectation::{EXPECTATION, HIDDEN};

/// Not allowed in a method, target, name or value: the library refuses a head that has it.
const SPOILED: u8 = 0;

/// `Content-Length` beside `Transfer-Encoding`, either of them twice, or a length that is no number.
pub const AMBIGUOUS_FRAMING: &str = "ambiguous_framing";
/// A line that ends in LF without CR.
pub const BARE_LINE_FEED: &str = "bare_line_feed";
/// More interim answers (1xx) than [`MAX_INTERIM`].
pub const TOO_MANY_INTERIM: &str = "too many interim answers";
/// An answer that does not begin with its status line.
pub const NO_STATUS_LINE: &str = "no status line";

/// Interim answers to one request; an app sends one 100, some 103, and 102 every few seconds.
pub const MAX_INTERIM: u8 = 32;

/// Follows the bytes that arrive on one HTTP/1 connection.
#[derive(Debug)]
pub struct RawCheck {
    messages: MessageKind,
    at: ParsePosition,
    head: HeadState,
    /// The byte before this one.
    previous: u8,
    /// This byte is to be hidden from the library.
    hide: bool,
    refused: Option<&'static str>,
    /// It was refused within a chunked body.
    in_body: bool,
    /// Nothing has come since the last message ended.
    between: bool,
    /// Heads that have come whole.
    heads: u64,
}

/// What arrives on the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MessageKind {
    /// Requests, one after the other.
    Requests,
    /// The answer to one request.
    Answer {
        /// Only the head was asked for.
        head_only: bool,
        /// Interim answers seen.
        interim: u8,
    },
}

/// What the head in progress has said so far.
#[derive(Debug, Default, Clone, Copy)]
struct HeadState {
    /// There was a request line or a status line.
    begun: bool,
    /// The status of an answer.
    status: u16,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

/// Where in a message the next byte stands.
#[derive(Debug, Clone, Copy)]
enum ParsePosition {
    /// The start of a line of a head.
    LineStart,
    /// In the status line of an answer, at this column.
    Status(usize),
    /// Inside a name that may be one of [`NAMES`]: which, and how much of it matched.
    Name(usize, usize),
    /// In a line of no further interest.
    Skip,
    /// In the value of `Content-Length`.
    Length(LengthValue),
    /// In the value of `Upgrade`.
    Upgrade(UpgradeValue),
    /// In the value of `Expect`, of which so much is [`EXPECTATION`].
    Expect(usize),
    /// In a body, with so many bytes to go.
    Body(u64),
    /// In a chunked body.
    Chunked(ChunkState),
    /// Nothing is looked at any more.
    Off,
}

#[derive(Debug, Clone, Copy)]
enum LengthValue {
    Before,
    Digits(u64),
    After(u64),
}

/// The first characters of the value, without leading blanks; `h2c` is all that is looked for.
#[derive(Debug, Clone, Copy, Default)]
struct UpgradeValue {
    text: [u8; 4],
    len: usize,
}

const CONTENT_LENGTH: usize = 0;
const TRANSFER_ENCODING: usize = 1;
const UPGRADE: usize = 2;
const EXPECT_NAME: usize = 3;
/// The names looked for; each begins with a letter of its own.
const NAMES: [&[u8]; 4] = [b"content-length", b"transfer-encoding", b"upgrade", b"expect"];
/// Where the three digits of a status stand in its line: `HTTP/1.1 200` (RFC 9112 §4).
const STATUS_DIGITS: std::ops::Range<usize> = 9..12;

impl Default for RawCheck {
    /// For the requests of a client.
    fn default() -> Self {
        Self::new(MessageKind::Requests, ParsePosition::LineStart)
    }
}

impl RawCheck {
    fn new(messages: MessageKind, at: ParsePosition) -> Self {
        let head = HeadState::default();
        Self {
            messages,
            at,
            head,
            previous: 0,
            hide: false,
            refused: None,
            in_body: false,
            between: true,
            heads: 0,
        }
    }

    /// For the answer to one request that is sent now, of which perhaps `head_only` was asked for.
    #[must_use]
    pub fn answer(head_only: bool) -> Self {
        Self::new(MessageKind::Answer { head_only, interim: 0 }, ParsePosition::LineStart)
    }

    /// For a connection that nothing is expected of yet.
    #[must_use]
    pub fn nothing() -> Self {
        Self::new(MessageKind::Requests, ParsePosition::Off)
    }

    /// Looks at the next bytes of the connection, and spoils one when it has to be refused.
    pub fn feed(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let skipped = self.skip(rest);
            let (_, after) = rest.split_at_mut(skipped);
            let Some((byte, after)) = after.split_first_mut() else { return };
            let original = *byte;
            if let Some(reason) = self.step(original) {
                *byte = SPOILED;
                self.refused = Some(reason);
                self.at = ParsePosition::Off;
            } else if std::mem::take(&mut self.hide) {
                *byte = HIDDEN;
            }
            self.previous = original;
            rest = after;
        }
    }

    /// Why the connection was refused here, if it was.
    #[must_use]
    pub fn refused(&self) -> Option<&'static str> {
        self.refused
    }

    /// Whether it was refused within a chunked body, its trailers included.
    #[must_use]
    pub fn is_in_body(&self) -> bool {
        self.in_body
    }

    /// How many messages have come, if the last byte was the end of one, or nothing has come yet.
    #[must_use]
    pub fn whole_messages(&self) -> Option<u64> {
        (self.between && matches!(self.at, ParsePosition::LineStart)).then_some(self.heads)
    }

    /// How many bytes need no look of their own: most of a body and most of a head.
    fn skip(&mut self, rest: &[u8]) -> usize {
        match &mut self.at {
            ParsePosition::Body(left) | ParsePosition::Chunked(ChunkState::Data(left)) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= u64::try_from(here).unwrap_or(*left);
                self.finish_body();
                here
            }
            ParsePosition::LineStart => self.skip_lines(rest),
            ParsePosition::Skip => {
                let here = memchr(b'\n', rest).unwrap_or(rest.len());
                self.passed(&rest[..here]);
                here
            }
            ParsePosition::Status(column) => {
                let digits = STATUS_DIGITS.start.saturating_sub(*column).min(rest.len());
                let here = memchr(b'\n', &rest[..digits]).unwrap_or(digits);
                *column += here;
                self.passed(&rest[..here]);
                here
            }
            ParsePosition::Off => rest.len(),
            _ => 0,
        }
    }

    /// Skips the lines that are here as a whole, end as they should and say nothing of interest, and the name of one
    /// that does. Everything else is looked at byte by byte, with the same result.
    fn skip_lines(&mut self, bytes: &[u8]) -> usize {
        if !self.head.begun && self.messages != MessageKind::Requests {
            return 0;
        }
        let mut skipped = 0;
        loop {
            let rest = &bytes[skipped..];
            // Asked first: however many CR there are, none of them has the rest searched.
            if rest.starts_with(b"\r") {
                return skipped;
            }
            let in_order = |end: &usize| rest[..*end].ends_with(b"\r");
            let Some(end) = memchr(b'\n', rest).filter(in_order) else { return skipped };
            self.between = false;
            // The first line is no field.
            if std::mem::replace(&mut self.head.begun, true)
                && let Some(name) = NAMES.iter().position(|name| is_field(rest, name))
            {
                let length = NAMES[name].len();
                self.at = ParsePosition::Name(name, length);
                return skipped + length;
            }
            self.previous = b'\n';
            skipped += end + 1;
        }
    }

    /// Remembers the last of the bytes that are skipped.
    fn passed(&mut self, skipped: &[u8]) {
        if let Some(last) = skipped.last() {
            self.previous = *last;
        }
    }

    /// Moves on from a body or a chunk that has been read to its end.
    fn finish_body(&mut self) {
        match self.at {
            ParsePosition::Body(0) => self.expect_next(),
            ParsePosition::Chunked(ChunkState::Data(0)) => {
                self.at = ParsePosition::Chunked(ChunkState::DataCr)
            }
            _ => {}
        }
    }

    /// A message has ended; the next one begins a line.
    fn expect_next(&mut self) {
        self.at = ParsePosition::LineStart;
        self.between = true;
    }

    /// One byte; a reason when it has to be spoiled.
    fn step(&mut self, byte: u8) -> Option<&'static str> {
        match self.at {
            ParsePosition::LineStart => self.line_start(byte),
            ParsePosition::Status(column) => self.status(column, byte),
            ParsePosition::Name(name, matched) => self.name(name, matched, byte),
            ParsePosition::Skip => self.skipped(byte),
            ParsePosition::Length(value) => self.length(value, byte),
            ParsePosition::Upgrade(value) => self.upgrade(value, byte),
            ParsePosition::Expect(matched) => self.expect(matched, byte),
            ParsePosition::Chunked(chunk) => self.chunked(chunk, byte),
            ParsePosition::Body(_) | ParsePosition::Off => None,
        }
    }

    fn line_start(&mut self, byte: u8) -> Option<&'static str> {
        self.between = false;
        let first = byte.to_ascii_lowercase();
        match byte {
            b'\r' | b'\n' if !self.head.begun && self.messages != MessageKind::Requests => {
                Some(NO_STATUS_LINE)
            }
            // The line end is looked at when its LF comes.
            b'\r' => None,
            b'\n' if self.previous != b'\r' => Some(BARE_LINE_FEED),
            b'\n' => self.end_of_head(),
            _ if !self.head.begun && self.messages != MessageKind::Requests => {
                self.head.begun = true;
                self.at = ParsePosition::Status(1);
                None
            }
            _ => {
                let name =
                    NAMES.iter().position(|name| name[0] == first).filter(|_| self.head.begun);
                self.head.begun = true;
                self.at = name.map_or(ParsePosition::Skip, |name| ParsePosition::Name(name, 1));
                None
            }
        }
    }

    /// An empty line ends a head; before a request it means nothing.
    fn end_of_head(&mut self) -> Option<&'static str> {
        let head = std::mem::take(&mut self.head);
        if let MessageKind::Answer { head_only, interim } = self.messages {
            return self.end_of_answers_head(head, head_only, interim);
        }
        self.at = match head {
            HeadState { upgrade: true, .. } => ParsePosition::Off,
            HeadState { chunked: true, .. } => ParsePosition::Chunked(ChunkState::Size(0)),
            HeadState { length: Some(length), .. } => ParsePosition::Body(length),
            HeadState { .. } => ParsePosition::LineStart,
        };
        self.between = head.begun;
        self.heads += u64::from(head.begun);
        self.finish_body();
        None
    }

    /// An interim head is followed by another one, the final one by its body (RFC 9112 §6.3). Of that
    /// only chunks are looked at: an answer has an end of its own on a connection that waits for it.
    fn end_of_answers_head(
        &mut self,
        head: HeadState,
        head_only: bool,
        interim: u8,
    ) -> Option<&'static str> {
        self.at = match head.status {
            100 | 102..=199 if interim >= MAX_INTERIM => return Some(TOO_MANY_INTERIM),
            100 | 102..=199 => {
                self.messages = MessageKind::Answer { head_only, interim: interim + 1 };
                ParsePosition::LineStart
            }
            101 | 204 | 304 => ParsePosition::Off,
            _ if head.chunked && !head_only => ParsePosition::Chunked(ChunkState::Size(0)),
            _ => ParsePosition::Off,
        };
        None
    }

    /// The status line up to its digits; whether it is one is the library's to say.
    fn status(&mut self, column: usize, byte: u8) -> Option<&'static str> {
        match byte {
            b'\n' => return self.skipped(byte),
            b'0'..=b'9' if STATUS_DIGITS.contains(&column) => {
                self.head.status = self.head.status * 10 + u16::from(byte - b'0');
            }
            _ => {}
        }
        self.at = if column < STATUS_DIGITS.end {
            ParsePosition::Status(column + 1)
        } else {
            ParsePosition::Skip
        };
        None
    }

    fn name(&mut self, name: usize, matched: usize, byte: u8) -> Option<&'static str> {
        match NAMES[name].get(matched) {
            Some(expected) if byte.eq_ignore_ascii_case(expected) => {
                self.at = ParsePosition::Name(name, matched + 1);
                None
            }
            None if byte == b':' => self.named(name),
            _ => {
                self.at = ParsePosition::Skip;
                self.skipped(byte)
            }
        }
    }

    fn named(&mut self, name: usize) -> Option<&'static str> {
        let framed = self.head.chunked || self.head.length.is_some();
        match name {
            CONTENT_LENGTH | TRANSFER_ENCODING if framed => return Some(AMBIGUOUS_FRAMING),
            CONTENT_LENGTH => self.at = ParsePosition::Length(LengthValue::Before),
            TRANSFER_ENCODING => {
                self.head.chunked = true;
                self.at = ParsePosition::Skip;
            }
            UPGRADE if self.messages == MessageKind::Requests => {
                self.at = ParsePosition::Upgrade(UpgradeValue::default());
            }
            EXPECT_NAME if self.messages == MessageKind::Requests => {
                self.at = ParsePosition::Expect(0)
            }
            _ => self.at = ParsePosition::Skip,
        }
        None
    }

    /// Whatever else is in the value keeps the gate from knowing it.
    fn expect(&mut self, matched: usize, byte: u8) -> Option<&'static str> {
        match EXPECTATION.get(matched) {
            Some(_) if matched == 0 && matches!(byte, b' ' | b'\t') => None,
            Some(expected) if byte.eq_ignore_ascii_case(expected) => {
                self.hide = matched + 1 == EXPECTATION.len();
                self.at = if self.hide {
                    ParsePosition::Skip
                } else {
                    ParsePosition::Expect(matched + 1)
                };
                None
            }
            _ => {
                self.at = ParsePosition::Skip;
                self.skipped(byte)
            }
        }
    }

    /// One byte of a chunked body. In its trailers a line ends as it does in a head.
    fn chunked(&mut self, chunk: ChunkState, byte: u8) -> Option<&'static str> {
        if matches!(chunk, ChunkState::EndCr | ChunkState::Trailer) && byte == b'\n' {
            self.in_body = true;
            return Some(BARE_LINE_FEED);
        }
        match chunk.next(byte) {
            Some(ChunkState::Ended) if self.messages == MessageKind::Requests => self.expect_next(),
            Some(ChunkState::Ended) | None => self.at = ParsePosition::Off,
            Some(next) => self.at = ParsePosition::Chunked(next),
        }
        None
    }

    /// In a line of no interest only its end matters.
    fn skipped(&mut self, byte: u8) -> Option<&'static str> {
        if byte != b'\n' {
            return None;
        }
        self.at = ParsePosition::LineStart;
        (self.previous != b'\r').then_some(BARE_LINE_FEED)
    }

    fn length(&mut self, value: LengthValue, byte: u8) -> Option<&'static str> {
        use LengthValue::{After, Before, Digits};
        let next = match (value, byte) {
            (Before, b' ' | b'\t') => Before,
            (Before, b'0'..=b'9') => Digits(u64::from(byte - b'0')),
            (Digits(number), b'0'..=b'9') => {
                let number =
                    number.checked_mul(10).and_then(|n| n.checked_add(u64::from(byte - b'0')));
                // The library has no larger ones, and nobody has so many bytes.
                let Some(number) = number.filter(|number| i64::try_from(*number).is_ok()) else {
                    return Some(AMBIGUOUS_FRAMING);
                };
                Digits(number)
            }
            (Digits(number) | After(number), b' ' | b'\t') => After(number),
            (Digits(number) | After(number), b'\r') => {
                self.head.length = Some(number);
                self.at = ParsePosition::Skip;
                return None;
            }
            (_, b'\n') => return Some(BARE_LINE_FEED),
            _ => return Some(AMBIGUOUS_FRAMING),
        };
        self.at = ParsePosition::Length(next);
        None
    }

    fn upgrade(&mut self, mut value: UpgradeValue, byte: u8) -> Option<&'static str> {
        match byte {
            b'\r' | b'\n' => {
                self.head.upgrade |= !super::upgrade::is_h2c(&value.text[..value.len]);
                self.at = ParsePosition::Skip;
                return self.skipped(byte);
            }
            b' ' | b'\t' if value.len == 0 || value.len == 3 => {}
            // Four characters are enough to tell that it is not `h2c`.
            _ => {
                if let Some(place) = value.text.get_mut(value.len) {
                    *place = byte;
                    value.len += 1;
                }
            }
        }
        self.at = ParsePosition::Upgrade(value);
        None
    }
}

/// Whether a line is a field of this name.
fn is_field(line: &[u8], name: &[u8]) -> bool {
    line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests;
