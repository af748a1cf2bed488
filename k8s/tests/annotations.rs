//! What annotations may say. Their values come from whoever writes a manifest, so each row is also an
//! attempt to write more than a value.

use serde_json::json;

use crate::support::{self, arguments, config, config_text, inject, injected, pod};

/// Refused, with a message that names the annotation and what is allowed.
fn refused(key: &str, value: &str, says: &str) {
    let refusal = inject(&pod(json!({ key: value }))).unwrap_err().to_string();
    assert!(refusal.starts_with(&format!("annotation {key}: ")), "{key}={value:?}: {refusal}");
    assert!(refusal.contains(says), "{key}={value:?}: {refusal}");
    assert!(!refusal.contains('\n'), "{key}={value:?}: {refusal:?}");
}

#[test]
fn s34_injector_robustness_unknown_values_are_refused_by_name() {
    for (key, value, allowed) in [
        ("inject", "yes", "`enabled`, `disabled`"),
        ("inject", "Disabled", "`enabled`, `disabled`"),
        ("inject", "", "`enabled`, `disabled`"),
        ("redirect", "cni", "`init`, `none`"),
        ("sidecar", "auto", "`native`, `classic`"),
        ("mtls", "strict", "`STRICT`, `PERMISSIVE`, `DISABLE`"),
        ("log-level", "verbose", "`error`, `warn`, `info`, `debug`, `trace`"),
        ("access-log", "none", "`all`, `refused`, `off`"),
        ("egress", "ALLOW", "`deny`, `allow`"),
        ("skip-inbound-ports", "0", "9000-9010"),
        ("skip-inbound-ports", "9-8", "9000-9010"),
        ("skip-inbound-ports", "70000", "9000-9010"),
        ("skip-inbound-ports", "+22", "9000-9010"),
        ("skip-inbound-ports", "22,,23", "9000-9010"),
        ("skip-outbound-ports", "http", "ports and ranges"),
        ("skip-cidrs", "10.0.0.0/40", "networks"),
        ("skip-cidrs", "10.0.0.1", "networks"),
        ("allow-udp", "53/udp", "ports and ranges"),
        ("resources", "cpu", "quantity"),
        ("no-such", "x", "known are inject, redirect"),
        ("skip-inbound-port", "22", "known are"),
    ] {
        refused(&format!("postern.dev/{key}"), value, allowed);
    }
    refused("postern.dev/skip-inbound-ports", &vec!["1"; 200].join(","), "at most 128");
    refused("postern.dev/skip-cidrs", &"1".repeat(5000), "longer than 4096 bytes");
}

#[test]
fn s34_injector_robustness_values_are_never_spliced() {
    for attack in [
        "22\n--egress\nallow",
        "22 --egress allow",
        "`reboot`",
        "$(reboot)",
        "${IFS}22",
        "22;reboot",
        "22' || '",
        "22\" : {",
        "22\u{0}",
        "22\u{202e}",
        "--egress=allow",
        "{{ .Values }}",
    ] {
        for key in [
            "skip-inbound-ports",
            "skip-outbound-ports",
            "skip-cidrs",
            "allow-udp",
            "mtls",
            "log-level",
            "resources",
        ] {
            let key = format!("postern.dev/{key}");
            let refusal = inject(&pod(json!({ key.as_str(): attack }))).unwrap_err().to_string();
            assert!(refusal.starts_with(&format!("annotation {key}: ")), "{attack:?}: {refusal}");
        }
    }
    let names = "postern.dev/outbound-listeners";
    for attack in
        ["1=a b:1", "1=$(x):1", "1=a\n:1", "1=a:0", "0=a:1", "1=-a:1", "1=10.0.0.1:1", "1=[::1]:1"]
    {
        let pod = pod(json!({ "postern.dev/redirect": "none", names: attack }));
        let refusal = inject(&pod).unwrap_err().to_string();
        assert!(refusal.starts_with(&format!("annotation {names}: ")), "{attack:?}: {refusal}");
    }
}

