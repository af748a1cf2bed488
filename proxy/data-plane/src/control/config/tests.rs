//! The configuration file as a whole.
#![allow(clippy::unwrap_used)]

use crate::control::config::*;
use policy::{DefaultAuthorization, MtlsMode, Protocol};

const LEAST: &str = "workload: {namespace: shop, serviceAccount: cart}\nidentity: {workloadApi: unix:///run/postern/agent.sock}\n";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn only_workload_and_identity_are_required() {
    let config = Config::parse("proxy.yaml", LEAST.as_bytes()).unwrap();
    assert_eq!(config.workload.namespace, "shop");
    assert_eq!(config.trust_domain.as_str(), "cluster.local");
    assert_eq!(config.identity, IdentitySource::WorkloadApi("/run/postern/agent.sock".into()));
    assert_eq!(config.resources, None);
    let trust_domain = Some(config.trust_domain.clone());
    assert_eq!(config.defaults, PolicyDefaults { trust_domain, ..PolicyDefaults::default() });
    assert_eq!(config.root_namespace, "postern-system");
    assert_eq!(config.inbound.bind, [address("[::]:15006")]);
    assert_eq!(config.outbound.bind, [address("127.0.0.1:15001"), address("[::1]:15001")]);
    assert_eq!(config.admin.bind, Some(address("127.0.0.1:15000")));
    assert_eq!(config.metrics, Some(address("[::]:15020")));
    assert_eq!(config.readiness, Some(address("[::]:15021")));
    assert_eq!(config.interception.source4, std::net::Ipv4Addr::new(127, 0, 0, 6));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.workers, None);
    let point = MeetingPoint::Abstract("postern-upgrade/127.0.0.1:15000".into());
    assert_eq!(config.upgrade, Some(UpgradeSocket { point, required: false }));
}

#[test]
fn a_gateway_has_no_app_and_lets_in_what_its_routes_expose() {
    let more = "mode: gateway\ngateway: {name: shop/edge, bind: 192.0.2.1, certificates: [{name: shop/cert, certificate: /c, key: /k}]}\n";
    let config = Config::parse("p", format!("{LEAST}{more}").as_bytes()).unwrap();
    let gateway = config.gateway.unwrap();
    assert_eq!(gateway.selection().gateway.unwrap().to_string(), "shop/edge");
    assert_eq!(gateway.bind.to_string(), "192.0.2.1");
    assert_eq!(gateway.certificates[0].key, std::path::Path::new("/k"));
    assert_eq!((config.inbound.bind.len(), config.outbound.bind.len()), (0, 0));
    assert_eq!(config.defaults.authorization, DefaultAuthorization::Allow);
    let narrow = format!("{LEAST}mode: gateway\ndefaults: {{authorization: deny}}\n");
    let config = Config::parse("p", narrow.as_bytes()).unwrap();
    assert_eq!(config.defaults.authorization, DefaultAuthorization::Deny);
    assert_eq!(config.gateway, Some(GatewayConfig::default()));
}

