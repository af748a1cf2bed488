//! Five thousand routes: each is found among them, and what they cost is told with `--nocapture` (`--release` for figures).
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use policy::route::RegularExpression;
use policy::{
    CanonicalPath, HostName, PathNormalization, Resources, RouteRequest, RouteTable, SourceFile,
    Workload,
};

const ROUTES: usize = 5_000;

/// A hundred Services with fifty routes each: by path, by host and path, and by a field.
fn text() -> String {
    let mut text = String::new();
    for at in 0..ROUTES {
        let (service, number) = (at / 50, at % 50);
        let hosts = if number % 5 == 0 {
            format!("hostnames: [h{number}.example], ")
        } else {
            String::new()
        };
        writeln!(
            text,
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r{at}, namespace: shop}}\nspec: {{parentRefs: [{{group: '', kind: Service, name: s{service}}}], {hosts}rules: [{{matches: [{{path: {{value: /api/v1/part-{number}}}}}, {{path: {{type: Exact, value: /x/{number}}}, headers: [{{name: x-version, value: '2'}}]}}], backendRefs: [{{name: a{number}, port: 80, weight: 9}}, {{name: b{number}, port: 80}}]}}]}}"
        )
        .unwrap();
    }
    text
}

/// What the process holds in memory, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn client() -> Workload {
    Workload {
        namespace: "shop".into(),
        service_account: "client".into(),
        labels: std::collections::BTreeMap::new(),
    }
}

#[test]
fn five_thousand_routes() {
    let text = text();
    let begun = Instant::now();
    let file = SourceFile { name: "r.yaml".into(), bytes: text.clone().into_bytes() };
    let resources = Resources::parse(&[file], "postern-system").unwrap();
    println!("read {ROUTES} routes ({} KiB of YAML) in {:?}", text.len() >> 10, begun.elapsed());
    let begun = Instant::now();
    let table = RouteTable::build(&resources, &client());
    println!("compiled in {:?}", begun.elapsed());
    // What was freed after reading is used up by the first ones.
    let build = |_| RouteTable::build(&resources, &client());
    let first: Vec<_> = (0..20).map(build).collect();
    let before = resident();
    let more: Vec<_> = (0..20).map(build).collect();
    println!("the table: {} KiB", resident().saturating_sub(before) / 20);
    let routes = table.of_port("s7.shop.svc.cluster.local", 80, "http").unwrap();
    for (name, host, path, version, expect) in [
        ("by prefix", "s7", "/api/v1/part-41/x", "1", Some("r391")),
        ("by host", "h40.example", "/api/v1/part-40", "1", Some("r390")),
        ("by path and field", "s7", "/x/42", "2", Some("r392")),
        ("none", "s7", "/api/v1/other", "1", None),
    ] {
        let host = HostName::parse(host, Some(80)).unwrap();
        let path = CanonicalPath::parse(path, PathNormalization::default()).unwrap();
        let headers = vec![("x-version".to_owned(), version.to_owned())];
        let request = RouteRequest {
            method: "GET",
            host: &host,
            path: &path,
            headers: &headers,
            is_grpc: false,
        };
        let found = routes.choose(&request).map(|rule| rule.route.name.to_string());
        assert_eq!(found.as_deref(), expect, "{name}");
        const TIMES: u32 = 100_000;
        let begun = Instant::now();
        (0..TIMES).for_each(|_| {
            black_box(routes.choose(black_box(&request)));
        });
        println!("chosen {name}: {:?}", begun.elapsed() / TIMES);
    }
    let before = resident();
    let pattern = |at| RegularExpression::parse(&format!("/api/v{at}/[a-z]+/.*")).unwrap();
    let patterns: Vec<_> = (0..1000).map(pattern).collect();
    println!("a regular expression: {} KiB", resident().saturating_sub(before) / 1000);
    drop((first, more));
    assert!(patterns.iter().all(|pattern| !pattern.matches(b"/api")));
    println!("and after use: {} KiB", resident().saturating_sub(before) / 1000);
}
