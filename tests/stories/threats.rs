//! Requests are looked through for attacks: detected first, blocked by an edit, and no value of a request is ever told.

use std::fs;
use std::process::Command;

use postern_tests::{Answer, Pod, wait};
use serde_json::{Value, json};

use crate::gateway_scene::{gateway_with, policy, target};
use crate::scene::{Scene, shop};

/// What stands in every attack below, and must stand in nothing that the proxy tells.
const MARKER: &str = "hush-9173";

/// A script for somebody else's browser.
fn attack(url: &str) -> String {
    format!("{url}?q=%3Cscript%3Ealert(%22{MARKER}%22)%3C/script%3E")
}

/// A policy that waits as long as a busy machine takes.
fn threats(spec: Value) -> Value {
    let mut spec = spec;
    spec["timeout"] = json!("10s");
    policy("ThreatPolicy", "threats", &spec)
}

fn passed(answer: &Answer) {
    assert_eq!(answer.header("x-postern-reason"), None, "{answer:?}");
}

/// Everything that the proxy tells of what it found: the last detection.
fn expect_told(pod: &Pod, action: &str) {
    let line = pod.expect_log(&[("threat_policy", "shop/threats"), ("threat_action", action)]);
    assert!(format!("{line:?}").contains("threat_rules"), "{line:?}");
    let labels = [("rule_group", "script"), ("action", action)];
    pod.expect_metric("postern_threat_rules_total", &labels);
    pod.expect_metric("postern_threat_inspections_total", &[("result", action)]);
    let detections = pod.admin("/detections").body;
    let latest: Value = serde_json::from_str(&detections).unwrap();
    assert_eq!(latest[0]["action"], action, "{detections}");
    assert_eq!(latest[0]["policy"], "shop/threats", "{detections}");
    assert_eq!(latest[0]["path"], "/cart/ann", "{detections}");
    assert!(latest[0]["rules"][0]["rule"].is_u64(), "{detections}");
    let told = format!("{:?}{detections}{}", pod.log(), pod.admin("/config").body);
    assert!(!told.contains(MARKER), "a value is told");
}

#[test]
fn s52_logs_an_attack_is_detected_first_and_blocked_after_an_edit_at_a_gateway() {
    const URL: &str = "https://shop.example/cart/ann";
    let in_mode = |mode: &str| threats(json!({"targetRefs": target(None), "mode": mode}));
    let scene = gateway_with(&[("threats", &in_mode("detect"))]);
    scene.get(URL, &[]).expect(200);
    scene.get(&attack(URL), &[]).expect(200);
    expect_told(&scene.edge, "detected");
    let block = in_mode("block").to_string();
    scene.change("the edit", |mesh| mesh.policy("threats", &block));
    scene.get(&attack(URL), &[]).expect_refusal(403, "threat_detected");
    expect_told(&scene.edge, "blocked");
    scene.get(URL, &[]).expect(200);
}

const URL: &str = "http://cart:8080/cart/ann";

fn edit(scene: &Scene, spec: Value) {
    let taken =
        || scene.cart.metrics().sum("postern_config_updates_total", &[("result", "success")]);
    let before = taken();
    scene.mesh.policy("threats", &threats(spec).to_string());
    wait::until_true("the edit to be taken", || taken() > before);
}

#[test]
fn s52_logs_an_attack_is_detected_first_and_blocked_after_an_edit_in_a_sidecar() {
    let scene = shop();
    let selector = json!({"matchLabels": {"app": "cart"}});
    edit(&scene, json!({"selector": selector}));
    scene.frontend.curl(&attack(URL)).expect(200);
    expect_told(&scene.cart, "detected");
    edit(&scene, json!({"selector": selector, "mode": "block"}));
    scene.frontend.curl(&attack(URL)).expect_refusal(403, "threat_detected");
    expect_told(&scene.cart, "blocked");
    scene.frontend.curl(URL).expect(200);
    edit(&scene, json!({"selector": {"matchLabels": {"app": "other"}}, "mode": "block"}));
    scene.frontend.curl(&attack(URL)).expect(200);
}

/// Puts a file where the pod's curl finds it.
fn put(pod: &Pod, name: &str, bytes: &[u8]) -> String {
    fs::write(pod.directory().join(name), bytes).unwrap();
    format!("@/run/postern/{name}")
}

fn gzip(pod: &Pod, name: &str, bytes: &[u8]) -> String {
    put(pod, name, bytes);
    let file = pod.directory().join(name);
    assert!(Command::new("gzip").args(["-9", "-k"]).arg(&file).status().unwrap().success());
    format!("@/run/postern/{name}.gz")
}

