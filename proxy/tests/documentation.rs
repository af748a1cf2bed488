//! Reference pages that are printed from the code, so that they cannot go stale. `make reference` rewrites them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use data_plane::control::config::{Config, SETTINGS, Setting, SettingDefault};
use data_plane::labels::CloseReason;
use data_plane::limits::Limits;
use data_plane::telemetry::metrics::{MetricDeclaration, Metrics};
use data_plane::telemetry::{REASONS, ReasonAudience};
use policy::gateway_status::{Channel, FEATURES, Feature, Support};

/// Compares a page of `docs/reference` with what the code prints; `UPDATE_DOCS=1` writes it.
fn check(page: &str, printed: &str) {
    let path = repository().join("docs/reference").join(page);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, printed).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == printed, "docs/reference/{page} is stale: run `make reference`");
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_setting_and_limit_is_on_the_reference_page() {
    let mut page = String::from(
        "# Reference: configuration of `postern-proxy`\n\n\
         Printed from the code by a test; `make reference` rewrites it. [configuration.md](../configuration.md) has a file to begin\n\
         with, and what the defaults mean.\n\n\
         `[]` stands for the items of a list; `PORT`, `DOMAIN` and `NODE` for a key of your own. What is *required* must be there\n\
         where the section it is in is written.\n\n\
         ## Settings\n\n| setting | takes | default | what |\n|---|---|---|---|\n",
    );
    for Setting { key, takes, default, meaning } in SETTINGS {
        writeln!(page, "| `{key}` | {takes} | {default} | {meaning} |").unwrap();
    }
    page.push_str(
        "\n## Limits\n\nEvery limit is finite and none can be switched off. Keys stand under `limits`; durations are written like\n\
         `250ms`, `10s`, `15m`, `1h`, sizes like `64KiB`.\n\n\
         | limit | default | bounds | what | why that number |\n|---|---|---|---|---|\n",
    );
    for limit in Limits::reference() {
        let bounds = format!("{} to {}", limit.least, limit.most);
        let (key, default) = (limit.key, limit.default);
        writeln!(page, "| `{key}` | {default} | {bounds} | {} | {} |", limit.meaning, limit.reason)
            .unwrap();
    }
    check("configuration.md", &page);
}

/// A title, what is to say of all of it, and which reasons belong there.
type Section = (&'static str, &'static str, fn(ReasonAudience) -> bool);

#[test]
fn every_reason_is_on_the_reference_page() {
    let mut page = String::from(
        "# Reference: reasons\n\n\
         Printed from the code by a test; `make reference` rewrites it. A reason is a stable word: refused callers get it in\n\
         `x-postern-reason`, log lines and metrics have it as `reason`, and as `closed` where a connection ended.\n",
    );
    let sections: [Section; 4] = [
        (
            "Requests that are refused or fail",
            "gRPC callers get the status of the same meaning.",
            |heard| matches!(heard, ReasonAudience::Caller(_)),
        ),
        ("Other requests", "In logs and metrics only.", |heard| heard == ReasonAudience::Request),
        (
            "Operations at message brokers",
            "Clients are told in the words of their protocol.",
            |heard| heard == ReasonAudience::Message,
        ),
        (
            "Connections",
            "`closed` is the class; `reason` in the log says more where there is more to say.",
            |heard| matches!(heard, ReasonAudience::Closed | ReasonAudience::Connection),
        ),
    ];
    for (title, words, belongs) in sections {
        write!(page, "\n## {title}\n\n{words}\n\n").unwrap();
        page.push_str("| reason | told as | what happened | next step |\n|---|---|---|---|\n");
        for reason in REASONS.iter().filter(|reason| belongs(reason.heard)) {
            let told = match reason.heard {
                ReasonAudience::Caller(status) => status.to_string(),
                ReasonAudience::Request | ReasonAudience::Message | ReasonAudience::Connection => {
                    "`reason`".to_owned()
                }
                ReasonAudience::Closed => "`closed`".to_owned(),
            };
            writeln!(page, "| `{}` | {told} | {} | {} |", reason.code, reason.meaning, reason.next)
                .unwrap();
        }
    }
    check("reasons.md", &page);
}

