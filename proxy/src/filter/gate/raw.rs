//! A look at the bytes of an HTTP/1 connection, for what the HTTP library repairs in silence.
//!
//! hyper drops `Content-Length` beside `Transfer-Encoding`, folds equal repeated lengths into one,
//! and takes a bare LF for a line end; none of it shows in the request it hands over. Another reader
//! of the same bytes may decide otherwise, so all three are refused (S-06, S-07, RFC 9112 §2.2,
//! §6.3). [`RawCheck`] follows the connection byte by byte (heads, bodies by length, chunks) without
//! keeping any of it, and *spoils* the offending byte before the library reads it: hyper then
//! answers 400 and closes, in order, after the answers to the requests before.
//!
//! The check stops at a request for an upgrade other than `h2c`: what follows is no longer HTTP, or
//! is thrown away with the connection (`Admitted::close_unless_upgraded`).
//!
//! It never looks into a body, so it cannot spoil one. Where it and hyper could disagree about a
//! body's end, hyper refuses the request: lengths are digits, the transfer coding is `chunked` or
//! the gate closes, and chunk syntax is followed as hyper reads it.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Not allowed in a method, target, name or value: the library refuses a head that has it.
const SPOILED: u8 = 0;

/// `Content-Length` beside `Transfer-Encoding`, either of them twice, or a length that is no number.
pub const AMBIGUOUS_FRAMING: &str = "ambiguous_framing";
/// A line that ends in LF without CR.
pub const BARE_LINE_FEED: &str = "bare_line_feed";

/// Follows the bytes that arrive on one HTTP/1 connection.
#[derive(Debug)]
pub struct RawCheck {
    at: At,
    head: Head,
    /// The byte before this one.
    previous: u8,
    refused: Option<&'static str>,
}

/// What the head in progress has said so far.
#[derive(Debug, Default, Clone, Copy)]
struct Head {
    /// There was a request line.
    begun: bool,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

/// Where in a message the next byte stands.
#[derive(Debug, Clone, Copy)]
enum At {
    /// The start of a line of a head.
    LineStart,
    /// Inside a name that may be one of [`NAMES`]: which, and how much of it matched.
    Name(usize, usize),
    /// In a line of no further interest.
    Skip,
    /// In the value of `Content-Length`.
    Length(LengthValue),
    /// In the value of `Upgrade`.
    Upgrade(UpgradeValue),
    /// In a body, with so many bytes to go.
    Body(u64),
    /// In a chunked body.
    Chunked(Chunk),
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

/// The states of hyper's chunk reader, as far as they tell where chunks end.
#[derive(Debug, Clone, Copy)]
enum Chunk {
    Size(u64),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    EndCr,
    EndLf,
    Trailer,
    TrailerLf,
}

const CONTENT_LENGTH: usize = 0;
const TRANSFER_ENCODING: usize = 1;
const UPGRADE: usize = 2;
/// The names looked for; each begins with a letter of its own.
const NAMES: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"upgrade"];

impl Default for RawCheck {
    fn default() -> Self {
        Self { at: At::LineStart, head: Head::default(), previous: 0, refused: None }
    }
}

impl RawCheck {
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
                self.at = At::Off;
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

    /// How many bytes need no look of their own: most of a body and most of a line.
    fn skip(&mut self, rest: &[u8]) -> usize {
        match &mut self.at {
            At::Body(left) | At::Chunked(Chunk::Data(left)) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= u64::try_from(here).unwrap_or(*left);
                self.settle();
                here
            }
            At::Skip => {
                let here = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                if let Some(last) = rest[..here].last() {
                    self.previous = *last;
                }
                here
            }
            At::Off => rest.len(),
            _ => 0,
        }
    }

    /// Moves on from a body or a chunk that has been read to its end.
    fn settle(&mut self) {
        match self.at {
            At::Body(0) => self.at = At::LineStart,
            At::Chunked(Chunk::Data(0)) => self.at = At::Chunked(Chunk::DataCr),
            _ => {}
        }
    }

