//! Listeners that want the same port.

use super::*;

fn http(name: &str, port: u16, host: &str) -> String {
    let host = if host.is_empty() { String::new() } else { format!(", hostname: '{host}'") };
    format!("{{name: {name}, port: {port}, protocol: HTTP{host}}}")
}

fn tcp(name: &str, port: u16) -> String {
    format!("{{name: {name}, port: {port}, protocol: TCP}}")
}

fn tls(name: &str, protocol: &str, host: &str) -> String {
    let mode = if protocol == "TLS" { "mode: Passthrough" } else { "certificateRefs: [{name: c}]" };
    format!(
        "{{name: {name}, port: 443, protocol: {protocol}, hostname: '{host}', tls: {{{mode}}}}}"
    )
}

#[test]
fn listeners_of_one_object_in_each_others_way_are_all_refused() {
    let listeners = [
        http("web", 80, "a.b"),
        http("any", 80, ""),
        tcp("bytes", 80),
        tcp("other", 81),
        tls("https", "HTTPS", "a.b"),
        tls("tls", "TLS", "a.b"),
        tls("db", "TLS", "db.b"),
    ];
    let text = gateway(&listeners.join(", ")) + &secret("shop", "c");
    assert_eq!(
        said(&text),
        [
            "shop/edge:web ProtocolConflict off",
            "shop/edge:any ProtocolConflict off",
            "shop/edge:bytes ProtocolConflict off",
            "shop/edge:other",
            "shop/edge:https HostnameConflict off",
            "shop/edge:tls HostnameConflict off",
            "shop/edge:db",
        ]
    );
    let table = table(&text);
    let ports: Vec<_> = table.ports().map(|port| (port.number, port.protocol)).collect();
    assert_eq!(ports, [(81, PortProtocol::Tcp), (443, PortProtocol::Tls)]);
}

#[test]
fn of_several_objects_the_first_has_the_port() {
    let allowed = "allowedListeners: {namespaces: {from: All}},";
    let own = [http("web", 80, "gateway.example"), http("taken", 80, "taken.example")].join(", ");
    let set = |name: &str, created: &str, listeners: &[String]| {
        listener_set("web", name, created, &listeners.join(", "))
    };
    let text = gateway_at("", "edge", allowed, &own)
        + &set("b", YOUNG, &[http("x", 80, "set.example"), http("y", 80, "taken.example")])
        + &set("a", "", &[http("x", 80, "set.example"), tcp("bytes", 80), tcp("more", 81)])
        + &set("c", OLD, &[http("x", 80, "set.example"), tcp("bytes", 80)]);
    assert_eq!(
        said(&text),
        [
            "shop/edge:web",
            "shop/edge:taken",
            // The oldest set comes first. What the Gateway is in the way of is in the way of none beside it.
            "shop/edge:web/c:x",
            "shop/edge:web/c:bytes ProtocolConflict off",
            "shop/edge:web/b:x HostnameConflict off",
            "shop/edge:web/b:y HostnameConflict off",
            "shop/edge:web/a:x HostnameConflict off",
            "shop/edge:web/a:bytes ProtocolConflict off",
            "shop/edge:web/a:more",
        ]
    );
}

#[test]
fn of_several_gateways_the_older_has_the_port() {
    let listeners = |host: &str| http("http", 80, host);
    let young = gateway_at(YOUNG, "a", "", &listeners("shop.example"));
    let old = gateway_at(OLD, "b", "", &listeners("shop.example"));
    let file = gateway_at("", "0", "", &listeners("shop.example"));
    let other = gateway_at("", "c", "", &listeners("other.example"));
    let text = young + &old + &file.replace("name: 0", "name: z0") + &other;
    assert_eq!(
        said(&text),
        [
            "shop/b:http",
            "shop/a:http HostnameConflict off",
            "shop/c:http",
            "shop/z0:http HostnameConflict off"
        ]
    );
    let table = table(&text);
    let port = table.port(None, 80).unwrap();
    let labels: Vec<_> = port.listeners().map(|listener| &*listener.label).collect();
    assert_eq!(labels, ["shop/b:http", "shop/c:http"]);
    // The one Gateway that is selected is in nobody's way.
    let selection = GatewaySelection {
        gateway: Some(ObjectName::new("shop", "a")),
        ..GatewaySelection::default()
    };
    let alone = GatewayTable::build(&resources(&text), &selection);
    assert_eq!(
        &*alone.port(None, 80).unwrap().by_host("shop.example").unwrap().label,
        "shop/a:http"
    );
}

#[test]
fn addresses_keep_gateways_apart() {
    let at = |name: &str, address: &str| {
        let addresses = match address {
            "" => String::new(),
            address => format!("addresses: [{address}],"),
        };
        gateway_at("", name, &addresses, &http("http", 80, ""))
    };
    let text = at("a", "{value: 192.0.2.1}, {value: 192.0.2.2}")
        + &at("b", "{value: 192.0.2.2}")
        + &at("c", "")
        + &at("d", "{type: Hostname, value: edge.example}")
        + &at("e", "{value: 192.0.2.3}, {type: IPAddress}");
    assert_eq!(
        said(&text),
        [
            "shop/a:http",
            "shop/b:http HostnameConflict off",
            "shop/c:http",
            "shop/d:http off",
            "shop/e:http"
        ]
    );
    let table = table(&text);
    let addresses: Vec<_> = table
        .ports()
        .map(|port| port.address.map_or_else(|| "*".to_owned(), |address| address.to_string()))
        .collect();
    assert_eq!(addresses, ["*", "192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    assert!(table.port(Some("192.0.2.1".parse().unwrap()), 80).is_some());
    assert!(table.port(Some("192.0.2.9".parse().unwrap()), 80).is_none());
}

#[test]
fn what_is_not_spoken_is_in_nobodys_way() {
    let text = gateway(
        "{name: a, port: 53, protocol: UDP}, {name: b, port: 53, protocol: TCP}, {name: c, port: 80, protocol: INVALID}, {name: d, port: 80, protocol: HTTP}",
    );
    assert_eq!(
        said(&text),
        [
            "shop/edge:a UnsupportedProtocol off",
            "shop/edge:b",
            "shop/edge:c UnsupportedProtocol off",
            "shop/edge:d"
        ]
    );
}
