//! What the authority's commands keep in a cluster: Secrets and a ConfigMap, read whole, changed whole, wiped here
//! when they are dropped.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Context;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::PostParams;
use kube::{Api, Client};
use rustls_pki_types::CertificateDer;
use zeroize::{Zeroize, Zeroizing};

use crate::store::kubernetes_store::SecretsLocation;
use crate::store::pem;

/// Where the three objects are.
#[derive(Debug, Clone)]
pub struct ObjectNames {
    /// The Secret that the authority mounts.
    pub authority: SecretsLocation,
    /// The Secret with the root's key.
    pub root: SecretsLocation,
    /// The ConfigMap with the published roots.
    pub bundle: SecretsLocation,
}

/// The content of an object, wiped when it is dropped.
#[derive(Default)]
pub struct ObjectContent(BTreeMap<String, Vec<u8>>);

impl fmt::Debug for ObjectContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Drop for ObjectContent {
    fn drop(&mut self) {
        self.0.values_mut().for_each(Zeroize::zeroize);
    }
}

impl ObjectContent {
    /// With these members.
    #[must_use]
    pub fn of<const N: usize>(members: [(&str, &[u8]); N]) -> Self {
        Self(members.map(|(name, value)| (name.to_owned(), value.to_vec())).into())
    }

    /// A member.
    ///
    /// # Errors
    /// There is none of that name; `place` says where.
    pub fn member(&self, name: &str, place: &str) -> anyhow::Result<&[u8]> {
        let found = self.0.get(name).map(Vec::as_slice);
        found.with_context(|| format!("{place} has no `{name}`; it was not made by `init`"))
    }

    /// The certificates of a PEM member.
    ///
    /// # Errors
    /// There is none of that name, or it is none.
    pub fn certificates(
        &self,
        name: &str,
        place: &str,
    ) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        pem::certificates_in(self.member(name, place)?, &format!("{place}, {name}"))
    }

    /// Whether there is such a member.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Puts a member in, in place of what was there.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        if let Some(mut old) = self.0.insert(name.to_owned(), value.to_vec()) {
            old.zeroize();
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.0.remove(name).map(Zeroizing::new)
    }
}

/// A Secret's content, and the object it was read as, without it; none: there is no such Secret.
///
/// # Errors
/// The API server's.
pub async fn secret(
    client: &Client,
    place: &SecretsLocation,
) -> anyhow::Result<Option<(ObjectContent, Secret)>> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), place.namespace());
    let found = secrets.get_opt(place.name()).await;
    let found = found.with_context(|| format!("cannot read Secret {place}"))?;
    Ok(found.map(|mut found| {
        let data = std::mem::take(&mut found.data).unwrap_or_default();
        (ObjectContent(data.into_iter().map(|(name, value)| (name, value.0)).collect()), found)
    }))
}

/// The same of one that must be there.
///
/// # Errors
/// It is not, and the API server's.
pub async fn existing_secret(
    client: &Client,
    place: &SecretsLocation,
) -> anyhow::Result<(ObjectContent, Secret)> {
    let found = secret(client, place).await?;
    found.with_context(|| format!("there is no Secret {place}; run `init` first"))
}

/// Writes a Secret back with this content, unless it was changed since it was read.
///
/// # Errors
/// It was changed, and the API server's.
pub async fn replace_secret(
    client: &Client,
    place: &SecretsLocation,
    mut object: Secret,
    content: &ObjectContent,
) -> anyhow::Result<()> {
    object.data = Some(bytes(content));
    let secrets: Api<Secret> = Api::namespaced(client.clone(), place.namespace());
    let replaced = secrets.replace(place.name(), &PostParams::default(), &object).await;
    wipe(&mut object);
    replaced
        .map(|mut stored| wipe(&mut stored))
        .map_err(|error| refused(error, &format!("Secret {place}")))
}

/// A ConfigMap's content, and the object it was read as.
///
/// # Errors
/// The API server's.
pub async fn config_map(
    client: &Client,
    place: &SecretsLocation,
) -> anyhow::Result<Option<(ObjectContent, ConfigMap)>> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), place.namespace());
    let found = maps.get_opt(place.name()).await;
    let found = found.with_context(|| format!("cannot read ConfigMap {place}"))?;
    Ok(found.map(|mut found| {
        let data = std::mem::take(&mut found.data).unwrap_or_default().into_iter();
        (ObjectContent(data.map(|(name, value)| (name, value.into_bytes())).collect()), found)
    }))
}

/// Writes a ConfigMap back with this content, unless it was changed since it was read.
///
/// # Errors
/// As [`replace_secret`].
pub async fn replace_config_map(
    client: &Client,
    place: &SecretsLocation,
    mut object: ConfigMap,
    content: &ObjectContent,
) -> anyhow::Result<()> {
    object.data = Some(text(content));
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), place.namespace());
    let replaced = maps.replace(place.name(), &PostParams::default(), &object).await;
    replaced.map(drop).map_err(|error| refused(error, &format!("ConfigMap {place}")))
}

fn refused(error: kube::Error, object: &str) -> anyhow::Error {
    match error {
        kube::Error::Api(status) if status.code == 409 => {
            anyhow::anyhow!("somebody else changes {object} at this moment; run the command again")
        }
        error => anyhow::Error::new(error).context(format!("cannot replace {object}")),
    }
}

/// As a Secret holds it.
#[must_use]
pub fn bytes(content: &ObjectContent) -> BTreeMap<String, ByteString> {
    content.0.iter().map(|(name, value)| (name.clone(), ByteString(value.clone()))).collect()
}

/// As a ConfigMap holds it.
#[must_use]
pub fn text(content: &ObjectContent) -> BTreeMap<String, String> {
    let text = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
    content.0.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// Wipes a Secret's values.
pub fn wipe(secret: &mut Secret) {
    secret.data.iter_mut().flat_map(BTreeMap::values_mut).for_each(|value| value.0.zeroize());
}
