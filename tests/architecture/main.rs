//! The arrows between crates, and the few rules every source file keeps. Needs no namespaces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod circles;
mod dependencies;
mod paths;
mod rooms;
mod security_cases;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use postern_tests::repository;
use serde_json::Value;

/// No source file is longer, tests included.
const MOST_LINES: usize = 900;

/// Where TLS 1.2 is spoken, and with whom. Never with a peer of the mesh.
const TLS_1_2: &[(&str, &str)] = &[
    ("proxy/data-plane/src/connection/edge_tls.rs", "clients of the edge, as browsers are"),
    ("proxy/data-plane/src/control/probes/tls.rs", "our own app, as the kubelet would"),
    ("proxy/data-plane/src/traffic/egress/web_tls.rs", "servers outside the mesh, as apps would"),
    (
        "cert-agent/authority/src/publish/federation/fetch.rs",
        "web servers (SPIFFE Federation, section 5)",
    ),
    (
        "cert-agent/authority/src/serve/bundle_endpoint.rs",
        "web clients (SPIFFE Federation, section 5)",
    ),
];

/// Folders of what no shipped program holds.
const OF_TESTS: [&str; 4] = ["tests", "benches", "stand-in", "harness"];

/// Who may depend on whom, ours only. A crate that is not named here may depend on nothing of ours.
const ARROWS: &[(&str, &[&str])] = &[
    ("identity", &[]),
    ("policy", &["api-schema", "identity", "message-access"]),
    ("message-access", &[]),
    ("kafka-session", &["message-access"]),
    ("mqtt-session", &["message-access"]),
    ("nats-session", &["message-access"]),
    ("process-metrics", &[]),
    ("back-off", &[]),
    ("balancer", &[]),
    ("rate-limit", &[]),
    ("abuse-score", &["rate-limit"]),
    ("redis-link", &["back-off"]),
    ("redis-harness", &[]),
    ("global-limits", &["rate-limit", "redis-link"]),
    ("session-store", &["redis-link"]),
    ("page-server", &[]),
    ("dashboard", &["page-server"]),
    ("web-fetch", &["identity"]),
    ("oauth", &["identity"]),
    ("browser-session", &[]),
    ("threat-rules", &[]),
    ("api-schema", &[]),
    (
        "data-plane",
        &[
            "abuse-score",
            "api-schema",
            "back-off",
            "balancer",
            "browser-session",
            "dashboard",
            "threat-rules",
            "global-limits",
            "identity",
            "kafka-session",
            "message-access",
            "mqtt-session",
            "nats-session",
            "oauth",
            "page-server",
            "policy",
            "process-metrics",
            "rate-limit",
            "session-store",
            "web-fetch",
        ],
    ),
    ("proxy", &["api-schema", "data-plane", "identity", "message-access", "policy"]),
    ("issuance-messages", &[]),
    ("program", &["page-server"]),
    ("agent", &["back-off", "identity", "process-metrics", "issuance-messages", "program"]),
    (
        "authority",
        &[
            "back-off",
            "identity",
            "issuance-messages",
            "oauth",
            "process-metrics",
            "program",
            "web-fetch",
        ],
    ),
    (
        "cert-agent",
        &["identity", "issuance-messages", "program", "agent", "authority", "web-fetch"],
    ),
    ("k8s", &["back-off", "dashboard", "identity", "page-server", "policy", "process-metrics"]),
    ("api-server-stand-in", &[]),
    ("controller-harness", &["api-server-stand-in", "identity", "k8s"]),
    ("bank", &["example-issuer", "example-web"]),
    ("example-issuer", &[]),
    ("example-web", &[]),
    ("shop", &["example-web"]),
    ("social", &["example-issuer", "example-web"]),
    ("postern-tests", &["bank", "example-issuer", "identity", "policy", "k8s", "shop", "social"]),
    (
        "postern-benches",
        &[
            "api-schema",
            "identity",
            "policy",
            "data-plane",
            "issuance-messages",
            "agent",
            "authority",
        ],
    ),
];

/// The examples, which use each other's at the most.
const EXAMPLES: [&str; 5] = ["bank", "example-issuer", "example-web", "shop", "social"];

/// What tests and benches of a crate may depend on besides: crates that no program is linked with.
const TEST_ARROWS: &[(&str, &[&str])] = &[
    ("k8s", &["api-server-stand-in", "controller-harness"]),
    ("postern-tests", &["api-server-stand-in"]),
    ("global-limits", &["redis-harness"]),
    ("session-store", &["redis-harness"]),
];

#[test]
fn crates_depend_one_way() {
    let crates = our_crates();
    let ours: Vec<_> = crates.keys().cloned().collect();
    let of = |arrows: &[(&str, &'static [&'static str])], name: &str| -> &'static [&'static str] {
        arrows.iter().find(|(from, _)| *from == name).map_or(&[][..], |(_, to)| *to)
    };
    for (name, dependencies) in &crates {
        for dependency in dependencies.iter().filter(|dependency| ours.contains(&dependency.name)) {
            let in_tests = if dependency.tests_only { of(TEST_ARROWS, name) } else { &[] };
            let allowed = [of(ARROWS, name), in_tests].concat();
            assert!(
                allowed.contains(&dependency.name.as_str()),
                "{name} depends on {}; the arrows of ARCHITECTURE.md allow it {allowed:?}",
                dependency.name
            );
        }
    }
}

