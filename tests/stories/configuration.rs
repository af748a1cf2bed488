//! Configuration and resources that are wrong: at start everything is named at once, later the last good stays.

use postern_tests::{Mesh, Pod, wait};
use serde_json::json;

use crate::scene;

/// Runs the proxy of a laid-out pod on this proxy.yaml, to its end.
fn run_with(pod: &Pod, yaml: &str) -> postern_tests::Finished {
    std::fs::write(pod.directory().join("proxy.yaml"), yaml).unwrap();
    pod.command(
        "timeout",
        &[
            "20",
            &postern_tests::binary("postern-proxy").display().to_string(),
            "run",
            "--config",
            "/run/postern/proxy.yaml",
        ],
    )
}

#[test]
fn f10_config_torn_every_mistake_of_a_config_is_named() {
    let mesh = Mesh::start();
    let pod = mesh.pod("cart").lay_out();
    let run = run_with(
        &pod,
        "\
workload: {namespace: shop, serviceAccount: cart}
identity: {files: {certificate: svid.pem, key: key.pem, bundle: bundle.pem}}
inbuond: {}
workers: many
defaults: {mtls: SOMETIMES}
",
    );
    assert_eq!(run.code, 2, "{run:?}");
    for place in ["proxy.yaml:3:1", "proxy.yaml:4:10", "proxy.yaml:5:18"] {
        assert!(run.stderr.contains(place), "no {place} in\n{}", run.stderr);
    }
    assert!(run.stderr.contains("inbound"), "no suggestion for inbuond in\n{}", run.stderr);
}

#[test]
fn f10_config_torn_duplicate_missing_and_empty() {
    let mesh = Mesh::start();
    let pod = mesh.pod("cart").lay_out();
    let good = std::fs::read_to_string(pod.directory().join("proxy.yaml")).unwrap();
    let duplicate = "workload: {namespace: shop, serviceAccount: cart}\nworkers: 1\nworkers: 2\nidentity: {workloadApi: unix:///a}\n";
    let run = run_with(&pod, duplicate);
    assert!(run.code == 2 && run.stderr.contains("proxy.yaml:3:1"), "{run:?}");
    let run = run_with(&pod, "");
    assert_eq!(run.code, 2, "{run:?}");
    let program = postern_tests::binary("postern-proxy");
    let missing =
        pod.command(program.to_str().unwrap(), &["run", "--config", "/run/postern/nowhere.yaml"]);
    assert!(missing.code == 2 && missing.stderr.contains("nowhere.yaml"), "{missing:?}");
    // And the good one starts.
    std::fs::write(pod.directory().join("proxy.yaml"), good).unwrap();
    pod.start_processes();
    pod.ready();
}

#[test]
fn f10_config_torn_bad_resources_at_start() {
    let mesh = Mesh::start();
    mesh.policy("broken", "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: x, namespace: shop}\nspec:\n  rulez: []\n");
    let pod = mesh.pod("cart").start_unready();
    let code = pod.with_proxy(|proxy| proxy.exit_code(wait::PATIENCE));
    let said = pod.with_proxy(|proxy| proxy.stderr());
    assert!(code == 2 && said.contains("broken.yaml:5:3"), "exit {code}:\n{said}");
}

#[test]
fn f10_config_torn_bad_resources_at_run_time_keep_the_last_good() {
    let scene = scene::shop();
    let stale = |pod: &Pod| pod.metrics().sum("postern_config_stale", &[]);
    assert_eq!(stale(&scene.cart), 0.0);
    for (name, torn) in [
        ("unparsable", "{ this is: not, yaml"),
        ("unknown field", "kind: AuthorizationPolicy\nspec: {everybody: true}\n"),
        ("empty", ""),
    ] {
        scene.mesh.policy("torn", torn);
        wait::until_true(name, || stale(&scene.cart) == 1.0);
        // Neither opened nor shut.
        scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
        scene
            .frontend
            .curl_with(&["-X", "DELETE", "http://cart:8080/cart/ann"])
            .expect_refusal(403, "no_matching_allow");
        scene.mesh.policy("torn", "# an empty set\n");
        wait::until_true("the good set to be taken", || stale(&scene.cart) == 0.0);
    }
    scene.cart.expect_metric("postern_config_updates_total", &[("result", "failure")]);
    scene.cart.expect_metric("postern_config_updates_total", &[("result", "success")]);
}

#[test]
fn check_says_what_run_would_say() {
    let mesh = Mesh::start();
    let pod = mesh.pod("cart").config(json!({"workers": 1})).lay_out();
    let good = pod.postern("postern-proxy", &["check", "--config", "/run/postern/proxy.yaml"]);
    assert_eq!(good.code, 0, "{good:?}");
    mesh.policy("broken", "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: x, namespace: shop}\nspec:\n  rulez: []\n  actoin: DENY\n");
    let bad = pod.postern("postern-proxy", &["check", "--config", "/run/postern/proxy.yaml"]);
    assert_eq!(bad.code, 2, "{bad:?}");
    for place in ["broken.yaml:5:3", "broken.yaml:6:3"] {
        assert!(bad.stderr.contains(place), "no {place} in\n{}", bad.stderr);
    }
}
