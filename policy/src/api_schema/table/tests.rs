//! The closest description holds, whole.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::gateway::ObjectName;
use crate::resources::DEFAULT_ROOT_NAMESPACE;
use crate::route::RouteKind;
use crate::{SourceFile, Workload};

fn resources(objects: &[(&str, &str, &str)]) -> Resources {
    let object = |(namespace, name, scope): &(&str, &str, &str)| {
        format!(
            "apiVersion: policy.postern.dev/v1alpha1\nkind: ApiSchema\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             spec: {{{scope}, document: {{path: /etc/{name}.yaml}}}}\n---\n"
        )
    };
    let text = objects.iter().map(object).collect::<String>() + "# the end\n";
    let file = SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() };
    Resources::parse(&[file], DEFAULT_ROOT_NAMESPACE).unwrap()
}

fn workload() -> Workload {
    Workload {
        namespace: "shop".into(),
        service_account: "cart".into(),
        labels: [("app", "cart"), ("tier", "back")].map(|(k, v)| (k.into(), v.into())).into(),
    }
}

#[test]
fn the_closest_selector_holds() {
    let all = ("shop", "all", "selector: {}");
    let mesh = ("postern-system", "mesh", "selector: {}");
    let app = ("shop", "app", "selector: {matchLabels: {app: cart}}");
    let both = ("shop", "both", "selector: {matchLabels: {app: cart, tier: back}}");
    let port = ("shop", "port", "selector: {}, ports: [80]");
    let other = ("shop", "other", "selector: {matchLabels: {app: bank}}");
    let elsewhere = ("bank", "elsewhere", "selector: {}");
    let edge = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]";
    for (row, objects, expect) in [
        ("none", vec![], None),
        ("another app", vec![other], None),
        ("another namespace", vec![elsewhere], None),
        ("a gateway's", vec![("shop", "edge", edge)], None),
        ("the mesh", vec![mesh], Some("mesh")),
        ("the namespace before the mesh", vec![mesh, all], Some("all")),
        ("the app before the namespace", vec![all, app], Some("app")),
        ("more labels before fewer", vec![app, both], Some("both")),
        ("the port before all", vec![both, port], Some("port")),
        ("the first by name", vec![app, ("shop", "aaa", app.2)], Some("aaa")),
    ] {
        let table = ApiSchemaTable::build(&resources(&objects), &workload(), false);
        let found = table.at_port(80).map(|settings| settings.policy.rsplit('/').next().unwrap());
        assert_eq!(found, expect, "{row}");
        assert_eq!(table.is_empty(), expect.is_none(), "{row}");
    }
    let table = ApiSchemaTable::build(&resources(&[all, port]), &workload(), false);
    assert_eq!(table.at_port(81).map(|settings| &*settings.policy), Some("shop/all"));
    assert_eq!(table.files().len(), 2);
}

#[test]
fn at_a_gateway_the_closest_target_holds() {
    let target = |kind: &str, name: &str, section: &str| {
        format!("{{group: gateway.networking.k8s.io, kind: {kind}, name: {name}{section}}}")
    };
    let of = |targets: &[String]| format!("targetRefs: [{}]", targets.join(", "));
    let gateway = of(&[target("Gateway", "edge", "")]);
    let listener = of(&[target("Gateway", "edge", ", sectionName: web")]);
    let route = of(&[target("HTTPRoute", "cart", "")]);
    let other = of(&[target("Gateway", "other", ""), target("HTTPRoute", "other", "")]);
    let (name, section): (_, Arc<str>) = (ObjectName::new("shop", "edge"), "web".into());
    let place = ListenerPlace { gateway: &name, listener_set: None, section: &section };
    let cart = RouteId { kind: RouteKind::Http, namespace: "shop".into(), name: "cart".into() };
    for (row, objects, expect) in [
        ("others", vec![&other], None),
        ("a selector", vec![], None),
        ("the Gateway", vec![&other, &gateway], Some("shop/b")),
        ("the listener before it", vec![&listener, &gateway], Some("shop/a")),
        ("the route before both", vec![&listener, &gateway, &route], Some("shop/c")),
        ("the first by name", vec![&gateway, &gateway], Some("shop/a")),
    ] {
        let names = ["a", "b", "c"];
        let mut all: Vec<_> =
            objects.iter().zip(names).map(|(scope, name)| ("shop", name, scope.as_str())).collect();
        all.push(("shop", "selects", "selector: {}"));
        let table = ApiSchemaTable::build(&resources(&all), &workload(), true);
        let found = table.at_edge(&place, Some(&cart)).map(|settings| &*settings.policy);
        assert_eq!(found, expect, "{row}");
    }
}
