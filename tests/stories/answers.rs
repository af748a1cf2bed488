//! From audit mode to an enforced policy: nothing is refused until the policy is there, and it is
//! made from what was seen.

use postern_tests::{App, Mesh, Pod, wait};
use serde_json::{Value, json};

/// The cart without a policy, in audit mode.
fn cart_in_audit_mode(mesh: &Mesh) -> Pod {
    let pod = mesh.pod("cart").port(8080, "http").port(9000, "tcp").app(App::new("shop-cart"));
    pod.config(json!({"defaults": {"authorization": "audit"}})).start()
}

/// Runs `postern-proxy` with the cart's configuration on the cart's own log; its exit code and answer.
fn on_its_log(cart: &Pod, arguments: &str) -> (i32, String) {
    let script = format!(
        "{} {arguments} --config proxy.yaml --log proxy.out > answer; echo $?",
        postern_tests::binary("postern-proxy").display()
    );
    let script = format!("cd {} && {script}", cart.directory().display());
    let code = cart.command("sh", &["-c", &script]).ok();
    let answer = std::fs::read_to_string(cart.directory().join("answer")).unwrap();
    (code.trim().parse().unwrap(), answer)
}

#[test]
fn from_audit_mode_to_enforced_least_privilege() {
    let mesh = Mesh::start();
    let cart = cart_in_audit_mode(&mesh);
    let (frontend, reports) = (mesh.pod("frontend").start(), mesh.pod("reports").start());
    for path in ["/cart/ann", "/cart/1041", "/cart/1042", "/headers"] {
        frontend.curl(&format!("http://cart:8080{path}")).expect(200);
    }
    cart.expect_metric(
        "postern_authorization_decisions_total",
        &[("decision", "would_deny"), ("policy", "default")],
    );
    let line = cart.expect_log(&[("path", "/headers"), ("decision", "allow")]);
    assert_eq!(line.0["would"][0]["reason"], "default_deny", "{}", line.0);
    let decisions: Value = serde_json::from_str(&cart.admin("/decisions").body).unwrap();
    assert_eq!(decisions[0]["would"][0]["by"], "default", "{decisions}");

    let (code, policy) = on_its_log(&cart, "policy suggest --name cart");
    assert_eq!(code, 0);
    assert!(policy.contains("4 of 4 allowed") && policy.contains("\"/cart/{*}\""), "{policy}");
    let draft = policy.replace(
        "  namespace: shop\n",
        "  namespace: shop\n  annotations: {istio.io/dry-run: \"true\"}\n",
    );
    mesh.policy("cart", &draft);
    wait::until_true("the dry-run policy to be watched", || {
        reports.curl("http://cart:8080/cart/ann").expect(200);
        let lines = cart.log().into_iter().filter(|line| line.has(&[("kind", "request")]));
        lines
            .flat_map(|line| line.0["would"].as_array().cloned().unwrap_or_default())
            .any(|would| would["by"] == "dry_run" && would["decision"] == "would_deny")
    });

    mesh.policy("cart", &policy);
    wait::until_true("the policy to be enforced", || {
        reports.curl("http://cart:8080/cart/ann").status == 403
    });
    frontend.curl("http://cart:8080/cart/7").expect(200);
    let refused = frontend.curl_with(&["-X", "DELETE", "http://cart:8080/cart/ann"]);
    refused.expect_refusal(403, "no_matching_allow");
    let line = cart.expect_log(&[("method", "DELETE"), ("reason", "no_matching_allow")]);
    assert_eq!(line.0["nearest"]["missing"], json!(["method"]), "{}", line.0);
    let decisions: Value = serde_json::from_str(&cart.admin("/decisions").body).unwrap();
    assert_eq!(decisions[0]["nearest"]["policy"], "shop/cart", "{decisions}");

    // The log replayed: each line gets the verdict it got, or gets now what it was warned of.
    let (code, answers) = on_its_log(&cart, "explain");
    assert_eq!(code, 0);
    let refused = answers.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let refused: Vec<_> = refused.filter(|answer| answer["decision"] == "deny").collect();
    assert!(refused.iter().all(|answer| {
        answer["recorded"]["source_principal"] == reports.principal()
            || answer["recorded"]["method"] == "DELETE"
    }));
    assert!(!refused.is_empty());
}

/// Plaintext on STRICT is a decision like the others: counted, and shown with its reason.
#[test]
fn plaintext_on_strict_is_a_decision() {
    let mesh = Mesh::start();
    let cart = mesh.pod("cart").port(8080, "http").app(App::new("shop-cart")).start();
    let intruder = mesh.pod("intruder").outside().start();
    intruder.curl("http://cart:8080/headers").expect_nothing();
    cart.expect_log(&[("reason", "peer_not_authenticated"), ("decision", "deny")]);
    let decisions: Value = serde_json::from_str(&cart.admin("/decisions").body).unwrap();
    assert_eq!(decisions[0]["reason"], "peer_not_authenticated", "{decisions}");
    cart.expect_metric("postern_authorization_decisions_total", &[("decision", "deny")]);
}
