//! Programs that are not ours: curl and openssl with an SVID, promtool on a scrape.

use postern_tests::Pod;

use crate::scene::{self, Scene};

/// A pod outside the mesh that holds this service account's certificate in files.
fn holder(scene: &Scene, service_account: &str) -> Pod {
    let pod = scene.mesh.pod(&format!("with-{service_account}")).outside().start();
    scene.mesh.test_authority().workload("shop", service_account).write(pod.directory());
    std::fs::write(pod.directory().join("bundle.pem"), scene.mesh.test_authority().bundle_pem())
        .unwrap();
    pod
}

const WITH_SVID: [&str; 5] =
    ["-k", "--cert", "/run/postern/svid.pem", "--key", "/run/postern/key.pem"];

#[test]
fn curl_with_an_svid_is_a_peer_like_any_other() {
    let scene = scene::shop();
    let call = |pod: &Pod, more: &[&str]| pod.curl_with(&[&WITH_SVID, more].concat());
    let frontend = holder(&scene, "frontend");
    call(&frontend, &["https://cart:8080/cart/ann"]).expect(200);
    call(&frontend, &["--http1.1", "https://cart:8080/cart/ann"]).expect(200);
    call(&frontend, &["--http2", "https://cart:8080/cart/ann"]).expect(200);
    call(&frontend, &["--no-alpn", "https://cart:8080/cart/ann"]).expect(200);
    call(&frontend, &["--tls-max", "1.2", "https://cart:8080/cart/ann"]).expect_nothing();
    let reports = holder(&scene, "reports");
    call(&reports, &["https://cart:8080/cart/ann"]).expect_refusal(403, "no_matching_allow");
    scene.cart.expect_metric(
        "postern_requests_total",
        &[("source_principal", "cluster.local/ns/shop/sa/frontend"), ("response_code", "200")],
    );
}

#[test]
fn openssl_sees_tls13_without_tickets_and_a_chain_that_verifies() {
    let scene = scene::shop();
    let pod = holder(&scene, "frontend");
    let client = "printf 'GET /cart/ann HTTP/1.1\\r\\nhost: cart\\r\\nconnection: close\\r\\n\\r\\n' | \
         timeout 15 openssl s_client -connect cart:8080 -ign_eof -verify_return_error \
         -CAfile /run/postern/bundle.pem -cert /run/postern/svid.pem -cert_chain /run/postern/svid.pem -key /run/postern/key.pem $1 2>&1";
    let run = pod.command("sh", &["-c", client, "sh", ""]);
    assert!(run.stdout.contains("New, TLSv1.3"), "{}", run.stdout);
    assert!(run.stdout.contains("Verify return code: 0 (ok)"), "{}", run.stdout);
    assert!(run.stdout.contains("HTTP/1.1 200"), "{}", run.stdout);
    assert!(!run.stdout.contains("New Session Ticket"), "{}", run.stdout);
    let old = pod.command("sh", &["-c", client, "sh", "-tls1_2"]);
    assert!(!old.stdout.contains("HTTP/1.1 200"), "{}", old.stdout);
}

#[test]
fn promtool_finds_nothing_wrong_with_a_scrape() {
    let scene = scene::shop();
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    scene.frontend.curl("http://cart:8080/nowhere").expect(403);
    for pod in [&scene.cart, &scene.frontend] {
        let scrape = pod.directory().join("scrape.txt");
        std::fs::write(&scrape, pod.metrics().text).unwrap();
        let verdict =
            pod.command("sh", &["-c", "promtool check metrics < /run/postern/scrape.txt"]);
        assert_eq!(verdict.code, 0, "{}{}", verdict.stdout, verdict.stderr);
    }
}
