//! Under what circumstances something was measured: without them a figure says nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::programs::Programs;
use crate::proxies::Proxy;

/// What is kept beside the figures.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    date: String,
    commit: String,
    machine: String,
    kernel: String,
    /// By the name of the program.
    versions: Vec<(&'static str, String)>,
}

impl Context {
    /// Looks around. What cannot be found out is said so; nothing is measured the worse for it.
    pub(crate) fn look(programs: &Programs, proxies: &[Proxy]) -> Self {
        let wanted = Proxy::ALL.into_iter().filter(|proxy| proxies.contains(proxy));
        let versions = wanted.map(|proxy| (proxy.name(), version(programs.of(proxy), proxy)));
        Self {
            date: OffsetDateTime::now_utc().date().to_string(),
            commit: commit(),
            machine: machine(),
            kernel: format!("Linux {}", first_line("/proc/sys/kernel/osrelease")),
            versions: versions.collect(),
        }
    }

    /// As it is kept.
    pub(crate) fn to_json(&self) -> Value {
        let versions: Map<_, _> =
            self.versions.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
        json!({
            "date": self.date, "commit": self.commit, "machine": self.machine, "kernel": self.kernel,
            "versions": versions,
        })
    }

    /// For people, in lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{}, {}; commit {}, {}",
            self.machine, self.kernel, self.commit, self.date
        )];
        lines.extend(self.versions.iter().map(|(name, text)| format!("{name}: {text}")));
        lines
    }
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").trim().to_owned()
}

fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let cpus = text.lines().filter(|line| line.starts_with("processor")).count();
    format!("{cpus} x {}", of("model name").unwrap_or_else(|| "unknown CPU".to_owned()))
}

/// Of the working tree that this was built in, if it is run there.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".to_owned())
}

/// The first line of what a program says of itself.
fn version(program: &Path, proxy: Proxy) -> String {
    let Ok(output) = Command::new(program).arg(proxy.version_flag()).output() else {
        return "unknown".to_owned();
    };
    // nginx says it on standard error.
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    // Envoy begins with its own path.
    line.map_or("unknown", |line| line.rsplit("  version: ").next().unwrap_or(line)).to_owned()
}
