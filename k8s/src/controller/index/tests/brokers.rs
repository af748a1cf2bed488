//! Message brokers: who is told of a TopicPolicy, and what their ports speak.

use policy::Protocol;

use super::*;

#[test]
fn s21_tenant_reach_a_topic_policy_is_about_its_own_namespace() {
    let rules = json!([{"to": [{"operation": {"operations": ["publish"], "topics": ["orders"]}}]}]);
    let spec = |more: Value| {
        let mut spec = json!({"protocol": "kafka", "rules": rules});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    for (row, namespace, more, cart, refused) in [
        ("its namespace", "shop", json!({}), true, false),
        ("labels", "shop", json!({"selector": {"matchLabels": {"app": "cart"}}}), true, false),
        (
            "others' labels",
            "shop",
            json!({"selector": {"matchLabels": {"app": "b"}}}),
            false,
            false,
        ),
        ("another namespace", "bank", json!({}), false, false),
        ("the root namespace", "postern-system", json!({}), true, false),
        ("a mistake closes", "shop", json!({"topics": ["a"]}), true, true),
    ] {
        let mut events = shop();
        events.push(policy(PolicyKind::TopicPolicy, namespace, "p", &spec(more)));
        let index = index(events);
        assert_eq!(!policies(&index, "shop", "cart-1").is_empty(), cart, "{row}");
        assert_eq!(!index.refused().is_empty(), refused, "{row}");
    }
}

/// Who may make a Service of the namespace does not take the rules about messages away by that.
#[test]
fn a_second_service_does_not_make_a_broker_opaque() {
    for (row, first, second, expect) in [
        ("one of them", Protocol::Kafka, None, json!({"8080": "kafka"})),
        ("the same", Protocol::Kafka, Some(Protocol::Kafka), json!({"8080": "kafka"})),
        ("bytes beside it", Protocol::Kafka, Some(Protocol::Tcp), json!({"8080": "kafka"})),
        ("beside bytes", Protocol::Tcp, Some(Protocol::Nats), json!({"8080": "nats"})),
        ("undeclared beside it", Protocol::Mqtt, Some(Protocol::Auto), json!({"8080": "mqtt"})),
        ("no brokers", Protocol::Tcp, Some(Protocol::Http), json!({})),
    ] {
        let mut events = vec![pod("shop", "cart-1", "cart", "10.1.0.1")];
        for (of, protocol) in [("cart", Some(first)), ("other", second)] {
            let Some(spoken) = protocol else { continue };
            let mut event = service("shop", of, "10.96.0.1", 80);
            if let Event::Service(_, Some(service)) = &mut event {
                service.ports[0].protocol = spoken;
            }
            events.extend([event, slice("shop", of, &[("10.1.0.1", "cart-1")])]);
        }
        let index = index(events);
        let delta = asks(&index, "shop", "cart-1", &[]).policies.unwrap();
        let (_, document) = delta.changed.iter().find(|(name, _)| name == "Workload").unwrap();
        let value: Value = serde_json::from_slice(&document.bytes).unwrap();
        assert_eq!(value["spec"]["ports"], expect, "{row}");
    }
}
