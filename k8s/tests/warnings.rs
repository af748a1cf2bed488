//! `postern-k8s inject`: what passes as it is, and is told on standard error.

use crate::offline::{listed, nested, written};
use crate::support::command;

/// Passed byte for byte, with a line on standard error for each of these.
fn warned(row: &str, flags: &[&str], text: &str, says: &[&str]) {
    let output = command(flags, text.as_bytes());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{row}: {stderr}");
    assert_eq!(stderr.lines().count(), says.len(), "{row}: {stderr}");
    says.iter().for_each(|says| assert!(stderr.contains(says), "{row}: {stderr}"));
}

#[test]
fn pods_of_the_control_plane_are_never_injected() {
    let pod = |namespace: &str, annotations: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: {namespace}, annotations: {annotations}}}\nspec: {{hostNetwork: true, containers: [{{name: postern-cert-agent, image: a}}]}}\n"
        )
    };
    let check = |row: &str, flags: &[&str], text: &str, says: &[&str]| {
        warned(row, flags, text, says);
        assert_eq!(command(flags, text.as_bytes()).stdout, text.as_bytes(), "{row}");
    };
    for namespace in ["postern-system", "kube-system"] {
        let says = format!(
            "warning: line 1: Pod {namespace}/p: is passed as it is: pods of the namespace {namespace} are never injected"
        );
        check(namespace, &[], &pod(namespace, "{}"), &[&says]);
        let list = format!("apiVersion: v1\nkind: List\nitems:\n{}", listed(&pod(namespace, "{}")));
        check(namespace, &[], &list, &["line 4: "]);
        check(namespace, &[], &pod(namespace, "{postern.dev/inject: disabled}"), &[]);
    }
    let other = ["--root-namespace", "mesh"];
    check("another root namespace", &other, &pod("mesh", "{}"), &["the namespace mesh are never"]);
    let freed = command(&other, pod("postern-system", "{}").as_bytes());
    assert_eq!(freed.status.code(), Some(1), "it is a namespace as any other then");
    let of_the_app =
        pod("shop", "{}").replace("hostNetwork: true, ", "").replace("cert-agent", "x");
    assert!(written(&of_the_app).contains("postern-proxy"));
}

#[test]
fn an_opt_out_in_the_wrong_place_is_told_with_the_right_one() {
    let workload = |own: &str, template: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: w, {own}}}\nspec:\n  template:\n    metadata: {{{template}}}\n    spec: {{containers: [{{name: a, image: a}}]}}\n"
        )
    };
    let label = "labels: {postern.dev/inject: disabled}";
    let annotation = "annotations: {postern.dev/inject: disabled}";
    let right = "write it into spec.template.metadata.annotations";
    let check = |row: &str, text: &str, says: &[&str]| warned(row, &[], text, says);
    let text = workload("", label);
    let says = format!(
        "line 6: Deployment w: postern.dev/inject: disabled has no effect in spec.template.metadata.labels; {right}"
    );
    check("a label of the template", &text, &[&says]);
    let says = format!(
        "line 3: Deployment w: postern.dev/inject: disabled has no effect in metadata.annotations; {right}"
    );
    check("an annotation of the workload", &workload(annotation, ""), &[&says]);
    check("a label of the workload", &workload(label, ""), &["line 3: "]);
    let mtls = workload("annotations: {postern.dev/mtls: DISABLE}", "");
    check(
        "another annotation of the workload",
        &mtls,
        &["postern.dev/mtls: DISABLE has no effect"],
    );
    check("both places", &workload(label, label), &["line 3: ", "line 6: "]);
    check("the right place too", &workload(annotation, annotation), &[]);
    check("nothing of ours", &workload("labels: {app: w}", "annotations: {a: b}"), &[]);
    check("what holds anyhow", &workload("", "labels: {postern.dev/inject: enabled}"), &[]);
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{{label}}}\nspec: {{containers: [{{name: a, image: a}}]}}\n"
    );
    check(
        "a label of a pod",
        &pod,
        &[
            "line 3: Pod (no name): postern.dev/inject: disabled has no effect in metadata.labels; write it into metadata.annotations",
        ],
    );
    let job = format!(
        "apiVersion: batch/v1\nkind: CronJob\nspec:\n  jobTemplate:\n    metadata: {{{annotation}}}\n    spec:\n      template:\n{}",
        nested(8)
    );
    check(
        "an annotation of a CronJob's job",
        &job,
        &[
            "line 5: CronJob (no name): postern.dev/inject: disabled has no effect in spec.jobTemplate.metadata.annotations; write it into spec.jobTemplate.spec.template.metadata.annotations",
        ],
    );
    let namespace =
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, {annotation}}}\n");
    check(
        "an annotation of a namespace",
        &namespace,
        &[
            "line 3: Namespace shop: the annotation postern.dev/inject: disabled has no effect on a namespace; write it into metadata.labels",
        ],
    );
    check("a label of a namespace", &namespace.replace("annotations", "labels"), &[]);
}
