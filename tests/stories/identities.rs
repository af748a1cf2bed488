//! Who gets which certificate.

use std::fs;

use std::time::Duration;

use postern_tests::certificates::{Leaf, replace};
use postern_tests::{Mesh, Pod, tls, wait};

use crate::scene;

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

/// A workload's own certificate comes to stand among the roots. It signs for whom it likes, and is believed in nothing.
#[test]
fn s22_spiffe_leaf_rules_a_leaf_among_the_roots_signs_for_nobody() {
    let scene = scene::shop();
    let authority = scene.mesh.test_authority();
    let attacker = authority.workload("shop", "reports");
    let forged = attacker.forge(&Leaf::of("spiffe://cluster.local/ns/shop/sa/frontend"));
    let outside = scene.mesh.pod("outside").outside().start();
    let address = scene.cart.at(8080);
    let call = || {
        let forged = forged.clone();
        outside.run(async move {
            tls::get(tls::client(Some(&forged), &["http/1.1"]), address, "/cart/ann").await
        })
    };
    assert!(call().is_err(), "before");
    let refused =
        || scene.cart.metrics().sum("postern_certificate_renewals_total", &[("result", "failure")]);
    let before = refused();
    let bundle = format!("{}{}", authority.bundle_pem(), attacker.leaf_pem());
    replace(&scene.cart.directory().join("bundle.pem"), &bundle);
    wait::until("the bundle to be refused", Duration::from_secs(10), || {
        if refused() > before { Ok(()) } else { Err("not yet".to_owned()) }
    });
    // The line follows the count.
    wait::until("it to be named", wait::PATIENCE, || {
        let said = scene.cart.with_proxy(|proxy| proxy.stdout());
        let named = said.contains("certificate 1 ") && said.contains("/sa/reports");
        if named { Ok(()) } else { Err(said) }
    });
    let answer = call();
    assert!(answer.is_err(), "a leaf has signed for the front end: {answer:?}");
    // What worked goes on with the last good roots.
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    assert!(scene.cart.is_ready());
}
