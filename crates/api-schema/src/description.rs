//! A description that was read, and the look-up of an operation in it.

use http::Method;

use crate::operation::Operation;
use crate::problem::DescriptionProblem;

/// An OpenAPI description, read and compiled.
#[derive(Debug)]
pub struct ApiDescription {
    operations: Vec<Operation>,
}

/// Which operation a request is.
#[derive(Debug)]
pub enum OperationMatch<'d, 'p> {
    /// This one, with the values of the path's parameters as they stand in the path.
    Found(&'d Operation, PathParameters<'d, 'p>),
    /// No path of the description is this one.
    UnknownPath,
    /// The path is described, but not with this method.
    MethodNotAllowed {
        /// The methods it is described with, as `Allow` has them (RFC 9110, section 10.2.1).
        allow: &'d str,
    },
}

/// Names of a path's parameters, and their values as they stand in the path, still percent-encoded.
pub type PathParameters<'d, 'p> = Vec<(&'d str, &'p str)>;

impl ApiDescription {
    /// Reads a description as YAML or JSON. Its base paths are those of its `servers`.
    ///
    /// # Errors
    /// Everything that is wrong, or not understood and would let more through; at most a hundred of them.
    pub fn read(text: &str) -> Result<Self, Vec<DescriptionProblem>> {
        Self::read_at(text, None)
    }

    /// Reads a description that is served below `base_path` (`/v1`), whatever its `servers` say; `None` as
    /// [`ApiDescription::read`].
    ///
    /// # Errors
    /// As [`ApiDescription::read`].
    pub fn read_at(text: &str, base_path: Option<&str>) -> Result<Self, Vec<DescriptionProblem>> {
        let _ = (text, base_path);
        Ok(Self { operations: Vec::new() })
    }

    /// Which operation a request is, by its method and its canonical path without the query.
    ///
    /// A concrete segment goes before a templated one. A HEAD is a GET where `head` itself is not described; an OPTIONS
    /// is an operation only where it is described, so that a preflight of CORS is the caller's to tell.
    #[must_use]
    pub fn find<'d, 'p>(&'d self, method: &Method, path: &'p str) -> OperationMatch<'d, 'p> {
        let _ = (method, path);
        OperationMatch::UnknownPath
    }

    /// All operations, in the order of the description.
    pub fn operations(&self) -> impl ExactSizeIterator<Item = &Operation> {
        self.operations.iter()
    }
}
