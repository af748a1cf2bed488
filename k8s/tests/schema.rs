//! Everything that is rendered, against the schemas of the three newest versions of Kubernetes, where
//! an unknown field is a mistake (PyPI kubernetes-validate; `tests/setup test` fetches it).

use std::path::PathBuf;
use std::process::Command;

use crate::support::command;

const VERSIONS: [&str; 3] = ["1.37.0", "1.36.0", "1.35.0"];

/// The Python that has the validator, where `tests/setup test` puts the test suite's peers: beside the build that
/// this program belongs to.
fn validator() -> PathBuf {
    const PATH: &str = "python/bin/python";
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().find(|folder| folder.join("peers").is_dir());
    let found = target.map(|target| target.join("peers").join(PATH)).filter(|path| path.exists());
    found.unwrap_or_else(|| panic!("{PATH} is not among the peers: run `tests/setup test`"))
}

/// Says what is wrong, or nothing.
fn validate(manifest: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest).unwrap();
    let mut said = String::new();
    for version in VERSIONS {
        let output = Command::new(validator())
            .args(["-m", "kubernetes_validate", "--strict", "--quiet", "-k", version])
            .arg(file.path())
            .output()
            .unwrap();
        if !output.status.success() {
            said += &format!("{version}: {}", String::from_utf8_lossy(&output.stdout));
            said += &String::from_utf8_lossy(&output.stderr);
        }
    }
    said
}

fn template(annotations: &str) -> String {
    format!(
        "    metadata: {{labels: {{app: w}}, annotations: {{{annotations}}}}}
    spec:
      terminationGracePeriodSeconds: 20
      restartPolicy: RESTART
      initContainers: [{{name: migrate, image: m}}]
      containers:
      - name: app
        image: a
        ports: [{{name: http, containerPort: 8080}}]
        livenessProbe: {{grpc: {{port: 9090}}}}
        readinessProbe: {{httpGet: {{port: http, path: /r}}}}
        lifecycle: {{preStop: {{httpGet: {{port: 8080, path: /stop}}}}}}
"
    )
}

fn rendered(version: &str, kind: &str, spec: &str, restart: &str, annotations: &str) -> String {
    let template = template(annotations).replace("RESTART", restart);
    let manifest = format!(
        "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: w}}\nspec:\n{spec}  template:\n{template}"
    );
    let output = command(&[], manifest.as_bytes());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rendered = String::from_utf8(output.stdout).unwrap();
    assert!(rendered.contains("postern-proxy"));
    rendered
}

#[test]
fn the_validator_finds_what_is_wrong() {
    let said = validate(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a, image: a, no-such: 1}]}\n",
    );
    assert!(VERSIONS.iter().all(|version| said.contains(version)), "{said}");
    assert!(said.contains("no-such"), "{said}");
}

#[test]
fn everything_rendered_is_valid() {
    let selector = "  selector: {matchLabels: {app: w}}\n";
    for (version, kind, spec, restart) in [
        ("apps/v1", "Deployment", selector, "Always"),
        (
            "apps/v1",
            "StatefulSet",
            "  serviceName: w\n  selector: {matchLabels: {app: w}}\n",
            "Always",
        ),
        ("apps/v1", "DaemonSet", selector, "Always"),
        ("batch/v1", "Job", "", "Never"),
    ] {
        let said = validate(&rendered(version, kind, spec, restart, ""));
        assert!(said.is_empty(), "{kind}: {said}");
    }
}

#[test]
fn every_form_of_a_pod_is_valid() {
    let selector = "  selector: {matchLabels: {app: w}}\n";
    for annotations in [
        "postern.dev/sidecar: classic",
        "postern.dev/redirect: none, postern.dev/inbound-listeners: '8443=8080', postern.dev/outbound-listeners: '9001=a.b:80'",
        "postern.dev/resources: 'cpu=1,cpu-limit=2,memory-limit=64Mi', postern.dev/skip-cidrs: '10.0.0.0/8'",
        "prometheus.io/scrape: 'true', prometheus.io/port: '8080', prometheus.io/path: /m",
    ] {
        let said = validate(&rendered("apps/v1", "Deployment", selector, "Always", annotations));
        assert!(said.is_empty(), "{annotations}: {said}");
    }
}
