//! Alerts and dashboard speak of metrics that exist, and Prometheus can read the alerts.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use postern_tests::repository;
use serde_json::{Value, json};

/// Where metrics are declared.
const DECLARED_IN: [&str; 5] = [
    "proxy/data-plane/src/telemetry/metrics.rs",
    "cert-agent/agent/src/serve/metrics.rs",
    "cert-agent/authority/src/serve/metrics.rs",
    "k8s/src/controller/status_pages.rs",
    "k8s/src/injector/metrics.rs",
];

fn names_in(text: &str) -> BTreeSet<String> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("postern_") {
        let name: String = text[at..].chars().take_while(|c| letter(*c)).collect();
        let name = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(&name);
        names.insert(name.to_owned());
    }
    names
}

#[test]
fn alerts_and_dashboard_use_only_metrics_that_are_exported() {
    let declared: String = DECLARED_IN
        .iter()
        .map(|path| fs::read_to_string(repository().join(path)).unwrap())
        .collect();
    for file in ["prometheus-rules.yaml", "dashboard.json"] {
        let path = repository().join("k8s/manifests/monitoring").join(file);
        let names = names_in(&fs::read_to_string(path).unwrap());
        assert!(names.len() > 4, "{file} speaks of {names:?}");
        for name in names {
            let short = name.trim_start_matches("postern_");
            let exported = declared.contains(&format!("\"{name}\""))
                || declared.contains(&format!("\"{short}\""));
            assert!(exported, "{file}: nothing exports {name}");
        }
    }
}

#[test]
fn prometheus_reads_the_alerts() {
    let path = repository().join("k8s/manifests/monitoring/prometheus-rules.yaml");
    let rules: Value = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.json");
    fs::write(&file, json!({"groups": rules["spec"]["groups"]}).to_string()).unwrap();
    let output = Command::new("promtool").args(["check", "rules"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("SUCCESS"), "{said}");
}
