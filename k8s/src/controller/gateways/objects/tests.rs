#![allow(clippy::unwrap_used)]

use clap::Parser;

use super::*;
use crate::inject::gateway::GatewayOptions;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: InjectionSettings,
}

fn settings() -> InjectionSettings {
    let controller = "--controller=postern-controller.postern-system.svc:15010";
    Flags::parse_from(["test", controller]).settings
}

fn edge() -> GatewayFacts {
    let pair = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    GatewayFacts {
        name: ObjectName::new("shop", "edge"),
        uid: "uid-edge".into(),
        api_version: "gateway.networking.k8s.io/v1".to_owned(),
        class: "postern".to_owned(),
        labels: pair("team", "shop"),
        annotations: pair("example.com/lb", "internal"),
        options: GatewayOptions::default(),
        ports: BTreeMap::from([(80, "http".to_owned()), (443, "https".to_owned())]),
        address: None,
    }
}

fn named(objects: &[GatewayObject], kind: &str) -> Option<Value> {
    objects.iter().find(|made| made.kind == kind).map(|made| made.object.clone())
}

/// All of them, whole. A change of what is made is seen in this file.
#[test]
fn objects_of_a_gateway() {
    let made: Vec<Value> = gateway_objects(&edge(), &settings())
        .into_iter()
        .map(|made| {
            let mut object = made.object;
            object["metadata"]["annotations"][APPLIED] = "a digest".into();
            object
        })
        .collect();
    let text = serde_json::to_string_pretty(&made).unwrap() + "\n";
    let text = text.replace(crate::inject::settings::VERSION, "VERSION");
    let golden = include_str!("../../../../tests/fixtures/gateway-objects.json");
    assert!(text == golden, "found\n{text}");
}

#[test]
fn what_an_edit_changes() {
    let before = gateway_objects(&edge(), &settings());
    let template = |objects: &[GatewayObject]| {
        named(objects, "Deployment").unwrap()["spec"]["template"].clone()
    };
    let mut one_more = edge();
    one_more.ports.insert(8443, "tls".to_owned());
    let after = gateway_objects(&one_more, &settings());
    assert_eq!(named(&before, "Deployment"), named(&after, "Deployment"), "nothing is restarted");
    let ports = &named(&after, "Service").unwrap()["spec"]["ports"];
    assert_eq!(ports[2]["name"], "tls-8443");

    let mut without = edge();
    without.ports.clear();
    assert_eq!(named(&gateway_objects(&without, &settings()), "Service"), None);

    let mut scaled = edge();
    scaled.options.replicas = None;
    let scaled = named(&gateway_objects(&scaled, &settings()), "Deployment").unwrap();
    assert!(scaled["spec"].get("replicas").is_none(), "somebody else scales it");

    let mut asks = edge();
    asks.address = Some([192, 0, 2, 1].into());
    let asks = gateway_objects(&asks, &settings());
    assert_eq!(named(&asks, "Service").unwrap()["spec"]["loadBalancerIP"], "192.0.2.1");
    assert_eq!(template(&before), template(&asks));

    let mut inside = edge();
    inside.options.service_type = ServiceType::ClusterIp;
    let inside = named(&gateway_objects(&inside, &settings()), "Service").unwrap();
    assert_eq!(inside["spec"]["type"], "ClusterIP");
    assert!(inside["spec"].get("externalTrafficPolicy").is_none());
}

/// A tenant writes `infrastructure`; it takes over no label by which something else is found.
#[test]
fn own_labels_win() {
    let mut greedy = edge();
    greedy.labels.insert(GATEWAY_LABEL.to_owned(), "other".to_owned());
    greedy.annotations.insert(INJECT.0.to_owned(), "enabled".to_owned());
    let deployment = named(&gateway_objects(&greedy, &settings()), "Deployment").unwrap();
    let pod = &deployment["spec"]["template"]["metadata"];
    assert_eq!(pod["labels"][GATEWAY_LABEL], "edge");
    assert_eq!(pod["annotations"][INJECT.0], "disabled");
    assert_eq!(deployment["metadata"]["labels"][GATEWAY_LABEL], "edge");
}
