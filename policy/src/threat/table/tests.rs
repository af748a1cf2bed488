//! Which ThreatPolicy is about a request.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use crate::client_traffic::ListenerPlace;
use crate::gateway::ObjectName;
use crate::resources::DEFAULT_ROOT_NAMESPACE;
use crate::route::{RouteId, RouteKind};
use crate::{
    CanonicalPath, PathNormalization, PolicyDefaults, Resources, Snapshot, SourceFile, Workload,
};

fn snapshot(edge: bool, objects: &[(&str, &str, &str)]) -> Snapshot {
    let documents = objects.iter().map(|(namespace, name, spec)| {
        format!("---\napiVersion: policy.postern.dev/v1alpha1\nkind: ThreatPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n")
    });
    let bytes = format!("# none\n{}", documents.collect::<String>()).into_bytes();
    let files = [SourceFile { name: "r".into(), bytes }];
    let resources = Resources::parse(&files, DEFAULT_ROOT_NAMESPACE).unwrap();
    let workload = Workload {
        namespace: "shop".into(),
        service_account: "cart".into(),
        labels: [("app", "cart"), ("tier", "web")].map(|(k, v)| (k.into(), v.into())).into(),
    };
    Snapshot::build(&resources, &workload, &PolicyDefaults { edge, ..PolicyDefaults::default() })
}

fn target(kind: &str, name: &str, more: &str) -> String {
    format!("targetRefs: [{{group: gateway.networking.k8s.io, kind: {kind}, name: {name}{more}}}]")
}

#[test]
fn at_a_sidecar_the_closest_selection_holds() {
    let (all, app) = ("", "selector: {matchLabels: {app: cart}}");
    let both = "selector: {matchLabels: {app: cart, tier: web}}";
    let (other, gateway) = ("selector: {matchLabels: {app: web}}", target("Gateway", "edge", ""));
    let root = DEFAULT_ROOT_NAMESPACE;
    for (row, objects, expect) in [
        ("none", vec![], None),
        ("another namespace", vec![("bank", "a", all)], None),
        ("another app", vec![("shop", "a", other)], None),
        ("a gateway's", vec![("shop", "a", &*gateway)], None),
        ("the mesh", vec![(root, "a", all)], Some("postern-system/a")),
        ("the namespace", vec![(root, "a", both), ("shop", "b", all)], Some("shop/b")),
        ("one label", vec![("shop", "a", all), ("shop", "b", app)], Some("shop/b")),
        ("two labels", vec![("shop", "a", app), ("shop", "b", both)], Some("shop/b")),
        ("two alike", vec![("shop", "b", app), ("shop", "a", app)], Some("shop/a")),
    ] {
        let snapshot = snapshot(false, &objects);
        let threats = snapshot.threats();
        let found = threats.find(None, None).map(|rule| rule.policy.to_string());
        assert_eq!(found.as_deref(), expect, "{row}");
        assert_eq!(threats.is_empty(), expect.is_none(), "{row}: nothing is looked up for nobody");
    }
}

#[test]
fn at_a_gateway_the_closest_target_holds() {
    let gateway = target("Gateway", "edge", "");
    let section = target("Gateway", "edge", ", sectionName: https");
    let (set, route) = (target("ListenerSet", "extra", ""), target("HTTPRoute", "cart", ""));
    let snapshot = snapshot(
        true,
        &[
            ("shop", "all", ""),
            ("shop", "gateway", &gateway),
            ("shop", "section", &section),
            ("shop", "set", &set),
            ("shop", "route", &route),
            ("bank", "theirs", &gateway),
        ],
    );
    let (edge, other) = (ObjectName::new("shop", "edge"), ObjectName::new("shop", "other"));
    let extra = ObjectName::new("shop", "extra");
    let sections: [Arc<str>; 2] = ["https".into(), "http".into()];
    let [https, http] = &sections;
    let route = |namespace: &str| RouteId {
        kind: RouteKind::Http,
        namespace: namespace.into(),
        name: "cart".into(),
    };
    for (row, gateway, listener_set, section, taken, expect) in [
        ("another gateway", &other, None, https, None, "shop/all"),
        ("the gateway", &edge, None, http, None, "shop/gateway"),
        ("its listener", &edge, None, https, None, "shop/section"),
        ("a set of it", &edge, Some(&extra), https, None, "shop/set"),
        ("the route", &edge, None, https, Some(route("shop")), "shop/route"),
        ("a namesake", &edge, None, http, Some(route("bank")), "shop/gateway"),
    ] {
        let place = ListenerPlace { gateway, listener_set, section };
        let found = snapshot.threats().find(Some(&place), taken.as_ref());
        assert_eq!(found.map(|rule| &*rule.policy), Some(expect), "{row}");
    }
}

#[test]
fn an_exclusion_holds_only_where_every_reading_of_the_path_is_excluded() {
    let excluded = "exclusions: [{rule: 1}, {rule: 2, paths: ['/search*']}]";
    let snapshot = snapshot(false, &[("shop", "p", excluded)]);
    let rule = snapshot.threats().find(None, None).unwrap();
    for (path, expect) in [
        ("/search", [true, true]),
        ("/search/more", [true, true]),
        ("/research", [true, false]),
        ("/search/%2e%2e/admin", [true, false]),
        ("/searc%68", [true, true]),
    ] {
        let path = CanonicalPath::parse(path, PathNormalization::default()).unwrap();
        let found: Vec<_> =
            rule.settings.exclusions.iter().map(|one| one.is_about(&path)).collect();
        assert_eq!(found, expect, "{path:?}");
    }
}

#[test]
fn the_files_of_a_gateway_are_for_policies_of_its_namespace() {
    let files = "ruleSet: {path: /etc/postern/rules}";
    let route = |more: &str| format!("{}, {more}", target("HTTPRoute", "r", ""));
    for (row, edge, namespace, spec, sets) in [
        ("its own", true, "shop", route(files), 1),
        ("a guest's", true, "bank", route(files), 0),
        ("a guest's of the proxy's own rules", true, "bank", route("ruleSet: builtin"), 1),
        ("the mesh's, which selects", true, DEFAULT_ROOT_NAMESPACE, files.to_owned(), 1),
        ("a sidecar's", false, "shop", files.to_owned(), 1),
    ] {
        let snapshot = snapshot(edge, &[(namespace, "a", &spec)]);
        assert_eq!(snapshot.threats().rule_sets().len(), sets, "{row}");
    }
}
