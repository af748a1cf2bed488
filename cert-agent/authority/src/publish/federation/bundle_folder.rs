//! The last good bundle of each federated trust domain, kept over a restart: one file a trust domain
//! in `DIR/federation`, as it was received.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};
use identity::TrustDomain;
use serde::{Deserialize, Serialize};

use crate::store::{files, secret};

/// The longest trust domain that is a file name as it is; a longer one is hashed.
const MAX_NAME: usize = 200;

/// The folder.
#[derive(Debug, Clone)]
pub struct BundleFolder(PathBuf);

/// One bundle as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredBundle {
    /// Of the operator's own bundle at that time, hexadecimal: when the operator has put another
    /// there since, theirs is the newer one (SPIFFE Federation §4.2).
    pub bootstrap: Option<String>,
    /// As it was received.
    pub document: String,
}

impl BundleFolder {
    /// In this folder; nothing is read or made yet.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// What is kept of a trust domain. What cannot be read counts as missing and is logged.
    #[must_use]
    pub fn get(&self, trust_domain: &TrustDomain) -> Option<StoredBundle> {
        let path = self.path(trust_domain);
        let read = files::read(&path).and_then(|text| Ok(serde_json::from_slice(&text)?));
        match read {
            Ok(kept) => Some(kept),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "a kept bundle is left alone");
                None
            }
        }
    }

    /// Keeps a bundle in place of the one before.
    ///
    /// # Errors
    /// The operating system's.
    pub fn put(&self, trust_domain: &TrustDomain, kept: &StoredBundle) -> io::Result<()> {
        files::private_directory(&self.0)?;
        files::replace(&self.path(trust_domain), &serde_json::to_vec(kept)?, files::OWNER_ONLY)
    }

    /// Forgets everybody else: a relationship that begins again begins from the start (§6.3).
    ///
    /// # Errors
    /// The operating system's.
    pub fn keep_only<'a>(
        &self,
        trust_domains: impl Iterator<Item = &'a TrustDomain>,
    ) -> io::Result<()> {
        let kept: BTreeSet<PathBuf> = trust_domains.map(|name| self.path(name)).collect();
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let ours = path.extension().is_some_and(|extension| extension == "json");
            if ours && !kept.contains(&path) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn path(&self, trust_domain: &TrustDomain) -> PathBuf {
        let name = trust_domain.as_str();
        if name.len() <= MAX_NAME {
            self.0.join(format!("{name}.json"))
        } else {
            let hash = secret::hex(digest(&SHA256, name.as_bytes()).as_ref());
            self.0.join(format!("sha256-{hash}.json"))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn names_of_any_kind_are_kept_apart_and_inside_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let stored = BundleFolder::new(dir.path().join("federation"));
        let long = "a".repeat(255);
        let names = ["b.test", "..", ".", "-", "b_test", &long];
        let names = names.map(|name| TrustDomain::parse(name).unwrap());
        for name in &names {
            assert_eq!(stored.get(name), None);
            let kept = StoredBundle { bootstrap: None, document: name.to_string() };
            stored.put(name, &kept).unwrap();
        }
        for name in &names {
            assert_eq!(stored.get(name).unwrap().document, name.to_string());
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        stored.keep_only(names[..1].iter()).unwrap();
        assert!(stored.get(&names[0]).is_some());
        assert!(names[1..].iter().all(|name| stored.get(name).is_none()));
        fs::write(dir.path().join("federation/b.test.json"), "{").unwrap();
        assert_eq!(stored.get(&names[0]), None, "torn by somebody");
    }
}
