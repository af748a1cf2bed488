#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;
use crate::denials::{RefusedTraffic, grouped};

fn reporter(name: &str) -> Reporter {
    let (workload, _) = name.rsplit_once('-').unwrap();
    Reporter {
        pod: format!("shop/{name}"),
        workload: format!("shop/{workload}"),
        identity: format!("td/ns/shop/sa/{workload}"),
    }
}

fn edge(direction: &str, source: &str, destination: &str) -> Edge {
    Edge {
        direction: direction.to_owned(),
        source: source.to_owned(),
        destination: destination.to_owned(),
        allowed: 1,
        denied: 2,
        failed: 0,
    }
}

fn of_edges(edges: impl IntoIterator<Item = Edge>) -> Result<ProxyReport, ReportProblem> {
    let edges = Some(Listed::first(EDGES, edges));
    Ok(ProxyReport { edges, ..ProxyReport::default() })
}

fn of_denial(destination: &str, time: u64) -> Result<ProxyReport, ReportProblem> {
    let seen = RefusedTraffic { time, ..RefusedTraffic::of("10.0.0.7", destination) };
    Ok(ProxyReport { denials: Some(grouped([seen])), ..ProxyReport::default() })
}

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_report_speaks_only_about_the_proxy_that_sent_it() {
    let mut mesh = MeshReports::default();
    let mut liar = mesh.open(reporter("liar-1"));
    let said = [
        edge("inbound", "td/web", "td/ns/shop/sa/cart"),
        edge("outbound", "td/ns/shop/sa/cart", "bank"),
    ];
    mesh.take(&mut liar, of_edges(said), at(0)).unwrap();
    let message = ProxyReport {
        denials: of_denial("10.0.0.9:1", 5).unwrap().denials,
        ..ProxyReport::default()
    };
    let message = String::from_utf8(message.message()).unwrap();
    let message = message.replace("\"decision\"", "\"pod\":\"shop/cart-1\",\"decision\"");
    mesh.take(&mut liar, ProxyReport::read(message.as_bytes()), at(5)).unwrap();
    let view = mesh.view(at(5), 100);
    let own = "td/ns/shop/sa/liar";
    let edges = view.edges.shown.iter();
    let edges: Vec<_> =
        edges.map(|edge| (edge.source.as_str(), edge.destination.as_str())).collect();
    assert_eq!(edges, [("td/web", own), (own, "bank")]);
    assert_eq!(view.denials.shown[0].pod.as_deref(), Some("shop/liar-1"));
    assert_eq!(view.services.shown[0].host, "shop/liar");
}

#[test]
fn the_pods_of_a_workload_are_counted_together() {
    let mut mesh = MeshReports::default();
    for name in ["cart-1", "cart-2"] {
        let mut stream = mesh.open(reporter(name));
        mesh.take(&mut stream, of_edges([edge("inbound", "td/web", "")]), at(0)).unwrap();
    }
    let view = mesh.view(at(1), 100);
    assert_eq!((view.edges.shown.len(), view.edges.shown[0].denied), (1, 4));
    assert_eq!(view.services.shown[0].endpoints.shown.len(), 2);
}

#[test]
fn a_refused_report_leaves_the_last_good_one() {
    let mut mesh = MeshReports::default();
    let mut stream = mesh.open(reporter("cart-1"));
    mesh.take(&mut stream, of_edges([edge("inbound", "td/web", "")]), at(0)).unwrap();
    let mut refused = |name: &str, read, now, expect| {
        assert_eq!(mesh.take(&mut stream, read, now), Err(expect), "{name}");
        let view = mesh.view(now, 100);
        assert_eq!((view.edges.shown.len(), view.denials.shown.len()), (1, 0), "{name}");
    };
    let large = Err(ReportProblem::TooLarge);
    refused("too large", large, at(5), ReportProblem::TooLarge);
    let soon = at(5) + LEAST_PAUSE / 2;
    refused("too soon", of_denial("10.0.0.9:1", 1), soon, ReportProblem::TooSoon);
    assert_eq!(mesh.counts().refused, 2);
    // What a part leaves as it was counts with it.
    let long = "x".repeat(REPORT_BYTES / 2);
    let large = |direction| of_edges([edge(direction, &long, &long)]);
    let taken = mesh.take(&mut stream, large("inbound"), at(10));
    assert_eq!(taken, Err(ReportProblem::TooLarge));
}

