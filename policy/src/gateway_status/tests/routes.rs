//! Routes at Gateways.

use super::{HTTP, Row, check, gateway, grant, route};

/// An HTTPRoute with this parent and this backend.
fn http(name: &str, parent: &str, backend: &str) -> String {
    let spec = format!("parentRefs: [{{{parent}}}], rules: [{{backendRefs: [{{{backend}}}]}}]");
    route("HTTPRoute", name, &spec)
}

const WEB: &str = "name: web, port: 8080";

#[test]
fn whether_a_route_is_attached() {
    let check_parent = |name, parent: &str, told| Row {
        name,
        resources: gateway("edge", "", HTTP) + &http("infra/r", parent, WEB),
        told,
    };
    let tls_only =
        "{name: tls, port: 443, protocol: TLS, hostname: a.example, tls: {mode: Passthrough}}";
    let tls = |parent: &str| {
        let spec = format!(
            "parentRefs: [{{{parent}}}], hostnames: [b.example], rules: [{{backendRefs: [{{{WEB}}}]}}]"
        );
        route("TLSRoute", "infra/r", &spec)
    };
    let tcp = route(
        "TCPRoute",
        "infra/r",
        &format!("parentRefs: [{{name: edge}}], rules: [{{backendRefs: [{{{WEB}}}]}}]"),
    );
    check(&[
        check_parent(
            "HTTPRouteInvalidParentRefNotMatchingSectionName",
            "name: edge, sectionName: none",
            &[
                "HTTPRoute infra/r at infra/edge none: Accepted=False NoMatchingParent",
                "Gateway infra/edge http: routes 0",
            ],
        ),
        check_parent(
            "HTTPRouteInvalidParentRefNotMatchingListenerPort",
            "name: edge, port: 81",
            &[
                "HTTPRoute infra/r at infra/edge: Accepted=False NoMatchingParent",
                "HTTPRoute infra/r at infra/edge: ResolvedRefs=True ResolvedRefs",
            ],
        ),
        check_parent(
            "HTTPRouteInvalidParentRefSectionNameNotMatchingPort",
            "name: edge, sectionName: http, port: 81",
            &["HTTPRoute infra/r at infra/edge http: Accepted=False NoMatchingParent"],
        ),
        check_parent(
            "HTTPRouteSimpleSameNamespace",
            "name: edge",
            &[
                "HTTPRoute infra/r at infra/edge: Accepted=True Accepted",
                "HTTPRoute infra/r at infra/edge: ResolvedRefs=True ResolvedRefs",
            ],
        ),
        Row {
            name: "HTTPRouteInvalidCrossNamespaceParentRef",
            resources: gateway("edge", "", HTTP)
                + &http("other/r", "name: edge, namespace: infra", WEB),
            told: &[
                "HTTPRoute other/r at infra/edge: Accepted=False NotAllowedByListeners",
                "HTTPRoute other/r at infra/edge: ResolvedRefs=True ResolvedRefs",
                "Gateway infra/edge http: routes 0",
            ],
        },
        Row {
            name: "HTTPRouteDisallowedKind",
            resources: gateway("edge", "", tls_only) + &http("infra/r", "name: edge", WEB),
            told: &[
                "HTTPRoute infra/r at infra/edge: Accepted=False NotAllowedByListeners",
                "Gateway infra/edge tls: routes 0",
            ],
        },
        Row {
            name: "TLSRouteInvalidNoMatchingListenerHostname",
            resources: gateway("edge", "", tls_only) + &tls("name: edge"),
            told: &["TLSRoute infra/r at infra/edge: Accepted=False NoMatchingListenerHostname"],
        },
        Row {
            name: "TLSRouteInvalidNoMatchingListener: of HTTP",
            resources: gateway("edge", "", HTTP) + &tls("name: edge"),
            told: &["TLSRoute infra/r at infra/edge: Accepted=False NotAllowedByListeners"],
        },
        Row {
            name: "TLSRouteInvalidNoMatchingListener: of no such section",
            resources: gateway("edge", "", tls_only) + &tls("name: edge, sectionName: none"),
            told: &["TLSRoute infra/r at infra/edge none: Accepted=False NoMatchingParent"],
        },
        Row {
            name: "TCPRouteInvalidNonTCPListener",
            resources: gateway("edge", "", HTTP) + &tcp,
            told: &["TCPRoute infra/r at infra/edge: Accepted=False NotAllowedByListeners"],
        },
        Row {
            name: "a Gateway that is not ours",
            resources: gateway("edge", "", HTTP).replace("postern,", "other,")
                + &http("infra/r", "name: edge", WEB),
            told: &["!HTTPRoute infra/r at infra/edge: Accepted=True Accepted"],
        },
    ]);
}

