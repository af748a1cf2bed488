//! `postern-k8s inject`: the command on streams of YAML.

use serde_json::Value;

use crate::support::{self, command};

/// Standard output of a run that must succeed.
pub(crate) fn written(input: &str) -> String {
    let output = command(&[], input.as_bytes());
    assert!(output.status.success(), "{input}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn read(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

const POD: &str = "metadata: {labels: {app: cart}}\nspec: {containers: [{name: app, image: a}]}\n";

/// A pod's text, indented to stand below a key.
pub(crate) fn nested(depth: usize) -> String {
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
fn workloads_of_others_are_injected() {
    let check = |version: &str, kind: &str, place: &str| {
        let mut object = read(POD);
        for key in place.rsplit('/').filter(|key| !key.is_empty()) {
            object = serde_json::json!({ key: object });
        }
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
        let object = read(&written(&object.to_string()));
        let pod = object.pointer(place).unwrap();
        assert_eq!(
            support::names(pod, "initContainers"),
            ["postern-init", "postern-cert-agent", "postern-proxy"],
            "{version} {kind}"
        );
    };
    check("argoproj.io/v1alpha1", "Rollout", "/spec/template");
    for kind in ["CloneSet", "StatefulSet", "DaemonSet", "BroadcastJob"] {
        check("apps.kruise.io/v1alpha1", kind, "/spec/template");
    }
    check("apps.kruise.io/v1beta1", "StatefulSet", "/spec/template");
    check("apps.kruise.io/v1", "AdvancedCronJob", "/spec/template/jobTemplate/spec/template");
    check("apps.kruise.io/v1", "UnitedDeployment", "/spec/template/cloneSetTemplate/spec/template");
    check("apps.openshift.io/v1", "DeploymentConfig", "/spec/template");
    check("keda.sh/v1alpha1", "ScaledJob", "/spec/jobTargetRef/template");
}

#[test]
fn what_looks_like_a_workload_is_passed_with_a_warning_that_names_it() {
    let check = |row: &str, text: &str, says: &[&str]| {
        let input = format!("# one\n---\n{text}");
        let output = command(&[], input.as_bytes());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{row}: {stderr}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), input, "{row}");
        assert_eq!(stderr.lines().count(), usize::from(!says.is_empty()), "{row}: {stderr}");
        says.iter().for_each(|says| assert!(stderr.contains(says), "{row}: {stderr}"));
    };
    let of = |version: &str, kind: &str, annotations: &str| {
        format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: w, namespace: shop}}\nspec:\n  template:\n    metadata: {{annotations: {annotations}}}\n    spec: {{containers: [{{name: a}}]}}\n"
        )
    };
    let knative = of("serving.knative.dev/v1", "Service", "{}");
    check("Knative", &knative, &["line 7: Service shop/w: ", "Knative", "postern.dev/inject"]);
    let other = of("example.test/v1", "Deployment", "{}");
    check("a kind nobody knows", &other, &["warning: line 7: Deployment shop/w: "]);
    let deep = "apiVersion: kubeflow.org/v1\nkind: TFJob\nmetadata: {name: t}\nspec: {replicas: [{podTemplate: {spec: {containers: [{name: a}]}}}]}\n";
    check("in another place", deep, &["line 6: TFJob t: "]);
    let out = of("example.test/v1", "Deployment", "{postern.dev/inject: disabled}");
    check("opted out", &out, &[]);
    check(
        "no template",
        "apiVersion: kafka.strimzi.io/v1\nkind: Kafka\nspec: {kafka: {template: {pod: {}}}}\n",
        &[],
    );
    let list = format!("apiVersion: v1\nkind: List\nitems:\n{}", listed(&other));
    check("in a list", &list, &["line 10: Deployment shop/w: "]);
}

/// An object's text as an item of a list.
pub(crate) fn listed(text: &str) -> String {
    let lines = text.lines().map(|line| format!("  {line}\n")).collect::<String>();
    lines.replacen("  ", "- ", 1)
}

