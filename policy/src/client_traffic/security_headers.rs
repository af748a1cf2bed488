//! Headers that tell a browser what not to do with an answer.

use std::sync::Arc;

/// Fields that are added to answers (`securityHeaders`), and fields that are taken off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecurityHeaders {
    /// Name (lower case) and value; each name once. The values are visible ASCII and blanks.
    pub fields: Vec<(&'static str, Arc<str>)>,
    /// Whether a field stands in the place of one that the app has set (`override`). Default false: the app knows better.
    pub replaces: bool,
    /// Fields that are taken off every answer (`remove`), in lower case.
    pub removed: Vec<&'static str>,
}
