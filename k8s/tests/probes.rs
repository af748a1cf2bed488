//! Probes and lifecycle handlers, before and after; and what a second pass changes.

use k8s::inject::{InjectionOutcome, UnchangedReason};
use serde_json::{Value, json};

use crate::support::{self, config, container, inject, injected, pod, pod_with};

#[test]
fn each_kind_of_probe_goes_through_the_proxy() {
    let check = |row: &str, probe: Value, expect: Value| {
        let after = injected(&pod_with(&json!({
            "ports": [{ "name": "web", "containerPort": 8080 }],
            "readinessProbe": probe,
        })));
        let rewritten = &container(&after, "app")["readinessProbe"];
        let get = json!({ "path": "/probe/app/readiness", "port": 15021, "scheme": "HTTP" });
        assert_eq!(rewritten["httpGet"], get, "{row}");
        assert!(rewritten.get("tcpSocket").is_none() && rewritten.get("grpc").is_none(), "{row}");
        let mut target = config(&after)["probes"][0].clone();
        let target = target.as_object_mut().unwrap();
        assert_eq!(target.remove("container").unwrap(), "app", "{row}");
        assert_eq!(target.remove("kind").unwrap(), "readiness", "{row}");
        assert_eq!(Value::Object(target.clone()), expect, "{row}");
    };
    check(
        "HTTP with a query and a named port",
        json!({ "httpGet": { "port": "web", "path": "/healthz?full=1" }, "timeoutSeconds": 3 }),
        json!({ "timeout": "3s", "http": { "port": 8080, "path": "/healthz?full=1" } }),
    );
    check(
        "HTTPS with a header",
        json!({ "httpGet": { "port": 8443, "scheme": "HTTPS", "httpHeaders": [{ "name": "Host", "value": "a.b" }] } }),
        json!({ "timeout": "1s", "http": { "port": 8443, "path": "/", "tls": true, "headers": [{ "name": "Host", "value": "a.b" }] } }),
    );
    check(
        "a path without slash",
        json!({ "httpGet": { "port": 1, "path": "healthz" } }),
        json!({ "timeout": "1s", "http": { "port": 1, "path": "/healthz" } }),
    );
    check(
        "TCP",
        json!({ "tcpSocket": { "port": "web" } }),
        json!({ "timeout": "1s", "tcp": { "port": 8080 } }),
    );
    check(
        "gRPC",
        json!({ "grpc": { "port": 9090, "service": "cart" } }),
        json!({ "timeout": "1s", "grpc": { "port": 9090, "service": "cart" } }),
    );
    check(
        "gRPC, the server",
        json!({ "grpc": { "port": 9090, "service": "" } }),
        json!({ "timeout": "1s", "grpc": { "port": 9090 } }),
    );
}

#[test]
fn what_does_not_ask_this_pod_stays() {
    for probe in [
        json!({ "exec": { "command": ["true"] } }),
        json!({ "httpGet": { "host": "127.0.0.1", "port": 80 } }),
        json!({ "tcpSocket": { "host": "db.example", "port": 80 } }),
    ] {
        let after = injected(&pod_with(&json!({ "livenessProbe": probe })));
        assert_eq!(container(&after, "app")["livenessProbe"], probe);
        assert_eq!(config(&after).get("probes"), None);
    }
}

#[test]
fn handlers_have_an_address_nobody_guesses() {
    let mut pod = pod_with(&json!({ "lifecycle": {
        "preStop": { "httpGet": { "path": "/stop", "port": 8080 } },
        "postStart": { "exec": { "command": ["true"] } },
    } }));
    pod["spec"]["terminationGracePeriodSeconds"] = json!(45);
    let after = injected(&pod);
    let lifecycle = &container(&after, "app")["lifecycle"];
    let secret = support::SECRET;
    assert_eq!(lifecycle["preStop"]["httpGet"]["path"], format!("/probe/app/preStop/{secret}"));
    assert_eq!(lifecycle["postStart"], json!({ "exec": { "command": ["true"] } }));
    let target = &config(&after)["probes"][0];
    assert_eq!(target["secret"], secret);
    assert_eq!(target["timeout"], "45s", "as long as the pod has");
}

