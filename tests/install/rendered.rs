//! The chart and the kustomization are two ways to one install.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use postern_tests::repository;
use serde_json::Value;

/// Kind, namespace and name.
pub(crate) type Id = (String, String, String);
/// What is applied, by what identifies it.
pub(crate) type Objects = BTreeMap<Id, Value>;

/// Where `tests/setup test` puts the test suite's peers.
pub(crate) fn peer(path: &str) -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().find(|folder| folder.join("peers").is_dir());
    let found = target.map(|target| target.join("peers").join(path)).filter(|path| path.exists());
    found.unwrap_or_else(|| panic!("{path} is not among the peers: run `tests/setup test`"))
}

fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// `kubectl kustomize k8s/manifests/FOLDER`.
pub(crate) fn kustomized(folder: &str) -> String {
    kustomized_at(&repository().join("k8s/manifests").join(folder))
}

/// `kubectl kustomize PATH`.
pub(crate) fn kustomized_at(path: &Path) -> String {
    printed(Command::new(peer("kubectl-1.37/kubectl")).arg("kustomize").arg(path))
}

/// `helm template` with these settings.
pub(crate) fn templated(settings: &[&str]) -> String {
    let mut helm = Command::new(peer("kubectl-1.37/helm"));
    helm.args(["template", "postern", "--namespace", "postern-system"]);
    helm.arg(repository().join("k8s/chart"));
    printed(helm.args(settings.iter().flat_map(|setting| ["--set", setting])))
}

#[test]
fn the_chart_takes_the_lifetimes_that_the_authority_takes() {
    let check = |lifetime: &str, taken: bool| {
        let mut helm = Command::new(peer("kubectl-1.37/helm"));
        helm.args(["template", "postern"]).arg(repository().join("k8s/chart"));
        let setting = format!("authority.leafLifetime={lifetime}");
        let output = helm.args(["--set", &setting]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), taken, "{lifetime}: {error}");
        assert!(taken || error.contains("leafLifetime"), "{lifetime}: {error}");
    };
    for lifetime in ["1m", "60s", "90s", "1h", "24h", "1440m", "86400s"] {
        check(lifetime, true);
    }
    for lifetime in ["0s", "30s", "59s", "0m", "1441m", "86401s", "0h", "25h", "100h", "h", "1"] {
        check(lifetime, false);
    }
}

pub(crate) fn objects(yaml: &str) -> Objects {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    let mut objects = Objects::new();
    for object in documents.into_iter().filter(|document| !document.is_null()) {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let id =
            [text("/kind"), text("/metadata/namespace"), text("/metadata/name")].map(str::to_owned);
        let id: Id = id.into();
        assert!(objects.insert(id.clone(), object).is_none(), "{id:?} twice");
    }
    objects
}

fn check(folder: &str, settings: &[&str]) {
    let mut by_kustomize = objects(&kustomized(folder));
    // `helm install --create-namespace` makes it.
    by_kustomize.retain(|(kind, ..), _| kind != "Namespace");
    let by_helm = objects(&templated(settings));
    let names = |objects: &Objects| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&by_kustomize), names(&by_helm), "{folder}");
    for (id, object) in by_kustomize {
        assert_eq!(object, by_helm[&id], "{folder}: {id:?}");
    }
}

#[test]
fn the_chart_and_the_kustomization_are_one_install() {
    check("base", &[]);
    check("overlays/gateways", &["gateways.enabled=true"]);
    check("overlays/full", &["monitoring.enabled=true", "networkPolicies.enabled=true"]);
}

#[test]
fn an_uninstall_takes_everything_but_the_kinds_with_the_policies_and_the_namespace_with_the_root() {
    let mut left = objects(&kustomized("base"));
    for id in objects(&kustomized("overlays/uninstall")).keys() {
        assert!(left.remove(id).is_some(), "{id:?} was never installed");
    }
    let mut kinds: Vec<_> = left.keys().map(|(kind, ..)| kind.as_str()).collect();
    kinds.dedup();
    assert_eq!(kinds, ["CustomResourceDefinition", "Namespace"]);
}

#[test]
fn the_chart_carries_the_same_files_as_the_kustomization() {
    for (of_chart, of_kustomize) in [
        ("dashboard.json", "monitoring/dashboard.json"),
        ("pod-monitors.yaml", "monitoring/pod-monitors.yaml"),
        ("prometheus-rules.yaml", "monitoring/prometheus-rules.yaml"),
        ("network-policies.yaml", "network-policies/control-plane.yaml"),
        ("gateways.yaml", "gateways/gateways.yaml"),
    ] {
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();
        let in_chart = read(repository().join("k8s/chart/files").join(of_chart));
        let in_manifests = read(repository().join("k8s/manifests").join(of_kustomize));
        assert_eq!(in_chart, in_manifests, "copy {of_kustomize} to the chart's files");
    }
}

#[test]
fn an_install_elsewhere_names_its_own_namespace_everywhere() {
    let mut helm = Command::new(peer("kubectl-1.37/helm"));
    helm.args(["template", "postern", "--namespace", "mesh"]).arg(repository().join("k8s/chart"));
    let yaml = printed(helm.args([
        "--set",
        "monitoring.enabled=true,networkPolicies.enabled=true,gateways.enabled=true",
    ]));
    assert!(!yaml.contains("postern-system"), "{yaml}");
}

/// Whoever has no gateways gives the controller no certificate of anybody.
#[test]
fn without_gateways_nobody_may_read_secrets_of_the_cluster() {
    let may_read_secrets = |folder: &str| {
        let roles = objects(&kustomized(folder)).into_iter();
        let roles = roles.filter(|((kind, ..), _)| kind == "ClusterRole");
        let roles = roles.filter(|(_, role)| role["rules"].to_string().contains("\"secrets\""));
        roles.map(|((_, _, name), _)| name).collect::<Vec<_>>()
    };
    assert!(may_read_secrets("base").is_empty());
    assert_eq!(may_read_secrets("overlays/gateways"), ["postern-controller-gateways"]);
}

#[test]
fn the_chart_says_where_spans_are_sent() {
    let flags = |settings: &[&str]| {
        let yaml = templated(settings);
        let lines = yaml.lines().map(str::trim).filter(|line| line.starts_with("- --tracing"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(flags(&[]).is_empty());
    let collector = "injector.tracing.collector=collector.o.svc:4317";
    assert_eq!(
        flags(&[collector, "injector.tracing.identity=spiffe://a/b"]),
        [
            "- --tracing-collector=collector.o.svc:4317",
            "- --tracing-sampling=1%",
            "- --tracing-identity=spiffe://a/b",
        ]
    );
    let plain = flags(&[collector, "injector.tracing.plaintext=true"]);
    assert_eq!(plain.last().map(String::as_str), Some("- --tracing-plaintext"));
}

#[test]
fn the_chart_refuses_values_that_it_does_not_know() {
    for (setting, named) in [
        ("injector.failurePolicy=Perhaps", "failurePolicy"),
        ("authority.replicas=0", "replicas"),
        ("authority.leaflifetime=2h", "leaflifetime"),
        ("trustDomain=Upper.Case", "trustDomain"),
        ("injector.tracing.endpoint=a", "endpoint"),
        ("injector.tracing.collector=https://a:1", "collector"),
        ("injector.tracing.sampling=1", "sampling"),
        ("gateways.enable=true", "enable"),
    ] {
        let mut helm = Command::new(peer("kubectl-1.37/helm"));
        helm.args(["template", "postern"]).arg(repository().join("k8s/chart"));
        let output = helm.args(["--set", setting]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(named), "{setting}: {error}");
    }
}
