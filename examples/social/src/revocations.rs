//! What the mesh must not take any more: a TokenRevocation document, which each sidecar reads as it changes.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// What is taken back.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Ids of tokens, and when each ends by itself (Unix seconds).
    pub tokens: Vec<(String, i64)>,
    /// People, and the moment before which their tokens were issued.
    pub users: Vec<(String, i64)>,
}

/// Where it is told.
#[derive(Debug, Clone)]
pub struct RevocationFile {
    /// The file, which is replaced whole.
    pub file: PathBuf,
    /// The namespace of the services.
    pub namespace: String,
    /// Whose tokens they are.
    pub issuer: String,
}

impl RevocationFile {
    /// Writes the list, all of it or nothing: nobody ever reads half of it.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, revoked: &Revoked) -> anyhow::Result<()> {
        let beside = self.file.with_extension("new");
        let mut file = std::fs::File::create(&beside)?;
        // JSON is YAML.
        writeln!(file, "{:#}", self.document(revoked))?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.file)?;
        let directory = self.file.parent().unwrap_or(Path::new("."));
        Ok(std::fs::File::open(directory)?.sync_all()?)
    }

    fn document(&self, revoked: &Revoked) -> Value {
        let Self { namespace, issuer, .. } = self;
        let tokens = revoked.tokens.iter();
        let tokens = tokens.map(|(id, ends)| json!({"issuer": issuer, "id": id, "until": ends}));
        let users = revoked.users.iter();
        let users = users.map(
            |(name, before)| json!({"issuer": issuer, "subject": name, "issuedBefore": before}),
        );
        json!({
            "apiVersion": "policy.postern.dev/v1alpha1",
            "kind": "TokenRevocation",
            "metadata": {"name": "logged-out", "namespace": namespace},
            "spec": {"tokens": tokens.collect::<Vec<_>>(), "subjects": users.collect::<Vec<_>>()},
        })
    }
}
