#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::collections::BTreeMap;

use policy::DefaultEgress;
use serde_json::{Value, json};

use super::*;
use crate::control::cluster::ClusterState;
use crate::control::config::Config;
use crate::control::installer::ResourceInstaller;
use crate::traffic::demand::LookupState;
use crate::traffic::forward::has_identity;

fn installer(egress: &str) -> ResourceInstaller {
    let text = json!({
        "workload": {"namespace": "shop", "serviceAccount": "frontend"},
        "identity": {"workloadApi": "unix:///run/agent.sock"},
        "defaults": {"egress": egress},
        "resources": {"controller": {
            "address": "controller:15010",
            "identity": "spiffe://cluster.local/ns/postern-system/sa/postern-controller",
            "pod": {"name": "frontend", "uid": "1"},
        }},
    });
    ResourceInstaller::new(Config::parse("p", text.to_string().as_bytes()).unwrap(), 1).unwrap()
}

/// Puts in force what the controller sends about an address, as its stream does: what cannot be used is not in the
/// table.
fn install_answer(installer: &ResourceInstaller, spec: Option<&Value>) -> LookupState {
    let config = &installer.config;
    installer.install_cluster(&ClusterState {
        resources: policy::Resources::empty("postern-system"),
        workload: config.workload.clone(),
        ports: BTreeMap::new(),
        service: None,
    });
    let document = |spec: &Value| policy::SourceFile {
        name: "told".into(),
        bytes: json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": {"name": "told", "namespace": "postern-system"},
            "spec": spec,
        })
        .to_string()
        .into_bytes(),
    };
    let read = |spec| policy::Resources::parse(&[document(spec)], "postern-system");
    let resources = spec.and_then(|spec| read(spec).ok());
    let resources = resources.unwrap_or_else(|| policy::Resources::empty("postern-system"));
    installer.state.install_services(&resources);
    if spec.is_some() { LookupState::Service } else { LookupState::Unknown }
}

const AT: &str = "10.1.0.7:8080";

/// The result of a dial: `Some` reason when it is refused, whatever the default for unknown destinations; `None` where
/// that default decides.
async fn dialled(egress: &str, spec: Option<&Value>) -> Option<&'static str> {
    let installer = installer(egress);
    let state = &installer.state;
    let answered = install_answer(&installer, spec);
    let expect = if egress == "allow" { DefaultEgress::Allow } else { DefaultEgress::Deny };
    assert_eq!(state.snapshot().egress(), expect);
    let demand = state.demand.as_ref().unwrap();
    let destination = DialledDestination::Address(AT.parse().unwrap());
    let answer = async {
        // What is already in force is not requested.
        if destination.service(&state.services.table()).is_none() {
            demand.wait_for_unsent().await;
            demand.answered(AT, answered);
        }
    };
    let found = match tokio::join!(destination.resolve(state), answer) {
        (Err(error), ()) => return Some(error.reason()),
        (Ok(found), ()) => found?,
    };
    assert!(!found.service.external);
    has_identity(&found.service).err().map(|error| error.reason())
}

#[tokio::test]
async fn a_known_destination_outside_of_the_mesh_is_refused_whatever_the_default_is() {
    let spec = |more: Value| {
        let mut spec = json!({
            "hosts": ["10-1-0-7.shop.pod.cluster.local"],
            "addresses": ["10.1.0.7"],
            "ports": [{"number": 8080, "name": "port-8080", "protocol": "AUTO"}],
            "location": "MESH_INTERNAL",
            "resolution": "NONE",
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let outside = spec(json!({}));
    let other = spec(json!({"addresses": ["10.1.0.8"]}));
    let broken = spec(json!({"resolution": "MAYBE"}));
    for egress in ["allow", "deny"] {
        let check = async |row: &str, spec: Option<&Value>, expect: Option<&str>| {
            assert_eq!(dialled(egress, spec).await, expect, "{row}, egress {egress}");
        };
        check("outside of the mesh", Some(&outside), Some("upstream_not_in_mesh")).await;
        check("not this address", Some(&other), Some("destination_unresolved")).await;
        check("cannot be read", Some(&broken), Some("destination_unresolved")).await;
        check("unknown", None, None).await;
    }
}
