#![allow(clippy::unwrap_used)]

use super::*;
use crate::labels::{Direction, Protocol};

fn labels(source: &str) -> TrafficLabels {
    TrafficLabels {
        direction: Direction::Inbound,
        source_principal: source.into(),
        destination_principal: "cluster.local/ns/shop/sa/cart".into(),
        destination_service: "cart.shop.svc.cluster.local".into(),
        protocol: Protocol::Http1,
        mtls: true,
    }
}

/// One answer has each series once.
#[test]
fn the_process_is_told_unless_the_app_tells_its_own() {
    let metrics = Metrics::new(10).unwrap();
    let told = |app: &str| String::from_utf8(metrics.render(app.as_bytes())).unwrap();
    let alone = told("process1 1\n");
    for name in ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "threads"] {
        let series = format!("\nprocess_{name} ");
        assert_eq!(alone.matches(&series).count(), 1, "{name}: {alone}");
    }
    let both = told("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 7\n");
    assert_eq!(both.matches("\nprocess_").count(), 1, "{both}");
    assert!(both.contains("\nprocess_cpu_seconds_total 7\n"), "{both}");
    assert!(both.contains("\npostern_ready "), "{both}");
}

#[test]
fn a_request_shows_under_its_labels() {
    let metrics = Metrics::new(10).unwrap();
    metrics.requests(&labels("cluster.local/ns/shop/sa/frontend"), 403, "no_matching_allow").inc();
    let text = String::from_utf8(metrics.render(b"")).unwrap();
    let line = text.lines().find(|l| l.starts_with("postern_requests_total{")).unwrap();
    for part in [
        "direction=\"inbound\"",
        "source_principal=\"cluster.local/ns/shop/sa/frontend\"",
        "response_code=\"403\"",
        "reason=\"no_matching_allow\"",
        "mtls=\"mutual_tls\"",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[test]
fn s48_principals_are_capped() {
    let metrics = Metrics::new(100).unwrap();
    for n in 0..100 + 500 {
        metrics.requests(&labels(&format!("td/ns/a/sa/{n}")), 200, "ok").inc();
    }
    let text = String::from_utf8(metrics.render(b"")).unwrap();
    let series = text.lines().filter(|l| l.starts_with("postern_requests_total{")).count();
    assert!(series <= 100 + 1, "{series}");
    assert!(text.contains("source_principal=\"other\""));
}

#[test]
fn every_metric_says_what_it_counts_and_when_it_changes() {
    for metric in Metrics::DECLARATIONS {
        let MetricDeclaration { name, kind, help, changes, .. } = metric;
        assert!(name.starts_with("postern_"), "{name}");
        assert_eq!(*kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        assert_eq!(*kind == "histogram", !metric.buckets.is_empty(), "{name} is a {kind}");
        assert!(help.contains(' ') && !help.ends_with('.'), "{name}: {help}");
        assert!(changes.ends_with('.'), "{name}: {changes}");
    }
}

#[test]
fn s48_certificates_of_listeners_come_and_go() {
    let metrics = Metrics::new(10).unwrap();
    let told = || {
        let text = String::from_utf8(metrics.render(b"")).unwrap();
        let lines = text.lines().filter_map(|line| {
            line.strip_prefix("postern_listener_certificate_expiry_timestamp_seconds")
        });
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    metrics.listener_certificates([("shop/a", 7), ("shop/b", 8)]);
    assert_eq!(told(), ["{certificate=\"shop/a\"} 7", "{certificate=\"shop/b\"} 8"]);
    metrics.listener_certificates([("shop/b", 9)]);
    assert_eq!(told(), ["{certificate=\"shop/b\"} 9"]);
    let names: Vec<_> = (0..1500).map(|number| format!("shop/{number}")).collect();
    metrics.listener_certificates(names.iter().map(|name| (&**name, 1)));
    assert_eq!(told().len(), 1000);
    metrics.listener_certificates([]);
    assert!(told().is_empty());
}
