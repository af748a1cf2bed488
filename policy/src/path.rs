//! The one path that is judged and forwarded (S-12; ARCHITECTURE, invariant 6).
//!
//! A path has many spellings, and a policy that judges one while the app reads another guards nothing. So the request's
//! path is brought to one spelling ([`CanonicalPath`]), once, and that spelling is judged, routed *and sent on*. What
//! no strict reader takes is refused (400): no leading `/`, NUL, a `%` without two hex digits, overlong UTF-8, `..`
//! above the root.
//!
//! Two readings stay possible after that, because `%2F` is data to some apps and a slash to others:
//! - a path whose escapes or parameters (`..;`) hide `.` or `..` segments is refused: no app needs it and each reads it
//!   in its own way; so is, where dot segments are sent on, one that has them beside doubled or escaped slashes;
//! - every other path keeps its escaped slashes (unless the level says to decode them), and is judged in *both*
//!   readings: a `DENY` rule fires when any reading matches, an `ALLOW` rule needs all of them
//!   ([`CanonicalPath::decoded`]).
//!
//! Not normalised, because apps differ for good reason: letter case, `;parameters`, and `%`-escapes of reserved
//! characters.

pub(crate) mod literal;
mod normalize;
mod percent;

pub(crate) use normalize::merge_slashes;

use std::borrow::Cow;

/// The longest path and query taken, in bytes: what hyper takes for a request target.
pub const MAX_PATH_BYTES: usize = 64 << 10;

/// How far a path is normalised before it is judged and forwarded; the names and meaning are Istio's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub enum PathNormalization {
    /// As sent, but for characters that need an escape; the hex digits of escapes are in upper case, as at every level.
    None,
    /// RFC 3986 §6.2.2: dot segments removed, escapes of unreserved characters decoded, `\` is `/`.
    Base,
    /// [`PathNormalization::Base`], and runs of slashes become one. The default: the strictest that apps survive, for
    /// some (repositories, registries, identity providers) carry `%2F` in names.
    #[default]
    MergeSlashes,
    /// [`PathNormalization::MergeSlashes`] after `%2F` and `%5C` were decoded.
    DecodeAndMergeSlashes,
}

/// A request path in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalPath<'a> {
    raw: Cow<'a, str>,
    canonical: Cow<'a, str>,
    decoded: Option<String>,
    query: Option<Cow<'a, str>>,
    rewritten: bool,
}

impl<'a> CanonicalPath<'a> {
    /// Reads the path and query of a request target (origin form, RFC 9112 §3.2.1).
    ///
    /// A `#` is data (a request target has no fragment) and is sent on as `%23`; bytes beyond ASCII are escaped.
    ///
    /// # Errors
    /// A path no strict reader would take; answer 400. See [`PathError`].
    pub fn parse(path_and_query: &'a str, level: PathNormalization) -> Result<Self, PathError> {
        if path_and_query.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(percent::escape_query(query)?)),
            None => (path_and_query, None),
        };
        if !path.starts_with('/') {
            return Err(PathError::NoLeadingSlash);
        }
        let (canonical, decoded) = match is_plain(path) {
            true => (Cow::Borrowed(path), None),
            false => normalize::readings(path, level)?,
        };
        let query_rewritten = matches!(query, Some(Cow::Owned(_)));
        let rewritten = query_rewritten || canonical != path;
        Ok(Self { raw: Cow::Borrowed(path), canonical, decoded, query, rewritten })
    }

    /// The canonical path, without the query: what policy judges, routes match and logs show.
    pub fn as_str(&self) -> &str {
        &self.canonical
    }

    /// The path as it was sent, without the query.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// How an app reads the path that decodes every escape before it looks for slashes; `None` when that is the
    /// canonical path itself.
    pub fn decoded(&self) -> Option<&str> {
        self.decoded.as_deref()
    }

    /// The query, without its `?`; `None` when there was no `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Path and query to send on: the canonical path, `?` and the query.
    pub fn forward(&self) -> Cow<'_, str> {
        match &self.query {
            Some(query) => Cow::Owned(format!("{}?{query}", self.canonical)),
            None => Cow::Borrowed(&self.canonical),
        }
    }

    /// True when what must be sent on ([`CanonicalPath::forward`]) differs from what came in.
    pub fn is_rewritten(&self) -> bool {
        self.rewritten
    }

    /// The same path with nothing borrowed.
    pub fn into_owned(self) -> CanonicalPath<'static> {
        CanonicalPath {
            raw: Cow::Owned(self.raw.into_owned()),
            canonical: Cow::Owned(self.canonical.into_owned()),
            decoded: self.decoded,
            query: self.query.map(|query| Cow::Owned(query.into_owned())),
            rewritten: self.rewritten,
        }
    }
}

/// True for the paths nearly every request has: nothing to decode, fold, merge or escape. They are borrowed, not
/// copied.
fn is_plain(path: &str) -> bool {
    let mut before = 0u8;
    path.bytes().all(|b| {
        let odd_dot = (b == b'.' || b == b'/') && before == b'/';
        before = b;
        !odd_dot && percent::is_path_byte(b)
    })
}

/// Why a path was refused. Answer 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path does not begin with `/` (`*`, an authority, nothing at all).
    #[error("the path does not begin with '/'")]
    NoLeadingSlash,
    /// Longer than [`MAX_PATH_BYTES`].
    #[error("the path is longer than 64 KiB")]
    TooLong,
    /// NUL, escaped or not.
    #[error("the path holds NUL")]
    Nul,
    /// A control character or a blank that is not escaped.
    #[error("the path holds a control character or a blank")]
    Control,
    /// A `%` that two hex digits do not follow.
    #[error("a '%' in the path is not followed by two hex digits")]
    BadEscape,
    /// An overlong UTF-8 sequence, a second spelling of a character (RFC 3629 §3).
    #[error("the path holds overlong UTF-8")]
    Overlong,
    /// `..` leads above the root.
    #[error("'..' in the path leads above the root")]
    AboveRoot,
    /// `.` or `..` becomes a segment only when an escaped slash is decoded or a parameter taken off, or is resolved
    /// differently when doubled slashes are merged first.
    #[error(
        "escapes, parameters or doubled slashes in the path hide what a '.' or '..' segment means"
    )]
    HiddenDots,
}

impl PathError {
    /// The stable code for `x-postern-reason`, logs and `explain`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoLeadingSlash => "path_no_leading_slash",
            Self::TooLong => "path_too_long",
            Self::Nul => "path_nul",
            Self::Control => "path_control_character",
            Self::BadEscape => "path_bad_escape",
            Self::Overlong => "path_overlong_utf8",
            Self::AboveRoot => "path_above_root",
            Self::HiddenDots => "path_hidden_dots",
        }
    }
}

#[cfg(test)]
mod tests;
