//! Which routes attach to which listeners, and why not.

use super::*;

/// A route of namespace `from` with these parents.
fn route(kind: &str, from: &str, name: &str, parents: &str, more: &str) -> String {
    let rules = match kind {
        "HTTPRoute" | "GRPCRoute" => "[{}]",
        _ => "[{backendRefs: [{name: x, port: 1}]}]",
    };
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {from}}}\nspec: {{parentRefs: [{parents}], {more} rules: {rules}}}\n"
    )
}

/// Each reference: the labels of the listeners it leads to, or why it leads to none.
fn attachments(text: &str) -> Vec<String> {
    let resources = resources(text);
    let plan = GatewayPlan::build(&resources, &GatewaySelection::default());
    let shown = plan.attachments().iter().map(|attachment| {
        let found = match &attachment.listeners {
            Ok(listeners) => {
                let labels: Vec<_> =
                    listeners.iter().map(|at| plan.listeners()[*at].label()).collect();
                labels.join(" ")
            }
            Err(why) => why.to_string(),
        };
        format!("{} {found}", attachment.route.id.name)
    });
    shown.collect()
}

const LISTENERS: &str = "{name: a, hostname: a.example, port: 80, protocol: HTTP}, {name: below, hostname: '*.example', port: 80, protocol: HTTP}, {name: other, port: 81, protocol: HTTP, allowedRoutes: {namespaces: {from: All}, kinds: [{kind: HTTPRoute}]}}, {name: bytes, port: 90, protocol: TCP}";

#[test]
fn references_to_listeners() {
    let one = |kind: &str, from: &str, parent: &str, more: &str| {
        let parent = format!("{{name: edge, namespace: shop{parent}}}");
        let text = gateway(LISTENERS) + &route(kind, from, "r", &parent, more);
        attachments(&text).concat()
    };
    let all = "r shop/edge:a shop/edge:below shop/edge:other";
    for (kind, from, parent, more, expect) in [
        ("HTTPRoute", "shop", "", "", all),
        ("HTTPRoute", "shop", ", sectionName: a", "", "r shop/edge:a"),
        ("HTTPRoute", "shop", ", port: 80", "", "r shop/edge:a shop/edge:below"),
        ("HTTPRoute", "shop", ", port: 81, sectionName: other", "", "r shop/edge:other"),
        ("HTTPRoute", "shop", ", port: 80, sectionName: other", "", "r NoMatchingParent"),
        ("HTTPRoute", "shop", ", sectionName: gone", "", "r NoMatchingParent"),
        ("HTTPRoute", "shop", ", port: 8080", "", "r NoMatchingParent"),
        ("HTTPRoute", "web", "", "", "r shop/edge:other"),
        ("HTTPRoute", "web", ", port: 80", "", "r NotAllowedByListeners"),
        ("HTTPRoute", "shop", ", sectionName: bytes", "", "r NotAllowedByListeners"),
        ("GRPCRoute", "shop", "", "", "r shop/edge:a shop/edge:below"),
        ("GRPCRoute", "shop", ", port: 81", "", "r NotAllowedByListeners"),
        ("TCPRoute", "shop", "", "", "r shop/edge:bytes"),
        ("TLSRoute", "shop", "", "hostnames: [a.example],", "r NotAllowedByListeners"),
        ("HTTPRoute", "shop", "", "hostnames: [b.example],", "r shop/edge:below shop/edge:other"),
        ("HTTPRoute", "shop", "", "hostnames: ['*.example'],", all),
        (
            "HTTPRoute",
            "shop",
            "",
            "hostnames: ['*.b.example'],",
            "r shop/edge:below shop/edge:other",
        ),
        (
            "HTTPRoute",
            "shop",
            ", port: 80",
            "hostnames: [example],",
            "r NoMatchingListenerHostname",
        ),
        (
            "HTTPRoute",
            "shop",
            ", sectionName: a",
            "hostnames: [b.example],",
            "r NoMatchingListenerHostname",
        ),
        (
            "HTTPRoute",
            "shop",
            ", sectionName: a",
            "hostnames: [b.org, a.example],",
            "r shop/edge:a",
        ),
    ] {
        assert_eq!(one(kind, from, parent, more), expect, "{kind} {from} {parent} {more}");
    }
    assert_eq!(one("HTTPRoute", "shop", "x", ""), "", "another Gateway is not ours to speak of");
}

