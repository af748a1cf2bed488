//! Which requests an OpenAPI description says everything about (kind `ApiSchema`): what was written, and which of it holds
//! for a request.
//!
//! ApiSchemas are compiled into the [`ApiSchemaTable`] of one workload, once a change. It says which of them is about a
//! request; comparing the request with the description is the crate `api-schema`'s business, and reading bodies the
//! proxy's.

mod inline;
mod table;

use std::sync::Arc;

use api_schema::JsonLimits;

use crate::sign_in::SignInTarget;

pub use inline::{InlineDescription, MAX_DOCUMENT_BYTES};
pub use table::ApiSchemaTable;

/// What one ApiSchema says (`spec`), without whom it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiSchemaSettings {
    /// The ApiSchema, `namespace/name`.
    pub policy: Arc<str>,
    /// Where the description is (`document`).
    pub document: ApiDocument,
    /// What becomes of a request that the description does not allow (`mode`). Default [`SchemaMode::Detect`].
    pub mode: SchemaMode,
    /// What becomes of a request that is none of the description's operations (`unknownOperations`). Default
    /// [`UnknownOperations::Deny`].
    pub unknown_operations: UnknownOperations,
    /// Whether answers are compared, too (`answers`). Default [`AnswerCheck::Ignore`].
    pub answers: AnswerCheck,
    /// What a JSON body may be, whatever the description says (`json`).
    pub json: JsonLimits,
}

/// Where a description is.
#[derive(Debug, Clone, PartialEq)]
pub enum ApiDocument {
    /// In the ApiSchema itself (`document.inline`).
    Inline(Arc<InlineDescription>),
    /// In a file beside the proxy, watched by it (`document.path`).
    File(Arc<DocumentFile>),
}

/// A file with a description.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentFile {
    /// Its absolute path.
    pub path: Box<str>,
    /// What stands before the description's paths, in the place of what its `servers` say (`basePath`); without a `/` at
    /// its end. Default: what `servers` say.
    pub base_path: Option<Box<str>>,
}

/// What becomes of a request that a description does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SchemaMode {
    /// It is logged and counted, and goes on.
    #[default]
    Detect,
    /// It is refused.
    Block,
}

/// What becomes of a request that is none of a description's operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum UnknownOperations {
    /// It is not allowed.
    #[default]
    Deny,
    /// It is none of the description's business.
    Allow,
}

/// Whether answers are compared with a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AnswerCheck {
    /// They are not.
    #[default]
    Ignore,
    /// What does not fit is logged and counted, and goes on.
    Detect,
    /// What does not fit is replaced by a 502.
    Block,
}

/// The workloads or the places of gateways that an ApiSchema is about.
#[derive(Debug, Clone, PartialEq)]
pub enum ApiSchemaScope {
    /// What sidecars let in to the workloads that are selected, by these ports of theirs; without any, by all.
    Workloads {
        /// Which workloads of its namespace, or of the mesh in the root namespace.
        selector: crate::resources::MatchLabels,
        /// Ports of the app.
        ports: Vec<u16>,
    },
    /// What comes in at a gateway by these listeners and routes.
    Edge(Vec<SignInTarget>),
}
