//! Traces: what a proxy forwards, what it adds, and what becomes of it without a collector.

use postern_tests::certificates::replace;
use postern_tests::{Answer, CollectedSpan, Collector, CollectorMood, Mesh, Pod, shop, wait};
use serde_json::{Value, json};

use crate::scene::{self, allow};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// The values of a field that the app saw.
fn seen(answer: &Answer, name: &str) -> Vec<String> {
    let shown: Value = serde_json::from_str(&answer.body).expect("the app shows what it saw");
    let fields = shown["headers"].as_array().expect("a list of fields");
    let named = fields.iter().filter(|field| field[0] == name);
    named.map(|field| field[1].as_str().expect("text").to_owned()).collect()
}

#[test]
fn without_a_collector_a_trace_goes_on_as_it_came() {
    let scene = scene::shop();
    let check = |name: &str, traceparent: Option<String>, tracestate: Option<&str>| {
        let mut arguments = vec!["http://cart:8080/headers".to_owned()];
        for (field, value) in
            [("traceparent", &traceparent), ("tracestate", &tracestate.map(str::to_owned))]
        {
            arguments.extend(
                value.iter().flat_map(|value| ["-H".to_owned(), format!("{field}: {value}")]),
            );
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let answer = scene.frontend.curl_with(&arguments).expect(200);
        assert_eq!(seen(&answer, "traceparent"), Vec::from_iter(traceparent), "{name}");
        assert_eq!(seen(&answer, "tracestate"), Vec::from_iter(tracestate), "{name}");
    };
    check("sampled", Some(format!("00-{TRACE}-{CALLER}-01")), Some("congo=t61"));
    check("not sampled", Some(format!("00-{TRACE}-{CALLER}-00")), None);
    check("of a later version", Some(format!("7f-{TRACE}-{CALLER}-01-more")), None);
    check("invalid", Some(format!("00-{TRACE}-{CALLER}")), Some("congo=t61"));
    check("none", None, None);
    for pod in [&scene.frontend, &scene.cart] {
        let lines =
            |fields: &[(&str, &str)]| pod.log().iter().filter(|line| line.has(fields)).count();
        wait::until_true("every request to have its line", || lines(&[("status", "200")]) == 5);
        assert_eq!(lines(&[("trace_id", TRACE)]), 3, "those whose trace is valid");
        assert_eq!(lines(&[("trace_id", "null")]), pod.log().len() - 3);
        assert_eq!(pod.metrics().sum("postern_trace_spans_exported_total", &[]), 0.0);
    }
}

/// The front end and the cart, which send spans to a collector outside of the mesh.
struct Scene {
    frontend: Pod,
    cart: Pod,
    collector: Pod,
    mesh: Mesh,
}

/// Both proxies record this share of new traces, and have these limits beside.
fn traced(sampling: &str, limits: Value) -> Scene {
    let mesh = Mesh::start();
    shop::install(&mesh, "cart");
    let collector = mesh.pod("collector").outside().start();
    let endpoint = format!("http://{}:4317", collector.ipv4());
    let tracing = json!({
        "tracing": {"endpoint": endpoint, "sampling": sampling, "plaintext": true},
        "limits": {"traceDelay": "100ms"},
    });
    let limits = json!({"limits": limits});
    let cart = scene::cart_builder(&mesh).config(tracing.clone()).config(limits.clone()).start();
    let frontend = mesh.pod("frontend").config(tracing).config(limits).start();
    Scene { frontend, cart, collector, mesh }
}

impl Scene {
    fn get(&self, fields: &[&str]) -> Answer {
        let mut arguments = vec!["http://cart:8080/headers"];
        fields.iter().for_each(|field| arguments.extend(["-H", field]));
        self.frontend.curl_with(&arguments)
    }
}

/// Trace, parent and flags of the one `traceparent` that the app saw.
fn place(answer: &Answer) -> [String; 3] {
    let fields = seen(answer, "traceparent");
    assert_eq!(fields.len(), 1, "{fields:?}");
    let parts: Vec<&str> = fields[0].split('-').collect();
    assert_eq!((parts.len(), parts[0]), (4, "00"), "{fields:?}");
    [parts[1], parts[2], parts[3]].map(str::to_owned)
}

/// The spans of the caller's proxy and of the other one.
fn pair(mut spans: Vec<CollectedSpan>) -> [CollectedSpan; 2] {
    spans.sort_by_key(|span| span.kind);
    let pair: [CollectedSpan; 2] = spans.try_into().expect("two spans");
    assert_eq!(pair.each_ref().map(|span| span.kind), ["client", "server"], "{pair:?}");
    pair
}

#[test]
fn two_proxies_add_a_span_each() {
    let scene = traced("100%", json!({}));
    let collector = Collector::start(&scene.collector);

    let answer = scene.get(&["tracestate: stray=1"]).expect(200);
    let [trace, parent, flags] = place(&answer);
    let [client, server] = pair(collector.expect_trace(&trace, 2));
    assert_eq!((client.parent_id.as_str(), &server.parent_id), ("", &client.span_id));
    assert_eq!((parent, flags.as_str()), (server.span_id.clone(), "03"));
    assert!(seen(&answer, "tracestate").is_empty(), "of no trace: {}", answer.body);
    for (span, service) in [(&client, "frontend"), (&server, "cart")] {
        assert_eq!((span.name.as_str(), span.is_error), ("GET", false), "{span:?}");
        assert_eq!(span.resource["service.name"], service, "{span:?}");
        assert_eq!(span.resource["service.namespace"], "shop", "{span:?}");
        for (key, value) in [
            ("http.request.method", "GET"),
            ("http.response.status_code", "200"),
            ("url.path", "/headers"),
            ("server.address", "cart"),
            ("server.port", "8080"),
            ("network.protocol.version", "1.1"),
            ("postern.reason", "ok"),
            ("postern.source_principal", "cluster.local/ns/shop/sa/frontend"),
            ("postern.destination_principal", "cluster.local/ns/shop/sa/cart"),
        ] {
            assert_eq!(span.attribute(key), value, "{key} of {span:?}");
        }
    }
    scene.frontend.expect_log(&[("trace_id", &trace), ("span_id", &client.span_id)]);
    scene.cart.expect_log(&[("trace_id", &trace), ("span_id", &server.span_id)]);
    scene.cart.expect_metric("postern_trace_spans_exported_total", &[]);
    scene.cart.expect_metric("postern_trace_collector_up", &[]);
}

#[test]
fn a_callers_trace_is_continued_as_the_caller_decided() {
    // Of the traces that begin here none is recorded.
    let scene = traced("0%", json!({}));
    let collector = Collector::start(&scene.collector);
    let sampled = format!("traceparent: 00-{TRACE}-{CALLER}-01");
    let answer = scene.get(&[&sampled, "tracestate: congo=t61"]).expect(200);
    let [client, server] = pair(collector.expect_trace(TRACE, 2));
    assert_eq!((client.parent_id.as_str(), &server.parent_id), (CALLER, &client.span_id));
    assert_eq!(place(&answer), [TRACE.to_owned(), server.span_id, "01".to_owned()]);
    assert_eq!(seen(&answer, "tracestate"), ["congo=t61"]);
    assert_eq!([client.trace_state, server.trace_state], ["congo=t61", "congo=t61"]);

    let quiet = format!("00-{TRACE}-{CALLER}-00");
    let answer = scene.get(&[&format!("traceparent: {quiet}")]).expect(200);
    assert_eq!(seen(&answer, "traceparent"), [quiet], "as it came");
    let [.., flags] = place(&scene.get(&[]).expect(200));
    assert_eq!(flags, "02", "a new trace that nobody records");
    let [trace, _, flags] = place(&scene.get(&["traceparent: 00-0-0-01"]).expect(200));
    assert_ne!((trace.as_str(), flags.as_str()), (TRACE, "01"), "an invalid one begins anew");
    // Spans arrive in order: those of another sampled request are behind what came before.
    let last = format!("traceparent: 00-{}-{CALLER}-01", TRACE.replace('4', "5"));
    scene.get(&[&last]).expect(200);
    collector.expect_trace(&TRACE.replace('4', "5"), 2);
    assert_eq!(collector.spans().len(), 4, "{:?}", collector.spans());
}

#[test]
fn a_trace_goes_through_the_app_that_passes_it_on() {
    let scene = traced("100%", json!({}));
    let collector = Collector::start(&scene.collector);
    scene.mesh.policy("store", &allow("store", "cart"));
    let store =
        scene.mesh.pod("store").port(8080, "http").app(postern_tests::App::new("shop-cart"));
    let store = store.start();
    store.wait_for_app(8080);
    let [trace, parent, flags] = place(&scene.get(&[]).expect(200));
    // The cart calls the store for this request, and hands on what it got, as instrumented apps do.
    let field = format!("traceparent: 00-{trace}-{parent}-{flags}");
    let answer = scene.cart.curl_with(&["-H", &field, "http://store:8080/headers"]).expect(200);
    // The store's own proxy has no collector: it forwards what the cart's has made.
    let [_, seen_by_store, _] = place(&answer);
    let spans = collector.expect_trace(&trace, 3);
    let mut chain = Vec::new();
    let mut next = String::new();
    while let Some(span) = spans.iter().find(|span| span.parent_id == next) {
        next.clone_from(&span.span_id);
        chain.push((span.resource["service.name"].as_str(), span.kind));
    }
    assert_eq!(chain, [("frontend", "client"), ("cart", "server"), ("cart", "client")]);
    assert_eq!(seen_by_store, next);
    store.expect_log(&[("trace_id", &trace), ("direction", "inbound")]);
}

#[test]
fn a_refused_request_has_its_span() {
    let scene = traced("100%", json!({}));
    let collector = Collector::start(&scene.collector);
    let field = format!("traceparent: 00-{TRACE}-{CALLER}-01");
    let forbidden = ["-X", "DELETE", "-H", &field, "http://cart:8080/cart/ann"];
    scene.frontend.curl_with(&forbidden).expect_refusal(403, "no_matching_allow");
    let [client, server] = pair(collector.expect_trace(TRACE, 2));
    assert_eq!(server.attribute("postern.reason"), "no_matching_allow");
    assert_eq!(server.attribute("http.response.status_code"), "403");
    // For a server a refusal is an answer like others; for a client it is an error.
    assert_eq!((server.is_error, client.is_error), (false, true));
    assert_eq!(client.attribute("error.type"), "refused_by_peer");
}

/// Two hundred requests, all of which go well.
fn many(scene: &Scene) {
    let urls = "http://cart:8080/headers?[1-200]";
    let answers = scene.frontend.curl_with(&["--fail-early", "-f", urls]);
    assert_eq!(answers.exit, 0, "{answers:?}");
}

#[test]
fn a_collector_that_is_away_costs_spans_and_no_request() {
    let limits = json!({"traceQueue": 64, "traceBatch": 32, "traceTimeout": "300ms"});
    let scene = traced("100%", limits);
    let mut collector = Collector::start(&scene.collector);
    scene.get(&[]).expect(200);
    wait::until_true("the first spans", || collector.spans().len() >= 2);

    let gauge = |name: &str| scene.frontend.metrics().sum(name, &[]);
    let dropped = || gauge("postern_trace_spans_dropped_total");
    collector.stop();
    many(&scene);
    wait::until_true("the oldest to be dropped", || dropped() > 0.0);
    wait::until_true("the collector to be noticed", || gauge("postern_trace_collector_up") < 0.5);
    assert!(dropped() <= 200.0 - 64.0 + 2.0, "what fits is kept: {}", dropped());
    assert!(scene.frontend.is_ready(), "traffic does not depend on a collector");
    scene.frontend.expect_log(&[("level", "WARN")]);

    collector.restart();
    wait::until_true("the collector to be found again", || {
        gauge("postern_trace_collector_up") > 0.5
    });
    let after = scene.get(&[]).expect(200);
    collector.expect_trace(&place(&after)[0], 2);

    collector.turn(CollectorMood::Silent);
    let before = dropped();
    many(&scene);
    wait::until_true("a silent collector to be noticed", || {
        gauge("postern_trace_collector_up") < 0.5
    });
    wait::until_true("the oldest to be dropped again", || dropped() > before);
    collector.turn(CollectorMood::Taking);
    let after = scene.get(&[]).expect(200);
    collector.expect_trace(&place(&after)[0], 2);

    collector.turn(CollectorMood::Refusing);
    let before = dropped();
    scene.get(&[]).expect(200);
    wait::until_true("a refusal to be counted", || dropped() > before);
    collector.turn(CollectorMood::Taking);
    let after = scene.get(&[]).expect(200);
    collector.expect_trace(&place(&after)[0], 2);
}

#[test]
fn spans_that_are_left_at_the_end_are_sent() {
    let scene = traced("100%", json!({"traceDelay": "60s", "drainDelay": "0s"}));
    let collector = Collector::start(&scene.collector);
    let [trace, ..] = place(&scene.get(&[]).expect(200));
    scene.frontend.with_proxy(|proxy| proxy.terminate());
    let spans = collector.expect_trace(&trace, 1);
    assert_eq!(spans[0].kind, "client");
}

#[test]
fn a_collector_in_the_mesh_proves_its_identity() {
    let mesh = Mesh::start();
    shop::install(&mesh, "cart");
    mesh.policy("collector", &allow("collector", "frontend"));
    let collector = mesh.pod("collector").port(4317, "grpc").start();
    let tracing = |identity: String| {
        let endpoint = format!("https://{}:4317", collector.ipv4());
        json!({
            "tracing": {"endpoint": endpoint, "sampling": "100%", "identity": identity},
            "limits": {"traceDelay": "100ms"},
        })
    };
    let cart = scene::cart_builder(&mesh)
        .config(tracing("spiffe://cluster.local/ns/shop/sa/other".into()))
        .start();
    let frontend = mesh.pod("frontend").config(tracing(collector.spiffe_id())).start();
    let inbox = Collector::start(&collector);
    let answer = frontend.curl("http://cart:8080/headers").expect(200);
    let [trace, ..] = place(&answer);
    let spans = inbox.expect_trace(&trace, 1);
    assert_eq!(spans[0].kind, "client");
    collector.expect_log(&[("source_principal", &frontend.principal()), ("status", "200")]);
    // The cart's proxy expects somebody else there, and sends nothing.
    let warned = cart.expect_log(&[("level", "WARN")]);
    assert!(warned.0["reason"].to_string().contains("the collector's TLS"), "{warned:?}");
    assert!(inbox.spans().iter().all(|span| span.kind == "client"));
}

#[test]
fn a_collector_with_a_web_certificate_is_believed_by_who_signed_it() {
    let mesh = Mesh::start();
    shop::install(&mesh, "cart");
    let pod = mesh.pod("collector").outside().start();
    let (collector, authority) = Collector::start_with_tls(&pod);
    let tracing = |authorities: Option<&str>| {
        let endpoint = format!("https://{}:4317", pod.ipv4());
        let mut tracing = json!({"endpoint": endpoint, "sampling": "100%"});
        if let Some(authorities) = authorities {
            tracing["certificateAuthorities"] = json!(authorities);
        }
        json!({"tracing": tracing, "limits": {"traceDelay": "100ms"}})
    };
    let cart = scene::cart_builder(&mesh).config(tracing(None)).start();
    let frontend = mesh.pod("frontend").config(tracing(Some("/run/postern/web.pem"))).lay_out();
    replace(&frontend.directory().join("web.pem"), &authority);
    frontend.start_processes();
    frontend.ready();
    let [trace, ..] = place(&frontend.curl("http://cart:8080/headers").expect(200));
    let spans = collector.expect_trace(&trace, 1);
    assert_eq!(spans[0].kind, "client");
    // The cart's proxy believes the system's authorities, or finds none, and sends nothing.
    let warned = cart.expect_log(&[("level", "WARN")]);
    let reason = warned.0["reason"].to_string();
    assert!(reason.contains("the collector's TLS") || reason.contains("authorities"), "{reason}");
    assert!(collector.spans().iter().all(|span| span.kind == "client"));
}

#[test]
fn a_span_is_called_by_its_route() {
    let scene = traced("100%", json!({}));
    let collector = Collector::start(&scene.collector);
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shown", "namespace": "shop"},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": "cart"}],
            "rules": [{"backendRefs": [{"name": "cart", "port": 8080}]}],
        },
    });
    scene.mesh.policy("route", &route.to_string());
    wait::until_true("the route to be in force", || {
        let [trace, ..] = place(&scene.get(&[]).expect(200));
        let [client, server] = pair(collector.expect_trace(&trace, 2));
        // The other side's proxy has no routes.
        assert_eq!(server.name, "GET");
        client.name == "GET HTTPRoute shop/shown"
            && client.attribute("postern.route") == "HTTPRoute shop/shown"
    });
}
