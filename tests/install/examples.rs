//! The examples' manifests: of Kubernetes' own kinds each fits the schemas, and of ours the proxy takes each.

use std::fs;
use std::process::Command;

use postern_tests::{binary, repository};

use crate::rendered::kustomized_at;
use crate::schemas;

#[test]
fn the_social_network_fits_kubernetes_and_the_proxy() {
    let rendered = kustomized_at(&repository().join("examples/social"));
    let (ours, theirs): (Vec<_>, Vec<_>) = rendered.split("\n---\n").partition(|document| {
        ["security.istio.io/", "policy.postern.dev/", "gateway.networking.k8s.io/"]
            .iter()
            .any(|group| document.starts_with(&format!("apiVersion: {group}")))
    });
    assert!(ours.len() >= 12 && theirs.len() >= 16, "{} of ours, {}", ours.len(), theirs.len());
    schemas::check("examples/social", &theirs.join("\n---\n"));
    let text = ours.join("\n---\n");
    // What only files know, and what only the demo does.
    assert!(!text.contains("file://") && !text.contains("sa/edge\n"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ours.yaml"), text).unwrap();
    let once = repository().join("examples/social/kubernetes/logged-out.yaml");
    fs::copy(once, folder.path().join("once.yaml")).unwrap();
    let mut check = Command::new(binary("postern-proxy"));
    let output = check.args(["check", "--resources"]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
