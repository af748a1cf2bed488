//! YAML with places: every mistake of a file at once, each with line and column.
//!
//! Files are read in two steps. [`read`] makes a tree of [`Node`]s that remember where they stood; a [`Reader`] then walks the
//! tree, asks for the fields it knows, and collects what is wrong: unknown and duplicate keys, missing fields, wrong types,
//! values out of range. serde cannot do the second step, because it stops at the first mistake.
//!
//! The resources and the proxy's own configuration are read by the same two steps.

mod mistake;
mod reader;
mod rows;
mod scalar;
mod suggest;
mod tree;
mod units;

pub use mistake::{Code, Mistake, Mistakes};
pub use reader::{Mapping, Reader, Value};
pub use suggest::nearest;
pub use tree::{
    Document, Key, MAX_DEPTH, MAX_DOCUMENTS, MAX_FILE_BYTES, MAX_KEYS, MAX_NODES, Mark, Node,
    NodeKind, read,
};
pub use units::{format_duration, format_size, parse_duration, parse_size};

#[cfg(test)]
mod tests;
