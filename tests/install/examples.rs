//! The examples' manifests: of Kubernetes' own kinds each fits the schemas, and of ours the proxy takes each.

use std::fs;
use std::process::Command;

use postern_tests::{binary, repository};
use serde_json::json;

use crate::rendered::kustomized_at;
use crate::schemas;

#[test]
fn the_social_network_fits_kubernetes_and_the_proxy() {
    let once = repository().join("examples/social/kubernetes/logged-out.yaml");
    let once = fs::read_to_string(once).unwrap();
    let ours = fits("social", 12, 16, &once);
    // What only files know.
    assert!(!ours.contains("file://"), "{ours}");
}

#[test]
fn the_bank_fits_kubernetes_and_the_proxy() {
    let ours = fits("bank", 28, 27, "# nothing\n");
    assert!(!ours.contains("file://"), "{ours}");
}

#[test]
fn the_shop_fits_kubernetes_and_the_proxy() {
    let secret = |name: &str, key: &str| {
        // 32 bytes, as a key of sessions has.
        let data = json!({key: "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="});
        let metadata = json!({"name": name, "namespace": "shop"});
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
            .to_string()
    };
    let made = [secret("shop-oidc", "client-secret"), secret("shop-session", "current")];
    fits("shop", 12, 15, &made.join("\n---\n"));
}

/// The documents of our kinds. There are so many of ours and of Kubernetes' at least; `beside` is what people make by
/// themselves.
fn fits(example: &str, least_ours: usize, least_theirs: usize, beside: &str) -> String {
    let rendered = kustomized_at(&repository().join("examples").join(example));
    let (ours, theirs): (Vec<_>, Vec<_>) = rendered.split("\n---\n").partition(|document| {
        ["security.istio.io/", "policy.postern.dev/", "gateway.networking.k8s.io/"]
            .iter()
            .any(|group| document.starts_with(&format!("apiVersion: {group}")))
    });
    let many = (ours.len(), theirs.len());
    assert!(many.0 >= least_ours && many.1 >= least_theirs, "{many:?} documents");
    schemas::check(&format!("examples/{example}"), &theirs.join("\n---\n"));
    let text = ours.join("\n---\n");
    // What only the demo does.
    assert!(!text.contains("sa/edge\n"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ours.yaml"), &text).unwrap();
    fs::write(folder.path().join("beside.yaml"), beside).unwrap();
    let mut check = Command::new(binary("postern-proxy"));
    let output = check.args(["check", "--resources"]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    text
}