#[test]
fn where_a_route_leads() {
    let row = |name, backend: &str, more: &str, told| Row {
        name,
        resources: gateway("edge", "", HTTP) + &http("infra/r", "name: edge", backend) + more,
        told,
    };
    let not_permitted = &[
        "HTTPRoute infra/r at infra/edge: Accepted=True Accepted",
        "HTTPRoute infra/r at infra/edge: ResolvedRefs=False RefNotPermitted",
    ];
    let far = "name: web, namespace: other, port: 8080";
    let bytes = gateway("edge", "", "{name: tcp, port: 90, protocol: TCP}");
    let tcp = |backend: &str| {
        let spec =
            format!("parentRefs: [{{name: edge}}], rules: [{{backendRefs: [{{{backend}}}]}}]");
        route("TCPRoute", "infra/r", &spec)
    };
    check(&[
        row(
            "HTTPRouteInvalidBackendRefUnknownKind",
            "group: example.com, kind: Unknown, name: web",
            "",
            &[
                "HTTPRoute infra/r at infra/edge: Accepted=True Accepted",
                "HTTPRoute infra/r at infra/edge: ResolvedRefs=False InvalidKind",
            ],
        ),
        row("HTTPRouteInvalidCrossNamespaceBackendRef", far, "", not_permitted),
        row(
            "HTTPRouteInvalidReferenceGrant: of another kind",
            far,
            &grant("GRPCRoute", "Service"),
            not_permitted,
        ),
        row(
            "HTTPRoutePartiallyInvalidViaInvalidReferenceGrant",
            &format!("{far}}}, {{{WEB}"),
            "",
            not_permitted,
        ),
        row(
            "HTTPRouteReferenceGrant",
            far,
            &grant("HTTPRoute", "Service"),
            &["HTTPRoute infra/r at infra/edge: ResolvedRefs=True ResolvedRefs"],
        ),
        row(
            "HTTPRouteInvalidNonExistentBackendRef",
            "name: none, port: 8080",
            "",
            &[
                "HTTPRoute infra/r at infra/edge: Accepted=True Accepted",
                "HTTPRoute infra/r at infra/edge: ResolvedRefs=False BackendNotFound",
            ],
        ),
        row(
            "a port that the Service does not have",
            "name: web, port: 81",
            "",
            &["HTTPRoute infra/r at infra/edge: ResolvedRefs=False BackendNotFound"],
        ),
        row(
            "a protocol that is not spoken",
            "name: api, port: 8080",
            "",
            &["HTTPRoute infra/r at infra/edge: ResolvedRefs=False UnsupportedProtocol"],
        ),
        Row {
            name: "TCPRouteInvalidBackendRefNonexistent",
            resources: bytes.clone() + &tcp("name: none, port: 8080"),
            told: &["TCPRoute infra/r at infra/edge: ResolvedRefs=False BackendNotFound"],
        },
        Row {
            name: "TCPRouteInvalidCrossNamespaceBackendRef",
            resources: bytes + &tcp(far),
            told: &[
                "TCPRoute infra/r at infra/edge: Accepted=True Accepted",
                "TCPRoute infra/r at infra/edge: ResolvedRefs=False RefNotPermitted",
            ],
        },
    ]);
}

#[test]
fn each_parent_by_itself() {
    let spec = format!(
        "parentRefs: [{{name: edge}}, {{name: edge, sectionName: none}}, {{name: other}}, {{group: \"\", kind: Service, name: web}}], rules: [{{backendRefs: [{{{WEB}}}]}}]"
    );
    check(&[Row {
        name: "HTTPRouteMultipleGateways",
        resources: gateway("edge", "", HTTP)
            + &gateway("other", "", "{name: http, port: 81, protocol: HTTP}")
            + &route("HTTPRoute", "infra/r", &spec),
        told: &[
            "HTTPRoute infra/r at infra/edge: Accepted=True Accepted",
            "HTTPRoute infra/r at infra/edge none: Accepted=False NoMatchingParent",
            "HTTPRoute infra/r at infra/other: Accepted=True Accepted",
            "!HTTPRoute infra/r at infra/web: Accepted=True Accepted",
        ],
    }]);
}
