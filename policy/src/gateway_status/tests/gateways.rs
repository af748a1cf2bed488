//! Gateways, their classes and their own listeners.

use super::{GOOD, HTTP, Row, authority, check, gateway, grant, object, route, secret};

const HTTPS: &str = "port: 443, protocol: HTTPS, tls";

fn row(name: &'static str, resources: String, told: &'static [&'static str]) -> Row {
    Row { name, resources, told }
}

/// A listener of HTTPS with this reference to a certificate.
fn https(reference: &str) -> String {
    gateway(
        "edge",
        "",
        &format!("{{name: https, {HTTPS}: {{certificateRefs: [{{{reference}}}]}}}}"),
    )
}

#[test]
fn certificates_of_listeners() {
    let told = &[
        "Gateway infra/edge https: ResolvedRefs=False InvalidCertificateRef",
        "Gateway infra/edge https: Programmed=False Invalid",
        "Gateway infra/edge https: Accepted=True Accepted",
        "Gateway infra/edge https: kinds [GRPCRoute HTTPRoute]",
        "Gateway infra/edge: Accepted=True ListenersNotValid",
        "Gateway infra/edge: Programmed=False Invalid",
        "Gateway infra/edge: ResolvedRefs=False ListenersNotResolved",
    ];
    let not_permitted = &["Gateway infra/edge https: ResolvedRefs=False RefNotPermitted"];
    let good = &[
        "Gateway infra/edge https: ResolvedRefs=True ResolvedRefs",
        "Gateway infra/edge https: Programmed=True Programmed",
        "Gateway infra/edge: Programmed=True Programmed",
    ];
    let two = "{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: good}, {name: bad}]}}";
    check(&[
        row("GatewayInvalidTLSConfiguration: no such Secret", https("name: none"), told),
        row(
            "GatewayInvalidTLSConfiguration: unsupported group",
            https("group: wrong.example, kind: Secret, name: c"),
            told,
        ),
        row(
            "GatewayInvalidTLSConfiguration: unsupported kind",
            https("kind: WrongKind, name: c"),
            told,
        ),
        row(
            "GatewayInvalidTLSConfiguration: malformed Secret",
            https("name: c") + &secret("infra/c", "Hello world"),
            told,
        ),
        row("a good one", https("name: c") + &secret("infra/c", GOOD), good),
        row(
            "a good one and a bad one",
            gateway("edge", "", two) + &secret("infra/good", GOOD) + &secret("infra/bad", "Hello"),
            &[
                "Gateway infra/edge https: ResolvedRefs=False InvalidCertificateRef",
                "Gateway infra/edge https: Programmed=True Programmed",
                "Gateway infra/edge: Accepted=True Accepted",
            ],
        ),
        row(
            "GatewaySecretMissingReferenceGrant",
            https("name: c, namespace: other") + &secret("other/c", GOOD),
            not_permitted,
        ),
        row(
            "GatewaySecretInvalidReferenceGrant: of another kind",
            https("name: c, namespace: other")
                + &secret("other/c", GOOD)
                + &grant("HTTPRoute", "Secret"),
            not_permitted,
        ),
        row(
            "GatewaySecretReferenceGrantAllInNamespace",
            https("name: c, namespace: other")
                + &secret("other/c", GOOD)
                + &grant("Gateway", "Secret"),
            good,
        ),
    ]);
}

#[test]
fn kinds_and_protocols_of_listeners() {
    let of_kinds = |kinds: &str| {
        gateway(
            "edge",
            "",
            &format!(
                "{{name: http, port: 80, protocol: HTTP, allowedRoutes: {{kinds: [{kinds}]}}}}"
            ),
        )
    };
    let of_tls = |mode: &str, kinds: &str| {
        gateway(
            "edge",
            "",
            &format!(
                "{{name: tls, port: 443, protocol: TLS, hostname: a.example, tls: {{mode: {mode}, certificateRefs: [{{name: c}}]}}, allowedRoutes: {{kinds: [{kinds}]}}}}"
            ),
        ) + &secret("infra/c", GOOD)
    };
    let invalid = "{name: invalid, port: 1111, protocol: INVALID}";
    check(&[
        row(
            "GatewayInvalidRouteKind: none that is supported",
            of_kinds("{kind: InvalidRoute}"),
            &[
                "Gateway infra/edge http: ResolvedRefs=False InvalidRouteKinds",
                "Gateway infra/edge http: kinds []",
            ],
        ),
        row(
            "GatewayInvalidRouteKind: one of two",
            of_kinds("{kind: InvalidRoute}, {kind: HTTPRoute}"),
            &[
                "Gateway infra/edge http: ResolvedRefs=False InvalidRouteKinds",
                "Gateway infra/edge http: kinds [HTTPRoute]",
                "Gateway infra/edge http: Accepted=True Accepted",
            ],
        ),
        row(
            "GatewayListenerUnsupportedProtocol: nothing else",
            gateway("edge", "", invalid),
            &[
                "Gateway infra/edge: Accepted=False ListenersNotValid",
                "Gateway infra/edge: Programmed=False Invalid",
                "Gateway infra/edge invalid: Accepted=False UnsupportedProtocol",
                "Gateway infra/edge invalid: Programmed=False Invalid",
                "Gateway infra/edge invalid: kinds []",
                "Gateway infra/edge invalid: routes 0",
            ],
        ),
        row(
            "a port of the proxy's own",
            gateway("edge", "", "{name: own, port: 15021, protocol: HTTP}"),
            &[
                "Gateway infra/edge own: Accepted=False PortUnavailable",
                "Gateway infra/edge own: Programmed=False Invalid",
                "Gateway infra/edge: Programmed=False Invalid",
            ],
        ),
        row(
            "GatewayListenerUnsupportedProtocol: beside a good one",
            gateway("edge", "", &format!("{HTTP}, {invalid}")),
            &[
                "Gateway infra/edge: Accepted=True ListenersNotValid",
                "Gateway infra/edge: Programmed=True Programmed",
                "Gateway infra/edge http: Accepted=True Accepted",
                "Gateway infra/edge http: Programmed=True Programmed",
                "Gateway infra/edge http: Conflicted=False NoConflicts",
                "Gateway infra/edge invalid: Accepted=False UnsupportedProtocol",
            ],
        ),
        row(
            "TLSRouteListenerPassthroughSupportedKinds",
            of_tls("Passthrough", "{kind: TCPRoute}, {kind: TLSRoute}"),
            &[
                "Gateway infra/edge tls: ResolvedRefs=False InvalidRouteKinds",
                "Gateway infra/edge tls: kinds [TLSRoute]",
            ],
        ),
        row(
            "TLSRouteListenerTerminateSupportedKinds",
            of_tls("Terminate", "{kind: TLSRoute}"),
            &[
                "Gateway infra/edge tls: Accepted=True Accepted",
                "Gateway infra/edge tls: kinds [TLSRoute]",
            ],
        ),
    ]);
}

#[test]
fn listeners_in_each_others_way() {
    let tls = "{name: one, port: 443, protocol: TLS, hostname: '*.a.example', tls: {mode: Passthrough}}, {name: two, port: 443, protocol: TLS, hostname: b.a.example, tls: {mode: Passthrough}}, {name: three, port: 443, protocol: TLS, hostname: c.example, tls: {mode: Passthrough}}";
    let same = "{name: one, port: 443, protocol: TLS, hostname: a.example, tls: {mode: Passthrough}}, {name: two, port: 443, protocol: HTTPS, hostname: a.example, tls: {certificateRefs: [{name: c}]}}";
    let bytes = "{name: tcp, port: 80, protocol: TCP}";
    check(&[
        row(
            "two listeners of one host: nobody knows which is meant",
            gateway("edge", "", &format!("{same}, {{name: other, port: 81, protocol: HTTP}}")),
            &[
                "Gateway infra/edge one: Conflicted=True HostnameConflict",
                "Gateway infra/edge two: Conflicted=True HostnameConflict",
                "Gateway infra/edge two: Accepted=False HostnameConflict",
                "Gateway infra/edge two: Programmed=False HostnameConflict",
                "Gateway infra/edge other: Conflicted=False NoConflicts",
                "Gateway infra/edge: Accepted=True ListenersNotValid",
            ],
        ),
        row(
            "bytes and HTTP on one port",
            gateway("edge", "", &format!("{HTTP}, {bytes}")),
            &[
                "Gateway infra/edge http: Conflicted=True ProtocolConflict",
                "Gateway infra/edge tcp: Conflicted=True ProtocolConflict",
                "Gateway infra/edge: Accepted=False ListenersNotValid",
            ],
        ),
        row(
            "hosts of TLS that overlap",
            gateway("edge", "", tls),
            &[
                "Gateway infra/edge one: OverlappingTLSConfig=True OverlappingHostnames",
                "Gateway infra/edge two: OverlappingTLSConfig=True OverlappingHostnames",
                "!Gateway infra/edge three: OverlappingTLSConfig=True OverlappingHostnames",
                "Gateway infra/edge two: Accepted=True Accepted",
            ],
        ),
    ]);
}

#[test]
fn gateways_as_a_whole() {
    let class = |controller: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: postern}}\nspec: {{controllerName: {controller}}}\n"
        )
    };
    let of_parameters =
        "infrastructure: {parametersRef: {group: invalid.io, kind: InvalidParameters, name: i}},";
    check(&[
        row(
            "a class of ours",
            gateway("edge", "", HTTP) + &class("postern.dev/gateway"),
            &[
                "GatewayClass postern: Accepted=True Accepted",
                "Gateway infra/edge: Accepted=True Accepted",
                "Gateway infra/edge: ResolvedRefs=True ResolvedRefs",
                "Gateway infra/edge: sets 0",
            ],
        ),
        row(
            "a class with parameters",
            class(
                "postern.dev/gateway, parametersRef: {group: '', kind: ConfigMap, name: c, namespace: infra}",
            ),
            &["GatewayClass postern: Accepted=False InvalidParameters"],
        ),
        row(
            "somebody else's class of that name",
            gateway("edge", "", HTTP) + &class("example.com/other"),
            &[
                "!GatewayClass postern: Accepted=True Accepted",
                "!Gateway infra/edge: Accepted=True Accepted",
            ],
        ),
        row(
            "GatewayInvalidParametersRef",
            gateway("edge", of_parameters, HTTP),
            &[
                "Gateway infra/edge: Accepted=False InvalidParameters",
                "Gateway infra/edge: Programmed=False Invalid",
                "Gateway infra/edge http: Programmed=False Invalid",
            ],
        ),
        row(
            "GatewayStaticAddresses: a type that is not supported",
            gateway("edge", "addresses: [{type: test/fake, value: a}, {value: 192.0.2.1}],", HTTP),
            &["Gateway infra/edge: Accepted=False UnsupportedAddress"],
        ),
        row(
            "GatewayStaticAddresses: an address that cannot be had",
            gateway("elsewhere", "addresses: [{value: 192.0.2.9}],", HTTP),
            &[
                "Gateway infra/elsewhere: Accepted=True Accepted",
                "Gateway infra/elsewhere: Programmed=False AddressNotUsable",
                "Gateway infra/elsewhere http: Accepted=True Accepted",
                "Gateway infra/elsewhere http: Programmed=False Pending",
            ],
        ),
        row(
            "no replica yet",
            gateway("waiting", "", HTTP),
            &["Gateway infra/waiting: Programmed=False Pending"],
        ),
    ]);
}