#[test]
fn json_documents_in_a_row_are_read() {
    let service = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"s"}}"#;
    let pod = |name: &str| {
        format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\n\"metadata\":{{\"name\":\"{name}\"}},\"spec\":{{\"containers\":[{{\"name\":\"{name}\",\"image\":\"a\"}}]}}}}"
        )
    };
    let check = |row: &str, input: &str, expect: &[(&str, usize)]| {
        let out = written(input);
        let documents: Vec<Value> = serde_saphyr::from_multiple(&out).unwrap();
        let found: Vec<(&str, usize)> = documents
            .iter()
            .map(|document| {
                let sidecars = document["spec"]["initContainers"].as_array();
                (document["kind"].as_str().unwrap(), sidecars.map_or(0, Vec::len))
            })
            .collect();
        assert_eq!(found, expect, "{row}: {out}");
    };
    let row = format!("{service}{}\n\n{service}\n{}\n", pod("a"), pod("b"));
    let expect = [("Service", 0), ("Pod", 3), ("Service", 0), ("Pod", 3)];
    check("in a row", &row, &expect);
    check("behind YAML", &format!("kind: Service\n---\n{row}"), &[&expect[..1], &expect].concat());
    check("behind a marker", &format!("--- {row}...\n"), &expect);
    let list = format!(r#"{{"apiVersion":"v1","kind":"List","items":[{service}]}}"#);
    check("a list", &format!("{list}{}", pod("a")), &[("List", 0), ("Pod", 3)]);
    let unchanged = format!("{service}{service}\n");
    assert_eq!(written(&unchanged), unchanged);
    let bad = format!("{service}\n{}", pod("a").replace("\"name\":\"a\",\"image", "\"image"));
    let stderr = String::from_utf8(command(&[], bad.as_bytes()).stderr).unwrap();
    assert!(stderr.contains("line 3: Pod a: "), "{stderr}");
}

#[test]
fn mistakes_name_the_field_the_object_and_the_line_of_the_file() {
    let check = |row: &str, change: (&str, &str), says: &[&str]| {
        let text = STREAM.replacen(change.0, change.1, 1);
        assert_ne!(text, STREAM, "{row}");
        let output = command(&[], text.as_bytes());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{row}: {stderr}");
        assert!(output.stdout.is_empty(), "{row}");
        says.iter().for_each(|says| assert!(stderr.contains(says), "{row}: {stderr}"));
    };
    assert!(command(&[], STREAM.as_bytes()).status.success());
    let cart = "Deployment shop/cart: ";
    check(
        "an unquoted number",
        ("owner: ann", "owner: 5"),
        &["line 14: ", cart, "spec.template.metadata.annotations.owner", "the number 5", "\"5\""],
    );
    check(
        "an unquoted boolean",
        ("owner: ann", "example.test/on: true"),
        &["line 14: ", cart, "annotations[\"example.test/on\"]", "the boolean true", "\"true\""],
    );
    check(
        "one of ours",
        ("owner: ann", "postern.dev/mtls: strict"),
        &["line 14: ", cart, "annotation postern.dev/mtls", "`STRICT`"],
    );
    check(
        "no name",
        ("- name: app\n        image", "- image"),
        &["line 17: ", cart, "spec.template.spec.containers[0].name is missing"],
    );
    check(
        "no containerPort",
        ("- containerPort: 8080", "- name: http"),
        &["line 20: ", cart, "spec.template.spec.containers[0].ports[0].containerPort is missing"],
    );
    check("port 0", ("8080", "0"), &["line 20: ", cart, "the number 0", "1 to 65535"]);
    check("no image", ("\n        image: a", ""), &["line 17: ", cart, "[0].image is missing"]);
    check(
        "an empty image",
        ("image: a", "image: ''"),
        &["line 18: ", cart, "write the container's image"],
    );
    check(
        "no containers",
        ("spec: {containers: [{name: b, image: b}]}", "spec: {restartPolicy: Never}"),
        &["line 30: Pod b: ", "spec.containers is missing; write at least one"],
    );
    check(
        "an empty list of containers",
        ("[{name: b, image: b}]", "[]"),
        &["line 30: Pod b: ", "spec.containers is missing; write at least one"],
    );
    check(
        "a container's name twice",
        ("hostNetwork: false", "initContainers:\n      - name: app\n        image: i"),
        &["line 17: ", cart, "the text \"app\", the name of another container"],
    );
    check(
        "a volume's name twice",
        ("hostNetwork: false", "volumes:\n      - name: v\n      - name: v"),
        &["line 24: ", cart, "the name of another volume"],
    );
    check(
        "two actions of a probe",
        (
            "image: a",
            "image: a\n        livenessProbe: {exec: {command: [a]}, httpGet: {port: 8080}}",
        ),
        &["line 19: ", cart, "livenessProbe of container app: has 2 actions, exec and httpGet"],
    );
    check("a quoted port", ("8080", "\"8080\""), &["line 20: ", cart, "the text \"8080\""]);
    check("a port out of range", ("8080", "70000"), &["line 20: ", cart, "1 to 65535"]);
    check("the proxy's port", ("8080", "15006"), &["line 20: ", cart, "declares port 15006"]);
    check(
        "a container that is none",
        ("- name: app\n        image: a\n        ports:\n        - containerPort: 8080", "- app"),
        &["line 17: ", cart, "containers[0]: found the text \"app\"; write a mapping"],
    );
    check("a host's network", ("hostNetwork: false", "hostNetwork: true"), &["line 22: ", cart]);
    check("quoted", ("hostNetwork: false", "hostNetwork: 'no'"), &["line 22: ", "true or false"]);
    check(
        "a probe",
        (
            "hostNetwork: false",
            "initContainers:\n      - name: i\n        image: i\n        livenessProbe: {tcpSocket: {port: x}}",
        ),
        &["line 25: ", cart, "livenessProbe of container i"],
    );
    check(
        "a namespace's annotation",
        ("postern.dev/mtls: STRICT", "postern.dev/mtls: 1"),
        &["line 4: Namespace shop: ", "metadata.annotations[\"postern.dev/mtls\"]", "the number 1"],
    );
    check(
        "a member of a list",
        (
            "    spec: {containers: [{name: b, image: b}]}",
            "    spec: {nodeSelector: {kubernetes.io/os: windows}}",
        ),
        &["line 30: Pod b: ", "windows"],
    );
    let both = STREAM.replace("owner: ann", "owner: 5").replace("containerPort: 8080", "name: x");
    let stderr = String::from_utf8(command(&[], both.as_bytes()).stderr).unwrap();
    assert!(stderr.contains("line 14: ") && stderr.contains("line 20: "), "all at once: {stderr}");
}

