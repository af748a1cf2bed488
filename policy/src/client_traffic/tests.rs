#![allow(clippy::unwrap_used)]
use super::*;
use crate::resources::{Resources, SourceFile};

fn resources(yaml: &str) -> Resources {
    let bytes = yaml.as_bytes().to_vec();
    Resources::parse(&[SourceFile { name: "edge.yaml".into(), bytes }], "postern-system").unwrap()
}

fn policy(name: &str, created: &str, target: &str, spec: &str) -> String {
    let created = match created {
        "" => String::new(),
        time => format!(", creationTimestamp: \"{time}\""),
    };
    format!(
        "---\napiVersion: policy.postern.dev/v1alpha1\nkind: ClientTrafficPolicy\n\
         metadata: {{name: {name}, namespace: shop{created}}}\nspec:\n  targetRefs:\n  - {{group: \
         gateway.networking.k8s.io, {target}}}\n  {spec}\n"
    )
}

const TLS: &str = "tls: {minimumVersion: \"1.3\"}";

#[test]
fn the_most_specific_policy_holds_as_a_whole() {
    let all = [
        policy("whole", "", "kind: Gateway, name: edge", TLS),
        policy("section", "", "kind: Gateway, name: edge, sectionName: https", TLS),
        policy("set", "", "kind: ListenerSet, name: more", TLS),
        policy("in-set", "", "kind: ListenerSet, name: more, sectionName: https", TLS),
        policy("younger", "2026-02-01T00:00:00Z", "kind: Gateway, name: old", TLS),
        policy("older", "2026-01-01T00:00:00Z", "kind: Gateway, name: old", TLS),
        policy("a-without-time", "", "kind: Gateway, name: old", TLS),
        policy("b", "", "kind: Gateway, name: twins", TLS),
        policy("a", "", "kind: Gateway, name: twins", TLS),
    ];
    let read = resources(&all.concat());
    let traffic = ClientTraffic::build(read.client_traffic_policies(), &[]);
    for (gateway, set, section, expect) in [
        ("edge", None, "http", Some("shop/whole")),
        ("edge", None, "https", Some("shop/section")),
        ("edge", Some("more"), "http", Some("shop/set")),
        ("edge", Some("more"), "https", Some("shop/in-set")),
        ("edge", Some("other"), "https", Some("shop/whole")),
        ("old", None, "http", Some("shop/older")),
        ("twins", None, "http", Some("shop/a")),
        ("nobodys", None, "http", None),
    ] {
        let set_name = set.map(|set: &str| ObjectName::new("shop", set));
        let listener = ListenerPlace {
            gateway: &ObjectName::new("shop", gateway),
            listener_set: set_name.as_ref(),
            section: &section.into(),
        };
        let found = traffic.of(&listener).policy.as_deref();
        assert_eq!(found, expect, "{gateway} {set:?} {section}");
    }
    let gateway = &ObjectName::new("other", "edge");
    let elsewhere = ListenerPlace { gateway, listener_set: None, section: &"http".into() };
    assert_eq!(traffic.of(&elsewhere).policy, None);
}

fn certificates(principals: &str) -> ClientCertificates {
    let spec = format!(
        "clientCertificates: {{mode: required, authorities: [{{kind: ConfigMap, name: p}}], principals: [{principals}]}}"
    );
    let read = resources(&policy("p", "", "kind: Gateway, name: edge", &spec));
    let certificates = &read.client_traffic_policies()[0].settings().client_certificates;
    ClientCertificates::clone(certificates.as_ref().unwrap())
}