#[test]
fn the_file_of_the_manual() {
    let text = r#"
mode: sidecar
workload: {namespace: shop, serviceAccount: cart, labels: {app: cart}}
identity: {workloadApi: unix:///run/postern/agent.sock, trustDomain: example.org}
resources: {directory: /etc/postern/resources}
defaults: {authorization: audit, mtls: PERMISSIVE, egress: allow}
inbound:
  bind: "[::]:15006"
  ports: {8080: {protocol: http, mtls: STRICT}}
  listeners:
    - {bind: 127.0.0.1:8443, forward: 127.0.0.1:8081, protocol: http, mtls: DISABLE}
    - {bind: 127.0.0.1:9093, forward: 127.0.0.1:9092, protocol: kafka, advertise: {1: 127.0.0.1:9093}}
  messageSource: true
outbound:
  bind: ["127.0.0.1:15001", "[::1]:15001"]
  listeners:
    - {bind: 127.0.0.1:9001, service: Payments.shop.svc.cluster.local., port: 8080}
admin: {bind: 127.0.0.1:15000, tokenFile: /run/token, drainFromPod: true}
metrics: {bind: "[::]:15020"}
readiness: {bind: none}
interception: {mark: 1337, source4: 127.0.0.7}
logs: {level: debug, access: refused}
limits: {headerBytes: 32KiB, connectTimeout: 250ms, connections: 5}
pathNormalization: DECODE_AND_MERGE_SLASHES
headersWithUnderscores: refuse
upgrade: {socket: /run/postern/upgrade.sock}
workers: 2
"#;
    let config = Config::parse("proxy.yaml", text.as_bytes()).unwrap();
    assert_eq!(config.defaults.authorization, DefaultAuthorization::Audit);
    assert_eq!(config.defaults.port_mtls.get(&8080), Some(&MtlsMode::Strict));
    assert_eq!(config.defaults.port_mtls.get(&8081), Some(&MtlsMode::Disable));
    assert_eq!(config.inbound.port(8080).protocol, Protocol::Http);
    assert_eq!(config.inbound.port(9).protocol, Protocol::Auto);
    let kafka = &config.inbound.listeners[1];
    assert_eq!(*kafka.advertise, [(1, address("127.0.0.1:9093"))].into());
    assert!(config.inbound.message_source);
    assert_eq!(&*config.outbound.listeners[0].service, "payments.shop.svc.cluster.local");
    assert_eq!(config.readiness, None);
    assert_eq!(config.interception.mark, Some(1337));
    assert_eq!(config.limits.header_bytes.bytes(), 32 << 10);
    assert_eq!(config.limits.connections, 5);
    assert!(config.admin.drain_from_pod);
    let point = MeetingPoint::Path("/run/postern/upgrade.sock".into());
    assert_eq!(config.upgrade, Some(UpgradeSocket { point, required: true }));
}

/// Adds `more` to the smallest file and expects exactly these diagnostics.
#[track_caller]
fn check(more: &str, expect: &[&str]) {
    let text = format!("{LEAST}{more}");
    let found = match Config::parse("p", text.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(diagnostics) => diagnostics.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(found, expect, "{more}");
}

#[test]
fn f10_mistakes_have_their_place() {
    check(
        "gateway: {name: shop/edge}",
        &[
            "p:3:10: found `gateway` of a sidecar; expected it beside `mode: gateway`; write `mode: gateway`, or remove it",
        ],
    );
    check(
        "mode: gateway\ngateway: {name: edge, bind: \"[::]\", certificates: [{name: a/b}]}\ninbound: {}",
        &[
            "p:4:17: found the text \"edge\" for `name`; expected NAMESPACE/NAME; write for example shop/edge",
            "p:4:29: found the text \"[::]\" for `bind`; expected an address; write for example \"::\" or 192.0.2.1, without a port",
            "p:4:52: found no `certificate` in `certificates`; expected the key `certificate`",
            "p:4:52: found no `key` in `certificates`; expected the key `key`",
            "p:5:10: found `inbound` of a gateway; expected no app beside it; remove it: a gateway listens where its Gateways say",
        ],
    );
    check(
        "resources: {controller: {address: a}}",
        &[
            "p:3:25: found no `identity` in `controller`; expected the key `identity`",
            "p:3:25: found no `pod` in `controller`; expected the key `pod`",
            "p:3:35: found the text \"a\" for `address`; expected HOST:PORT; write for example postern-controller.postern-system.svc:15010 or [::1]:15010",
        ],
    );
    check(
        "workload: {}",
        &[
            "p:3:1: found the key `workload` again; expected each key once; `workload` stands already at line 1; remove one",
        ],
    );
    check(
        "admin: {bind: 0.0.0.0:15000}",
        &[
            "p:3:15: found the text \"0.0.0.0:15000\" for `bind`; expected a loopback address; write 127.0.0.1:15000; the admin endpoint shows and changes too much for a network",
        ],
    );
    check(
        "inbound: {ports: {http: {}}}",
        &["p:3:19: found `http` in `ports`; expected a port from 1 to 65535"],
    );
    check(
        "metrics: {bind: '[::]:15006'}",
        &[
            "p:1:1: found two listeners on [::]:15006; expected each address once; give one of them another port, or `bind: none`",
        ],
    );
    check(
        "outbound: {listeners: [{bind: 127.0.0.1:1, service: a/b, port: 0}]}",
        &[
            "p:3:53: found the text \"a/b\" for `service`; expected a service's host; the host holds '/'; names are letters, digits, '-', '_' and '.'",
            "p:3:64: found the number 0 for `port`; expected a whole number from 1 to 65535",
        ],
    );
    check(
        "defaults: {authorisation: deny, mtls: strict}\nworkers: 0\nlogs: {level: loud}",
        &[
            "p:3:12: found the unknown key `authorisation` in `defaults`; expected one of authorization, mtls, egress; did you mean `authorization`?",
            "p:3:39: found the text \"strict\" for `mtls`; expected one of STRICT, PERMISSIVE, DISABLE; did you mean STRICT?",
            "p:4:10: found the number 0 for `workers`; expected a whole number from 1 to 64",
            "p:5:15: found the text \"loud\" for `level`; expected one of error, warn, info, debug, trace",
        ],
    );
    check(
        "inbound:\n  ports: {8080: {protocol: http}}\n  listeners: [{bind: 127.0.0.1:1, forward: 127.0.0.1:8080, mtls: DISABLE}]",
        &[
            "p:4:3: found two mTLS modes for the app's port 8080; expected one mode a port; write the same `mtls` wherever the port stands",
        ],
    );
    check(
        "inbound:\n  ports: {4222: {protocol: nats}}\n  listeners: [{bind: 127.0.0.1:1, forward: 127.0.0.1:4222, protocol: tcp}]",
        &[
            "p:4:3: found the protocols `nats` and `tcp` for the app's port 4222; expected one protocol for a broker's port; write the same `protocol` wherever the port stands",
        ],
    );
    check(
        "inbound: {listeners: [{bind: 127.0.0.1:1, forward: 127.0.0.1:2, protocol: nats, advertise: {1: 127.0.0.1:3}}]}",
        &[
            "p:3:92: found a mapping for `advertise`; expected `advertise` beside `protocol: kafka` only",
        ],
    );
    check(
        "inbound: {listeners: [{bind: 127.0.0.1:1, forward: 127.0.0.1:2, protocol: kafka, advertise: {a: 127.0.0.1:3}}]}",
        &["p:3:94: found `a` in `advertise`; expected the node id of a broker, from 0"],
    );
    check(
        "metrics: {bind: ['127.0.0.1:1', '127.0.0.1:2']}",
        &[
            "p:3:17: found a list for `bind`; expected one address, or none; write the address alone",
        ],
    );
    check("---\nworkload: {}\n", &["p:4:1: found a second document; expected one document"]);
}

#[test]
fn where_an_upgrade_begins() {
    let point = |more: &str| {
        let config = Config::parse("p", format!("{LEAST}{more}").as_bytes()).unwrap();
        config.upgrade.map(|socket| socket.point.to_string())
    };
    for (more, expect) in [
        ("", Some("@postern-upgrade/127.0.0.1:15000")),
        ("upgrade: {}", Some("@postern-upgrade/127.0.0.1:15000")),
        ("admin: {bind: '[::1]:7'}", Some("@postern-upgrade/[::1]:7")),
        ("admin: {bind: 127.0.0.1:0}", None),
        ("admin: {bind: none}", None),
        ("admin: {bind: none}\nupgrade: {socket: /run/u.sock}", Some("/run/u.sock")),
        ("upgrade: {socket: none}", None),
    ] {
        assert_eq!(point(more).as_deref(), expect, "{more}");
    }
    check(
        "upgrade: {socket: u.sock, sockets: 2}",
        &[
            "p:3:19: found the text \"u.sock\" for `socket`; expected a socket's path, or none; write an absolute path of at most 107 bytes",
            "p:3:27: found the unknown key `sockets` in `upgrade`; expected one of socket; did you mean `socket`?",
        ],
    );
}

#[test]
fn f10_whole_files() {
    for text in ["", "# only a comment\n", "---\n"] {
        let diagnostics = Config::parse("p", text.as_bytes()).unwrap_err();
        assert!(diagnostics.to_string().starts_with("p: found an empty file"), "{diagnostics}");
    }
    let diagnostics = Config::parse("p", b"identity: {}\n").unwrap_err().to_string();
    assert_eq!(
        diagnostics,
        "p:1:1: found no `workload` in the document; expected the key `workload`\n\
         p:1:11: found no source in `identity`; expected `workloadApi` or `files`"
    );
    let diagnostics = Config::parse("p", b"workload: {namespace: Shop, serviceAccount: a/b}\nidentity: {files: {certificate: c, key: k}, workloadApi: /run/x}\n").unwrap_err();
    assert_eq!(diagnostics.iter().count(), 5, "{diagnostics}");
}
