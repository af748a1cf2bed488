//! Who gets which certificate.

use std::fs;

use postern_tests::{Mesh, Pod, wait};

fn certified(pod: &Pod) -> postern_tests::Certificate {
    wait::until("the agent to hold a certificate", wait::PATIENCE, || {
        pod.try_certificate().ok_or_else(|| pod.with_agent(|agent| agent.stderr()))
    })
}

#[test]
fn an_agent_holds_the_identity_of_its_join_token() {
    let mesh = Mesh::with_authority();
    let cart = mesh.pod("cart").lay_out();
    let frontend = mesh.pod("frontend").namespace("web").service_account("page").lay_out();
    for pod in [&cart, &frontend] {
        pod.start_agent();
        let certificate = certified(pod);
        assert_eq!(certificate.spiffe_id, pod.spiffe_id());
        assert!(
            certificate.seconds_left > 3500 && certificate.seconds_left <= 3600,
            "{certificate:?}"
        );
    }
}

#[test]
fn s32_attestation_confusion_a_join_token_is_good_once() {
    let mesh = Mesh::with_authority();
    let first = mesh.pod("first").lay_out();
    let second = mesh.pod("second").lay_out();
    first.start_agent();
    certified(&first);
    // Stolen: what the first has used, the second tries.
    let token = fs::read(first.directory().join("join-token")).unwrap();
    second.start_agent_with_token(&token);
    wait::until_true("the second to be refused", || {
        let said = second.agent_command("show").stdout;
        said.contains("\"failures\": 1") || said.contains("\"failures\": 2")
    });
    assert_eq!(second.try_certificate(), None);
}