    /// One byte; a reason when it has to be spoiled.
    fn step(&mut self, byte: u8) -> Option<&'static str> {
        match self.at {
            At::LineStart => self.line_start(byte),
            At::Name(name, matched) => self.name(name, matched, byte),
            At::Skip => self.skipped(byte),
            At::Length(value) => self.length(value, byte),
            At::Upgrade(value) => self.upgrade(value, byte),
            At::Chunked(chunk) => {
                self.at = chunked(chunk, byte);
                None
            }
            At::Body(_) | At::Off => None,
        }
    }

    fn line_start(&mut self, byte: u8) -> Option<&'static str> {
        let first = byte.to_ascii_lowercase();
        match byte {
            // The line end is looked at when its LF comes.
            b'\r' => None,
            b'\n' if self.previous != b'\r' => Some(BARE_LINE_FEED),
            b'\n' => {
                self.end_of_head();
                None
            }
            _ => {
                let name =
                    NAMES.iter().position(|name| name[0] == first).filter(|_| self.head.begun);
                self.head.begun = true;
                self.at = name.map_or(At::Skip, |name| At::Name(name, 1));
                None
            }
        }
    }

    /// An empty line ends a head; before a head it means nothing.
    fn end_of_head(&mut self) {
        let head = std::mem::take(&mut self.head);
        self.at = match head {
            Head { upgrade: true, .. } => At::Off,
            Head { chunked: true, .. } => At::Chunked(Chunk::Size(0)),
            Head { length: Some(length), .. } => At::Body(length),
            Head { .. } => At::LineStart,
        };
        self.settle();
    }

    fn name(&mut self, name: usize, matched: usize, byte: u8) -> Option<&'static str> {
        match NAMES[name].get(matched) {
            Some(expected) if byte.eq_ignore_ascii_case(expected) => {
                self.at = At::Name(name, matched + 1);
                None
            }
            None if byte == b':' => self.named(name),
            _ => {
                self.at = At::Skip;
                self.skipped(byte)
            }
        }
    }

    fn named(&mut self, name: usize) -> Option<&'static str> {
        let framed = self.head.chunked || self.head.length.is_some();
        match name {
            CONTENT_LENGTH | TRANSFER_ENCODING if framed => return Some(AMBIGUOUS_FRAMING),
            CONTENT_LENGTH => self.at = At::Length(LengthValue::Before),
            TRANSFER_ENCODING => {
                self.head.chunked = true;
                self.at = At::Skip;
            }
            UPGRADE => self.at = At::Upgrade(UpgradeValue::default()),
            _ => self.at = At::Skip,
        }
        None
    }

    /// In a line of no interest only its end matters.
    fn skipped(&mut self, byte: u8) -> Option<&'static str> {
        if byte != b'\n' {
            return None;
        }
        self.at = At::LineStart;
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
                let Some(number) = number else { return Some(AMBIGUOUS_FRAMING) };
                Digits(number)
            }
            (Digits(number) | After(number), b' ' | b'\t') => After(number),
            (Digits(number) | After(number), b'\r') => {
                self.head.length = Some(number);
                self.at = At::Skip;
                return None;
            }
            (_, b'\n') => return Some(BARE_LINE_FEED),
            _ => return Some(AMBIGUOUS_FRAMING),
        };
        self.at = At::Length(next);
        None
    }

    fn upgrade(&mut self, mut value: UpgradeValue, byte: u8) -> Option<&'static str> {
        match byte {
            b'\r' | b'\n' => {
                self.head.upgrade |= !super::upgrade::is_h2c(&value.text[..value.len]);
                self.at = At::Skip;
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
        self.at = At::Upgrade(value);
        None
    }
}

/// One byte of a chunked body, as hyper reads it; what hyper refuses ends the connection there.
fn chunked(chunk: Chunk, byte: u8) -> At {
    use Chunk::*;
    At::Chunked(match (chunk, byte) {
        (Size(size) | Extension(size), b'\r') => SizeLf(size),
        (Size(size), _) => match char::from(byte).to_digit(16) {
            Some(digit) => match size.checked_mul(16) {
                Some(size) => Size(size | u64::from(digit)),
                None => return At::Off,
            },
            None => Extension(size),
        },
        (Extension(size), _) => Extension(size),
        (SizeLf(0), b'\n') | (TrailerLf, b'\n') => EndCr,
        (SizeLf(size), b'\n') => Data(size),
        (DataCr, b'\r') => DataLf,
        (DataLf, b'\n') => Size(0),
        (EndCr, b'\r') => EndLf,
        (EndLf, b'\n') => return At::LineStart,
        (Trailer, b'\r') => TrailerLf,
        (EndCr | Trailer, _) => Trailer,
        (SizeLf(_) | Data(_) | DataCr | DataLf | EndLf | TrailerLf, _) => return At::Off,
    })
}

/// An HTTP/1 connection whose incoming bytes pass a [`RawCheck`]. Writing is untouched.
#[derive(Debug)]
pub struct Checked<T> {
    inner: T,
    check: RawCheck,
    note: Arc<OnceLock<&'static str>>,
}

impl<T> Checked<T> {
    /// Wraps a connection. The second value learns the reason, should the check refuse: the library
    /// owns the connection by then and says only that it could not read the request.
    pub fn new(inner: T) -> (Self, Arc<OnceLock<&'static str>>) {
        let note = Arc::new(OnceLock::new());
        (Self { inner, check: RawCheck::default(), note: note.clone() }, note)
    }

    /// The connection itself, when HTTP is over.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Checked<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        self.check.feed(&mut buffer.filled_mut()[before..]);
        if let Some(reason) = self.check.refused() {
            let _ = self.note.set(reason);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Checked<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
