#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use proptest::prelude::*;

use super::*;
use crate::{Resources, SourceFile};

const ROOT: &str = "postern-system";

fn cart() -> ServiceDescription {
    ServiceDescription {
        namespace: ROOT.into(),
        name: "cart.shop".into(),
        hosts: vec!["cart.shop.svc.cluster.local".into()],
        addresses: vec!["10.96.0.1".into()],
        external: false,
        ports: vec![PortDescription {
            number: 80,
            target_port: 8080,
            name: "http".into(),
            protocol: Protocol::Http,
        }],
        resolution: Resolution::Static,
        endpoints: vec![EndpointDescription {
            address: "10.1.0.1".into(),
            ports: vec![("http".into(), 8081)],
            service_account: Some("cart".into()),
            locality: Some("eu/eu-1".into()),
            weight: Some(5),
        }],
        identities: Some(vec!["spiffe://td/ns/shop/sa/cart".into()]),
    }
}

/// What a change of the description makes of it: nothing, or what is wrong.
fn check(row: &str, change: impl FnOnce(&mut ServiceDescription), expect: Option<&str>) {
    let mut description = cart();
    change(&mut description);
    match (ServiceEntry::checked(&description, ROOT), expect) {
        (Ok(_), None) => {}
        (Err(wrong), Some(expect)) => {
            assert!(wrong.join("; ").contains(expect), "{row}: {wrong:?}");
        }
        (found, _) => panic!("{row}: {found:?}"),
    }
}

#[test]
fn every_field_is_checked() {
    check("as it is", |_| {}, None);
    check("no namespace", |d| d.namespace.clear(), Some("the namespace"));
    check("a namespace of two labels", |d| d.namespace = "a.b".into(), Some("the namespace"));
    check("a name that is a path", |d| d.name = "../../etc".into(), Some("no object's"));
    check("no host", |d| d.hosts.clear(), Some("0 hosts; expected 1 to 256"));
    check("a wildcard", |d| d.hosts = vec!["*.shop".into()], Some("the host"));
    check("a host with a port", |d| d.hosts = vec!["cart:80".into()], Some("ports are listed"));
    check("a host with a line break", |d| d.hosts = vec!["a\nb".into()], Some(r"a\nb"));
    check("an endless host", |d| d.hosts = vec!["h".repeat(1 << 20)], Some("the host"));
    check("no address", |d| d.addresses.clear(), None);
    check("a block", |d| d.addresses = vec!["10.0.0.0/8".into()], None);
    check("no block", |d| d.addresses = vec!["10.0.0.0/33".into()], Some("the address"));
    check("no port", |d| d.ports.clear(), Some("0 ports"));
    check("port 0", |d| d.ports[0].number = 0, Some("the port 0"));
    check("port 65536", |d| d.ports[0].target_port = 65536, Some("the port 65536"));
    check("a port without a name", |d| d.ports[0].name.clear(), Some("without a name"));
    check("a port twice", |d| d.ports.push(d.ports[0].clone()), Some("port 80 (http) again"));
    check("no endpoint", |d| d.endpoints.clear(), Some("STATIC without endpoints"));
    check("NONE with endpoints", |d| d.resolution = Resolution::None, Some("resolution NONE"));
    let named = |d: &mut ServiceDescription| d.endpoints[0].address = "cart.example".into();
    check("a name that nobody resolves", named, Some("a DNS name among the endpoints"));
    let resolved = |d: &mut ServiceDescription| {
        named(d);
        d.resolution = Resolution::Dns;
    };
    check("a name that is resolved", resolved, None);
    check("no endpoint's address", |d| d.endpoints[0].address.clear(), Some("the endpoint"));
    let foreign_port = |d: &mut ServiceDescription| d.endpoints[0].ports[0].0 = "grpc".into();
    check("a port that it has not", foreign_port, Some("the port name grpc in an endpoint"));
    let twice = |d: &mut ServiceDescription| d.endpoints[0].ports.push(("http".into(), 1));
    check("a port of an endpoint twice", twice, Some("of an endpoint again"));
    check("an endpoint's port 0", |d| d.endpoints[0].ports[0].1 = 0, Some("the port 0"));
    let account = |d: &mut ServiceDescription| d.endpoints[0].service_account = Some("A/b".into());
    check("no service account", account, Some("the account"));
    check("nobody", |d| d.identities = Some(Vec::new()), Some("0 identities"));
    let domain = |d: &mut ServiceDescription| d.identities = Some(vec!["spiffe://td".into()]);
    check("a whole trust domain", domain, Some("name a workload"));
    let many = |d: &mut ServiceDescription| d.endpoints = vec![d.endpoints[0].clone(); 4097];
    check("too many endpoints", many, Some("4097 endpoints; expected 0 to 4096"));
    check("too many hosts", |d| d.hosts = vec!["a.b".into(); 257], Some("257 hosts"));
}

