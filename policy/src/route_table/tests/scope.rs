//! On whom a route acts, and where it may send.

use super::*;
use crate::resources::DEFAULT_ROOT_NAMESPACE;
use crate::route::InvalidBackend;

/// An HTTPRoute of Service `shop/cart`.
fn of_cart(namespace: &str, name: &str, parent: &str, backends: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{parentRefs: [{{group: '', kind: Service, name: cart, namespace: shop{parent}}}], rules: [{{backendRefs: [{backends}]}}]}}\n"
    )
}

/// The route that acts on a port for clients of a namespace; `-` when none does.
fn acting(text: &str, namespace: &str, number: u16, name: &str) -> String {
    let table = RouteTable::build(&resources(text), &client(namespace));
    let routes = table.of_port(CART, number, name);
    routes.map_or_else(|| "-".to_owned(), |routes| Asked::new("GET cart /").of(&routes))
}

#[test]
fn producers_and_consumers() {
    let here = "{name: cart, port: 80}";
    let producer = of_cart("shop", "producer", "", here);
    let consumer = of_cart("web", "consumer", "", here);
    let both = producer.clone() + &consumer;
    for (text, namespace, expect) in [
        (&producer, "shop", "producer/0"),
        (&producer, "web", "producer/0"),
        (&producer, "other", "producer/0"),
        (&consumer, "web", "consumer/0"),
        (&consumer, "shop", "-"),
        (&consumer, "other", "-"),
        (&both, "web", "consumer/0"),
        (&both, "shop", "producer/0"),
        (&both, "other", "producer/0"),
        // The root namespace is one like the others here.
        (&consumer, DEFAULT_ROOT_NAMESPACE, "-"),
    ] {
        assert_eq!(acting(text, namespace, 80, "http"), expect, "{namespace}\n{text}");
    }
    // A consumer's routes act in the place of the producers', not beside them.
    let narrow = consumer.replace("rules: [{", "rules: [{matches: [{path: {value: /x}}], ");
    assert_eq!(acting(&(producer + &narrow), "web", 80, "http"), "404");
}

#[test]
fn ports_and_kinds() {
    let here = "{name: cart, port: 80}";
    let by = |name: &str, parent: &str| of_cart("shop", name, parent, here);
    let text = by("number", ", port: 80")
        + &by("name", ", sectionName: web")
        + &by("pair", ", port: 81, sectionName: x");
    for (number, name, expect) in [
        (80, "http", "number/0"),
        (90, "web", "name/0"),
        (80, "web", "name/0"),
        (81, "x", "pair/0"),
        (81, "y", "-"),
        (82, "x", "-"),
    ] {
        assert_eq!(acting(&text, "shop", number, name), expect, "{number} {name}");
    }
    // Consumers win where they act, and nowhere else.
    let text = by("producer", "") + &of_cart("web", "consumer", ", port: 81", here);
    assert_eq!(acting(&text, "web", 80, ""), "producer/0");
    assert_eq!(acting(&text, "web", 81, ""), "consumer/0");
    // Of several kinds the first acts, on the ports it is about.
    let of_kind =
        |kind: &str, parent: &str| by(&kind.to_lowercase(), parent).replace("HTTPRoute", kind);
    let text = of_kind("TCPRoute", "")
        + &of_kind("TLSRoute", "")
        + &of_kind("HTTPRoute", ", port: 80")
        + &of_kind("GRPCRoute", ", port: 81");
    let table = table(&text);
    let kinds = [80, 81, 82].map(|port| table.of_port(CART, port, "").unwrap().kind());
    assert_eq!(kinds, [RouteKind::Http, RouteKind::Grpc, RouteKind::Tls]);
    let found = resources(&text);
    let overruled: Vec<_> = found
        .routes()
        .iter()
        .map(|route| (route.id.kind, route.is_overruled(&route.parents[0], found.routes())))
        .collect();
    assert_eq!(
        overruled,
        [
            (RouteKind::Grpc, false),
            (RouteKind::Http, false),
            (RouteKind::Tls, false),
            (RouteKind::Tcp, true)
        ]
    );
}

