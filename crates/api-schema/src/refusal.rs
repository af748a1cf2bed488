//! Why a message is not as its description says.

use std::fmt;

/// Why a message is refused: where, and by which keyword.
///
/// It holds words of the description alone: what the client wrote never gets into it, not even as the name of a
/// property, so that it can be logged and answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaRefusal {
    /// The kind, for which a caller has a status.
    pub kind: RefusalKind,
    /// Where: `/body/lines/3/price` in a body, `query.limit`, `path.id`, `header.x-tenant`, `cookie.theme`, `body` or
    /// `status`. The names that the description does not have are `*`.
    pub place: String,
    /// The keyword of JSON Schema that failed (`maxLength`), or a word of our own (`syntax`, `maxDepth`, `encoding`).
    pub keyword: String,
}

/// The kinds of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// The body is no JSON, or exceeds the [`JsonLimits`](crate::JsonLimits): 400.
    JsonLimits,
    /// The media type is none of those described: 415.
    ContentTypeUnexpected,
    /// The message is another than the one described: 422.
    SchemaMismatch,
}

impl SchemaRefusal {
    pub(crate) fn mismatch(place: impl Into<String>, keyword: impl Into<String>) -> Self {
        Self { kind: RefusalKind::SchemaMismatch, place: place.into(), keyword: keyword.into() }
    }

    /// The place `/body` alone is `body`.
    pub(crate) fn of_body(mut self) -> Self {
        if self.place == "/body" {
            self.place.remove(0);
        }
        self
    }
}

impl fmt::Display for SchemaRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.keyword)
    }
}
