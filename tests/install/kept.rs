//! The resource kind outlives an install, and Helm installs beside it: one that `kubectl` made, or an earlier release kept.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use postern_tests::repository;
use serde_json::{Value, json};

use crate::rendered::{objects, peer};

const NAME: &str = "tokenpolicies.policy.postern.dev";
/// Groups and versions of what an install holds, each with its kinds; those that lie in no namespace have a `!`.
const KINDS: [(&str, &[(&str, &str)]); 7] = [
    (
        "v1",
        &[
            ("configmaps", "ConfigMap"),
            ("services", "Service"),
            ("serviceaccounts", "ServiceAccount"),
        ],
    ),
    ("apps/v1", &[("deployments", "Deployment")]),
    ("batch/v1", &[("jobs", "Job")]),
    ("policy/v1", &[("poddisruptionbudgets", "PodDisruptionBudget")]),
    (
        "rbac.authorization.k8s.io/v1",
        &[
            ("roles", "Role"),
            ("rolebindings", "RoleBinding"),
            ("clusterroles", "!ClusterRole"),
            ("clusterrolebindings", "!ClusterRoleBinding"),
        ],
    ),
    (
        "admissionregistration.k8s.io/v1",
        &[("mutatingwebhookconfigurations", "!MutatingWebhookConfiguration")],
    ),
    ("apiextensions.k8s.io/v1", &[("customresourcedefinitions", "!CustomResourceDefinition")]),
];

#[test]
fn helm_installs_beside_a_kind_that_was_kept() {
    let check = |row: &str, found: Option<Value>, made: bool| {
        let address = cluster_with(found);
        let mut helm = Command::new(peer("kubectl-1.37/helm"));
        helm.args(["install", "postern", "--namespace", "postern-system", "--dry-run=server"]);
        helm.args([
            "--disable-openapi-validation",
            "--kubeconfig",
            "/dev/null",
            "--output",
            "json",
        ]);
        helm.args(["--kube-apiserver", &format!("http://{address}")]);
        let output = helm.arg(repository().join("k8s/chart")).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{row}: {error}");
        let release: Value = serde_json::from_slice(&output.stdout).unwrap();
        let objects = objects(release["manifest"].as_str().unwrap());
        let id = ("CustomResourceDefinition".to_owned(), String::new(), NAME.to_owned());
        assert_eq!(objects.contains_key(&id), made, "{row}");
        assert!(objects.len() > 10, "{row}: everything else is installed");
    };
    let of = |release: &str, namespace: &str| {
        kind(
            json!({"app.kubernetes.io/managed-by": "Helm"}),
            json!({
                "helm.sh/resource-policy": "keep",
                "meta.helm.sh/release-name": release,
                "meta.helm.sh/release-namespace": namespace,
            }),
        )
    };
    check("a cluster without it", None, true);
    check("kept by this release", Some(of("postern", "postern-system")), true);
    check("kept by another release", Some(of("mesh", "postern-system")), false);
    check("kept by one of another namespace", Some(of("postern", "mesh")), false);
    check(
        "left by kubectl",
        Some(kind(json!({}), json!({"helm.sh/resource-policy": "keep"}))),
        false,
    );
    check("left by kubectl, without a note", Some(kind(Value::Null, Value::Null)), false);
}

fn kind(labels: Value, annotations: Value) -> Value {
    let mut metadata = json!({ "name": NAME });
    for (key, value) in [("labels", labels), ("annotations", annotations)] {
        if !value.is_null() {
            metadata[key] = value;
        }
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
    })
}

/// An API server on loopback that knows the kinds of an install, and of their objects at most this one.
fn cluster_with(found: Option<Value>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // Who asks may be gone.
            let _ = answer(stream.unwrap(), found.as_ref());
        }
    });
    address
}

fn answer(mut stream: TcpStream, found: Option<&Value>) -> std::io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let path = first.split(' ').nth(1).and_then(|path| path.split('?').next()).unwrap_or_default();
    let (status, body) = match body(path, found) {
        Some(body) => ("200 OK", body),
        None => (
            "404 Not Found",
            json!({"kind": "Status", "apiVersion": "v1", "code": 404, "reason": "NotFound"}),
        ),
    };
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn body(path: &str, found: Option<&Value>) -> Option<Value> {
    match path {
        "/version" => Some(json!({"major": "1", "minor": "36", "gitVersion": "v1.36.0"})),
        "/api" => Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
        "/apis" => {
            let groups = KINDS.iter().filter_map(|(version, _)| version.split_once('/'));
            let groups = groups.map(|(group, version)| {
                let named =
                    json!({"groupVersion": format!("{group}/{version}"), "version": version});
                json!({"name": group, "versions": [named], "preferredVersion": named})
            });
            Some(json!({"kind": "APIGroupList", "groups": groups.collect::<Vec<_>>()}))
        }
        _ if path.ends_with("/secrets") => {
            Some(json!({"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": []}))
        }
        _ if path.ends_with(NAME) => found.cloned(),
        _ => kinds(path.strip_prefix("/apis/").or_else(|| path.strip_prefix("/api/"))?),
    }
}

fn kinds(version: &str) -> Option<Value> {
    let (_, kinds) = KINDS.iter().find(|(known, _)| *known == version)?;
    let resources = kinds.iter().map(|(plural, kind)| {
        let namespaced = !kind.starts_with('!');
        let kind = kind.trim_start_matches('!');
        json!({"name": plural, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "create"]})
    });
    let resources: Vec<_> = resources.collect();
    Some(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}),
    )
}
