//! Where a browser goes after it has signed in: a path of this host, and nowhere else.

use std::fmt;

/// The longest target, in bytes.
const MAX_LENGTH: usize = 2048;
/// How often escapes are undone to see what is under them; a path that is escaped more often is refused.
const MOST_ROUNDS: usize = 4;

/// Why a text is no target. Whoever gets one goes to `/` instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReturnTargetError {
    /// Longer than 2,048 bytes.
    #[error("the return target is longer than 2,048 bytes")]
    TooLong,
    /// It does not begin with one slash: it names a scheme or a host, or is relative.
    #[error("the return target is no path of this host")]
    NotLocal,
    /// A byte that no URL has: a blank, a control character, one beyond ASCII, a backslash.
    #[error("the return target has a character that no URL has")]
    Character,
    /// A fragment, which servers do not see (GHSA-pxq7-h93f-9jrg).
    #[error("the return target has a fragment")]
    Fragment,
    /// An escape that is none, or escapes within escapes within escapes.
    #[error("the return target has a broken escape, or too many layers of them")]
    Escape,
    /// A segment `.` or `..`, or an empty one.
    #[error("the return target has a dot segment or an empty segment")]
    Segment,
}

/// A path of this host, with its query: safe to stand in a `location`.
#[derive(Clone, PartialEq, Eq)]
pub struct ReturnTarget(Box<str>);

impl ReturnTarget {
    /// The start page.
    #[must_use]
    pub fn root() -> Self {
        Self("/".into())
    }

    /// Takes a path with an optional query. Its path must be harmless as it stands and however often its escapes are
    /// undone; its query is only kept from control characters, because browsers look for no host in it.
    ///
    /// # Errors
    /// [`ReturnTargetError`].
    pub fn parse(text: &str) -> Result<Self, ReturnTargetError> {
        if text.len() > MAX_LENGTH {
            return Err(ReturnTargetError::TooLong);
        }
        if text.contains('#') {
            return Err(ReturnTargetError::Fragment);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err(ReturnTargetError::Character);
        }
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        each_layer(path, check_path)?;
        each_layer(query, check_query)?;
        Ok(Self(text.into()))
    }

    /// As a `location`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks a text as it stands, and as it is when its escapes are undone, again and again.
fn each_layer(
    text: &str,
    check: fn(&[u8]) -> Result<(), ReturnTargetError>,
) -> Result<(), ReturnTargetError> {
    if text.split('%').skip(1).any(|after| escaped_byte(after.as_bytes()).is_none()) {
        return Err(ReturnTargetError::Escape);
    }
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=MOST_ROUNDS {
        check(&bytes)?;
        let next = undone(&bytes);
        if next == bytes {
            return Ok(());
        }
        bytes = next;
    }
    Err(ReturnTargetError::Escape)
}

fn check_path(path: &[u8]) -> Result<(), ReturnTargetError> {
    let Some((b'/', rest)) = path.split_first() else { return Err(ReturnTargetError::NotLocal) };
    if matches!(rest.first(), Some(b'/' | b'\\')) {
        return Err(ReturnTargetError::NotLocal);
    }
    if path.contains(&b'#') {
        return Err(ReturnTargetError::Fragment);
    }
    if path.iter().any(|byte| byte.is_ascii_control() || *byte == b'\\') {
        return Err(ReturnTargetError::Character);
    }
    let mut segments = rest.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        if matches!(segment, b"." | b"..") || (segment.is_empty() && !last) {
            return Err(ReturnTargetError::Segment);
        }
    }
    Ok(())
}

fn check_query(query: &[u8]) -> Result<(), ReturnTargetError> {
    let control = query.iter().any(u8::is_ascii_control);
    if control { Err(ReturnTargetError::Character) } else { Ok(()) }
}

/// With one layer of escapes undone. A `%` that escapes nothing stays: further in it may be a sign of its own, beside
/// others that are still undone by some.
fn undone(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let escaped = if *byte == b'%' { escaped_byte(after) } else { None };
        out.push(escaped.unwrap_or(*byte));
        rest = after.get(if escaped.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    out
}

/// The byte that two hexadecimal digits at the head of a text mean.
fn escaped_byte(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// A query may hold what only its app may know.
impl fmt::Debug for ReturnTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.split('?').next().unwrap_or_default();
        write!(f, "ReturnTarget({path})")
    }
}
