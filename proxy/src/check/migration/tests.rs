//! The first look at a set of manifests that was written for Istio (`proxy/tests/istio`).
#![allow(clippy::unwrap_used)]

use std::path::Path;

use clap::Parser;

use super::super::{CheckArgs, collect_findings};
use crate::check::migration::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: CheckArgs,
}

fn report(arguments: &[&str]) -> MigrationReport {
    let arguments = ["check", "--from-istio"].iter().chain(arguments);
    MigrationReport::of(collect_findings(&Cli::try_parse_from(arguments).unwrap().args))
}

fn manifests() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/istio").display().to_string()
}

fn text(report: &MigrationReport) -> String {
    let mut out = Vec::new();
    report_text::write(&mut out, report).unwrap();
    String::from_utf8(out).unwrap().replace(&format!("{}/", manifests()), "")
}

/// The report of a file with this text.
fn of_text(text: &str, arguments: &[&str]) -> MigrationReport {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    std::fs::write(&file, text).unwrap();
    report(&[&["--resources", file.to_str().unwrap()], arguments].concat())
}

#[test]
fn the_first_look_is_a_summary() {
    let directory = manifests();
    let report = report(&["--resources", &directory]);
    let told = text(&report);
    let expect = "\
KIND                   OBJECTS  TAKEN  UNSUPPORTED  UNSAFE
AuthorizationPolicy    6        0      1            6
DestinationRule        1        0      1            1
EnvoyFilter            1        0      1            0
Gateway                1        0      1            0
PeerAuthentication     1        0      0            1
RequestAuthentication  1        0      0            1
ServiceEntry           2        0      1            2
Telemetry              1        0      1            0
UDPRoute               1        0      1            0
VirtualService         2        0      2            0
together               17       0      9            11

PASSED OVER, no policy (keep them out of the resource directory): Deployment 1, Service 1, ServiceAccount 1

UNSUPPORTED: known elsewhere, not done here
";
    assert!(told.starts_with(expect), "{told}");
    let ended = "\nnot fine (files: 4, taken: 0, not taken: 17)\n";
    assert!(told.ends_with(ended) && !report.valid, "{told}");
    // Each strictness once, with the line to write and its places.
    for (line, times) in [
        (
            "- kind VirtualService, which is not supported (2 times)\n    VirtualService is not supported by this version: ",
            1,
        ),
        (
            "- found no `namespace` in `metadata`; expected the key `namespace` (9 times)\n    write it, or give --namespace, as to kubectl\n    at bookinfo.yaml:55:3, httpbin.yaml:4:3, ",
            1,
        ),
        (
            "- found the number 8000 for `ports`; expected text\n    write \"8000\" in quotes\n    at httpbin.yaml:43:21\n",
            1,
        ),
        ("    write it as `hosts` of an operation, under `to`\n", 1),
        (
            "UNSAFE HERE, and right in Istio\n- objects of istio-system: in Istio they are about the whole mesh;\n",
            1,
        ),
        (
            "    write metadata: {namespace: postern-system}\n    for PeerAuthentication istio-system/default, AuthorizationPolicy istio-system/deny-all\n",
            1,
        ),
        ("DIFFERENT HERE, and taken\n", 1),
    ] {
        assert_eq!(told.matches(line).count(), times, "{line}\n{told}");
    }
}

#[test]
fn with_a_namespace_what_can_be_taken_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["bookinfo.yaml", "httpbin.yaml", "outside.yaml"] {
        std::fs::copy(Path::new(&manifests()).join(name), directory.path().join(name)).unwrap();
    }
    let path = directory.path().to_str().unwrap();
    let found = report(&["--resources", path, "--namespace", "foo"]);
    let of = |kind: &str| found.kinds.iter().find(|count| count.kind == kind).unwrap().clone();
    for (kind, objects, taken, unsupported, unsafe_) in [
        ("AuthorizationPolicy", 5, 1, 1, 3),
        ("RequestAuthentication", 1, 1, 0, 0),
        ("ServiceEntry", 2, 1, 1, 0),
        ("VirtualService", 2, 0, 2, 0),
    ] {
        let expect = KindCount { kind: kind.into(), objects, taken, unsupported, unsafe_ };
        assert_eq!(of(kind), expect);
    }
    let differences: Vec<_> = found.differences.iter().map(|difference| difference.code).collect();
    let expect = [
        "tokens_without_audience",
        "denied_alone",
        "strict_mtls",
        "service_entry_reach",
        "older_version",
        "namespace_given",
    ];
    assert_eq!(differences, expect);
    // An object of another namespace is a mistake, as it is for kubectl.
    let other = report(&["--resources", &manifests(), "--namespace", "foo"]);
    let elsewhere: Vec<_> = other
        .explanations
        .iter()
        .filter(|found| found.code == DiagnosticCode::OtherNamespace)
        .collect();
    assert_eq!((elsewhere.len(), elsewhere[0].count), (1, 2), "{elsewhere:?}");
    assert_eq!(
        elsewhere[0].write.as_deref(),
        Some("check it with --namespace istio-system, or take the line out")
    );
}