#[test]
fn s49_decompression_and_bodies_what_cannot_be_looked_through_is_refused() {
    let scene = shop();
    edit(&scene, json!({"mode": "block", "body": {"inspectBytes": "4KiB"}}));
    let pod = &scene.frontend;
    let form = "content-type: application/x-www-form-urlencoded";
    let script = format!("q=%3Cscript%3Ealert(%22{MARKER}%22)%3C/script%3E");
    let (long, short) = (format!("q={}", "a ".repeat(4000)), "q=hello".to_owned());
    let plain = |name: &str, text: &str| put(pod, name, text.as_bytes());
    let coded = |name: &str, text: &str| gzip(pod, name, text.as_bytes());
    let bomb = gzip(pod, "bomb", &vec![0; 10 << 20]);
    let comment = format!("&q=<script>alert(\"{MARKER}\")</script>&x=");
    // Nothing, in a coding with a comment: an app that undoes none reads a form.
    let commented = [&[31, 139, 8, 16, 0, 0, 0, 0, 0, 3], comment.as_bytes(), &[0, 3, 0], &[0; 8]];
    let commented = put(pod, "commented", &commented.concat());
    let (as_gzip, as_br) = ("content-encoding: gzip", "content-encoding: br");
    let (chunked, waits) = ("transfer-encoding: chunked", "expect: 100-continue");
    for (row, body, header, expect) in [
        ("a short one", plain("short", &short), "x-a: b", None),
        ("a short one, coded", coded("short-coded", &short), as_gzip, None),
        ("an attack", plain("attack", &script), "x-a: b", Some((403, "threat_detected"))),
        ("waits for 100", plain("attack", &script), waits, Some((403, "threat_detected"))),
        ("coded", coded("attack-coded", &script), as_gzip, Some((403, "threat_detected"))),
        ("in a comment of gzip", commented, as_gzip, Some((403, "threat_detected"))),
        ("a long one", plain("long", &long), "x-a: b", Some((413, "body_too_large_to_inspect"))),
        ("in pieces", plain("long", &long), chunked, Some((413, "body_too_large_to_inspect"))),
        ("a bomb", bomb, as_gzip, Some((413, "body_too_large_to_inspect"))),
        ("br", plain("short", &short), as_br, Some((415, "body_not_inspectable"))),
        ("no gzip", plain("short", &short), as_gzip, Some((415, "body_not_inspectable"))),
    ] {
        let answer = pod.curl_with(&["-H", form, "-H", header, "--data-binary", &body, URL]);
        match expect {
            None => passed(&answer),
            Some((status, reason)) => {
                let found = (answer.status, answer.header("x-postern-reason"));
                assert_eq!(found, (status, Some(reason)), "{row}: {answer:?}");
            }
        }
    }
    let upgrade = ["-H", "connection: upgrade", "-H", "upgrade: other"];
    let attack = plain("attack", &script);
    let announced = [&upgrade[..], &["-H", form, "--data-binary", &attack, URL]].concat();
    pod.curl_with(&announced).expect_refusal(403, "threat_detected");
    edit(
        &scene,
        json!({"mode": "block", "body": {"inspectBytes": "4KiB", "onExceed": "inspectPrefix"}}),
    );
    let long = plain("long", &long);
    passed(&pod.curl_with(&["-H", form, "--data-binary", &long, URL]));
    // In mode detect nothing is refused, whatever could not be looked through.
    edit(&scene, json!({"body": {"inspectBytes": "4KiB"}}));
    passed(&pod.curl_with(&["-H", form, "-H", as_br, "--data-binary", &long, URL]));
    scene.cart.expect_log(&[("threat_missed", "body_not_inspectable")]);
}

const RULE: &str = "SecRule ARGS \"@rx forbidden\" \"id:1001,phase:2,deny,severity:'CRITICAL'\"\n";

fn put_rules(scene: &Scene, text: &str) {
    let directory = scene.cart.directory().join("rules");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(".new"), text).unwrap();
    fs::rename(directory.join(".new"), directory.join("own.conf")).unwrap();
}

#[test]
fn a_rule_file_that_breaks_leaves_the_last_good_set_and_a_missing_one_refuses() {
    let scene = shop();
    let spec = json!({"mode": "block", "ruleSet": {"path": "/run/postern/rules/own.conf"}});
    edit(&scene, spec);
    scene.frontend.curl(URL).expect_refusal(503, "inspection_unavailable");
    put_rules(&scene, RULE);
    wait::until_true("the rules to come", || scene.frontend.curl(URL).status == 200);
    let forbidden = format!("{URL}?q=forbidden");
    scene.frontend.curl(&forbidden).expect_refusal(403, "threat_detected");
    put_rules(&scene, "SecRule ARGS \"@no-such-operator\" \"id:1001,phase:2,deny\"\n");
    wait::until_true("the mistake to be told", || {
        scene.cart.metrics().sum("postern_threat_rule_sets_stale", &[]) == 1.0
    });
    scene.frontend.curl(&forbidden).expect_refusal(403, "threat_detected");
    let config = scene.cart.admin("/config").body;
    assert!(config.contains("own.conf") && config.contains("refused"), "{config}");
    put_rules(&scene, &RULE.replace("forbidden", "other"));
    wait::until_true("the mended rules", || scene.frontend.curl(&forbidden).status == 200);
}

/// Rules that take seconds for a body of this size, and a policy that waits for a millisecond.
#[test]
fn rules_that_take_too_long_refuse_the_request_and_nobody_elses() {
    let scene = shop();
    let rules: String = (1..=300)
        .map(|id| format!("SecRule ARGS \"@rx (a|b|ab)*c{id}$\" \"id:{id},phase:2,deny,severity:'CRITICAL'\"\n"))
        .collect();
    put_rules(&scene, &rules);
    let rule_set = json!({"path": "/run/postern/rules/own.conf"});
    let mut slow = threats(json!({"mode": "block", "ruleSet": rule_set}));
    slow["spec"]["timeout"] = json!("1ms");
    scene.mesh.policy("threats", &slow.to_string());
    let body = put(&scene.frontend, "slow", format!("q={}", "ab".repeat(50_000)).as_bytes());
    let ask = || scene.frontend.curl_with(&["--data-binary", &body, URL]);
    wait::until_true("a timeout", || {
        ask().header("x-postern-reason") == Some("inspection_timeout")
    });
    scene.cart.expect_log(&[("status", "503"), ("reason", "inspection_timeout")]);
    let labels = [("result", "inspection_timeout")];
    scene.cart.expect_metric("postern_threat_inspections_total", &labels);
    let reports = scene.mesh.pod("reports").start();
    scene.mesh.policy("reports", &postern_tests::shop::allow("cart", "reports"));
    edit(&scene, json!({"mode": "block"}));
    wait::until_true("another caller", || reports.curl(URL).status == 200);
    scene.frontend.curl(URL).expect(200);
}