#[test]
fn parents_that_no_sidecar_asks() {
    let text = of_cart("shop", "r", "", "{name: a, port: 1}")
        .replace("group: '', kind: Service", "kind: Gateway");
    assert_eq!(acting(&text, "shop", 80, ""), "-");
    assert!(table(&text).is_empty());
}

/// Why the only backend of the only rule is invalid, for clients of namespace `web`.
fn why_invalid(text: &str) -> Option<InvalidBackend> {
    let table = RouteTable::build(&resources(text), &client("web"));
    let routes = table.of_port(CART, 80, "").unwrap();
    let asked = Asked::new("GET cart /");
    let path = CanonicalPath::parse("/", PathNormalization::default()).unwrap();
    let request = RouteRequest {
        method: "GET",
        host: &asked.host,
        path: &path,
        headers: &(),
        is_grpc: false,
    };
    routes.choose(&request).unwrap().backends[0].invalid
}

fn grant(namespace: &str, kind: &str, from: &str, to: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {{name: g, namespace: {namespace}}}\nspec: {{from: [{{group: gateway.networking.k8s.io, kind: {kind}, namespace: {from}}}], to: [{{group: '', kind: {to}}}]}}\n"
    )
}

#[test]
fn references_to_other_namespaces() {
    let pay = "{name: pay, namespace: bank, port: 80}";
    let producer = of_cart("shop", "r", "", pay);
    let refused = Some(InvalidBackend::RefNotPermitted);
    for (text, expect) in [
        (producer.clone(), refused),
        (producer.clone() + &grant("bank", "HTTPRoute", "shop", "Service"), None),
        (producer.clone() + &grant("bank", "HTTPRoute", "shop", "Service, name: pay"), None),
        (producer.clone() + &grant("bank", "HTTPRoute", "shop", "Service, name: other"), refused),
        (producer.clone() + &grant("bank", "GRPCRoute", "shop", "Service"), refused),
        (producer.clone() + &grant("bank", "HTTPRoute", "web", "Service"), refused),
        (producer.clone() + &grant("shop", "HTTPRoute", "shop", "Service"), refused),
        (producer.clone() + &grant("bank", "HTTPRoute", "shop", "Secret"), refused),
        (of_cart("shop", "r", "", "{name: b, port: 80}"), None),
        (of_cart("shop", "r", "", "{kind: Bucket, name: b}"), Some(InvalidBackend::InvalidKind)),
        // A consumer may send on to the Service that was asked for, and to its own; the others have to be granted.
        (of_cart("web", "r", "", "{name: cart, namespace: shop, port: 80}"), None),
        (of_cart("web", "r", "", "{name: cart2, namespace: shop, port: 80}"), refused),
        (of_cart("web", "r", "", "{name: cart, port: 80}"), None),
        (of_cart("web", "r", "", pay) + &grant("bank", "HTTPRoute", "web", "Service"), None),
    ] {
        assert_eq!(why_invalid(&text), expect, "{text}");
    }
}

#[test]
fn the_condition_resolved_refs() {
    let text = of_cart(
        "web",
        "r",
        "",
        "{name: cart, namespace: shop, port: 80}, {name: gone, port: 80}, {name: pay, namespace: bank, port: 80}, {group: g, kind: Bucket, name: b}",
    );
    let found = resources(&text);
    let route = &found.routes()[0];
    let exists =
        |namespace: &str, name: &str, port: u16| (namespace, name, port) == ("shop", "cart", 80);
    let problems = route.ref_problems(&route.parents[0], found.reference_grants(), exists);
    let told: Vec<_> =
        problems.iter().map(|problem| (problem.reason.as_str(), &*problem.message)).collect();
    assert_eq!(
        told,
        [
            ("BackendNotFound", "rule 0: there is no Service web/gone with port 80"),
            ("RefNotPermitted", "rule 0: no ReferenceGrant of bank permits Service pay"),
            ("InvalidKind", "rule 0: Bucket.g web/b is no Service"),
        ]
    );
}
