//! Keeps the `caBundle` of our own MutatingWebhookConfiguration what our certificate verifies under.
//!
//! It needs `get` and `patch` on that one object, by name. The patch first tests that the webhook is
//! the one it means, so a configuration that changed in between is read again, not overwritten.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::certificate::ServingCertificate;

/// The name of our webhook within the configuration.
pub const WEBHOOK: &str = "inject.postern.dev";
/// Somebody who applies the manifests again takes the bundle away: how often we look.
const LOOK: Duration = Duration::from_secs(30);
/// The wait after a failure.
const RETRY: Duration = Duration::from_secs(2);
/// For one call of the API server.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// Keeps the bundle for ever. `written` becomes true when the API server has it.
pub async fn keep_ca_bundle(
    client: Client,
    name: String,
    mut serving: watch::Receiver<Option<Arc<ServingCertificate>>>,
    written: watch::Sender<bool>,
) {
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client);
    loop {
        let current = serving.borrow_and_update().clone();
        let mut wait = LOOK;
        if let Some(current) = current {
            let done = tokio::time::timeout(
                CALL_DEADLINE,
                write(&configurations, &name, &current.bundle_pem),
            );
            match done
                .await
                .unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {CALL_DEADLINE:?}")))
            {
                Ok(()) => drop(written.send_replace(true)),
                Err(error) => {
                    tracing::warn!(
                        name,
                        error = format!("{error:#}"),
                        "cannot write the CA bundle"
                    );
                    wait = RETRY;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = serving.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

async fn write(
    configurations: &Api<MutatingWebhookConfiguration>,
    name: &str,
    bundle_pem: &str,
) -> anyhow::Result<()> {
    let configuration = configurations.get(name).await.context("cannot read it")?;
    let Some(patch) = patch(&configuration, bundle_pem) else { return Ok(()) };
    let operations: json_patch::Patch = serde_json::from_value(patch)?;
    let parameters =
        PatchParams { field_manager: Some("postern-k8s".to_owned()), ..Default::default() };
    let patch = Patch::Json::<()>(operations);
    configurations.patch(name, &parameters, &patch).await.context("cannot patch it")?;
    tracing::info!(name = configuration.name_any(), "CA bundle written");
    Ok(())
}

/// What must change for every webhook of ours to have this bundle; `None` when all have it.
pub(super) fn patch(
    configuration: &MutatingWebhookConfiguration,
    bundle_pem: &str,
) -> Option<Value> {
    let webhooks = configuration.webhooks.as_deref().unwrap_or_default();
    let mut operations = Vec::new();
    for (index, webhook) in webhooks.iter().enumerate().filter(|(_, w)| w.name == WEBHOOK) {
        let has = webhook.client_config.ca_bundle.as_ref().map(|bytes| bytes.0.as_slice());
        if has == Some(bundle_pem.as_bytes()) {
            continue;
        }
        let at = format!("/webhooks/{index}");
        operations.push(json!({ "op": "test", "path": format!("{at}/name"), "value": WEBHOOK }));
        // `add` replaces a member that is there (RFC 6902 §4.1).
        operations.push(json!({
            "op": "add",
            "path": format!("{at}/clientConfig/caBundle"),
            "value": STANDARD.encode(bundle_pem),
        }));
    }
    (!operations.is_empty()).then(|| json!(operations))
}
