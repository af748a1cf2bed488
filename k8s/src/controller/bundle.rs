//! The trust bundle in every namespace of the mesh, for the agents there: a ConfigMap with the roots of the controller's own
//! trust domain, as its Workload API gives them.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

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
    let apply = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": CONFIG_MAP,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": FIELD_MANAGER},
        },
        "data": {BUNDLE_KEY: bundle},
    });
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(CONFIG_MAP, &parameters, &Patch::Apply(&apply)).await?;
    Ok(())
}