/// The page of metrics is about every program; the section of this one is printed here, the rest by the tests of all.
#[test]
fn every_metric_is_on_the_reference_page() {
    const TITLE: &str = "\n## postern-proxy\n";
    let mut section = format!(
        "{TITLE}\n| metric | type | labels | what | changes when |\n|---|---|---|---|---|\n"
    );
    for MetricDeclaration { name, kind, labels, buckets, help, changes } in Metrics::DECLARATIONS {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let bounds: Vec<_> = buckets.iter().map(f64::to_string).collect();
        let bounds = match bounds.is_empty() {
            true => String::new(),
            false => format!(" Buckets end at {}.", bounds.join(", ")),
        };
        let labels = labels.join(", ");
        writeln!(section, "| `{name}` | {kind} | {labels} | {help}.{bounds} | {changes} |")
            .unwrap();
    }
    let page = std::fs::read_to_string(repository().join("docs/reference/metrics.md")).unwrap();
    let (before, rest) = page.split_once(TITLE).expect("the section of this program");
    let after = rest.find("\n## ").map_or("", |at| &rest[at..]);
    check("metrics.md", &format!("{before}{section}{after}"));
}

#[test]
fn every_feature_of_the_gateway_api_is_on_its_page() {
    let mut table = String::from("| feature | channel | there |\n|---|---|---|\n");
    for Feature { name, channel, support } in FEATURES {
        let channel = match channel {
            Channel::Standard => "standard",
            Channel::Experimental => "experimental",
        };
        let there = match support {
            Support::Yes => "yes".to_owned(),
            Support::No(why) => format!("no: {why}"),
        };
        writeln!(table, "| `{name}` | {channel} | {there} |").unwrap();
    }
    let (begin, end) = ("<!-- features -->\n", "<!-- /features -->");
    let page = std::fs::read_to_string(repository().join("docs/gateway-api.md")).unwrap();
    let (before, rest) = page.split_once(begin).expect("where the table begins");
    let (_, after) = rest.split_once(end).expect("where it ends");
    check("../gateway-api.md", &format!("{before}{begin}{table}{end}{after}"));
}

/// Where reasons are made.
const REASONS_MADE_IN: [&str; 34] = [
    "proxy/data-plane/src/http/api_refusal.rs",
    "proxy/data-plane/src/http/error.rs",
    "proxy/src/explain.rs",
    "proxy/data-plane/src/http/gate/raw.rs",
    "proxy/data-plane/src/http/gate/refusal.rs",
    "proxy/data-plane/src/http/limit_refusal.rs",
    "proxy/data-plane/src/http/block_refusal.rs",
    "proxy/data-plane/src/http/threat_refusal.rs",
    "proxy/data-plane/src/http/token_refusal.rs",
    "proxy/data-plane/src/http/sign_in_refusal.rs",
    "proxy/data-plane/src/traffic/sign_in/answer.rs",
    "proxy/data-plane/src/http/body.rs",
    "proxy/data-plane/src/traffic/gateway.rs",
    "proxy/data-plane/src/traffic/gateway/arrival.rs",
    "proxy/data-plane/src/traffic/gateway/partner.rs",
    "proxy/data-plane/src/connection/edge_tls/hello.rs",
    "proxy/data-plane/src/traffic/inbound.rs",
    "proxy/data-plane/src/traffic/inbound/arrival.rs",
    "proxy/data-plane/src/traffic/inbound/detect.rs",
    "proxy/data-plane/src/traffic/inbound/mesh_stream.rs",
    "proxy/data-plane/src/traffic/events.rs",
    "proxy/data-plane/src/traffic/forward/attempts.rs",
    "proxy/data-plane/src/traffic/outbound/faults.rs",
    "proxy/data-plane/src/traffic/forward/routed.rs",
    "proxy/data-plane/src/traffic/forward/retry.rs",
    "proxy/data-plane/src/traffic/outbound/dialled.rs",
    "proxy/data-plane/src/http/serve/client_io.rs",
    "proxy/data-plane/src/traffic/record.rs",
    "proxy/data-plane/src/traffic/record/connection.rs",
    "proxy/data-plane/src/connection/tls.rs",
    "policy/src/api_key.rs",
    "policy/src/decision.rs",
    "policy/src/path.rs",
    "policy/src/topic/verdict.rs",
];
/// Words in these files that are no reasons of a refusal: results of retries, reasons of a permit, answers to input, keys of a log line.
const NO_REASONS: [&str; 14] = [
    "no_budget",
    "policy_allowed",
    "default_allow",
    "default_audit",
    "bad_input",
    "source_principal",
    "destination_principal",
    "destination_service",
    "grpc_status",
    "headers_dropped",
    "bytes_sent",
    "bytes_received",
    "duration_ms",
    "source_ip",
];

