//! What a ClientTrafficPolicy is read as, and what is refused.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use identity::TrustDomain;

use crate::client_traffic::{CertificateMode, MinimumTls};
use crate::resources::{ClientTrafficPolicy, DEFAULT_ROOT_NAMESPACE};
use crate::{Resources, SourceFile};

const TARGET: &str = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]";

fn read(spec: &str) -> Result<ClientTrafficPolicy, String> {
    let text = format!(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {{name: c, namespace: shop}}\nspec: {{{spec}}}\n"
    );
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
    match Resources::parse(&[file], DEFAULT_ROOT_NAMESPACE) {
        Ok(resources) => Ok(resources.client_traffic_policies()[0].clone()),
        Err(problems) => Err(problems.iter().map(|p| format!("{p}\n")).collect()),
    }
}

#[test]
fn what_is_written_is_read() {
    let spec = format!(
        "{TARGET}, proxyProtocol: {{from: [10.0.0.0/8]}},
      clientAddress: {{xForwardedFor: {{trustedProxies: [10.1.0.0/16, '2001:db8::7'], hops: 2}}}},
      hsts: {{maxAge: 730d, includeSubDomains: true, preload: true}},
      securityHeaders: {{preset: standard, frameOptions: DENY, permissionsPolicy: 'camera=()', remove: [Server]}},
      limits: {{requestBytes: 10MiB, requestTimeout: 30s, idleTimeout: 1m, headerTimeout: 5s, connectionsPerAddress: 50}},
      clientCertificates: {{mode: optional, authorities: [{{kind: ConfigMap, name: partners}}],
        principals: [{{subjectAltName: {{dns: API.acme.example}}, principal: partner.example/acme}}]}},
      tls: {{minimumVersion: '1.3'}}"
    );
    let policy = read(&spec).unwrap();
    let settings = policy.settings();
    assert_eq!(settings.policy.as_deref(), Some("shop/c"));
    assert!(settings.proxy_protocol.contain("::ffff:10.9.9.9".parse().unwrap()));
    assert_eq!(settings.client_address.as_ref().unwrap().hops, 2);
    let hsts = settings.hsts.unwrap().value();
    assert_eq!(hsts, "max-age=63072000; includeSubDomains; preload");
    let headers = settings.security_headers.as_ref().unwrap();
    let fields: Vec<_> = headers.fields.iter().map(|(name, value)| (*name, &**value)).collect();
    let expect = [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "strict-origin-when-cross-origin"),
        ("permissions-policy", "camera=()"),
    ];
    assert_eq!(fields, expect);
    assert_eq!((headers.replaces, &*headers.removed), (false, &["server"][..]));
    assert_eq!(settings.limits.request_bytes, Some(10 << 20));
    assert_eq!(settings.limits.header_timeout, Some(Duration::from_secs(5)));
    assert_eq!(settings.limits.connections_per_address, Some(50));
    let certificates = settings.client_certificates.as_ref().unwrap();
    assert_eq!(certificates.mode, CertificateMode::Optional);
    assert_eq!(&*certificates.authorities[0], "shop/partners");
    assert_eq!(settings.minimum_tls, MinimumTls::Tls13);
}

#[test]
fn s47_what_decides_for_a_whole_port_is_said_of_its_gateway() {
    for (row, kinds, setting, expect) in [
        ("a Gateway", &["Gateway"][..], "proxyProtocol: {from: [10.0.0.0/8]}", None),
        (
            "a ListenerSet's PROXY protocol",
            &["ListenerSet"],
            "proxyProtocol: {from: [10.0.0.0/8]}",
            Some("`proxyProtocol` in a policy about a ListenerSet"),
        ),
        (
            "beside its Gateway",
            &["Gateway", "ListenerSet"],
            "limits: {connectionsPerAddress: 1}",
            Some("`connectionsPerAddress` in a policy about a ListenerSet"),
        ),
        ("what is its own", &["ListenerSet"], "limits: {requestBytes: 1KiB}", None),
    ] {
        let target =
            |kind: &&str| format!("{{group: gateway.networking.k8s.io, kind: {kind}, name: edge}}");
        let targets: Vec<_> = kinds.iter().map(target).collect();
        let found = read(&format!("targetRefs: [{}], {setting}", targets.join(", ")));
        match expect {
            None => assert!(found.is_ok(), "{row}: {found:?}"),
            Some(told) => assert!(found.is_err_and(|e| e.contains(told)), "{row}"),
        }
    }
}

