//! Services by name and by address.

use super::*;
use crate::{EndpointAddress, Protocol};

fn entry(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

const CART: &str = "{hosts: [cart.shop.svc.cluster.local], addresses: [10.96.0.1], location: MESH_INTERNAL, resolution: STATIC,
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}, {number: 9000, name: grpc}],
  endpoints: [{address: 10.0.0.9, serviceAccount: cart}, {address: '::ffff:10.0.0.10', serviceAccount: cart-b, ports: {http: 8081}}]}";
const PAYMENTS: &str = "{hosts: [payments.bank.svc.cluster.local], location: MESH_INTERNAL, resolution: DNS, ports: [{number: 80, name: http}],
  subjectAltNames: ['spiffe://other.td/payments']}";

fn shop() -> Snapshot {
    snapshot(&format!(
        "{}{}{}{}",
        entry("cart", "shop", CART),
        entry("payments", "postern-system", PAYMENTS),
        entry(
            "api",
            "shop",
            "{hosts: [api.example.org], addresses: [203.0.113.0/24], ports: [{number: 443, name: https, protocol: HTTPS}]}"
        ),
        entry(
            "foreign",
            "bank",
            "{hosts: [ledger.bank.svc.cluster.local], ports: [{number: 80, name: http}]}"
        ),
    ))
}

#[test]
fn names() {
    let snapshot = shop();
    for (host, port, expect) in [
        ("cart.shop.svc.cluster.local", 80, Some("cart.shop.svc.cluster.local")),
        ("cart.shop.svc", 80, Some("cart.shop.svc.cluster.local")),
        ("cart.shop", 9000, Some("cart.shop.svc.cluster.local")),
        ("cart", 80, Some("cart.shop.svc.cluster.local")),
        ("cart", 81, None),
        ("payments.bank", 80, Some("payments.bank.svc.cluster.local")),
        ("payments", 80, None),
        ("api.example.org", 443, Some("api.example.org")),
        ("api", 443, None),
        ("", 80, None),
    ] {
        let found = snapshot.service_by_host(host, port).map(|service| service.host.to_string());
        assert_eq!(found.as_deref(), expect, "{host}:{port}");
    }
}

#[test]
fn names_under_another_cluster_domain_are_believed_of_the_root_namespace() {
    let spec = "{hosts: [cart.shop.svc.k8s.example], ports: [{number: 80, name: http}]}";
    for (namespace, expect) in [("postern-system", true), ("shop", false)] {
        let snapshot = snapshot(&entry("cart", namespace, spec));
        assert!(snapshot.service_by_host("cart.shop.svc.k8s.example", 80).is_some());
        for host in ["cart", "cart.shop", "cart.shop.svc"] {
            let found = snapshot.service_by_host(host, 80).is_some();
            assert_eq!(found, expect, "{host} of {namespace}");
        }
    }
}

#[test]
fn addresses() {
    let snapshot = shop();
    for (address, expect) in [
        ("10.96.0.1:80", Some("cart.shop.svc.cluster.local")),
        ("[::ffff:10.96.0.1]:80", Some("cart.shop.svc.cluster.local")),
        ("10.96.0.1:8080", None),
        ("10.0.0.9:8080", Some("cart.shop.svc.cluster.local")),
        ("10.0.0.9:80", None),
        ("10.0.0.10:8081", Some("cart.shop.svc.cluster.local")),
        ("10.0.0.10:9000", Some("cart.shop.svc.cluster.local")),
        ("203.0.113.77:443", Some("api.example.org")),
        ("203.0.113.77:80", None),
        ("10.0.0.99:80", None),
    ] {
        let found =
            snapshot.service_by_address(address.parse().unwrap()).map(|s| s.host.to_string());
        assert_eq!(found.as_deref(), expect, "{address}");
    }
}

#[test]
fn identities_and_ports() {
    let snapshot = shop();
    let cart = snapshot.service_by_host("cart", 80).unwrap();
    let ids: Vec<_> = cart.identities.iter().map(SpiffeId::as_str).collect();
    assert_eq!(ids, ["spiffe://td/ns/shop/sa/cart", "spiffe://td/ns/shop/sa/cart-b"]);
    assert!(!cart.external);
    let http = cart.port(80).unwrap();
    assert_eq!((http.protocol, http.target_port), (Protocol::Http, 8080));
    assert_eq!(cart.port(9000).unwrap().protocol, Protocol::Grpc);
    assert_eq!(cart.endpoint_port(&cart.endpoints[1], http), 8081);
    assert_eq!(cart.endpoints[1].address, EndpointAddress::Ip("10.0.0.10".parse().unwrap()));
    let payments = snapshot.service_by_host("payments.bank", 80).unwrap();
    assert_eq!(payments.identities[0].as_str(), "spiffe://other.td/payments");
    let api = snapshot.service_by_host("api.example.org", 443).unwrap();
    assert!(api.external && api.identities.is_empty());
    assert_eq!(api.port(443).unwrap().protocol, Protocol::Tls);
}

/// Invariant 12: an entry acts on clients of its own namespace, or on all from the root namespace; the nearer one wins.
#[test]
fn s21_tenant_reach_of_services() {
    let snapshot = shop();
    let hosts: Vec<_> = snapshot.services().iter().map(|service| &*service.host).collect();
    assert_eq!(
        hosts,
        ["api.example.org", "cart.shop.svc.cluster.local", "payments.bank.svc.cluster.local"]
    );
    let api = "{hosts: [api.example.org], ports: [{number: 443, name: tcp}]}";
    for text in [
        format!("{}{}", entry("a", "shop", api), entry("b", "postern-system", api)),
        format!("{}{}", entry("b", "postern-system", api), entry("a", "shop", api)),
    ] {
        let snapshot = super::snapshot(&text);
        assert_eq!(&*snapshot.service_by_host("api.example.org", 443).unwrap().namespace, "shop");
    }
}

/// What a ServiceEntry says of a port is read as everywhere: `protocol` first, then the name.
#[test]
fn protocols_of_entries() {
    let check = |port: &str, expect: Protocol| {
        let text = entry(
            "a",
            "shop",
            &format!("{{hosts: [api.example.org], ports: [{{number: 443, {port}}}]}}"),
        );
        let snapshot = super::snapshot(&text);
        let service = snapshot.service_by_host("api.example.org", 443).unwrap();
        assert_eq!(service.port(443).unwrap().protocol, expect, "{port}");
    };
    check("name: grpc-web-x", Protocol::Http);
    check("name: grpc-x, protocol: HTTP", Protocol::Http);
    check("name: http, protocol: kubernetes.io/wss", Protocol::Tls);
    check("name: web", Protocol::Auto);
}