/// It is not taken and not unsafe, and what else is wrong in it is told in the same run.
#[test]
fn an_object_of_another_namespace() {
    let policy = |action: &str| {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {{action: {action}, rules: [{{}}]}}\n"
        )
    };
    for (action, unsafe_, codes) in [
        ("ALLOW", 0, &[DiagnosticCode::OtherNamespace][..]),
        ("DNY", 1, &[DiagnosticCode::Value, DiagnosticCode::OtherNamespace]),
    ] {
        let found = of_text(&policy(action), &["--namespace", "bank"]);
        let kind = &found.kinds[0];
        assert_eq!((found.valid, kind.taken, kind.unsafe_), (false, 0, unsafe_), "{action}");
        let told: Vec<_> = found.explanations.iter().map(|found| found.code).collect();
        assert_eq!(told, codes, "{action}");
        let text = text(&found);
        assert!(
            text.contains("\nELSEWHERE: of another namespace than --namespace asks for\n"),
            "{text}"
        );
    }
}

/// With the configuration's word for whom to believe, rules on the client behind a gateway are as in Istio.
#[test]
fn the_configuration_says_whose_word_for_the_client_counts() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let resources = write(
        "a.yaml",
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: shop}\nspec: {action: DENY, rules: [{from: [{source: {remoteIpBlocks: [10.9.0.0/16]}}]}]}\n",
    );
    let config = "workload: {namespace: shop, serviceAccount: cart}\nidentity: {workloadApi: unix:///run/a}\n";
    let plain = write("plain.yaml", config);
    let unsafe_ = |arguments: &[&str]| {
        let found = report(&[&["--resources", &resources], arguments].concat());
        let mut found = found.differences.iter().filter(|difference| difference.is_unsafe);
        found.next().map(|difference| difference.write[0].clone())
    };
    let line = unsafe_(&[]).unwrap();
    assert_eq!(unsafe_(&["--config", &plain]), Some(line.clone()));
    // The line that is told, with real names in it, is what the configuration takes.
    let line = line.replace("NAMESPACE", "edge").replace("GATEWAY", "gateway");
    let believing = write("believing.yaml", &format!("{config}{line}\n"));
    assert_eq!(unsafe_(&["--config", &believing]), None);
}

#[test]
fn fine_is_fine_and_json_says_the_same() {
    let policy = "apiVersion: security.istio.io/v1beta1\nkind: AuthorizationPolicy\nmetadata: {name: p}\nspec: {rules: [{}]}\n";
    let workload = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n";
    let found = of_text(&format!("{policy}{workload}"), &["--namespace", "shop"]);
    assert!(found.valid, "{found:?}");
    assert!(text(&found).ends_with("\nfine (files: 1, taken: 1)\n"), "{}", text(&found));
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["valid"], true);
    assert_eq!(
        json["kinds"][0],
        serde_json::json!({"kind": "AuthorizationPolicy", "objects": 1, "taken": 1, "unsupported": 0, "unsafe": 0})
    );
    assert_eq!(json["passed_over"], serde_json::json!({"Deployment": 1}));
    assert_eq!(json["differences"][1]["code"], "older_version");
    assert_eq!(
        json["differences"][1]["write"],
        serde_json::json!(["apiVersion: security.istio.io/v1"])
    );
    let refused = of_text(
        &policy.replace("[{}]", "[]").replace("{rules", "{action: DENY, rules"),
        &["--namespace", "shop"],
    );
    let json = serde_json::to_value(&refused).unwrap();
    assert_eq!(
        (&json["valid"], &json["explanations"][0]["sort"], &json["explanations"][0]["code"]),
        (&false.into(), &"unsafe".into(), &"no_effect".into())
    );
    assert_eq!(json["mistakes"][0]["object"], "AuthorizationPolicy shop/p");
    // What cannot be read at all is no object, and not fine.
    let broken = of_text("a: [\n", &[]);
    assert!(!broken.valid && broken.kinds.is_empty(), "{broken:?}");
    assert!(
        text(&broken).contains("\nnot fine (files: 1, taken: 0, not taken: 0)\n"),
        "{}",
        text(&broken)
    );
}

/// What the guide tells to write for tokens without `aud` is all that has to be written.
#[test]
fn the_guides_answer_to_tokens_without_an_audience() {
    let guide = include_str!("../../../../docs/from-istio-and-linkerd.md");
    let blocks = guide.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut blocks = blocks.map(unindented).filter(|block| block.contains("kind: TokenPolicy"));
    let block = blocks.next().unwrap();
    let codes = |text: &str| -> Vec<&str> {
        let report = of_text(text, &[]);
        assert!(report.mistakes.is_empty(), "{:?}", report.mistakes);
        report.differences.iter().map(|difference| difference.code).collect()
    };
    assert!(codes(&block).is_empty(), "{block}");
    let (authentication, _) = block.split_once("---\n").unwrap();
    assert_eq!(codes(authentication), ["tokens_without_audience"], "{block}");
}

/// A block without the blanks that set it into a list.
fn unindented(block: &str) -> String {
    let indent = block.len() - block.trim_start_matches(' ').len();
    block.lines().map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect()
}