#[test]
fn certificates_of_clients_and_of_the_gateway() {
    let listeners = |port: u16| {
        format!(
            "{{name: https, port: {port}, protocol: HTTPS, tls: {{certificateRefs: [{{name: c}}]}}}}, {HTTP}"
        )
    };
    let validation = |reference: &str| {
        format!(
            "tls: {{frontend: {{default: {{validation: {{caCertificateRefs: [{{group: \"\", {reference}}}]}}}}}}}},"
        )
    };
    let frontend = |reference: &str| {
        gateway("edge", &validation(reference), &listeners(443)) + &secret("infra/c", GOOD)
    };
    let backend = |reference: &str| {
        let tls = format!("tls: {{backend: {{clientCertificateRef: {{{reference}}}}}}},");
        gateway("edge", &tls, HTTP)
    };
    let insecure = "tls: {frontend: {default: {validation: {mode: AllowInsecureFallback, caCertificateRefs: [{group: \"\", kind: ConfigMap, name: ca}]}}}},";
    let no_authority = &[
        "Gateway infra/edge https: ResolvedRefs=False InvalidCACertificateRef",
        "Gateway infra/edge https: Accepted=False NoValidCACertificate",
        "Gateway infra/edge https: Programmed=False Invalid",
        "Gateway infra/edge http: Accepted=True Accepted",
        "Gateway infra/edge http: Programmed=True Programmed",
        "Gateway infra/edge http: ResolvedRefs=True ResolvedRefs",
    ];
    let no_certificate = &[
        "Gateway infra/edge: ResolvedRefs=False InvalidClientCertificateRef",
        "Gateway infra/edge: Accepted=True Accepted",
    ];
    check(&[
        row(
            "GatewayFrontendInvalidDefaultClientCertificateValidation",
            frontend("kind: ConfigMap, name: none"),
            no_authority,
        ),
        row(
            "authorities that are none",
            frontend("kind: ConfigMap, name: ca") + &authority("infra/ca", "refused"),
            no_authority,
        ),
        row(
            "GatewayInvalidFrontendClientCertificateValidation: a good one",
            frontend("kind: ConfigMap, name: ca") + &authority("infra/ca", "good"),
            &[
                "Gateway infra/edge https: ResolvedRefs=True ResolvedRefs",
                "Gateway infra/edge https: Programmed=True Programmed",
                "!Gateway infra/edge: InsecureFrontendValidationMode=True ConfigurationChanged",
            ],
        ),
        row(
            "GatewayInvalidFrontendClientCertificateValidation: invalid kind",
            frontend("kind: Service, name: web"),
            &[
                "Gateway infra/edge https: ResolvedRefs=False InvalidCACertificateKind",
                "Gateway infra/edge https: Accepted=False NoValidCACertificate",
            ],
        ),
        row(
            "GatewayInvalidFrontendClientCertificateValidation: no grant",
            frontend("kind: ConfigMap, name: ca, namespace: other")
                + &authority("other/ca", "good"),
            &[
                "Gateway infra/edge https: ResolvedRefs=False RefNotPermitted",
                "Gateway infra/edge https: Accepted=False NoValidCACertificate",
            ],
        ),
        row(
            "GatewayFrontendClientCertificateValidationInsecureFallback",
            gateway("edge", insecure, &listeners(443))
                + &secret("infra/c", GOOD)
                + &authority("infra/ca", "good"),
            &["Gateway infra/edge: InsecureFrontendValidationMode=True ConfigurationChanged"],
        ),
        row(
            "GatewayInvalidTLSBackendConfiguration: no such Secret",
            backend("name: none"),
            no_certificate,
        ),
        row(
            "GatewayInvalidTLSBackendConfiguration: unsupported kind",
            backend("kind: WrongKind, name: c"),
            no_certificate,
        ),
        row(
            "GatewayInvalidTLSBackendConfiguration: malformed Secret",
            backend("name: c") + &secret("infra/c", "Hello world"),
            no_certificate,
        ),
        row(
            "GatewayInvalidTLSBackendConfiguration: no grant",
            backend("name: c, namespace: other") + &secret("other/c", GOOD),
            &["Gateway infra/edge: ResolvedRefs=False RefNotPermitted"],
        ),
    ]);
}

