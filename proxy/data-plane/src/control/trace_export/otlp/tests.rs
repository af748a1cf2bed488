//! What a span says.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;
use crate::telemetry::trace::{SpanId, TraceContext, TraceId};

/// A request that our app has made, which went well.
fn client() -> FinishedSpan {
    FinishedSpan {
        kind: SpanKind::Client,
        context: TraceContext::root(TraceId::from_random(1, 2), SpanId::from_random(4), true),
        parent: Some(SpanId::new([3; 8]).unwrap()),
        trace_state: Some("congo=t61".into()),
        start: UNIX_EPOCH + Duration::from_secs(1),
        took: Duration::from_millis(5),
        method: Method::GET,
        route: None,
        host: Some("cart".into()),
        port: Some(8080),
        path: Some("/cart/ann".into()),
        version: Version::HTTP_11,
        status: 200,
        reason: "ok",
        grpc_status: None,
        resends: 0,
        upstream: Some("10.0.0.7:8080".parse().unwrap()),
        source_principal: "cluster.local/ns/shop/sa/frontend".into(),
        destination_principal: "cluster.local/ns/shop/sa/cart".into(),
        destination_service: "cart.shop.svc.cluster.local".into(),
    }
}

fn server() -> FinishedSpan {
    FinishedSpan { kind: SpanKind::Server, ..client() }
}

fn value(of: &FinishedSpan, key: &str) -> Option<String> {
    let written = span(of);
    let mut found = written.attributes.iter().filter(|attribute| attribute.key == key);
    let value = found.next()?.value.clone().unwrap().value.unwrap();
    assert!(found.next().is_none(), "{key} twice");
    Some(match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
    })
}

#[test]
fn a_span_has_the_attributes_of_the_conventions() {
    let check = |name: &str, of: &FinishedSpan, key: &str, expect: Option<&str>| {
        assert_eq!(value(of, key).as_deref(), expect, "{name}: {key}");
    };
    let (client, server) = (client(), server());
    for (key, expect) in [
        ("http.request.method", Some("GET")),
        ("http.request.method_original", None),
        ("url.scheme", Some("http")),
        ("url.path", Some("/cart/ann")),
        ("url.query", None),
        ("server.address", Some("cart")),
        ("server.port", Some("8080")),
        ("http.response.status_code", Some("200")),
        ("network.protocol.version", Some("1.1")),
        ("network.peer.address", Some("10.0.0.7")),
        ("network.peer.port", Some("8080")),
        ("error.type", None),
        ("http.request.resend_count", None),
        ("postern.reason", Some("ok")),
        ("postern.source_principal", Some("cluster.local/ns/shop/sa/frontend")),
        ("postern.destination_service", Some("cart.shop.svc.cluster.local")),
    ] {
        check("a good one", &client, key, expect);
    }
    check("inbound", &server, "network.peer.address", None);
    let odd = FinishedSpan { method: Method::from_bytes(b"BREW").unwrap(), ..client.clone() };
    check("an unknown method", &odd, "http.request.method", Some("_OTHER"));
    check("an unknown method", &odd, "http.request.method_original", Some("BREW"));
    let resent = FinishedSpan { resends: 2, ..client.clone() };
    check("sent again", &resent, "http.request.resend_count", Some("2"));
    let gone = FinishedSpan { status: 499, reason: CLIENT_GONE, ..server.clone() };
    check("a client that left", &gone, "http.response.status_code", None);
    check("a client that left", &gone, "error.type", Some(CLIENT_GONE));
    let unknown = FinishedSpan { host: None, path: None, ..server };
    check("refused early", &unknown, "server.port", None);
    check("refused early", &unknown, "url.path", None);
}

#[test]
fn an_error_is_what_the_conventions_call_one() {
    for (status, reason, server_error, client_error) in [
        (200, "ok", None, None),
        (304, "ok", None, None),
        (404, "ok", None, Some("404")),
        (503, "ok", Some("503"), Some("503")),
        (403, "no_matching_allow", None, Some("no_matching_allow")),
        (503, "app_unreachable", Some("app_unreachable"), Some("app_unreachable")),
        (200, "app_reset", Some("app_reset"), Some("app_reset")),
        (499, CLIENT_GONE, Some(CLIENT_GONE), Some(CLIENT_GONE)),
    ] {
        for (of, expect) in [(server(), server_error), (client(), client_error)] {
            let of = FinishedSpan { status, reason, ..of };
            let name = format!("{status} {reason} {:?}", of.kind);
            assert_eq!(value(&of, "error.type").as_deref(), expect, "{name}");
            let code = span(&of).status.map(|status| status.code);
            assert_eq!(code, expect.map(|_| i32::from(StatusCode::Error)), "{name}");
        }
    }
}

#[test]
fn names_are_few() {
    let route = Some("shop/cart-canary".into());
    let odd = Method::from_bytes(b"BREW").unwrap();
    for (of, expect) in [
        (client(), "GET"),
        (FinishedSpan { route, ..client() }, "GET shop/cart-canary"),
        (FinishedSpan { method: odd, ..client() }, "HTTP"),
    ] {
        assert_eq!(span(&of).name, expect);
    }
}

#[test]
fn ids_times_and_flags_are_as_otlp_has_them() {
    let written = span(&client());
    assert_eq!(written.trace_id, [[0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 2]].concat());
    assert_eq!((written.span_id, written.parent_span_id), (4u64.to_be_bytes().into(), vec![3; 8]));
    assert_eq!(written.trace_state, "congo=t61");
    assert_eq!(written.kind, i32::from(OtlpKind::Client));
    assert_eq!(written.end_time_unix_nano - written.start_time_unix_nano, 5_000_000);
    assert_eq!(written.start_time_unix_nano, 1_000_000_000);
    assert_eq!(written.flags, 0b11 | HAS_IS_REMOTE | IS_REMOTE);
    let root = span(&FinishedSpan { parent: None, trace_state: None, ..client() });
    assert_eq!((root.parent_span_id, root.flags), (Vec::new(), 0b11 | HAS_IS_REMOTE));
}

#[test]
fn the_resource_is_the_workload() {
    let resource = |workload: &str, more: &str| {
        let text = format!(
            "workload: {{namespace: shop, {workload}}}\nidentity: {{workloadApi: unix:///a}}\n{more}"
        );
        let writer = SpanWriter::new(&Config::parse("p", text.as_bytes()).unwrap());
        let request = writer.request(&[client()]);
        let resource = request.resource_spans.into_iter().next().unwrap().resource.unwrap();
        let pair = |attribute: KeyValue| match attribute.value.unwrap().value.unwrap() {
            Value::StringValue(text) => format!("{}={text}", attribute.key),
            Value::IntValue(number) => format!("{}={number}", attribute.key),
        };
        resource.attributes.into_iter().map(pair).collect::<Vec<_>>().join(" ")
    };
    let namespace = "service.namespace=shop k8s.namespace.name=shop";
    for (workload, expect) in [
        ("serviceAccount: cart", "cart"),
        ("serviceAccount: cart, labels: {app: till}", "till"),
        ("serviceAccount: cart, labels: {app: a, app.kubernetes.io/name: b}", "b"),
    ] {
        assert_eq!(resource(workload, ""), format!("service.name={expect} {namespace}"));
    }
    let controller = "resources: {controller: {address: 'c:1', identity: 'spiffe://a/b', pod: {name: cart-1, uid: u-1}}}";
    assert_eq!(
        resource("serviceAccount: cart", controller),
        format!(
            "service.name=cart {namespace} service.instance.id=u-1 k8s.pod.name=cart-1 k8s.pod.uid=u-1"
        )
    );
}
