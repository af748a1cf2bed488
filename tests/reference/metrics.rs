//! Every metric of every program. The proxy declares its metrics as data, and its own test prints their section; those of
//! the other programs are read where they are made: a name `postern_…`, then what it counts, then its labels.

use std::fmt::Write as _;
use std::fs;

use postern_tests::repository;

/// The section that the proxy's own test prints.
const OF_THE_PROXY: &str = "\n## postern-proxy\n";

/// The other programs, and where each declares its metrics.
const DECLARED_IN: [(&str, &str); 4] = [
    ("postern-cert-agent", "cert-agent/agent/src/serve/metrics.rs"),
    ("postern-authority", "cert-agent/authority/src/serve/metrics.rs"),
    ("postern-k8s controller", "k8s/src/controller/status_pages.rs"),
    ("postern-k8s injector", "k8s/src/injector/metrics.rs"),
];

/// A metric as the page shows it.
struct Metric<'s> {
    name: &'s str,
    kind: &'static str,
    labels: Vec<&'s str>,
    meaning: &'s str,
}

#[test]
fn every_metric_is_on_the_reference_page() {
    let mut page = String::from(
        "# Reference: metrics\n\n\
         Printed from the code by a test; `make reference` rewrites it. Labels are words of ours, names of policies, or principals\n\
         and services up to `limits.metricPrincipals`; the rest are `other`. What the words of `reason` mean: [reasons.md](reasons.md).\n\n\
         Every program also tells what it costs, as Prometheus' own libraries do: `process_cpu_seconds_total`, `process_resident_memory_bytes`,\n\
         `process_virtual_memory_bytes`, `process_open_fds`, `process_max_fds`, `process_start_time_seconds`, `process_threads`.\n",
    );
    page.push_str(&of_the_proxy());
    for (program, file) in DECLARED_IN {
        let text = fs::read_to_string(repository().join(file)).unwrap();
        let metrics = declared(text.split("#[cfg(test)]").next().unwrap());
        assert!(!metrics.is_empty(), "{file} declares no metric");
        write!(page, "\n## {program}\n\n| metric | type | labels | what |\n|---|---|---|---|\n")
            .unwrap();
        for Metric { name, kind, labels, meaning } in metrics {
            let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
            let meaning = meaning.trim_end_matches('.');
            writeln!(page, "| `{name}` | {kind} | {} | {meaning}. |", labels.join(", ")).unwrap();
        }
    }
    super::check("metrics.md", &page);
}

/// The proxy's section as it stands on the page.
fn of_the_proxy() -> String {
    let page = fs::read_to_string(repository().join("docs/reference/metrics.md")).unwrap();
    let at = page.find(OF_THE_PROXY).expect("the proxy's section");
    let rest = &page[at + OF_THE_PROXY.len()..];
    let end = rest.find("\n## ").unwrap_or(rest.len());
    format!("{OF_THE_PROXY}{}", &rest[..end])
}

fn declared(code: &str) -> Vec<Metric<'_>> {
    let mut metrics = Vec::new();
    let mut before = 0;
    let names = code.match_indices("\"postern_").map(|(at, _)| at);
    let starts: Vec<usize> = names.filter(|at| !code[*at..].starts_with("\"postern_\"")).collect();
    for (number, at) in starts.iter().enumerate() {
        let end = starts.get(number + 1).copied().unwrap_or(code.len());
        metrics.push(metric(&code[before..*at], &code[*at..end]));
        before = *at;
    }
    metrics
}

/// `before` ends with the call that makes it; `call` begins with its name.
fn metric<'s>(before: &'s str, call: &'s str) -> Metric<'s> {
    let mut words = call.split('"').skip(1).step_by(2);
    let (name, meaning) = (words.next().unwrap(), words.next().unwrap_or_default());
    assert!(meaning.contains(' '), "{name} says what it counts right after its name");
    let (_, after) = call.split_once(meaning).unwrap();
    Metric { name, kind: kind(before, name), labels: labels(before, &after[1..]), meaning }
}

/// By the nearest constructor before the name.
fn kind(before: &str, name: &str) -> &'static str {
    let words = [("ounter", "counter"), ("auge", "gauge")];
    let places = words.map(|(word, kind)| (before.rfind(word), kind));
    let (_, kind) = places.into_iter().max().unwrap();
    assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
    kind
}

/// The first list of words after the meaning, or one word alone, or what a line of the text format spells before the name.
fn labels<'s>(before: &'s str, after: &'s str) -> Vec<&'s str> {
    let list = after.split_once("&[").and_then(|(_, list)| list.split_once(']'));
    let list: Vec<&str> = list.map_or("", |(list, _)| list).split('"').skip(1).step_by(2).collect();
    if !list.is_empty() {
        return list;
    }
    let next = after.trim_start_matches(',').trim_start();
    let alone = next.strip_prefix('"').and_then(|rest| rest.split('"').next());
    let spelled = before.split_once("{{").and_then(|(_, rest)| rest.split('=').next());
    alone.or(spelled).into_iter().collect()
}