#[test]
fn s34_injector_robustness_each_value_is_one_argument() {
    let after = injected(&pod(json!({ "postern.dev/skip-inbound-ports": " 22 , 23 " })));
    let arguments = arguments(&after, "postern-init");
    let at = arguments.iter().position(|a| a == "--skip-inbound-ports").unwrap();
    assert_eq!(arguments[at + 1], "22,23");
}

#[test]
fn kubernetes_expands_nothing_but_our_two_variables() {
    // `$(NAME)` in the value of a variable is replaced by the kubelet.
    let probe = json!({ "httpGet": { "port": 80, "path": "/$(POSTERN_NAMESPACE)", "httpHeaders": [{ "name": "x", "value": "$(POSTERN_NAMESPACE)" }] } });
    let after = injected(&support::pod_with(&json!({ "readinessProbe": probe })));
    assert_eq!(config_text(&after).matches('$').count(), 2, "{}", config_text(&after));
    assert_eq!(config(&after)["probes"][0]["http"]["path"], "/$(POSTERN_NAMESPACE)");
}

#[test]
fn annotations_that_would_do_nothing_are_refused() {
    let check = |annotations, says: &str| {
        let refusal = inject(&pod(annotations)).unwrap_err().to_string();
        assert!(refusal.contains(says), "{refusal}");
    };
    check(
        json!({ "postern.dev/inbound-listeners": "8443=8080" }),
        "only with postern.dev/redirect: none",
    );
    check(
        json!({ "postern.dev/redirect": "none", "postern.dev/skip-inbound-ports": "22" }),
        "no meaning with postern.dev/redirect: none",
    );
}

#[test]
fn listeners_that_nobody_can_bind_are_refused() {
    let check = |row: &str, inbound: &str, outbound: &str, says: &[&str]| {
        let annotations = json!({
            "postern.dev/redirect": "none",
            "postern.dev/inbound-listeners": inbound,
            "postern.dev/outbound-listeners": outbound,
        });
        let outcome = inject(&pod(annotations));
        assert_eq!(outcome.is_ok(), says.is_empty(), "{row}: {outcome:?}");
        let refusal = outcome.err().map(|refusals| refusals.to_string()).unwrap_or_default();
        says.iter().for_each(|says| assert!(refusal.contains(says), "{row}: {refusal}"));
    };
    let inbound = "annotation postern.dev/inbound-listeners: port";
    let outbound = "annotation postern.dev/outbound-listeners: port";
    let both = |key: &str, says: &str| format!("{key} {says}");
    check("inbound twice", "8443=8080,8443=9090", "", &[&both(inbound, "8443 is also a listener")]);
    check("outbound twice", "", "9001=a:1,9001=b:1", &[&both(outbound, "9001 is also a listener")]);
    check(
        "one of each",
        "9001=8080",
        "9001=a:1",
        &[&both(outbound, "9001 is also a listener of inb")],
    );
    check("the app's own port", "8080=8080", "", &[&both(inbound, "8080 is also what the app")]);
    check("another's app port", "8443=8080,8080=9090", "", &[&both(inbound, "8080 is also what")]);
    check(
        "outbound on the app's",
        "8443=8080",
        "8080=a:1",
        &[&both(outbound, "8080 is also what")],
    );
    for port in [15000, 15001, 15006, 15020, 15021] {
        let own = format!("{port} is one of the proxy's own");
        check("inbound on ours", &format!("{port}=8080"), "", &[&both(inbound, &own)]);
        check("forwarded to ours", &format!("8443={port}"), "", &[&both(inbound, &own)]);
        check("outbound on ours", "", &format!("{port}=a:1"), &[&both(outbound, &own)]);
    }
    check("all at once", "1=1,2=2", "15000=a:1", &["port 1 ", "port 2 ", "port 15000 "]);
    check("one app behind two", "8443=8080,9443=8080", "9001=a:8443,9002=a:8443", &[]);
}
