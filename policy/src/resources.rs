//! What people write: Kubernetes YAML documents, read strictly.

use crate::{Mistake, Mistakes};

/// The namespace whose resources act on the whole mesh, unless set otherwise.
pub const DEFAULT_ROOT_NAMESPACE: &str = "postern-system";

/// A resource file as it was read: a name for messages and the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The name messages show.
    pub name: String,
    /// The contents.
    pub bytes: Vec<u8>,
}

/// A checked set of resources, ready for [`crate::Snapshot::build`].
#[derive(Debug, Clone)]
pub struct Resources {
    root_namespace: String,
}

impl Resources {
    /// The empty set.
    pub fn empty(root_namespace: &str) -> Self {
        Self { root_namespace: root_namespace.to_owned() }
    }

    /// Reads and checks every file.
    ///
    /// # Errors
    /// All mistakes of all files at once. A file of 0 bytes is one: it is a torn write, not an empty set.
    pub fn parse(files: &[SourceFile], root_namespace: &str) -> Result<Self, Mistakes> {
        let torn = files.iter().filter(|file| file.bytes.is_empty());
        let mistakes = torn
            .map(|file| Mistake {
                file: file.name.as_str().into(),
                line: 0,
                column: 0,
                found: "a file of 0 bytes".into(),
                expected: "YAML documents, or a comment for an empty set".into(),
                fix: None,
            })
            .collect();
        Mistakes::none_or(Self::empty(root_namespace), mistakes)
    }

    /// The root namespace the set was read for.
    pub fn root_namespace(&self) -> &str {
        &self.root_namespace
    }
}
