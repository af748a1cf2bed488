//! New paths and hosts for requests (`URLRewrite`), and for redirects.

use std::sync::Arc;

use crate::{CanonicalPath, PathError, PathNormalization};

/// What a request's host and path become (`URLRewrite`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlRewrite {
    /// The new host, canonical and without port.
    pub hostname: Option<Arc<str>>,
    /// The change of the path.
    pub path: Option<PathChange>,
}

/// A change of a path (`HTTPPathModifier`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathChange {
    /// Another path in the place of the whole.
    ReplaceFullPath(Arc<str>),
    /// Another beginning. The rule has exactly one match, by that prefix.
    ReplacePrefixMatch {
        /// The prefix that the rule matches by, canonical and without a slash at its end; `""` for `/`.
        prefix: Arc<str>,
        /// What comes in its place, without a slash at its end; `""` for `/` and for nothing.
        replacement: Arc<str>,
    },
}

impl UrlRewrite {
    /// The path and query to send on in the place of `path`; `None` when the rewrite changes no path. What comes out is
    /// brought to its one spelling again: this is what policy judges where it arrives (S-13).
    ///
    /// # Errors
    /// The new path is none that may be sent: answer 400, as for a path that came in so. See [`PathError`].
    pub fn path(
        &self,
        path: &CanonicalPath<'_>,
        level: PathNormalization,
    ) -> Option<Result<CanonicalPath<'static>, PathError>> {
        let mut target = self.path.as_ref()?.apply(path.as_str());
        if let Some(query) = path.query() {
            target.push('?');
            target.push_str(query);
        }
        Some(CanonicalPath::parse(&target, level).map(CanonicalPath::into_owned))
    }
}

impl PathChange {
    /// The new path for a canonical one that the rule has matched.
    pub(super) fn apply(&self, path: &str) -> String {
        match self {
            Self::ReplaceFullPath(whole) => whole.as_ref().to_owned(),
            Self::ReplacePrefixMatch { prefix, replacement } => {
                // The rest is empty or begins with a slash. Where the paths keep doubled slashes, the beginning must not
                // become an authority ("//host/").
                let rest = path.strip_prefix(&**prefix).unwrap_or(path);
                let rest = match replacement.is_empty() {
                    true => rest.trim_start_matches('/'),
                    false => rest,
                };
                match (replacement.is_empty(), rest) {
                    (true, rest) => format!("/{rest}"),
                    (false, rest) => format!("{replacement}{rest}"),
                }
            }
        }
    }
}
