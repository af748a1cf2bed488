//! Services by name and by address, and what a change of one leaves alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::service::EndpointAddress;
use crate::{Protocol, SourceFile};

fn resources(text: &str) -> Resources {
    let file = SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() };
    Resources::parse(&[file], "postern-system")
        .unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"))
}

/// The workload all tests are about: `cart` of namespace `shop`.
fn cart() -> Workload {
    Workload {
        namespace: "shop".into(),
        service_account: "cart".into(),
        labels: std::collections::BTreeMap::new(),
    }
}

fn empty() -> ServiceTable {
    ServiceTable::new(&cart(), "postern-system", &TrustDomain::parse("td").unwrap())
}

fn table(text: &str) -> ServiceTable {
    let mut table = empty();
    table.replace_all(&resources(text));
    table
}

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

fn shop() -> ServiceTable {
    table(&format!(
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
    let table = shop();
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
        let found = table.by_host(host, port).map(|service| service.host.to_string());
        assert_eq!(found.as_deref(), expect, "{host}:{port}");
    }
}

#[test]
fn names_under_another_cluster_domain_are_believed_of_the_root_namespace() {
    let spec = "{hosts: [cart.shop.svc.k8s.example], ports: [{number: 80, name: http}]}";
    for (namespace, expect) in [("postern-system", true), ("shop", false)] {
        let table = self::table(&entry("cart", namespace, spec));
        assert!(table.by_host("cart.shop.svc.k8s.example", 80).is_some());
        for host in ["cart", "cart.shop", "cart.shop.svc"] {
            let found = table.by_host(host, 80).is_some();
            assert_eq!(found, expect, "{host} of {namespace}");
        }
    }
}

/// Routes and backends name Services by namespace and name, and know no domain.
#[test]
fn resources_know_a_service_whatever_the_domain_of_the_cluster_is() {
    let short = "cart.shop.svc";
    for (domain, namespace, expect) in [
        ("cluster.local", "postern-system", "cart.shop.svc.cluster.local"),
        ("cluster.local", "shop", "cart.shop.svc.cluster.local"),
        ("k8s.example", "postern-system", "cart.shop.svc.cluster.local"),
        ("k8s.example", "shop", "cart.shop.svc.k8s.example"),
    ] {
        let spec = format!("{{hosts: [{short}.{domain}], ports: [{{number: 80, name: http}}]}}");
        let table = self::table(&entry("cart", namespace, &spec));
        let service = table.by_host(&format!("{short}.{domain}"), 80).unwrap();
        assert_eq!(table.resource_host(service), expect, "{domain} of {namespace}");
        let name = table.backend_name("cart.shop.svc.cluster.local", 80);
        let found = table.by_host(name, 80).is_some();
        assert_eq!(found, expect.ends_with(".local"), "{domain} of {namespace}: {name}");
    }
    assert_eq!(shop().backend_name("api.example.org", 443), "api.example.org");
    assert_eq!(shop().backend_name("gone.shop.svc.cluster.local", 80), "gone.shop.svc");
}

#[test]
fn addresses() {
    let table = shop();
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
        let found = table.by_address(address.parse().unwrap()).map(|s| s.host.to_string());
        assert_eq!(found.as_deref(), expect, "{address}");
    }
}

#[test]
fn identities_and_ports() {
    let table = shop();
    let cart = table.by_host("cart", 80).unwrap();
    let ids: Vec<_> = cart.identities.iter().map(SpiffeId::as_str).collect();
    assert_eq!(ids, ["spiffe://td/ns/shop/sa/cart", "spiffe://td/ns/shop/sa/cart-b"]);
    assert!(!cart.external);
    let http = cart.port(80).unwrap();
    assert_eq!((http.protocol, http.target_port), (Protocol::Http, 8080));
    assert_eq!(cart.port(9000).unwrap().protocol, Protocol::Grpc);
    assert_eq!(cart.endpoint_port(&cart.endpoints[1], http), 8081);
    assert_eq!(cart.endpoints[1].address, EndpointAddress::Ip("10.0.0.10".parse().unwrap()));
    let payments = table.by_host("payments.bank", 80).unwrap();
    assert_eq!(payments.identities[0].as_str(), "spiffe://other.td/payments");
    let api = table.by_host("api.example.org", 443).unwrap();
    assert!(api.external && api.identities.is_empty());
    assert_eq!(api.port(443).unwrap().protocol, Protocol::Tls);
}

/// Invariant 12: an entry acts on clients of its own namespace, or on all from the root namespace; the nearer one wins.
#[test]
fn s21_tenant_reach_of_services() {
    let table = shop();
    let hosts: Vec<_> = table.services().map(|service| &*service.host).collect();
    assert_eq!(
        hosts,
        ["api.example.org", "cart.shop.svc.cluster.local", "payments.bank.svc.cluster.local"]
    );
    let api = "{hosts: [api.example.org], ports: [{number: 443, name: tcp}]}";
    for text in [
        format!("{}{}", entry("a", "shop", api), entry("b", "postern-system", api)),
        format!("{}{}", entry("b", "postern-system", api), entry("a", "shop", api)),
    ] {
        let table = self::table(&text);
        assert_eq!(&*table.by_host("api.example.org", 443).unwrap().namespace, "shop");
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
        let table = self::table(&text);
        let service = table.by_host("api.example.org", 443).unwrap();
        assert_eq!(service.port(443).unwrap().protocol, expect, "{port}");
    };
    check("name: grpc-web-x", Protocol::Http);
    check("name: grpc-x, protocol: HTTP", Protocol::Http);
    check("name: http, protocol: kubernetes.io/wss", Protocol::Tls);
    check("name: web", Protocol::Auto);
}