/// Invariant 12: the root namespace speaks for the mesh, all others for themselves.
#[test]
fn s21_tenant_reach_of_a_described_service() {
    for (namespace, host, expect) in [
        (ROOT, "cart.shop.svc.cluster.local", None),
        ("shop", "cart.shop.svc.cluster.local", None),
        ("bank", "cart.shop.svc.cluster.local", Some("which is namespace shop's")),
        ("bank", "deep.cart.shop.svc", Some("which is namespace shop's")),
        ("bank", "api.example.org", None),
    ] {
        let change = |d: &mut ServiceDescription| {
            d.namespace = namespace.into();
            d.hosts = vec![host.into()];
        };
        check(&format!("{host} of {namespace}"), change, expect);
    }
}

/// A file, and a message about the same object, mean the same.
#[test]
fn a_description_of_an_entry_makes_the_entry_again() {
    for spec in [
        "{hosts: [a.example, b.example], ports: [{number: 443, name: tls}]}",
        "{hosts: [a.example], addresses: [192.0.2.0/24, '2001:db8::1'], resolution: DNS,
          ports: [{number: 443, name: tls, targetPort: 8443}], endpoints: [{address: c.example}]}",
        "{hosts: [a.example], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80, name: http}],
          endpoints: [{address: '::ffff:10.0.0.1', serviceAccount: a, ports: {http: 81}}]}",
        "{hosts: [a.example], location: MESH_INTERNAL, ports: [{number: 80, name: grpc}], subjectAltNames: ['spiffe://td/a']}",
    ] {
        let text = format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: a, namespace: shop}}\nspec: {spec}\n"
        );
        let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
        let resources = Resources::parse(&[file], ROOT).unwrap();
        let entry = &resources.service_entries()[0];
        let again = ServiceEntry::checked(&ServiceDescription::from(entry), ROOT).unwrap();
        assert_eq!(again, *entry, "{spec}");
    }
}

proptest! {
    /// Whatever a message says, it is refused or taken; nothing ends the program.
    #[test]
    fn no_description_panics(
        names in prop::collection::vec("\\PC{0,12}", 6),
        numbers in prop::collection::vec(any::<u32>(), 3),
        address in prop_oneof![Just("10.0.0.1".to_owned()), "\\PC{0,20}"],
    ) {
        let mut description = cart();
        description.hosts.push(names[0].clone());
        description.addresses.push(address.clone());
        description.ports[0].number = numbers[0];
        description.ports[0].name = names[1].clone();
        let ports = vec![(names[1].clone(), numbers[1]), (names[2].clone(), numbers[2])];
        let service_account = Some(names[3].clone());
        let (locality, weight) = (Some(names[2].clone()), Some(numbers[2]));
        description.endpoints.push(EndpointDescription {
            address,
            ports,
            service_account,
            locality,
            weight,
        });
        description.identities = Some(vec![names[4].clone()]);
        description.name = names[5].clone();
        let _ = ServiceEntry::checked(&description, ROOT);
    }
}