/// The names of a certificate, each with its type before a colon, and whom it is taken for.
fn holder_of(certificates: &ClientCertificates, names: &[&str]) -> Result<String, String> {
    let of = |kind: &str| -> Vec<String> {
        names.iter().filter_map(|name| name.strip_prefix(kind)).map(str::to_owned).collect()
    };
    let (dns, uris, emails) = (of("dns:"), of("uri:"), of("email:"));
    let names = CertificateNames { dns: &dns, uris: &uris, emails: &emails };
    match certificates.principal_of(&names) {
        Ok(Some(id)) => Ok(id.without_scheme().to_owned()),
        Ok(None) => Ok("nobody".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn s23_san_parsing_names_count_within_their_type() {
    let certificates = certificates(
        "{subjectAltName: {dns: orders.acme.example}, principal: p.example/acme}, \
         {subjectAltName: {email: orders@acme.example}, principal: p.example/acme}, \
         {subjectAltName: {uri: 'urn:globex:orders'}, principal: p.example/globex}",
    );
    for (row, names, expect) in [
        ("none", &[][..], Some("nobody")),
        ("a name that is not mapped", &["dns:acme.example"], Some("nobody")),
        ("a host", &["dns:orders.acme.example"], Some("p.example/acme")),
        ("a host in capitals", &["dns:Orders.ACME.example"], Some("p.example/acme")),
        ("beside others", &["dns:x.example", "dns:orders.acme.example"], Some("p.example/acme")),
        ("a wildcard", &["dns:*.acme.example"], Some("nobody")),
        ("a host below it", &["dns:a.orders.acme.example"], Some("nobody")),
        ("a host behind it", &["dns:orders.acme.example.evil"], Some("nobody")),
        ("a trailing dot", &["dns:orders.acme.example."], Some("nobody")),
        ("a NUL", &["dns:orders.acme.example\0.evil"], Some("nobody")),
        ("the host as a URI", &["uri:orders.acme.example"], Some("nobody")),
        ("the URI as a host", &["dns:urn:globex:orders"], Some("nobody")),
        ("the address as a host", &["dns:orders@acme.example"], Some("nobody")),
        ("a URI", &["uri:urn:globex:orders"], Some("p.example/globex")),
        ("a URI in capitals", &["uri:URN:globex:orders"], Some("nobody")),
        (
            "an address, its host in capitals",
            &["email:orders@ACME.example"],
            Some("p.example/acme"),
        ),
        ("an address in capitals", &["email:Orders@acme.example"], Some("nobody")),
        (
            "two names of one",
            &["dns:orders.acme.example", "email:orders@acme.example"],
            Some("p.example/acme"),
        ),
        ("two principals", &["dns:orders.acme.example", "uri:urn:globex:orders"], None),
    ] {
        assert_eq!(holder_of(&certificates, names).ok().as_deref(), expect, "{row}");
    }
}

#[test]
fn s24_trust_domain_confusion_a_partners_authority_signs_a_name_of_the_mesh() {
    let own = "spiffe://cluster.local/ns/shop/sa/cart";
    let mapped = format!(
        "{{subjectAltName: {{uri: '{own}'}}, principal: cluster.local/ns/shop/sa/cart}}, \
         {{subjectAltName: {{dns: a.example}}, principal: p.example/acme}}"
    );
    let uri = format!("uri:{own}");
    let unmapped = certificates("{subjectAltName: {dns: a.example}, principal: p.example/acme}");
    assert_eq!(holder_of(&unmapped, &[&uri]).as_deref(), Ok("nobody"));
    // The set is refused; should the mapping come this far, it means nobody.
    let mesh = [TrustDomain::parse("cluster.local").unwrap()];
    let compiled = certificates(&mapped).without_domains(&mesh);
    assert_eq!(holder_of(&compiled, &[&uri]).as_deref(), Ok("nobody"));
    assert_eq!(holder_of(&compiled, &["dns:a.example"]).as_deref(), Ok("p.example/acme"));
}

#[test]
fn s47_a_port_is_its_gateways() {
    let of_gateway = policy("g", "", "kind: Gateway, name: edge", "limits: {requestBytes: 7B}");
    let of_set = policy("s", "", "kind: ListenerSet, name: more", "limits: {requestBytes: 1B}");
    let resources = resources(&(of_gateway + &of_set));
    let clients = ClientTraffic::build(resources.client_traffic_policies(), &[]);
    let object = |name| ObjectName::new(Arc::<str>::from("shop"), Arc::<str>::from(name));
    let (gateway, set, section) = (object("edge"), object("more"), Arc::from("http"));
    let own = ListenerPlace { gateway: &gateway, listener_set: None, section: &section };
    let of_set = ListenerPlace { listener_set: Some(&set), ..own };
    for (row, settings, expect) in [
        ("a ListenerSet's listener", clients.of(&of_set), 1),
        ("its port", clients.at_port(&of_set), 7),
        ("the port of the Gateway's own", clients.at_port(&own), 7),
    ] {
        assert_eq!(settings.limits.request_bytes, Some(expect), "{row}");
    }
}

#[test]
fn s16_who_speaks_for_the_client_of_a_gateway() {
    for (row, hops, peer, lines, expect) in [
        ("nobody is trusted", 1, "192.0.2.1", &["6.6.6.6"][..], "192.0.2.1"),
        ("a trusted proxy", 1, "10.0.0.1", &["6.6.6.6"], "6.6.6.6"),
        ("what the client wrote is left of it", 1, "10.0.0.1", &["1.1.1.1, 6.6.6.6"], "6.6.6.6"),
        ("in lines of their own", 1, "10.0.0.1", &["1.1.1.1", "6.6.6.6"], "6.6.6.6"),
        ("two proxies, one hop", 1, "10.0.0.1", &["6.6.6.6, 10.0.0.2"], "10.0.0.2"),
        ("two proxies", 2, "10.0.0.1", &["1.1.1.1, 6.6.6.6, 10.0.0.2"], "6.6.6.6"),
        ("fewer than there may be", 2, "10.0.0.1", &["1.1.1.1, 6.6.6.6"], "6.6.6.6"),
        ("nothing is said", 1, "10.0.0.1", &[], "10.0.0.1"),
        ("an empty line", 1, "10.0.0.1", &[""], "10.0.0.1"),
        ("no address", 1, "10.0.0.1", &["6.6.6.6, unknown"], "10.0.0.1"),
        ("a port", 1, "10.0.0.1", &["6.6.6.6:80"], "6.6.6.6"),
        ("IPv6", 1, "2001:db8::1", &["[2001:db8:1::9]:443"], "2001:db8:1::9"),
        ("a zone", 1, "10.0.0.1", &["fe80::1%eth0"], "10.0.0.1"),
        ("IPv4 in IPv6", 1, "::ffff:10.0.0.1", &["::ffff:6.6.6.6"], "6.6.6.6"),
        ("an untrusted peer in IPv6", 1, "::ffff:192.0.2.1", &["6.6.6.6"], "192.0.2.1"),
    ] {
        let trusted = ["10.0.0.0/8", "2001:db8::/64"];
        let trusted = trusted.map(|block| crate::pattern::AddressPattern::parse(block).unwrap());
        let forwarded = ForwardedClient { trusted: AddressBlocks(trusted.to_vec()), hops };
        let lines = lines.iter().map(|line| line.as_bytes());
        let client = forwarded.client(peer.parse().unwrap(), lines);
        assert_eq!(client.to_string(), expect, "{row}");
    }
}

#[test]
fn s16_who_speaks_for_the_client_of_a_gateway_however_much_the_client_writes() {
    let block = crate::pattern::AddressPattern::parse("10.0.0.0/8").unwrap();
    let client = |hops, lines: &[&str]| {
        let forwarded = ForwardedClient { trusted: AddressBlocks(vec![block]), hops };
        let lines = lines.iter().map(|line| line.as_bytes());
        forwarded.client("10.0.0.1".parse().unwrap(), lines).to_string()
    };
    let written = vec!["10.9.9.9"; 32].join(", ");
    let many_lines = vec!["10.9.9.9"; 200];
    let appended = format!("{written}, 6.6.6.6");
    let through_two = format!("{written}, 6.6.6.6, 10.0.0.2");
    let commas = format!("{}6.6.6.6", ",".repeat(1000));
    assert_eq!(client(1, &[&appended]), "6.6.6.6", "in one line");
    assert_eq!(client(1, &[&written, "6.6.6.6"]), "6.6.6.6", "in a line of its own");
    assert_eq!(client(1, &[&many_lines[..], &["6.6.6.6"]].concat()), "6.6.6.6", "in many lines");
    assert_eq!(client(16, &[&through_two]), "6.6.6.6", "behind two proxies");
    assert_eq!(client(16, &[&commas]), "6.6.6.6", "empty entries");
    let endless = vec!["10.0.0.2"; 40].join(",");
    assert_eq!(client(16, &[&endless]), "10.0.0.2", "no more than `hops` are asked");
}