#[test]
fn probes_that_cannot_work_are_refused_by_name() {
    let check = |row: &str, probe: Value, says: &str| {
        let refusal = inject(&pod_with(&json!({ "startupProbe": probe }))).unwrap_err().to_string();
        assert!(refusal.starts_with("startupProbe of container app: "), "{row}: {refusal}");
        assert!(refusal.contains(says), "{row}: {refusal}");
    };
    check("unknown name", json!({ "httpGet": { "port": "web" } }), "names port \"web\"");
    check("no port", json!({ "tcpSocket": {} }), "has no port");
    check("port 0", json!({ "tcpSocket": { "port": 0 } }), "0 is no port");
    check("odd path", json!({ "httpGet": { "port": 1, "path": "/a b" } }), "path");
    check(
        "odd header",
        json!({ "httpGet": { "port": 1, "httpHeaders": [{ "name": "a\nb", "value": "" }] } }),
        "httpHeaders",
    );
    check(
        "ours, not known",
        json!({ "httpGet": { "port": 15021, "path": "/probe/app/startup" } }),
        "write the app's own",
    );
}

#[test]
fn sidecars_of_others_are_rewritten_too() {
    let mut pod = pod(json!({}));
    pod["spec"]["initContainers"] = json!([{
        "name": "logs", "image": "l", "restartPolicy": "Always",
        "startupProbe": { "tcpSocket": { "port": 24224 } },
    }]);
    let after = injected(&pod);
    assert_eq!(container(&after, "logs")["startupProbe"]["httpGet"]["path"], "/probe/logs/startup");
}

fn busy_pod() -> Value {
    let mut pod = pod_with(&json!({
        "ports": [{ "name": "http", "containerPort": 8080 }],
        "readinessProbe": { "httpGet": { "port": "http", "path": "/ready" } },
        "livenessProbe": { "grpc": { "port": 9090 } },
        "lifecycle": { "preStop": { "httpGet": { "path": "/stop", "port": 8080 } } },
    }));
    pod["metadata"]["annotations"] =
        json!({ "prometheus.io/scrape": "true", "prometheus.io/port": "8080" });
    pod
}

#[test]
fn s34_injector_robustness_a_second_pass_changes_nothing() {
    let once = injected(&busy_pod());
    assert_eq!(
        inject(&once).unwrap(),
        InjectionOutcome::Unchanged(UnchangedReason::AlreadyInjected)
    );
}

#[test]
fn what_came_after_us_is_rewritten_and_nothing_else() {
    let once = injected(&busy_pod());
    let mut later = once.clone();
    // Another webhook adds a sidecar before us, and the API server its defaults to ours.
    let late = json!({ "name": "late", "image": "l", "restartPolicy": "Always", "livenessProbe": { "httpGet": { "port": 8, "path": "/l" } } });
    later["spec"]["initContainers"].as_array_mut().unwrap().insert(0, late);
    for index in 1..4 {
        later["spec"]["initContainers"][index]["terminationMessagePolicy"] = json!("File");
    }
    let twice = injected(&later);
    assert_eq!(
        support::names(&twice, "initContainers"),
        ["postern-init", "postern-cert-agent", "postern-proxy", "late"]
    );
    assert_eq!(container(&twice, "postern-init")["terminationMessagePolicy"], "File", "kept");
    assert_eq!(
        container(&twice, "late")["livenessProbe"]["httpGet"]["path"],
        "/probe/late/liveness"
    );
    let kinds: Vec<_> = config(&twice)["probes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["container"].clone())
        .collect();
    assert_eq!(kinds, ["late", "app", "app", "app"]);
    assert_eq!(config(&twice)["metrics"], config(&once)["metrics"]);
    assert_eq!(
        inject(&twice).unwrap(),
        InjectionOutcome::Unchanged(UnchangedReason::AlreadyInjected)
    );
}

#[test]
fn another_version_is_replaced_whole() {
    let once = injected(&busy_pod());
    let mut old = once.clone();
    old["metadata"]["annotations"]["postern.dev/injected"] = json!("0.0.1");
    old["spec"]["initContainers"][2]["image"] = json!("localhost/postern/postern-proxy:0.0.1");
    old["spec"]["initContainers"][2]["args"] = json!(["run", "--old"]);
    assert_eq!(injected(&old), once);
}

#[test]
fn a_forged_mark_does_not_keep_the_proxy_out() {
    let marked = pod(json!({ "postern.dev/injected": env!("CARGO_PKG_VERSION") }));
    assert_eq!(support::names(&injected(&marked), "initContainers").len(), 3);
}