#[test]
fn what_could_mean_less_or_more_than_was_meant_is_refused() {
    let certificates = |principals: &str| {
        format!(
            "clientCertificates: {{mode: required, authorities: [{{kind: ConfigMap, name: p}}], principals: [{principals}]}}"
        )
    };
    let acme = "{subjectAltName: {dns: acme.example}, principal: partner.example/acme}";
    let other = "{subjectAltName: {dns: ACME.example}, principal: partner.example/other}";
    for (row, spec, expect) in [
        ("nothing", String::new(), "says nothing beyond the defaults"),
        ("an unknown field", "proxyProtocols: {}".into(), "did you mean `proxyProtocol`?"),
        ("anybody's PROXY header", "proxyProtocol: {from: [0.0.0.0/0]}".into(), "anybody may call"),
        ("half of all", "proxyProtocol: {from: [0.0.0.0/1, 128.0.0.0/1]}".into(), "/8 or longer"),
        ("half of all of IPv6", "proxyProtocol: {from: ['8000::/1']}".into(), "/16 or longer"),
        ("too many of IPv4 in IPv6", "proxyProtocol: {from: ['::ffff:0:0/97']}".into(), "/8 or longer"),
        ("nobody's PROXY header", "proxyProtocol: {from: []}".into(), "at least one"),
        (
            "anybody's word",
            "clientAddress: {xForwardedFor: {trustedProxies: ['::/0']}}".into(),
            "anybody may call",
        ),
        (
            "no hop",
            "clientAddress: {xForwardedFor: {trustedProxies: [10.0.0.1], hops: 0}}".into(),
            "from 1 to 16",
        ),
        ("a short preload", "hsts: {maxAge: 30d, preload: true}".into(), "at least 365d"),
        ("an age without end", "hsts: {maxAge: 4000d}".into(), "from 0s to 3650d"),
        ("no header", "securityHeaders: {override: true}".into(), "without a header"),
        ("another preset", "securityHeaders: {preset: strict}".into(), "one of standard"),
        (
            "a second line",
            "securityHeaders: {contentSecurityPolicy: \"a\\r\\nset-cookie: b\"}".into(),
            "one line",
        ),
        ("a field of meaning", "securityHeaders: {remove: [Set-Cookie]}".into(), "one of Server"),
        ("no limit", "limits: {}".into(), "no limit"),
        ("an endless body", "limits: {requestBytes: 2000GiB}".into(), "1024GiB"),
        ("no time", "limits: {requestTimeout: 0s}".into(), "from 100ms"),
        ("an old version", "tls: {minimumVersion: '1.1'}".into(), "older versions are not spoken"),
        ("a number", "tls: {minimumVersion: 1.3}".into(), "in quotes"),
        ("no authority", "clientCertificates: {mode: required}".into(), "no `authorities`"),
        (
            "authorities elsewhere",
            "clientCertificates: {mode: required, authorities: [{kind: ConfigMap, name: p, namespace: other}]}".into(),
            "unknown key `namespace`",
        ),
        ("one name, two principals", certificates(&format!("{acme}, {other}")), "again"),
        (
            "many hosts",
            certificates("{subjectAltName: {dns: '*.acme.example'}, principal: partner.example/a}"),
            "a whole host without *",
        ),
        (
            "two names",
            certificates("{subjectAltName: {dns: a.example, uri: 'urn:a'}, principal: p.example/a}"),
            "several names",
        ),
        (
            "a whole domain",
            certificates("{subjectAltName: {dns: a.example}, principal: partner.example}"),
            "name somebody",
        ),
        (
            "a scheme",
            certificates("{subjectAltName: {uri: 'urn:a'}, principal: 'spiffe://p.example/a'}"),
            "without spiffe://",
        ),
        (
            "no address of mail",
            certificates("{subjectAltName: {email: acme}, principal: p.example/a}"),
            "one address",
        ),
    ] {
        let problems = read(&format!("{TARGET}, {spec}")).err().unwrap_or_default();
        assert!(problems.contains(expect), "{row}: {problems}");
    }
}

#[test]
fn targets() {
    let tls = "tls: {minimumVersion: '1.3'}";
    for (row, target, expect) in [
        ("a ListenerSet", "{group: gateway.networking.k8s.io, kind: ListenerSet, name: l}", ""),
        (
            "a listener",
            "{group: gateway.networking.k8s.io, kind: Gateway, name: g, sectionName: https}",
            "",
        ),
        ("a Service", "{group: '', kind: Service, name: cart}", "Gateway, ListenerSet"),
        ("no group", "{kind: Gateway, name: g}", "no `group`"),
        (
            "elsewhere",
            "{group: gateway.networking.k8s.io, kind: Gateway, name: g, namespace: other}",
            "move it to the Gateway's",
        ),
    ] {
        let problems = read(&format!("targetRefs: [{target}], {tls}")).err().unwrap_or_default();
        assert!(problems.contains(expect), "{row}: {problems}");
        assert_eq!(problems.is_empty(), expect.is_empty(), "{row}: {problems}");
    }
}

#[test]
fn s17_identity_matching_partners_are_nobody_of_the_mesh() {
    let spec = format!(
        "{TARGET}, clientCertificates: {{mode: required, authorities: [{{kind: ConfigMap, name: p}}], principals: [\
         {{subjectAltName: {{dns: a.example}}, principal: cluster.local/ns/shop/sa/cart}}, \
         {{subjectAltName: {{dns: b.example}}, principal: cluster.local.evil/b}}]}}"
    );
    let policy = read(&spec).unwrap();
    let mesh = |names: &[&str]| {
        names.iter().map(|name| TrustDomain::parse(name).unwrap()).collect::<Vec<_>>()
    };
    assert!(policy.impersonations(&mesh(&["other"])).is_empty());
    let problems = policy.impersonations(&mesh(&["other", "cluster.local"]));
    assert_eq!(problems.len(), 1);
    let problem = problems[0].to_string();
    assert!(problem.contains("the principal cluster.local/ns/shop/sa/cart"), "{problem}");
}