#[test]
fn a_report_ends_with_its_stream_and_after_a_minute_without_another() {
    let mut mesh = MeshReports::default();
    let mut old = mesh.open(reporter("cart-1"));
    let mut new = mesh.open(reporter("cart-1"));
    let mut web = mesh.open(reporter("web-1"));
    mesh.take(&mut old, of_denial("10.0.0.9:1", 1), at(0)).unwrap();
    mesh.take(&mut new, of_denial("10.0.0.9:2", 2), at(10)).unwrap();
    mesh.take(&mut web, of_denial("10.0.0.9:3", 3), at(30)).unwrap();
    mesh.take(&mut old, of_denial("10.0.0.9:4", 4), at(40)).unwrap();
    let check = |name: &str, mesh: &mut MeshReports, now, expect: &[&str]| {
        let view = mesh.view(now, 100);
        let told = view.denials.shown.iter().map(|group| group.destination.as_str());
        assert_eq!(told.collect::<Vec<_>>(), expect, "{name}");
        assert_eq!(mesh.counts().proxies, expect.len(), "{name}");
    };
    check("the newer stream speaks", &mut mesh, at(41), &["10.0.0.9:3", "10.0.0.9:2"]);
    mesh.close(&old);
    check("an older one ends", &mut mesh, at(42), &["10.0.0.9:3", "10.0.0.9:2"]);
    check("a minute", &mut mesh, at(70), &["10.0.0.9:3"]);
    mesh.close(&web);
    check("the stream ends", &mut mesh, at(71), &[]);
    assert_eq!(mesh.counts().bytes, 0);
}

#[test]
fn all_reports_together_have_a_bound_and_the_oldest_goes() {
    let size = of_denial("10.0.0.9:1", 1).unwrap().message().len();
    let mut mesh = MeshReports::of_at_most(2 * size);
    for (name, now) in [("a-1", 3), ("b-1", 1), ("c-1", 2), ("d-1", 4)] {
        let mut stream = mesh.open(reporter(name));
        mesh.take(&mut stream, of_denial("10.0.0.9:1", now), at(now)).unwrap();
        assert!(mesh.counts().bytes <= 2 * size, "{name}");
    }
    let counts = mesh.counts();
    assert_eq!((counts.dropped, counts.proxies, counts.bytes), (2, 2, 2 * size));
    let view = mesh.view(at(5), 100);
    let pods: Vec<_> = view.denials.shown.iter().filter_map(|group| group.pod.as_deref()).collect();
    assert_eq!(pods, ["shop/d-1", "shop/a-1"]);
}

#[test]
fn what_is_shown_is_bounded_and_nothing_is_later_than_now() {
    let mut mesh = MeshReports::default();
    for n in 0..3 {
        let mut stream = mesh.open(reporter(&format!("cart{n}-1")));
        let edges = (0..EDGES).map(|caller| edge("inbound", &format!("td/{caller}"), ""));
        let mut report = of_edges(edges).unwrap();
        report.denials = of_denial("10.0.0.9:1", u64::MAX).unwrap().denials;
        report.certificate = Some(CertificateTerm { not_before: 0, not_after: n * 100 });
        mesh.take(&mut stream, Ok(report), at(0)).unwrap();
    }
    let view = mesh.view(at(1), 150);
    assert_eq!((view.edges.shown.len(), view.edges.left_out), (EDGES, 2 * EDGES));
    assert!(view.denials.shown.iter().all(|group| group.last == 150));
    let states: Vec<_> = view.certificates.shown.iter().map(|one| one.state).collect();
    assert_eq!(states, ["expired", "expired", "fresh"]);
}
