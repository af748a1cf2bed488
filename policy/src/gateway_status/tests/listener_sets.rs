//! ListenerSets.

use super::{GOOD, HTTP, Row, check, gateway, object, route, secret};

/// A ListenerSet of `infra/edge`.
fn set(name: &str, listeners: &str) -> String {
    let spec = format!("parentRef: {{name: edge, namespace: infra}}, listeners: [{listeners}]");
    object("gateway.networking.k8s.io/v1", "ListenerSet", name, &spec)
}

fn edge(from: &str) -> String {
    let allowed = match from {
        "" => String::new(),
        from => format!("allowedListeners: {{namespaces: {{from: {from}}}}},"),
    };
    gateway("edge", &allowed, HTTP)
}

const EXTRA: &str = "{name: extra, port: 8080, protocol: HTTP}";

#[test]
fn who_may_attach() {
    let not_allowed = &[
        "Gateway infra/edge: Accepted=True Accepted",
        "Gateway infra/edge: sets 0",
        "ListenerSet infra/s: Accepted=False NotAllowed",
        "ListenerSet infra/s: Programmed=False NotAllowed",
    ];
    let selector = "Selector, selector: {matchLabels: {team: web}}";
    let namespace =
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: chosen, labels: {team: web}}\n";
    check(&[
        Row {
            name: "ListenerSetDefaultNotAllowed",
            resources: edge("") + &set("infra/s", EXTRA),
            told: not_allowed,
        },
        Row {
            name: "ListenerSetAllowedNamespaceNone",
            resources: edge("None") + &set("infra/s", EXTRA),
            told: not_allowed,
        },
        Row {
            name: "ListenerSetAllowedNamespaceSame",
            resources: edge("Same") + &set("infra/s", EXTRA) + &set("other/s", EXTRA),
            told: &[
                "Gateway infra/edge: sets 1",
                "ListenerSet infra/s: Accepted=True Accepted",
                "ListenerSet infra/s: Programmed=True Programmed",
                "ListenerSet infra/s extra: Accepted=True Accepted",
                "ListenerSet infra/s extra: Programmed=True Programmed",
                "ListenerSet infra/s extra: ResolvedRefs=True ResolvedRefs",
                "ListenerSet other/s: Accepted=False NotAllowed",
            ],
        },
        Row {
            name: "ListenerSetAllowedNamespaceSelector",
            resources: edge(selector)
                + namespace
                + &set("chosen/s", EXTRA)
                + &set("infra/s", EXTRA),
            told: &[
                "Gateway infra/edge: sets 1",
                "ListenerSet chosen/s: Accepted=True Accepted",
                "ListenerSet infra/s: Accepted=False NotAllowed",
            ],
        },
        Row {
            name: "a Gateway that is not accepted",
            resources: gateway(
                "edge",
                "allowedListeners: {namespaces: {from: All}}, addresses: [{type: test/fake, value: a}],",
                HTTP,
            ) + &set("infra/s", EXTRA),
            told: &[
                "Gateway infra/edge: sets 0",
                "ListenerSet infra/s: Accepted=False ParentNotAccepted",
                "ListenerSet infra/s: Programmed=False ParentNotProgrammed",
                "ListenerSet infra/s extra: Programmed=False Invalid",
            ],
        },
    ]);
}

#[test]
fn listeners_of_several_objects() {
    let of_host = |name: &str, host: &str| {
        format!("{{name: {name}, port: 80, protocol: HTTP, hostname: {host}}}")
    };
    let edge = gateway(
        "edge",
        "allowedListeners: {namespaces: {from: Same}},",
        &format!("{}, {}", of_host("own", "own.example"), of_host("both", "both.example")),
    );
    let sets = |conflicting: &str| {
        set("infra/s1", &format!("{}, {conflicting}", of_host("one", "one.example")))
            + &set("infra/s2", conflicting)
    };
    check(&[
        Row {
            name: "ListenerSetHostnameConflict",
            resources: edge.clone() + &sets(&of_host("both", "both.example")),
            told: &[
                "Gateway infra/edge: sets 1",
                "Gateway infra/edge both: Accepted=True Accepted",
                "Gateway infra/edge both: Conflicted=False NoConflicts",
                "ListenerSet infra/s1: Accepted=True ListenersNotValid",
                "ListenerSet infra/s1: Programmed=True Programmed",
                "ListenerSet infra/s1 one: Accepted=True Accepted",
                "ListenerSet infra/s1 both: Accepted=False HostnameConflict",
                "ListenerSet infra/s1 both: Programmed=False HostnameConflict",
                "ListenerSet infra/s1 both: Conflicted=True HostnameConflict",
                "ListenerSet infra/s2: Accepted=False ListenersNotValid",
                "ListenerSet infra/s2: Programmed=False ListenersNotValid",
            ],
        },
        Row {
            name: "ListenerSetProtocolConflict",
            resources: edge
                + &set("infra/s1", &of_host("one", "one.example"))
                + &set("infra/s2", "{name: bytes, port: 80, protocol: TCP}"),
            told: &[
                "Gateway infra/edge: sets 1",
                "ListenerSet infra/s1 one: Conflicted=False NoConflicts",
                "ListenerSet infra/s2: Accepted=False ListenersNotValid",
                "ListenerSet infra/s2 bytes: Accepted=False ProtocolConflict",
                "ListenerSet infra/s2 bytes: Programmed=False ProtocolConflict",
                "ListenerSet infra/s2 bytes: Conflicted=True ProtocolConflict",
            ],
        },
    ]);
}