#[test]
fn everything_refused_of_a_pod_is_told_at_once() {
    let text = "apiVersion: v1
kind: Pod
metadata:
  name: p
  annotations:
    postern.dev/mtls: strict
    postern.dev/no-such: x
spec:
  hostNetwork: true
  os: {name: windows}
  containers:
  - name: app
    ports: [{containerPort: 15006}]
    securityContext: {runAsUser: 64137}
    livenessProbe: {tcpSocket: {port: x}}
    readinessProbe: {tcpSocket: {port: y}}
";
    let stderr = String::from_utf8(command(&[], text.as_bytes()).stderr).unwrap();
    for says in [
        "line 6: Pod p: annotation postern.dev/mtls",
        "line 7: Pod p: annotation postern.dev/no-such",
        "line 9: Pod p: the pod has `hostNetwork: true`",
        "line 10: Pod p: spec.os.name leaves no Linux node: found windows",
        "line 12: Pod p: not a pod that Kubernetes would take: spec.containers[0].image is missing",
        "line 13: Pod p: container app declares port 15006",
        "line 14: Pod p: container app runs as user 64137",
        "line 15: Pod p: livenessProbe of container app",
        "line 16: Pod p: readinessProbe of container app",
    ] {
        assert!(stderr.contains(says), "{says}: {stderr}");
    }
    assert_eq!(stderr.matches("Pod p: ").count(), 9, "{stderr}");
}

/// A namespace, a Deployment from line 6 on, a list from line 23 on.
const STREAM: &str = "kind: Namespace
apiVersion: v1
metadata: {name: shop, annotations: {
  postern.dev/mtls: STRICT}}
---
# The cart.
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  template:
    metadata:
      annotations:
        owner: ann
    spec:
      containers:
      - name: app
        image: a
        ports:
        - containerPort: 8080
      # Not the node's.
      hostNetwork: false
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Pod
    metadata: {name: b}
    spec: {containers: [{name: b, image: b}]}
";

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
    let far = format!("{fine}# more\nkind: x\na: b: c\n");
    check("on a line of the file", far.as_bytes(), 2, &["begins on line 4", "line 7"]);
    check("a key twice", b"kind: Pod\nkind: Pod\n", 2, &["the key kind stands twice", "line 2"]);
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
