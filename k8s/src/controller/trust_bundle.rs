//! The trust bundle in every namespace of the mesh, for the agents there: a ConfigMap with the roots of the
//! controller's own trust domain, as its Workload API gives them.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};

use super::convert::digest;
use super::index::Index;
use super::status::FIELD_MANAGER;

/// The ConfigMap's name.
pub const CONFIG_MAP: &str = "postern-trust-bundle";
/// The key in it: the roots as PEM.
pub const BUNDLE_KEY: &str = "bundle.pem";

/// The namespaces of the mesh whose bundle is missing or another one.
#[must_use]
pub fn outdated(index: &Index, bundle: &str) -> Vec<Arc<str>> {
    let wanted = digest(bundle);
    let members = index.members().filter(|(_, has)| *has != Some(wanted));
    members.map(|(name, _)| name.clone()).collect()
}

/// Writes the bundle of one namespace.
///
/// # Errors
/// The API server's.
pub async fn write(client: &Client, namespace: &str, bundle: &str) -> kube::Result<()> {
    let pair = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let apply = ConfigMap {
        metadata: ObjectMeta {
            name: Some(CONFIG_MAP.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(pair("app.kubernetes.io/managed-by", FIELD_MANAGER)),
            ..ObjectMeta::default()
        },
        data: Some(pair(BUNDLE_KEY, bundle)),
        ..ConfigMap::default()
    };
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(CONFIG_MAP, &parameters, &Patch::Apply(&apply)).await?;
    Ok(())
}
