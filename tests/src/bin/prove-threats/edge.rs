//! A gateway that looks through every request by a rule set, and tells what it found.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use postern_tests::raw::{hear, say};
use postern_tests::shop::allow;
use postern_tests::{App, LogLine, Mesh, Pod, wait};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::cases::RuleCase;

/// Where cases are sent to, and where requests that only mark a place in the log.
const CASES: u16 = 80;
const MARKS: u16 = 81;
/// How long a connection is listened to that nobody closes.
const DEADLINE: Duration = Duration::from_secs(5);

/// What became of a case.
pub(crate) enum Outcome {
    /// The rules that matched, and whether there are more than a log line holds.
    Inspected(Vec<u64>, bool),
    /// The gateway answered before any rule was asked.
    Refused,
}

/// The gateway, its log as far as it was read, and the client.
pub(crate) struct Edge {
    gateway: Pod,
    client: Pod,
    _cart: Pod,
    log: PathBuf,
    read: u64,
    marks: u32,
    inspected: f64,
}

impl Edge {
    /// Starts it with the rule set of a file, beside which everything lies that the file includes.
    pub(crate) fn start(rules: &Path) -> anyhow::Result<Self> {
        let mesh = Mesh::start();
        mesh.policy("cart-for-edge", &allow("cart", "edge"));
        let name = rules.file_name().unwrap_or_default().to_string_lossy();
        for (name, resource) in resources(&format!("/run/postern/rules/{name}")) {
            mesh.policy(name, &resource.to_string());
        }
        let cart = mesh.pod("cart").port(8080, "http").app(App::new("shop-cart")).start();
        let limits = json!({"limits": {"resourcePoll": "1s"}});
        let gateway = mesh.pod("edge").gateway().config(limits).lay_out();
        copy(rules.parent().unwrap_or(Path::new(".")), &gateway.directory().join("rules"))?;
        gateway.start_processes();
        gateway.ready();
        let log = gateway.directory().join("proxy.out");
        let client = mesh.pod("client").outside().start();
        let edge = Self { gateway, client, _cart: cart, log, read: 0, marks: 0, inspected: 0.0 };
        wait::until_true("the rule set to be loaded", || edge.is_loaded());
        Ok(edge)
    }

    fn is_loaded(&self) -> bool {
        let labels = [("result", "success")];
        self.gateway.metrics().sum("postern_threat_rule_set_updates_total", &labels) > 0.0
    }

    /// Sends a case, and finds out which rules matched.
    pub(crate) fn send(&mut self, case: &RuleCase) -> Outcome {
        let (to, bytes) = (self.gateway.at(CASES), case.bytes.clone());
        self.client.run(async move {
            if let Ok(mut stream) = TcpStream::connect(to).await {
                // Who refuses may close meanwhile.
                let _ = stream.write_all(&bytes).await;
                hear(&mut stream, DEADLINE).await;
            }
        });
        let lines = self.lines_before_a_mark();
        let found: Vec<_> =
            lines.iter().filter_map(|line| line.0["threat_rules"].as_array()).collect();
        let rules = found.iter().flat_map(|rules| rules.iter());
        let rules: Vec<_> = rules.filter_map(|rule| rule["rule"].as_u64()).collect();
        let is_cut = found.iter().any(|rules| rules.len() >= 16);
        let before = self.inspected;
        if rules.is_empty() {
            self.inspected = self.gateway.metrics().sum("postern_threat_inspections_total", &[]);
            if self.inspected <= before {
                return Outcome::Refused;
            }
        } else {
            self.inspected += found.len() as f64;
        }
        Outcome::Inspected(rules, is_cut)
    }

    /// What the gateway logs before it logs a request that comes now: all of what came before it.
    fn lines_before_a_mark(&mut self) -> Vec<LogLine> {
        self.marks += 1;
        let path = format!("/mark-{}", self.marks);
        let request = format!("GET {path} HTTP/1.1\r\nhost: mark\r\nconnection: close\r\n\r\n");
        let to = self.gateway.at(MARKS);
        self.client.run(async move { say(to, request.as_bytes()).await });
        let mut lines = Vec::new();
        wait::until_true("the mark in the log", || {
            lines.extend(self.new_lines());
            lines.iter().any(|line| line.has(&[("path", &path)]))
        });
        lines
    }

    fn new_lines(&mut self) -> Vec<LogLine> {
        let mut text = Vec::new();
        let mut file = fs::File::open(&self.log).expect("the gateway has a log");
        file.seek(SeekFrom::Start(self.read)).expect("a place in the log");
        file.read_to_end(&mut text).expect("the log can be read");
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.read += end as u64;
        LogLine::read(&String::from_utf8_lossy(&text[..end]))
    }
}

fn resources(rules: &str) -> [(&'static str, Value); 3] {
    let group = "gateway.networking.k8s.io";
    let listener =
        |port: u16| json!({"name": format!("http-{port}"), "port": port, "protocol": "HTTP"});
    let listeners = [listener(CASES), listener(MARKS)];
    let cases = format!("http-{CASES}");
    let target = json!({"group": group, "kind": "Gateway", "name": "edge", "sectionName": cases});
    let object = |version: &str, kind: &str, name: &str, spec: Value| {
        let metadata = json!({"name": name, "namespace": "shop"});
        json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
    };
    let gateway = json!({"gatewayClassName": "postern", "listeners": listeners});
    let route = json!({
        "parentRefs": [{"name": "edge", "sectionName": cases}],
        "rules": [{"backendRefs": [{"name": "cart", "port": 8080}]}],
    });
    let threats = json!({
        "targetRefs": [target], "mode": "detect", "paranoia": 4, "inboundThreshold": 1,
        "ruleSet": {"path": rules, "allowUnsupported": [901_410]},
        "timeout": "10s", "body": {"inspectBytes": "1MiB"},
    });
    let version = format!("{group}/v1");
    [
        ("gateway", object(&version, "Gateway", "edge", gateway)),
        ("route", object(&version, "HTTPRoute", "cart", route)),
        ("threats", object("policy.postern.dev/v1alpha1", "ThreatPolicy", "threats", threats)),
    ]
}

/// Copies rules and what they include: `*.conf` and `*.data`.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let Some(name) = path.file_name() else { continue };
        let is_rules =
            path.extension().is_some_and(|extension| extension == "conf" || extension == "data");
        if is_rules {
            fs::copy(&path, to.join(name))?;
        } else if name == "rules" && path.is_dir() {
            copy(&path, &to.join(name))?;
        }
    }
    Ok(())
}
