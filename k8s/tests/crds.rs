//! The definition of TokenPolicy is what is printed, and says what the policy crate reads.
use std::fs;
use std::path::PathBuf;

use k8s::crd;
use policy::resources::{Resources, SourceFile};
use serde_json::{Value, json};

fn schema() -> Value {
    let definition = serde_json::to_value(crd::definition()).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// `UPDATE_DOCS=1 cargo test -p k8s --test all -- crds` writes it.
#[test]
fn the_file_is_what_the_types_print() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let printed = crd::print().unwrap();
    for file in ["crds/policy.postern.dev_tokenpolicies.yaml", "chart/files/crds.yaml"] {
        let path = folder.join(file);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, &printed).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == printed,
            "{file} is stale: UPDATE_DOCS=1 cargo test -p k8s --test all -- crds"
        );
    }
}

#[test]
fn it_has_a_status_of_its_own() {
    let definition = serde_json::to_value(crd::definition()).unwrap();
    let version = &definition["spec"]["versions"][0];
    assert!(version["subresources"]["status"].is_object(), "{version}");
    assert_eq!(version["storage"], true);
    assert_eq!(definition["metadata"]["name"], "tokenpolicies.policy.postern.dev");
}

/// Structural: the API server takes no reference, and drops what is not named.
#[test]
fn the_schema_is_structural() {
    let text = schema().to_string();
    for forbidden in ["$ref", "$schema", "anyOf", "definitions"] {
        assert!(!text.contains(forbidden), "{forbidden} in {text}");
    }
}

fn read(spec: &Value) -> Result<(), String> {
    let object = json!({
        "apiVersion": "policy.postern.dev/v1alpha1", "kind": "TokenPolicy",
        "metadata": {"name": "t", "namespace": "shop"}, "spec": spec,
    });
    let file = SourceFile { name: "t.yaml".into(), bytes: object.to_string().into_bytes() };
    let read = Resources::parse(&[file], "postern-system");
    read.map(drop).map_err(|mistakes| mistakes.to_string())
}

#[test]
fn the_policy_crate_reads_every_field_and_no_other() {
    let full = json!({
        "selector": {"matchLabels": {"app": "cart"}},
        "issuer": "https://issuer.example",
        "principals": ["cluster.local/ns/edge/sa/gateway"],
        "confirmation": "REQUIRED",
        "audience": "REQUIRED",
    });
    read(&full).unwrap();
    let spec = &schema()["properties"]["spec"];
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&spec["properties"]), keys(&full));
    assert_eq!(spec["required"], json!(["issuer"]));
    for field in ["confirmation", "audience"] {
        for value in spec["properties"][field]["enum"].as_array().unwrap() {
            let mut changed = full.clone();
            changed[field] = value.clone();
            if !value.is_null() {
                read(&changed).unwrap_or_else(|error| panic!("{field}: {value}: {error}"));
            }
        }
    }
    let mut without = full.clone();
    without.as_object_mut().unwrap().remove("issuer");
    assert!(read(&without).unwrap_err().contains("issuer"));
}

/// The kinds of other projects: installed only where they are absent, so they say little and forbid nothing.
#[test]
fn the_foreign_kinds_are_those_that_the_controller_watches() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("crds/foreign");
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for definition in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
            let version = &definition["spec"]["versions"][0];
            assert_eq!(definition["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
            assert!(version["subresources"]["status"].is_object());
            let schema = &version["schema"]["openAPIV3Schema"]["properties"];
            for part in ["spec", "status"] {
                assert_eq!(schema[part]["x-kubernetes-preserve-unknown-fields"], true, "{part}");
            }
            let plural = definition["spec"]["names"]["plural"].as_str().unwrap();
            let group = definition["spec"]["group"].as_str().unwrap();
            assert_eq!(definition["metadata"]["name"], format!("{plural}.{group}"));
            names.push(format!("{group}/{}/{plural}", version["name"].as_str().unwrap()));
        }
    }
    let mut watched: Vec<_> = k8s::controller::index::PolicyKind::ALL
        .iter()
        .map(|kind| kind.resource())
        .filter(|(group, ..)| *group != "policy.postern.dev")
        .map(|(group, version, plural)| format!("{group}/{version}/{plural}"))
        .collect();
    names.sort();
    watched.sort();
    assert_eq!(names, watched);
}
