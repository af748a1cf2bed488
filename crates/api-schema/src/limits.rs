//! What a JSON body may cost.

/// What a JSON body may cost before a schema looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    /// The most bytes of a body (1 MiB).
    pub max_bytes: usize,
    /// The deepest nesting of lists and objects (32).
    pub max_depth: usize,
    /// The most values of a body, names of objects not counted (10 000).
    pub max_nodes: usize,
    /// The most names in one object (1 000).
    pub max_keys: usize,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self { max_bytes: 1 << 20, max_depth: 32, max_nodes: 10_000, max_keys: 1_000 }
    }
}