#[test]
fn routes_are_counted() {
    let route = |name: &str, more: &str| {
        let spec = format!("parentRefs: [{{name: edge}}], {more} rules: [{{}}]");
        route("HTTPRoute", &format!("infra/{name}"), &spec)
    };
    let selector = "allowedRoutes: {kinds: [{kind: HTTPRoute}], namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: infra}}}}";
    let of_host =
        format!("{{name: http, port: 80, protocol: HTTP, hostname: foo.example, {selector}}}");
    let unresolved =
        format!("{{name: tls, {HTTPS}: {{certificateRefs: [{{name: none}}]}}, {selector}}}");
    check(&[
        row(
            "GatewayWithAttachedRoutes: two of three",
            gateway("edge", "", &of_host)
                + &route("one", "")
                + &route("two", "")
                + &route("not", "hostnames: [not.example],"),
            &[
                "Gateway infra/edge http: routes 2",
                "Gateway infra/edge http: kinds [HTTPRoute]",
                "HTTPRoute infra/not at infra/edge: Accepted=False NoMatchingListenerHostname",
            ],
        ),
        row(
            "GatewayWithAttachedRoutes: at a listener that is not programmed",
            gateway("edge", "", &unresolved) + &route("one", ""),
            &[
                "Gateway infra/edge tls: routes 1",
                "Gateway infra/edge tls: Programmed=False Invalid",
                "Gateway infra/edge tls: ResolvedRefs=False InvalidCertificateRef",
            ],
        ),
        row(
            "GatewayWithAttachedRoutesWithPort8080",
            gateway("edge", "", &format!("{HTTP}, {{name: more, port: 8080, protocol: HTTP}}"))
                + &object(
                    "gateway.networking.k8s.io/v1",
                    "HTTPRoute",
                    "infra/r",
                    "parentRefs: [{name: edge, sectionName: http}], rules: [{}]",
                ),
            &["Gateway infra/edge http: routes 1", "Gateway infra/edge more: routes 0"],
        ),
    ]);
}
