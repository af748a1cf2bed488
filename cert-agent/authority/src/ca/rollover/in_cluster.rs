//! The roots' keys in the objects that `init --into-secret` made: the root's Secret, the authority's Secret, which
//! running authorities follow, and the ConfigMap that agents are given.
//!
//! The next root waits in the root's Secret as `next-root.pem` and `next-root.key.pem`, encrypted by the passphrase
//! beside it. Each change replaces an object whole, at the version it was read with.

use std::path::Path;

use anyhow::{Context, bail};
use kube::Client;
use rustls_pki_types::CertificateDer;
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use super::{KeyMaterial, KeyMaterialStore};
use crate::ca::bootstrap::{authority_content, passphrase, root_key_of};
use crate::ca::root_key;
use crate::ca::signers::{self, SignerFacts};
use crate::store::cluster_objects::{self, ObjectContent, ObjectNames};
use crate::store::{kubernetes, pem};

/// The members of the root's Secret.
const ROOT: &str = "root.pem";
const ROOT_KEY: &str = "root.key.pem";
const NEXT: &str = "next-root.pem";
const NEXT_KEY: &str = "next-root.key.pem";
/// The member of the ConfigMap.
const BUNDLE: &str = "bundle.pem";

/// The key material as objects. For commands: its calls wait for the API server, within the client's deadlines.
pub struct InCluster {
    runtime: Runtime,
    client: Client,
    places: ObjectNames,
}

impl InCluster {
    /// At these places; nothing is asked yet.
    ///
    /// # Errors
    /// As [`kubernetes::client`].
    pub fn open(places: ObjectNames, kubeconfig: Option<&Path>) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(kubernetes::client(kubeconfig))?;
        Ok(Self { runtime, client, places })
    }

    /// Reads the root's Secret, changes it, and writes it back.
    fn change_root(
        &self,
        change: impl FnOnce(&mut ObjectContent, &str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let place = &self.places.root;
        self.runtime.block_on(async {
            let (mut content, object) =
                cluster_objects::existing_secret(&self.client, place).await?;
            change(&mut content, &format!("Secret {place}"))?;
            cluster_objects::replace_secret(&self.client, place, object, &content).await
        })
    }

    /// What the ConfigMap publishes for others stays; ours come and go.
    async fn publish_to_agents(
        &self,
        before: &[CertificateDer<'static>],
        roots: &[CertificateDer<'static>],
    ) -> anyhow::Result<()> {
        let place = &self.places.bundle;
        let found = cluster_objects::config_map(&self.client, place).await?;
        let (mut content, object) =
            found.with_context(|| format!("there is no ConfigMap {place}; run `init` first"))?;
        let mut published = content.certificates(BUNDLE, &format!("ConfigMap {place}"))?;
        published.retain(|root| !before.contains(root) || roots.contains(root));
        let missing: Vec<_> =
            roots.iter().filter(|root| !published.contains(root)).cloned().collect();
        published.extend(missing);
        content.set(BUNDLE, pem::encode(&published).as_bytes());
        cluster_objects::replace_config_map(&self.client, place, object, &content).await
    }
}

impl KeyMaterialStore for InCluster {
    fn material(&self) -> anyhow::Result<KeyMaterial> {
        let (root, authority) = self.runtime.block_on(async {
            let (root, _) =
                cluster_objects::existing_secret(&self.client, &self.places.root).await?;
            let (authority, _) =
                cluster_objects::existing_secret(&self.client, &self.places.authority).await?;
            anyhow::Ok((root, authority))
        })?;
        let root_place = format!("Secret {}", self.places.root);
        let place = format!("Secret {}", self.places.authority);
        let first = |name: &str| anyhow::Ok(root.certificates(name, &root_place)?.swap_remove(0));
        let intermediates = authority.certificates("tls.crt", &place)?;
        let intermediate = intermediates.first().context("no intermediate")?;
        let trust_domain = SignerFacts::read(intermediate)?.trust_domain;
        Ok(KeyMaterial {
            trust_domain: trust_domain.with_context(|| {
                format!("{place} names no trust domain; it was not made by `init`")
            })?,
            published: authority.certificates("ca.crt", &place)?,
            intermediates,
            root: Some(first(ROOT)?),
            next: root.has(NEXT).then(|| first(NEXT)).transpose()?,
        })
    }

    fn make_next(
        &self,
        found: &KeyMaterial,
        lifetime: u64,
        now: u64,
    ) -> anyhow::Result<CertificateDer<'static>> {
        let next = signers::new_root(&found.trust_domain, now, lifetime)?;
        self.change_root(|content, place| {
            if content.has(NEXT) {
                bail!("somebody else prepares a root at this moment; run the command again");
            }
            let der = Zeroizing::new(next.key.serialize_der());
            let key = root_key::encrypt(&der, passphrase(content, place)?)?;
            content.set(NEXT_KEY, key.as_bytes());
            content.set(NEXT, next.certificate.pem().as_bytes());
            Ok(())
        })?;
        Ok(next.certificate.into())
    }

    /// The agents' object first: what the authority's says is what a repetition goes by.
    fn publish(&self, roots: &[CertificateDer<'static>]) -> anyhow::Result<()> {
        let place = &self.places.authority;
        self.runtime.block_on(async {
            let (mut content, object) =
                cluster_objects::existing_secret(&self.client, place).await?;
            let before = content.certificates("ca.crt", &format!("Secret {place}"))?;
            self.publish_to_agents(&before, roots).await?;
            content.set("ca.crt", pem::encode(roots).as_bytes());
            cluster_objects::replace_secret(&self.client, place, object, &content).await
        })
    }

    fn sign_by_next(&self, found: &KeyMaterial, lifetime: u64, now: u64) -> anyhow::Result<()> {
        let (root, place) = (&self.places.root, &self.places.authority);
        self.runtime.block_on(async {
            let (content, _) = cluster_objects::existing_secret(&self.client, root).await?;
            let key = root_key_of(&content, NEXT_KEY, &format!("Secret {root}"))?;
            let next = found.next.as_ref().context("no root is prepared")?;
            let signer = signers::new_intermediate(&found.trust_domain, next, key, now, lifetime)?;
            let (_, object) = cluster_objects::existing_secret(&self.client, place).await?;
            let content = authority_content(&found.published, &signer);
            cluster_objects::replace_secret(&self.client, place, object, &content).await
        })
    }

    fn promote(&self) -> anyhow::Result<()> {
        self.change_root(|content, place| {
            for (next, root) in [(NEXT_KEY, ROOT_KEY), (NEXT, ROOT)] {
                let value = content.remove(next);
                content.set(root, &value.with_context(|| format!("{place} has no `{next}`"))?);
            }
            Ok(())
        })
    }

    fn drop_next(&self) -> anyhow::Result<()> {
        self.change_root(|content, _| {
            content.remove(NEXT_KEY);
            content.remove(NEXT);
            Ok(())
        })
    }

    fn keep_retired(&self, root: &CertificateDer<'static>) -> anyhow::Result<()> {
        let name = retired(&signers::root_id(root));
        self.change_root(|content, _| {
            content.set(&name, pem::encode(std::slice::from_ref(root)).as_bytes());
            Ok(())
        })
    }

    fn where_retired(&self, id: &str) -> String {
        let (name, place) = (retired(id), &self.places.root);
        format!("Logs of its time: `log verify FILE --root`, with `{name}` of Secret {place}.")
    }
}

fn retired(id: &str) -> String {
    format!("retired-{id}.pem")
}
