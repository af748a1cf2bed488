//! Everything that is rendered fits the schemas of the three newest Kubernetes versions that the validator ships.

use std::fs;
use std::process::Command;

use crate::rendered::{kustomized, peer, templated};

const VERSIONS: [&str; 3] = ["1.37", "1.36", "1.35"];

/// Kinds that are not Kubernetes' own have no schema there; the operator that brings them checks them.
const FOREIGN: [&str; 2] = ["PodMonitor", "PrometheusRule"];

pub(crate) fn check(what: &str, yaml: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rendered.yaml");
    let own = yaml.split("\n---\n").filter(|document| {
        !FOREIGN.iter().any(|kind| document.contains(&format!("kind: {kind}\n")))
    });
    fs::write(&file, own.collect::<Vec<_>>().join("\n---\n")).unwrap();
    for version in VERSIONS {
        let output = Command::new(peer("python/bin/python"))
            .args(["-m", "kubernetes_validate"])
            .args(["--strict", "-k", version])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("passed"), "{what}, {version}: {said}");
        assert!(!said.contains("ERROR"), "{what}, {version}: {said}");
    }
}

#[test]
fn the_kustomization_fits_three_versions_of_kubernetes() {
    check("base", &kustomized("base"));
    check("overlays/full", &kustomized("overlays/full"));
    check("overlays/small", &kustomized("overlays/small"));
}

#[test]
fn the_chart_fits_three_versions_of_kubernetes() {
    check("chart", &templated(&["networkPolicies.enabled=true"]));
}