#[test]
fn namespaces_by_their_labels() {
    let selector = |selector: &str| {
        gateway(&format!(
            "{{name: http, port: 80, protocol: HTTP, allowedRoutes: {{namespaces: {{from: Selector, selector: {{{selector}}}}}}}}}"
        ))
    };
    let parent = "{name: edge, namespace: shop}";
    let labels = namespace("web", "team: web, tier: front") + &namespace("bank", "team: bank");
    let routes = route("HTTPRoute", "bank", "bank", parent, "")
        + &route("HTTPRoute", "unknown", "unknown", parent, "")
        + &route("HTTPRoute", "web", "web", parent, "");
    let (yes, no) = ("shop/edge:http", "NotAllowedByListeners");
    for (text, bank, unknown, web) in [
        ("matchLabels: {team: web}", no, no, yes),
        ("matchLabels: {team: web, tier: back}", no, no, no),
        ("matchLabels: {kubernetes.io/metadata.name: unknown}", no, yes, no),
        ("matchExpressions: [{key: team, operator: In, values: [web, bank]}]", yes, no, yes),
        ("matchExpressions: [{key: team, operator: NotIn, values: [web]}]", yes, yes, no),
        ("matchExpressions: [{key: tier, operator: Exists}]", no, no, yes),
        ("matchExpressions: [{key: tier, operator: DoesNotExist}]", yes, yes, no),
        ("", yes, yes, yes),
    ] {
        let text_of = selector(text) + &labels + &routes;
        let expect = [format!("bank {bank}"), format!("unknown {unknown}"), format!("web {web}")];
        assert_eq!(attachments(&text_of), expect, "{text}");
    }
    // A namespace that claims the name of another has its own all the same.
    let claim = namespace("web", "kubernetes.io/metadata.name: shop");
    let text = selector("matchLabels: {kubernetes.io/metadata.name: shop}")
        + &claim
        + &route("HTTPRoute", "web", "web", parent, "");
    assert_eq!(attachments(&text), ["web NotAllowedByListeners"]);
}

#[test]
fn listener_sets() {
    let set =
        listener_set("web", "more", "", "{name: x, hostname: x.example, port: 80, protocol: HTTP}");
    let own = "{name: http, hostname: g.example, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}";
    let of_gateway = |allowed: &str| gateway_of("shop", "edge", allowed, own);
    let to_gateway = "{name: edge, namespace: shop}";
    let to_set = "{kind: ListenerSet, name: more, namespace: web}";
    let to_set_alone = "{kind: ListenerSet, name: more, namespace: web, sectionName: x}";
    let routes = route("HTTPRoute", "web", "a", &format!("{to_gateway}, {to_set}"), "")
        + &route(
            "HTTPRoute",
            "web",
            "b",
            &format!("{{name: edge, namespace: shop, sectionName: x}}, {to_set_alone}"),
            "",
        )
        + &route("HTTPRoute", "shop", "c", to_set, "");
    for (allowed, expect) in [
        ("allowedListeners: {namespaces: {from: All}},", true),
        (
            "allowedListeners: {namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: web}}}},",
            true,
        ),
        ("allowedListeners: {namespaces: {from: Same}},", false),
        ("allowedListeners: {namespaces: {from: None}},", false),
        ("allowedListeners: {},", false),
        ("", false),
    ] {
        let text = of_gateway(allowed) + &set + &routes;
        let resources = resources(&text);
        let plan = GatewayPlan::build(&resources, &GatewaySelection::default());
        assert_eq!(plan.listener_sets()[0].is_allowed, expect, "{allowed}");
        assert_eq!(plan.listeners().len(), if expect { 2 } else { 1 }, "{allowed}");
        let listener = "shop/edge:web/more:x";
        let in_set = if expect { listener } else { "NoMatchingParent" };
        // `Same` of a ListenerSet's listener means the set's own namespace.
        let elsewhere = if expect { "NotAllowedByListeners" } else { "NoMatchingParent" };
        assert_eq!(
            attachments(&text),
            [
                format!("c {elsewhere}"),
                "a shop/edge:http".to_owned(),
                format!("a {in_set}"),
                "b NoMatchingParent".to_owned(),
                format!("b {in_set}"),
            ],
            "{allowed}"
        );
    }
}

#[test]
fn how_many_are_attached() {
    let twice =
        "{name: edge, namespace: shop, sectionName: a}, {name: edge, namespace: shop, port: 80}";
    let text = gateway(LISTENERS)
        + &route("HTTPRoute", "shop", "r", twice, "")
        + &route("HTTPRoute", "shop", "s", "{name: edge}", "hostnames: [b.example],")
        + &route("HTTPRoute", "web", "t", "{name: edge, namespace: shop}", "");
    let resources = resources(&text);
    let plan = GatewayPlan::build(&resources, &GatewaySelection::default());
    let counts: Vec<_> = plan.listeners().iter().map(|planned| planned.attached_routes).collect();
    assert_eq!(counts, [1, 2, 2, 0]);
}

#[test]
fn routes_of_other_kinds_are_those_of_sidecars() {
    let text = gateway(LISTENERS)
        + &route(
            "HTTPRoute",
            "shop",
            "r",
            "{group: '', kind: Service, name: cart}, {name: edge}",
            "",
        );
    let resources = resources(&text);
    assert_eq!(attachments(&text).len(), 1);
    let client = crate::Workload {
        namespace: "shop".into(),
        service_account: "c".into(),
        labels: BTreeMap::new(),
    };
    let routes = crate::RouteTable::build(&resources, &client);
    assert_eq!(routes.hosts().count(), 1);
}
