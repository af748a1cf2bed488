//! `postern-k8s inject`: the command on streams of YAML.

use serde_json::Value;

use crate::support::{self, command};

/// Standard output of a run that must succeed.
fn written(input: &str) -> String {
    let output = command(&[], input.as_bytes());
    assert!(output.status.success(), "{input}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn read(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

const POD: &str = "metadata: {labels: {app: cart}}\nspec: {containers: [{name: app, image: a}]}\n";

/// A pod's text, indented to stand below a key.
fn nested(depth: usize) -> String {
    POD.lines().map(|line| format!("{}{line}\n", " ".repeat(depth))).collect()
}

#[test]
fn every_kind_that_carries_a_pod_is_injected() {
    let check = |version: &str, kind: &str, place: &str, body: String| {
        let text = format!("apiVersion: {version}\nkind: {kind}\n{body}");
        let object = read(&written(&text));
        let pod = object.pointer(place).unwrap();
        assert_eq!(
            support::names(pod, "initContainers"),
            ["postern-init", "postern-cert-agent", "postern-proxy"],
            "{version} {kind}"
        );
        assert_eq!(support::names(pod, "containers"), ["app"], "{version} {kind}");
    };
    let template = || format!("metadata: {{name: w}}\nspec:\n  template:\n{}", nested(4));
    check("v1", "Pod", "", POD.to_owned());
    check("v1", "PodTemplate", "/template", format!("template:\n{}", nested(2)));
    check("v1", "ReplicationController", "/spec/template", template());
    check("batch/v1", "Job", "/spec/template", template());
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"] {
        check("apps/v1", kind, "/spec/template", template());
    }
    let cron = format!("spec:\n  jobTemplate:\n    spec:\n      template:\n{}", nested(8));
    check("batch/v1", "CronJob", "/spec/jobTemplate/spec/template", cron);
    let item = nested(4).replacen("    ", "  - apiVersion: v1\n    kind: Pod\n    ", 1);
    for list in ["List", "PodList"] {
        check("v1", list, "/items/0", format!("items:\n{item}"));
    }
}

#[test]
fn what_is_no_workload_passes_byte_for_byte() {
    for text in [
        "",
        "# only a comment",
        "---\n---\n...\n",
        "apiVersion: v1   # here\nkind:   ConfigMap\ndata:\n  a: |-\n    --- no marker\n",
        "%YAML 1.2\n---\nkind: Service\napiVersion: v1\nspec: {type: 'ClusterIP'}\n...\n# the end\n",
        "apiVersion: example.test/v1\nkind: Deployment\nspec: {template: {spec: {containers: []}}}\n",
        "- just\n- a list\n",
        "--- plain text\n",
        "apiVersion: v1\r\nkind: Secret\r\n",
        "\u{feff}kind: Service\napiVersion: v1\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {annotations: {postern.dev/inject: disabled}}\nspec: {hostNetwork: true}\n",
    ] {
        assert_eq!(written(text), text.trim_start_matches('\u{feff}'), "{text:?}");
    }
}

#[test]
fn neighbours_of_a_workload_keep_their_text() {
    let before = "# first\nkind:   Service\napiVersion: v1\n";
    let pod = format!("---\n# Source: pod.yaml\napiVersion: v1\nkind: Pod\n{POD}");
    let after = "--- # last\nkind: Secret   # kept\napiVersion: v1\n";
    let out = written(&format!("{before}{pod}{after}"));
    assert!(out.starts_with(&format!("{before}---\n# Source: pod.yaml\n")), "{out}");
    assert!(out.ends_with(after), "{out}");
    assert_eq!(written(&out), out, "a second run changes nothing");
}

#[test]
fn texts_that_look_like_something_else_stay_texts() {
    let env = "[{name: A, value: \"yes\"}, {name: B, value: '0777'}, {name: C, value: \"1e3\"}, {name: D, value: \"null\"}, {name: E, value: \"a\\nb: #c\\n\"}, {name: F, value: \"~\"}, {name: G, value: \"2026-11-23\"}, {name: H, value: \"1:30\"}, {name: I, value: \" x \"}, {name: J, value: \"\"}]";
    let text = format!(
        "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: app\n    image: a\n    env: {env}\n  volumes: [{{name: s, secret: {{defaultMode: 0400}}}}]\n"
    );
    let out = read(&written(&text));
    assert_eq!(out["spec"]["containers"][0]["env"], read(env));
    assert_eq!(
        out["spec"]["volumes"][0]["secret"]["defaultMode"], 256,
        "octal, as Kubernetes reads it"
    );
}

#[test]
fn exit_codes() {
    let check = |row: &str, input: &[u8], code: i32, says: &[&str]| {
        let output = command(&[], input);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{row}: {stderr}");
        assert!(output.stdout.is_empty(), "{row}: something was written");
        says.iter().for_each(|says| assert!(stderr.contains(says), "{row}: {stderr}"));
    };
    let fine = "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a, image: a}]}\n---\n";
    let host = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: node, namespace: shop}\nspec: {template: {spec: {hostNetwork: true, containers: [{name: a, image: a}]}}}\n";
    let user = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: u}\nspec: {containers: [{name: a, image: a, securityContext: {runAsUser: 64137}}]}\n";
    check("not YAML", b"a: [", 2, &["line 1"]);
    check("not YAML, later", format!("{fine}a: b: c\n").as_bytes(), 2, &["begins on line 4"]);
    check("a key twice", b"kind: Pod\nkind: Pod\n", 2, &["kind"]);
    check("not UTF-8", b"\xff\xfe", 2, &["UTF-8"]);
    check("deep", "[".repeat(1000).as_bytes(), 2, &[]);
    check(
        "every refusal by name",
        format!("{fine}{host}{user}").as_bytes(),
        1,
        &["DaemonSet shop/node", "hostNetwork", "Pod u", "container a runs as user 64137"],
    );
    assert_eq!(command(&["--no-such-flag"], b"").status.code(), Some(2));
}

#[test]
fn a_namespace_of_the_stream_speaks_for_its_workloads() {
    let pod = |namespace: &str| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: {namespace}}}\nspec: {{containers: [{{name: a, image: a}}]}}\n"
        )
    };
    let out = written(&format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: closed, annotations: {{postern.dev/redirect: none}}}}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: out, labels: {{postern.dev/inject: disabled}}}}\n{}{}",
        pod("closed"),
        pod("out")
    ));
    assert!(!out.contains("NET_ADMIN"), "{out}");
    assert!(out.contains("postern-proxy"), "{out}");
    assert!(out.ends_with(&pod("out")), "{out}");
}
