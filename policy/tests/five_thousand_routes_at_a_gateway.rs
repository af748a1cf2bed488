//! Five thousand routes at two listeners of a gateway: each is found among them, and what they cost is told with
//! `--nocapture` (`--release` for figures).
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use policy::{
    CanonicalPath, GatewayPlan, GatewaySelection, GatewayTable, HostName, PathNormalization,
    Resources, RouteRequest, SourceFile,
};

const ROUTES: usize = 5_000;
/// The most a table may take, in KiB: it is made of what the resources hold, and beside that of an index.
const MOST_KIB: u64 = 40 << 10;

/// A Gateway with a listener of every host and one of HTTPS, and routes of a host and a path each.
fn text() -> String {
    let mut text = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: shop}\nspec: {gatewayClassName: postern, listeners: [{name: http, port: 80, protocol: HTTP}, {name: https, port: 443, protocol: HTTPS, hostname: '*.example', tls: {certificateRefs: [{name: c}]}}]}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: c, namespace: shop}\ntype: kubernetes.io/tls\nstringData: {tls.crt: c, tls.key: k}\n".to_owned();
    for at in 0..ROUTES {
        let (host, path) = (at / 50, at % 50);
        writeln!(
            text,
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r{at}, namespace: shop}}\nspec: {{parentRefs: [{{name: edge}}], hostnames: [h{host}.example], rules: [{{matches: [{{path: {{value: /api/v1/part-{path}}}}}, {{path: {{type: Exact, value: /x/{path}}}}}], backendRefs: [{{name: a{path}, port: 80, weight: 9}}, {{name: b{path}, port: 80}}]}}]}}"
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

#[test]
fn five_thousand_routes_at_a_gateway() {
    let text = text();
    let begun = Instant::now();
    let file = SourceFile { name: "r.yaml".into(), bytes: text.clone().into_bytes() };
    let resources = Resources::parse(&[file], "postern-system").unwrap();
    println!("read {ROUTES} routes ({} KiB of YAML) in {:?}", text.len() >> 10, begun.elapsed());
    let selection = GatewaySelection::default();
    let begun = Instant::now();
    let plan = GatewayPlan::build(&resources, &selection);
    println!("planned in {:?}", begun.elapsed());
    let attached: Vec<_> = plan.listeners().iter().map(|found| found.attached_routes).collect();
    assert_eq!(attached, [ROUTES, ROUTES]);
    let begun = Instant::now();
    let table = GatewayTable::of_plan(&plan, &resources);
    println!("compiled in {:?}", begun.elapsed());
    // What was freed after reading is used up by the first ones.
    let build = |_| GatewayTable::of_plan(&plan, &resources);
    let first: Vec<_> = (0..10).map(build).collect();
    let before = resident();
    let more: Vec<_> = (0..10).map(build).collect();
    let each = resident().saturating_sub(before) / 10;
    println!("the table: {each} KiB");
    assert!(each < MOST_KIB, "{each} KiB");
    for (name, port, host, path, expect) in [
        ("by prefix", 80, "h7.example", "/api/v1/part-41/x", Some("r391")),
        ("by path", 443, "h7.example", "/x/42", Some("r392")),
        ("another host", 443, "h100.example", "/x/42", None),
        ("no such path", 80, "h7.example", "/api/v1/other", None),
    ] {
        let host = HostName::parse(host, Some(80)).unwrap();
        let path = CanonicalPath::parse(path, PathNormalization::default()).unwrap();
        let request =
            RouteRequest { method: "GET", host: &host, path: &path, headers: &(), is_grpc: false };
        let port = table.port(None, port).unwrap();
        let choose = || port.by_host(host.name()).and_then(|listener| listener.choose(&request));
        let found = choose().map(|rule| rule.route.name.to_string());
        assert_eq!(found.as_deref(), expect, "{name}");
        const TIMES: u32 = 20_000;
        let begun = Instant::now();
        (0..TIMES).for_each(|_| {
            black_box(choose());
        });
        println!("chosen {name}: {:?}", begun.elapsed() / TIMES);
    }
    drop((first, more));
}