#[test]
fn no_reason_is_missing_and_none_is_invented() {
    let known: BTreeSet<&str> = REASONS.iter().map(|reason| reason.code).collect();
    let twice = REASONS.len() - known.len();
    assert_eq!(twice, 0, "each reason once");
    for reason in CloseReason::ALL {
        assert!(known.contains(reason.as_str()), "{} is not explained", reason.as_str());
    }
    let mut made = String::new();
    for file in REASONS_MADE_IN {
        let text = std::fs::read_to_string(repository().join(file)).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for word in literals(code).filter(|word| is_reason_like(word)) {
            let explained = known.contains(word) || NO_REASONS.contains(&word);
            assert!(
                explained,
                "{file}: {word:?} is not in proxy/data-plane/src/telemetry/reasons.rs"
            );
        }
        made.push_str(code);
    }
    made.push_str(
        &std::fs::read_to_string(repository().join("proxy/data-plane/src/labels.rs")).unwrap(),
    );
    for code in known {
        assert!(made.contains(&format!("\"{code}\"")), "nothing says {code}");
    }
}

/// The text literals of a source, as far as they stand on one line.
fn literals(code: &str) -> impl Iterator<Item = &str> {
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split('"').skip(1).step_by(2))
}

fn is_reason_like(word: &str) -> bool {
    word.contains('_') && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// A file with every section, in which every mapping has a key too many: what is wrong with that key names all right
/// ones.
const WHOLE: &str = "
zz: 1
mode: sidecar
workload: {zz: 1, namespace: shop, serviceAccount: cart}
identity: {zz: 1, files: {zz: 1, certificate: c, key: k, bundle: b}}
resources: {zz: 1, controller: {zz: 1, address: 'a:1', identity: 'spiffe://td/a', pod: {zz: 1, name: p, uid: u}}}
defaults: {zz: 1}
inbound:
  zz: 1
  ports: {8080: {zz: 1}}
  listeners: [{zz: 1, bind: '127.0.0.1:1', forward: '127.0.0.1:2'}]
  forwardedFor: {zz: 1, from: [td/a]}
outbound: {zz: 1, listeners: [{zz: 1, bind: '127.0.0.1:3', service: a, port: 1}]}
interception: {zz: 1}
tokens: {zz: 1}
admin: {zz: 1}
metrics: {zz: 1, app: {zz: 1, port: 1}}
readiness: {zz: 1}
probes:
  - {zz: 1, container: a, kind: startup, http: {zz: 1, port: 1, headers: [{zz: 1, name: a, value: b}]}}
  - {container: a, kind: startup, tcp: {zz: 1, port: 1}}
  - {container: a, kind: startup, grpc: {zz: 1, port: 1}}
rateLimits: {zz: 1, redis: {zz: 1, address: 'a:1', tls: {zz: 1}}}
sessions: {zz: 1, redis: {zz: 1, address: 'a:1', tls: {zz: 1}}}
upgrade: {zz: 1}
logs: {zz: 1}
tracing: {zz: 1, endpoint: 'http://127.0.0.1:1'}
limits: {zz: 1}
";

/// What only a gateway has.
const EDGE: &str = "\
mode: gateway
workload: {namespace: shop, serviceAccount: edge}
identity: {workloadApi: 'unix:///a'}
gateway: {zz: 1, certificates: [{zz: 1, name: a/b, certificate: /c, key: /k}]}
";

#[test]
fn the_settings_are_those_that_are_read() {
    let mistakes = [WHOLE, EDGE].map(|text| Config::parse("whole", text.as_bytes()).unwrap_err());
    let mut read = BTreeSet::new();
    for mistake in mistakes.iter().flat_map(|mistakes| mistakes.iter()) {
        let section = mistake
            .found
            .strip_prefix("the unknown key `zz` in ")
            .unwrap_or_else(|| panic!("{mistake}"));
        let section = section.trim_matches('`').replace("the document", "").replace("8080", "PORT");
        if section == "limits" {
            continue;
        }
        let keys = mistake.expected.strip_prefix("one of ").unwrap();
        read.insert((section, keys.split(", ").map(str::to_owned).collect::<BTreeSet<_>>()));
    }
    assert_eq!(documented(), read);
}

/// The settings as sections, each with its keys: a section is the last name on the way to it.
fn documented() -> BTreeSet<(String, BTreeSet<String>)> {
    let mut sections: Vec<(String, BTreeSet<String>)> = Vec::new();
    let mut note = |way: &str, key: &str| {
        let keys = match sections.iter_mut().find(|(known, _)| known == way) {
            Some((_, keys)) => keys,
            None => {
                sections.push((way.to_owned(), BTreeSet::new()));
                &mut sections.last_mut().unwrap().1
            }
        };
        keys.insert(key.trim_end_matches("[]").to_owned());
    };
    for setting in SETTINGS {
        let parts: Vec<&str> = setting.key.split('.').collect();
        for (at, key) in parts.iter().enumerate() {
            // The keys of these are the writer's own.
            if !["PORT", "DOMAIN", "NODE"].contains(key) {
                note(&parts[..at].join("."), key);
            }
        }
    }
    note("", "limits");
    let last = |way: &str| way.rsplit('.').next().unwrap_or("").trim_end_matches("[]").to_owned();
    sections.into_iter().map(|(way, keys)| (last(&way), keys)).collect()
}

const LEAST: &str = "workload: {namespace: shop, serviceAccount: cart}\n";

#[test]
fn defaults_are_what_the_page_says() {
    let identity = "identity: {workloadApi: 'unix:///a'}\n";
    let least = Config::parse("least", format!("{LEAST}{identity}").as_bytes()).unwrap();
    for Setting { key, default, .. } in SETTINGS {
        let SettingDefault::Is(text) = default else { continue };
        let Some(written) = written(key, text) else { continue };
        let file = match key.starts_with("identity") {
            true => format!("{LEAST}identity: {{workloadApi: 'unix:///a', trustDomain: {text}}}\n"),
            false => format!("{LEAST}{identity}{written}"),
        };
        let config = Config::parse("default", file.as_bytes());
        assert_eq!(config.as_ref(), Ok(&least), "{key}: {text}");
    }
}

/// The setting alone in its sections; `None` for one within a list or a section that must hold more.
fn written(key: &str, text: &str) -> Option<String> {
    let needs_more = [
        "[]",
        "PORT",
        "forwardedFor",
        "gateway.",
        "metrics.app",
        "rateLimits.redis",
        "sessions.redis",
        "tracing",
    ];
    if needs_more.iter().any(|part| key.contains(part)) {
        return None;
    }
    let parts: Vec<&str> = key.split('.').collect();
    let lines =
        parts.iter().enumerate().map(|(depth, part)| format!("{}{part}:", "  ".repeat(depth)));
    Some(format!("{} {text}\n", lines.collect::<Vec<_>>().join("\n")))
}

/// A setting that no code reads would promise what nothing keeps.
#[test]
fn every_limit_is_read_somewhere() {
    let sources = sources(&repository().join("proxy"));
    for limit in Limits::reference() {
        let field = snake_case(limit.key);
        let used = sources.iter().any(|(path, text)| {
            !path.ends_with("src/limits.rs") && text.contains(&format!(".{field}"))
        });
        assert!(used, "limits.{} is read nowhere", limit.key);
    }
}

fn snake_case(key: &str) -> String {
    let mut out = String::new();
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn sources(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}
