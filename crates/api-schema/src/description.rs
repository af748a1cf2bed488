//! A description that was read, and the look-up of an operation in it.

use std::sync::Arc;

use http::Method;

use crate::openapi;
use crate::operation::Operation;
use crate::paths::Paths;
use crate::percent;
use crate::problem::DescriptionProblem;

/// An OpenAPI description, read and compiled.
#[derive(Debug)]
pub struct ApiDescription {
    operations: Vec<Operation>,
    paths: Paths,
    items: Vec<PathItem>,
}

/// The operations of one path.
#[derive(Debug)]
struct PathItem {
    operations: Vec<usize>,
    allow: String,
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
        let reading = openapi::read(text, base_path)?;
        let schemas = Arc::new(reading.schemas);
        let operations: Vec<Operation> = reading
            .operations
            .into_iter()
            .map(|parts| Operation { parts, schemas: Arc::clone(&schemas) })
            .collect();
        let items = reading.items.into_iter().map(|own| PathItem::new(own, &operations)).collect();
        Ok(Self { operations, paths: reading.paths, items })
    }

    /// Which operation a request is, by its method and its canonical path without the query.
    ///
    /// A concrete segment goes before a templated one. A HEAD is a GET where `head` itself is not described; an OPTIONS
    /// is an operation only where it is described, so that a preflight of CORS is the caller's to tell.
    #[must_use]
    pub fn find<'d, 'p>(&'d self, method: &Method, path: &'p str) -> OperationMatch<'d, 'p> {
        let Some((meaning, values)) = self.paths.find(path) else {
            return OperationMatch::UnknownPath;
        };
        let Some(item) = self.items.get(meaning) else {
            return OperationMatch::UnknownPath;
        };
        let of = |wanted: &Method| {
            let mut own = item.operations.iter().filter_map(|index| self.operations.get(*index));
            own.find(|operation| operation.method() == wanted)
        };
        let found = of(method).or_else(|| (method == Method::HEAD).then(|| of(&Method::GET))?);
        match found {
            Some(operation) => OperationMatch::Found(operation, values),
            None => OperationMatch::MethodNotAllowed { allow: &item.allow },
        }
    }

    /// Which operation an app takes a request for that undoes all escapes before it looks for slashes: by the path as it
    /// reads it. No values are told, because they are not what is compared.
    #[must_use]
    pub fn find_decoded<'d>(
        &'d self,
        method: &Method,
        decoded: &str,
    ) -> OperationMatch<'d, 'static> {
        // Templates are kept in the spelling of canonical paths.
        let path = percent::encode(decoded, |byte| byte == b'/' || percent::of_segment(byte));
        match self.find(method, &path) {
            OperationMatch::Found(operation, _) => OperationMatch::Found(operation, Vec::new()),
            OperationMatch::UnknownPath => OperationMatch::UnknownPath,
            OperationMatch::MethodNotAllowed { allow } => {
                OperationMatch::MethodNotAllowed { allow }
            }
        }
    }

    /// All operations, in the order of the description.
    pub fn operations(&self) -> impl ExactSizeIterator<Item = &Operation> {
        self.operations.iter()
    }
}

impl PathItem {
    fn new(operations: Vec<usize>, all: &[Operation]) -> Self {
        let own = operations.iter().filter_map(|index| all.get(*index));
        let mut methods: Vec<&str> = own.map(|operation| operation.method().as_str()).collect();
        if methods.contains(&"GET") && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
        let allow = methods.join(", ");
        Self { operations, allow }
    }
}
