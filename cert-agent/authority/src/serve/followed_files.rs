//! Files that may change under a running authority: the intermediate, the bundle, the registry. A
//! new version is taken whole or not at all; a bad one is reported and the last good one stays.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use tokio_util::sync::CancellationToken;

use super::publishing::publish;
use crate::attest::registry::Registry;
use crate::ca::signers::SigningCa;
use crate::clock::wall_clock;
use crate::serve::issue::Authority;
use crate::store::directory::AuthorityDirectory;
use crate::store::files;

/// The files are read and hashed this often: a watcher alone misses renames of mounted volumes.
const INTERVAL: Duration = Duration::from_secs(2);

/// What is followed, and what was seen last.
#[derive(Debug)]
pub struct FollowedFiles {
    directory: AuthorityDirectory,
    registry: Option<PathBuf>,
    seen_signer: Vec<u8>,
    seen_registry: Vec<u8>,
}

impl FollowedFiles {
    /// Follows the directory's signer and bundle, and the registry file.
    #[must_use]
    pub fn new(directory: AuthorityDirectory, registry: Option<PathBuf>) -> Self {
        let mut followed =
            Self { directory, registry, seen_signer: Vec::new(), seen_registry: Vec::new() };
        followed.seen_signer = followed.signer_hash();
        followed.seen_registry = followed.registry_hash();
        followed
    }

    /// Runs until `stop`.
    pub async fn follow(mut self, authority: Arc<Authority>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(INTERVAL);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.look(&authority);
        }
    }

    /// Looks once.
    pub fn look(&mut self, authority: &Authority) {
        let (signer, registry) = (self.signer_hash(), self.registry_hash());
        if signer != self.seen_signer {
            match self.load_signer(authority) {
                Ok(ca) => {
                    tracing::info!(
                        not_after = ca.not_after(),
                        "took up a new intermediate or bundle"
                    );
                    authority.ca.set(ca);
                    if let Err(error) = publish(authority, wall_clock()) {
                        tracing::error!(
                            error = format!("{error:#}"),
                            "the new bundle is not published yet; it is tried again"
                        );
                    }
                }
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "the new intermediate or bundle is unusable; the old one stays in use"
                ),
            }
            self.seen_signer = signer;
        }
        if registry != self.seen_registry {
            match self.load_registry(authority) {
                Ok(new) => {
                    tracing::info!("took up a new registry");
                    authority.records.registry.set(new);
                }
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "the new registry is unusable; the old one stays in use"
                ),
            }
            self.seen_registry = registry;
        }
    }

    fn load_signer(&self, authority: &Authority) -> anyhow::Result<SigningCa> {
        let new = SigningCa::load(&self.directory)?;
        let (old, new_name) = (authority.ca.now(), new.trust_domain());
        anyhow::ensure!(
            old.trust_domain() == new_name,
            "it is of trust domain {new_name}, this authority serves {}",
            old.trust_domain()
        );
        Ok(new)
    }

    fn load_registry(&self, authority: &Authority) -> anyhow::Result<Registry> {
        match &self.registry {
            Some(path) => Registry::load(path, authority.ca.now().trust_domain()),
            None => Ok(Registry::default()),
        }
    }

    fn signer_hash(&self) -> Vec<u8> {
        let directory = &self.directory;
        let files = [
            directory.intermediate_certificate(),
            directory.intermediate_key(),
            directory.bundle(),
        ];
        hash(files.iter())
    }

    fn registry_hash(&self) -> Vec<u8> {
        hash(self.registry.iter())
    }
}

/// Of the files' contents, one after the other; a file that cannot be read counts as its error's
/// kind.
fn hash<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA256);
    for path in paths {
        match files::read(path) {
            Ok(content) => context.update(digest::digest(&digest::SHA256, &content).as_ref()),
            Err(error) => context.update(format!("{:?}", error.kind()).as_bytes()),
        }
    }
    context.finish().as_ref().to_vec()
}
