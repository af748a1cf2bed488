//! YAML with positions: every diagnostic of a file at once, each with line and column.
//!
//! Files are read in two steps. [`read`] makes a tree of [`YamlNode`]s that remember where they stood; a [`YamlReader`]
//! then walks the tree, asks for the fields it knows, and collects what is wrong: unknown and duplicate keys, missing
//! fields, wrong types, values out of range. serde cannot do the second step, because it stops at the first error.
//!
//! The resources and the proxy's own configuration are read by the same two steps.

mod diagnostic;
mod json_documents;
mod reader;
mod scalar;
mod suggest;
mod timestamp;
mod tree;
mod units;

pub use diagnostic::{Diagnostic, DiagnosticCode, Diagnostics};
pub use reader::{YamlMapping, YamlReader, YamlValue};
pub use suggest::nearest;
pub use timestamp::parse_timestamp;
pub use tree::{
    MAX_DEPTH, MAX_DOCUMENTS, MAX_FILE_BYTES, MAX_KEYS, MAX_NODES, MappingKey, NodeKind,
    SourcePosition, YamlDocument, YamlNode, read,
};
pub use units::{format_duration, format_size, parse_duration, parse_percentage, parse_size};

#[cfg(test)]
mod tests;
