//! From a recorded day to the policies that the bank is shipped with.

use std::fs;
use std::path::PathBuf;

use postern_tests::{Bank, Pod, Table, repository, wait};

use crate::day;

pub(crate) fn show(table: &mut Table, bank: &Bank) {
    let day = day::live(bank);
    let good = day.iter().filter(|done| done.is_good()).count();
    let seen = format!("{good} of {}", day.len());
    let expected = format!("{0} of {0}", day.len());
    table.row("people", "the bank", "an ordinary day, recorded", &expected, &seen);
    for done in day.iter().filter(|done| !done.is_good()) {
        table.row(done.who, done.to, &done.what, &done.expected, &done.seen);
    }
    let write = std::env::var_os("SUGGEST").is_some_and(|value| !value.is_empty());
    for pod in bank.workloads() {
        wait::until_true(&format!("the log of {} to be whole", pod.name()), || is_logged(pod));
        let suggestion = suggestion(pod);
        if write {
            fs::write(file(pod), headed(pod, &suggestion)).expect("it can be written");
        }
        let same = rules(&suggestion) == rules(&shipped(pod));
        let (what, expected) = ("policy suggest from its log", "the shipped policy");
        table.row(pod.name(), "-", what, expected, if same { expected } else { &suggestion });
    }
}

/// Whether each decision has its line by now: it is written a moment after the answer.
fn is_logged(pod: &Pod) -> bool {
    let fields = [("kind", "request"), ("direction", "inbound"), ("decision", "allow")];
    let lines = pod.log().iter().filter(|line| line.has(&fields)).count();
    let decisions = [("decision", "allow")];
    lines as f64 >= pod.metrics().sum("postern_authorization_decisions_total", &decisions)
}

/// What `policy suggest` makes of what a proxy has logged until now.
fn suggestion(pod: &Pod) -> String {
    let log = ["--config", "/run/postern/proxy.yaml", "--log", "/run/postern/proxy.out"];
    pod.postern("postern-proxy", &[&["policy", "suggest"], &log[..]].concat()).stdout
}

fn file(pod: &Pod) -> PathBuf {
    repository().join(format!("examples/bank/policies/{}-allow.yaml", pod.name()))
}

fn shipped(pod: &Pod) -> String {
    fs::read_to_string(file(pod)).expect("the bank's policies are there")
}

/// A policy without what is said about it.
fn rules(policy: &str) -> Vec<&str> {
    policy.lines().filter(|line| !line.starts_with('#')).collect()
}

fn headed(pod: &Pod, policy: &str) -> String {
    let name = pod.name();
    format!(
        "# Who may call {name}, as `make demo-bank SUGGEST=1` wrote it: an ordinary day was recorded with\n\
         # `defaults: {{authorization: audit}}`, and then\n\
         #     postern-proxy policy suggest --config {name}/proxy.yaml --log {name}/proxy.out\n\
         {}\n",
        rules(policy).join("\n")
    )
}
