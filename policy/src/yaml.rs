//! YAML with places: every mistake of a file at once, each with line and column.

mod mistake;

pub use mistake::{Mistake, Mistakes};
