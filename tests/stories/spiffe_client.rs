//! A SPIFFE client that is none of ours, PyPI's `spiffe`, asks our agent.

use std::path::PathBuf;

use postern_tests::{Pod, repository};
use serde_json::{Value, json};

use crate::scene;

/// Python with the packages that `tests/setup` installed.
fn python() -> PathBuf {
    let target = postern_tests::binary("postern-proxy");
    let python = target.parent().unwrap().parent().unwrap().join("peers/python/bin/python");
    assert!(python.is_file(), "{} is missing: run `tests/setup test`", python.display());
    python
}

/// Runs the client inside the pod.
fn ask(pod: &Pod, arguments: &[&str]) -> Value {
    let python = python();
    let script = repository().join("tests/peers/spiffe_client.py");
    let words = ["SPIFFE_ENDPOINT_SOCKET=unix:///run/postern/agent.sock"];
    let words = words.into_iter().chain([python.to_str().unwrap(), script.to_str().unwrap()]);
    let all: Vec<_> = words.chain(arguments.iter().copied()).collect();
    let answer = pod.command("env", &all).ok();
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn a_client_from_pypi_gets_identity_and_bundle() {
    let scene = scene::shop_with_authority();
    let seen = ask(&scene.frontend, &["x509"]);
    assert_eq!(seen["id"], json!(scene.frontend.spiffe_id()));
    assert_eq!(seen["chain"], json!(2), "{seen}");
    assert_eq!(seen["key_fits"], json!(true), "{seen}");
    assert_eq!(seen["bundles"], json!([scene.mesh.trust_domain()]));
    // The client follows the agent: after a renewal it sees another certificate.
    scene.frontend.renew_certificate();
    assert_ne!(ask(&scene.frontend, &["x509"])["serial"], seen["serial"]);
}

#[test]
fn a_client_from_pypi_gets_a_token_that_verifies_here_and_there() {
    let scene = scene::shop_with_authority();
    let seen = ask(&scene.frontend, &["jwt", "reports"]);
    let id = json!(scene.frontend.spiffe_id());
    assert_eq!([&seen["id"], &seen["here"], &seen["there"]], [&id; 3], "{seen}");
    assert_eq!(seen["audience"], json!(["reports"]));
    assert_eq!(seen["other_audience_refused"], json!(true));
}