fn cart_at(address: &str) -> ServiceEntry {
    let text = entry("cart", "shop", &CART.replace("10.0.0.9", address));
    resources(&text).service_entries()[0].clone()
}

/// One service changes: every other one stays the very same value, under each of its names.
#[test]
fn a_change_of_one_service_costs_that_service() {
    let before = shop();
    let mut after = before.clone();
    after.set(&cart_at("10.0.0.8"));
    for host in ["payments.bank.svc.cluster.local", "payments.bank", "api.example.org"] {
        let port = if host.starts_with("api") { 443 } else { 80 };
        let (old, new) = (before.by_host(host, port).unwrap(), after.by_host(host, port).unwrap());
        assert!(Arc::ptr_eq(old, new), "{host}");
    }
    assert!(!Arc::ptr_eq(before.by_host("cart", 80).unwrap(), after.by_host("cart", 80).unwrap()));
    let at = |table: &ServiceTable, at: &str| table.by_address(at.parse().unwrap()).is_some();
    assert!(at(&after, "10.0.0.8:8080") && !at(&after, "10.0.0.9:8080"));
    assert!(
        at(&before, "10.0.0.9:8080") && !at(&before, "10.0.0.8:8080"),
        "a copy stays as it was"
    );
    assert_ne!(before.version(), after.version());
}

#[test]
fn what_says_the_same_is_no_change() {
    let mut table = shop();
    let (version, cart) = (table.version(), table.by_host("cart", 80).unwrap().clone());
    table.set(&cart_at("10.0.0.9"));
    table.remove("shop/nobody");
    assert_eq!(table.version(), version);
    // Another set of files, in which only another service is new.
    let more =
        format!("{}{}", entry("cart", "shop", CART), entry("payments", "shop", PAYMENTS_OF_SHOP));
    table.replace_all(&resources(&more));
    assert!(Arc::ptr_eq(&cart, table.by_host("cart", 80).unwrap()));
    assert!(table.by_host("api.example.org", 443).is_none(), "what is not in the set is gone");
}

const PAYMENTS_OF_SHOP: &str =
    "{hosts: [payments.shop.svc.cluster.local], ports: [{number: 80, name: http}]}";

#[test]
fn the_own_service_is_the_one_that_our_identity_may_answer_for() {
    let mut table = shop();
    assert_eq!(&*table.own().unwrap().host, "cart.shop.svc.cluster.local");
    table.remove("shop/cart");
    assert!(table.own().is_none());
    assert_eq!(table.named("payments.bank.svc.cluster.local").count(), 1);
    assert_eq!(table.named("payments.bank").count(), 0, "a short name is no host");
}

/// Whatever happened in between, and in whatever order: a table says what its entries say.
#[test]
fn changes_add_up() {
    use proptest::prelude::*;
    let entry = |host: u8, of: bool, address: u8, block: bool| {
        let namespace = if of { "shop" } else { "postern-system" };
        let block = if block { "10.1.0.0/24" } else { "10.1.0.1" };
        let spec = format!(
            "{{hosts: [a{host}.shop.svc.cluster.local], addresses: [{block}], location: MESH_INTERNAL,
            resolution: STATIC, ports: [{{number: 80, name: http}}], endpoints: [{{address: 10.0.0.{address}, serviceAccount: cart}}]}}"
        );
        resources(&self::entry(&format!("a{host}"), namespace, &spec)).service_entries()[0].clone()
    };
    let change = (0u8..4, any::<bool>(), 0u8..3, any::<bool>(), prop::bool::weighted(0.3));
    let told = |table: &ServiceTable| {
        let mut told: Vec<String> = table.services().map(|s| format!("{s:?}")).collect();
        for host in 0..4 {
            for name in [format!("a{host}"), format!("a{host}.shop")] {
                told.push(format!("{name} {:?}", table.by_host(&name, 80)));
            }
        }
        for ip in ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.1.0.1", "10.1.0.7"] {
            let at = SocketAddr::new(ip.parse().unwrap(), 80);
            told.push(format!("{at} {:?}", table.by_address(at)));
        }
        (told, table.own().map(|own| own.host.clone()), table.len())
    };
    proptest!(ProptestConfig::with_cases(64), |(changes in prop::collection::vec(change, 1..20))| {
        let mut table = empty();
        let mut known = std::collections::BTreeMap::new();
        for (host, of, address, block, gone) in changes {
            let entry = entry(host, of, address, block);
            if gone {
                table.remove(entry.name());
                known.remove(entry.name());
            } else {
                table.set(&entry);
                known.insert(entry.name().clone(), entry);
            }
        }
        let mut fresh = empty();
        known.values().rev().for_each(|entry| fresh.set(entry));
        prop_assert_eq!(told(&table), told(&fresh));
    });
}