#[test]
fn what_listeners_of_sets_refer_to() {
    let https = "{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c, namespace: other}]}}";
    let group = "gateway.networking.k8s.io";
    let grant = object(
        "gateway.networking.k8s.io/v1beta1",
        "ReferenceGrant",
        "other/g",
        &format!(
            "from: [{{group: {group}, kind: ListenerSet, namespace: infra}}], to: [{{group: \"\", kind: Secret}}]"
        ),
    );
    let kinds =
        "{name: extra, port: 8080, protocol: HTTP, allowedRoutes: {kinds: [{kind: InvalidRoute}]}}";
    check(&[
        Row {
            name: "ListenerSetReferenceGrant: without",
            resources: edge("All") + &set("infra/s", https) + &secret("other/c", GOOD),
            told: &[
                "ListenerSet infra/s: Accepted=False ListenersNotValid",
                "ListenerSet infra/s: Programmed=False ListenersNotValid",
                "ListenerSet infra/s https: ResolvedRefs=False RefNotPermitted",
            ],
        },
        Row {
            name: "ListenerSetReferenceGrant: with",
            resources: edge("All") + &set("infra/s", https) + &secret("other/c", GOOD) + &grant,
            told: &[
                "ListenerSet infra/s: Accepted=True Accepted",
                "ListenerSet infra/s: Programmed=True Programmed",
                "ListenerSet infra/s https: ResolvedRefs=True ResolvedRefs",
            ],
        },
        Row {
            name: "ListenerSetAllowedRoutesSupportedKinds",
            resources: edge("All") + &set("infra/s", kinds),
            told: &["ListenerSet infra/s extra: ResolvedRefs=False InvalidRouteKinds"],
        },
    ]);
}

#[test]
fn routes_of_sets() {
    let parent = "{group: gateway.networking.k8s.io, kind: ListenerSet, name: s}";
    let http = |name: &str, parents: &str| {
        route("HTTPRoute", name, &format!("parentRefs: [{parents}], rules: [{{}}]"))
    };
    let elsewhere = parent.replace("name: s", "name: s, namespace: infra");
    let all = "{name: all, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}, {name: same, port: 8081, protocol: HTTP}";
    check(&[
        Row {
            name: "ListenerSetDualParentRefIndependence, ListenerSetGatewayParentSectionNameNotFound",
            resources: edge("All")
                + &set("infra/s", EXTRA)
                + &http("infra/both", &format!("{{name: edge}}, {parent}"))
                + &http("infra/one", &format!("{{name: edge, sectionName: extra}}, {parent}")),
            told: &[
                "HTTPRoute infra/both at infra/edge: Accepted=True Accepted",
                "HTTPRoute infra/both at infra/s: Accepted=True Accepted",
                "HTTPRoute infra/one at infra/edge extra: Accepted=False NoMatchingParent",
                "HTTPRoute infra/one at infra/s: Accepted=True Accepted",
                "Gateway infra/edge http: routes 1",
                "ListenerSet infra/s extra: routes 2",
            ],
        },
        Row {
            name: "ListenerSetRouteStatusScopedToParentRef, ListenerSetHTTPRouting",
            resources: edge("All")
                + &set("infra/s", EXTRA)
                + &http("infra/gateway", "{name: edge}")
                + &http("infra/set", parent),
            told: &[
                "HTTPRoute infra/gateway at infra/edge: Accepted=True Accepted",
                "!HTTPRoute infra/gateway at infra/s: Accepted=True Accepted",
                "HTTPRoute infra/set at infra/s: Accepted=True Accepted",
                "!HTTPRoute infra/set at infra/edge: Accepted=True Accepted",
                "ListenerSet infra/s extra: routes 1",
            ],
        },
        Row {
            name: "ListenerSetAllowedRoutesNamespaces",
            resources: edge("All")
                + &set("infra/s", all)
                + &http("infra/near", parent)
                + &http("other/far", &elsewhere)
                + &http(
                    "other/refused",
                    &elsewhere.replace("name: s,", "name: s, sectionName: same,"),
                ),
            told: &[
                "ListenerSet infra/s all: routes 2",
                "ListenerSet infra/s same: routes 1",
                "HTTPRoute other/refused at infra/s same: Accepted=False NotAllowedByListeners",
            ],
        },
        Row {
            name: "a set that is not allowed",
            resources: edge("") + &set("infra/s", EXTRA) + &http("infra/r", parent),
            told: &["HTTPRoute infra/r at infra/s: Accepted=False NoMatchingParent"],
        },
    ]);
}