#[test]
fn examples_are_ordinary_apps() {
    let ours: Vec<_> =
        ARROWS.iter().map(|(name, _)| *name).filter(|name| !EXAMPLES.contains(name)).collect();
    for (name, dependencies) in our_crates_under("examples") {
        for dependency in dependencies {
            assert!(
                !ours.contains(&dependency.name.as_str()),
                "examples know nothing of the mesh, but {name} uses {}",
                dependency.name
            );
        }
    }
}

#[test]
fn what_only_decides_does_no_io_and_reads_no_clock() {
    let folders = [
        "identity/src",
        "policy/src",
        "crates/balancer/src",
        "crates/rate-limit/src",
        "crates/abuse-score/src",
        "crates/oauth/src",
        "crates/browser-session/src",
        "crates/api-schema/src",
        "crates/message-access/src",
        "crates/kafka-session/src",
        "crates/mqtt-session/src",
        "crates/nats-session/src",
    ];
    for folder in folders {
        for (path, text) in sources(&repository().join(folder)) {
            let code = text.split("#[cfg(test)]").next().unwrap_or("");
            for banned in [
                "tokio::",
                "std::net::Tcp",
                "std::net::Udp",
                "std::fs",
                "SystemTime::now",
                "Instant::now",
            ] {
                assert!(!code.contains(banned), "{} uses {banned}", path.display());
            }
        }
    }
}

/// Beside the lint, which a crate could leave out of its manifest.
#[test]
fn no_unsafe_code() {
    for (path, text) in all_sources() {
        let uses = text.lines().any(|line| {
            line.trim_start().starts_with(concat!("unsafe", " "))
                || line.contains(concat!("= unsafe", " {"))
        });
        assert!(!uses, "{} has unsafe code", path.display());
    }
}

#[test]
fn source_files_are_short_and_finished() {
    for (path, text) in all_sources() {
        let lines = text.lines().count();
        assert!(
            lines <= MOST_LINES,
            "{} has {lines} lines, more than {MOST_LINES}",
            path.display()
        );
        for unfinished in [concat!("todo", "!("), concat!("unimplemented", "!(")] {
            assert!(!text.contains(unfinished), "{} holds {unfinished}", path.display());
        }
    }
}

/// The library's defaults hold TLS 1.2 as soon as one crate of the build asks for it.
#[test]
fn tls_1_3_alone_unless_the_file_says_why() {
    for (path, text) in ["identity", "proxy", "cert-agent", "k8s", "crates"]
        .iter()
        .flat_map(|folder| sources(&repository().join(folder)))
    {
        let inside = path.strip_prefix(repository()).expect("our own files");
        if inside.ends_with("tests.rs")
            || inside
                .components()
                .any(|part| OF_TESTS.iter().any(|folder| part.as_os_str() == *folder))
            || TLS_1_2.iter().any(|(file, _)| inside.ends_with(file))
        {
            continue;
        }
        for default in ["with_safe_default_protocol_versions", "Config::builder()", "TLS12"] {
            let uses = text.contains(default);
            assert!(!uses, "{} has {default}: name TLS 1.3 alone", inside.display());
        }
    }
}

/// Every `.rs` file of ours with its text.
pub(crate) fn all_sources() -> Vec<(PathBuf, String)> {
    [
        "identity",
        "policy",
        "crates",
        "proxy",
        "cert-agent",
        "k8s",
        "examples",
        "tests",
        "fuzz",
        "benches",
    ]
    .iter()
    .flat_map(|folder| sources(&repository().join(folder)))
    .collect()
}

/// Whether a file of a crate's sources is a file of tests, which may use whatever they need.
pub(crate) fn is_test(inside: &Path) -> bool {
    let parts = inside.with_extension("");
    parts
        .iter()
        .filter_map(|part| part.to_str())
        .any(|part| part == "tests" || part.ends_with("_tests"))
}

/// Every `.rs` file under `folder`, build products left out; nothing when the folder is not there.
pub(crate) fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).expect("source files are text");
            found.push((path, text));
        }
    }
    found
}

/// What a crate depends on.
struct Dependency {
    name: String,
    /// Whether only its tests and benches do.
    tests_only: bool,
}

/// Each workspace crate with what it depends on, tests and build scripts included.
fn our_crates() -> BTreeMap<String, Vec<Dependency>> {
    our_crates_under("")
}

fn our_crates_under(folder: &str) -> BTreeMap<String, Vec<Dependency>> {
    let metadata = cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&metadata).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let here = |package: &&Value| {
        let manifest = Path::new(package["manifest_path"].as_str().expect("a manifest"));
        manifest.starts_with(repository().join(folder))
    };
    packages
        .iter()
        .filter(here)
        .map(|package| (text(&package["name"]), dependencies(package)))
        .collect()
}

fn dependencies(package: &Value) -> Vec<Dependency> {
    package["dependencies"]
        .as_array()
        .expect("dependencies")
        .iter()
        .map(|one| Dependency { name: text(&one["name"]), tests_only: one["kind"] == "dev" })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a name").to_owned()
}

/// What cargo says; panics when it fails.
pub(crate) fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
