//! MQTT: what each service of the bank may publish and receive, and how Mosquitto's clients are told what they may not: by
//! the codes on the wire, and in the words of their libraries.

use std::net::SocketAddr;
use std::time::Duration;

use postern_tests::{BrokerKind, EventClient, Pod, wait};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS, v5};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::event_scene::{Events, events, events_with, rule, topic_policy};

const PATIENCE: Duration = Duration::from_secs(20);

/// Orders tells of orders, payments takes them up, alone or with others of its kind, and audit hears all.
fn rules(of_payments: &Value) -> String {
    let orders = rule("orders", &[json!({"operations": ["publish"], "topics": ["orders/#"]})]);
    let audit = rule(
        "audit",
        &[
            json!({"operations": ["subscribe"], "topics": ["orders/#", "payments/#"]}),
            json!({"operations": ["publish"], "topics": ["audit/+"], "clientIds": ["ledger-*"]}),
        ],
    );
    let rules = json!([orders, rule("payments", &[of_payments.clone(), paying()]), audit]);
    topic_policy(BrokerKind::Mosquitto, "events", "ALLOW", &rules)
}

fn paying() -> Value {
    json!({"operations": ["publish"], "topics": ["payments/+"]})
}

fn taking_up(topics: &[&str]) -> Value {
    json!({"operations": ["subscribe"], "topics": topics, "groups": ["workers"]})
}

fn bank() -> Events {
    events(BrokerKind::Mosquitto, &rules(&taking_up(&["orders/+"])))
}

/// A client that says its packets itself.
struct Wire {
    stream: TcpStream,
    version: u8,
}

impl Wire {
    async fn dial(broker: SocketAddr, version: u8) -> Self {
        let stream = timeout(PATIENCE, TcpStream::connect(broker)).await.unwrap().unwrap();
        Self { stream, version }
    }

    /// One that is connected under this id.
    async fn connect(broker: SocketAddr, version: u8, id: &str) -> Self {
        let mut wire = Self::dial(broker, version).await;
        assert_eq!(wire.hello(id, None).await, 0);
        wire
    }

    /// Says CONNECT, and gives the code of the answer.
    async fn hello(&mut self, id: &str, will: Option<&str>) -> u8 {
        let flags = if will.is_some() { 0b110 } else { 0b10 };
        let mut fields = [&text("MQTT")[..], &[self.version, flags, 0, 60], self.none()].concat();
        fields.extend(text(id));
        if let Some(topic) = will {
            fields.extend([self.none(), &text(topic), &text("gone")].concat());
        }
        self.say(0x10, &[&fields]).await;
        let answer = self.hear().await;
        assert_eq!(answer[0], 0x20, "{answer:x?}");
        answer[3]
    }

    /// No properties: nothing in 3.1.1.
    fn none(&self) -> &'static [u8] {
        if self.version == 5 { &[0] } else { &[] }
    }

    async fn say(&mut self, first: u8, fields: &[&[u8]]) {
        let fields = fields.concat();
        let length = u8::try_from(fields.len()).unwrap();
        assert!(length < 128);
        self.stream.write_all(&[&[first, length][..], &fields].concat()).await.unwrap();
    }

    async fn publish(&mut self, qos: u8, topic: &str) {
        let id: &[u8] = if qos == 0 { &[] } else { &[0, 7] };
        let none = self.none();
        self.say(0x30 | qos << 1, &[&text(topic), id, none, b"42"]).await;
    }

    /// Subscribes, and gives the codes of the answer.
    async fn subscribe(&mut self, filters: &[&str]) -> Vec<u8> {
        let entries: Vec<u8> =
            filters.iter().flat_map(|filter| [text(filter), vec![1]].concat()).collect();
        let none = self.none();
        self.say(0x82, &[&[0, 9], none, &entries]).await;
        let answer = self.hear().await;
        assert_eq!(answer[0], 0x90, "{answer:x?}");
        answer[4 + none.len()..].to_vec()
    }

    /// The next packet; nothing when the connection has ended.
    async fn hear(&mut self) -> Vec<u8> {
        let mut head = [0; 2];
        let heard = timeout(PATIENCE, self.stream.read_exact(&mut head)).await.unwrap();
        if heard.is_err() {
            return Vec::new();
        }
        let mut body = vec![0; usize::from(head[1])];
        timeout(PATIENCE, self.stream.read_exact(&mut body)).await.unwrap().unwrap();
        [&head[..], &body].concat()
    }

    /// Whether the broker's side answers a PINGREQ: everything before it has been taken.
    async fn is_open(&mut self) -> bool {
        self.say(0xC0, &[]).await;
        self.hear().await == [0xD0, 0]
    }
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// What the broker's proxy wrote of a refusal.
#[track_caller]
fn expect_refusal(scene: &Events, pod: &Pod, operation: &str, named: (&str, &str), reason: &str) {
    scene.broker.pod().expect_log(&[
        ("kind", "message"),
        ("source_principal", &pod.principal()),
        ("protocol", "mqtt"),
        ("operation", operation),
        named,
        ("decision", "deny"),
        ("reason", reason),
    ]);
}

#[test]
fn mosquitto_2042_connects_are_answered_on_the_wire() {
    let scene = bank();
    let broker = scene.broker.at();
    for (version, id_refused, unauthorized) in [(4, 2, 5), (5, 0x85, 0x87)] {
        scene.orders.run(async move {
            for (id, will, code) in [
                ("bank.orders", None, 0),
                ("bank.orders.0", Some("orders/gone"), 0),
                ("", None, 0),
                ("bank.payments", None, id_refused),
                ("bank.orders2", None, id_refused),
                ("ledger-1", None, id_refused),
                ("bank.orders", Some("payments/gone"), unauthorized),
                ("bank.orders", Some("$SYS/gone"), unauthorized),
            ] {
                let mut wire = Wire::dial(broker, version).await;
                assert_eq!(wire.hello(id, will).await, code, "{id} {will:?}");
                match code {
                    0 => assert!(wire.is_open().await),
                    _ => assert!(wire.hear().await.is_empty(), "it is closed"),
                }
            }
        });
        scene.audit.run(async move {
            assert!(Wire::connect(broker, version, "ledger-1").await.is_open().await);
        });
    }
    scene.orders.run(async move {
        let mut old = Wire::dial(broker, 3).await;
        old.say(0x10, &[&text("MQIsdp"), &[3, 2, 0, 60], &text("bank.orders")]).await;
        assert_eq!((old.hear().await, old.hear().await), (vec![0x20, 2, 0, 1], vec![]));
    });
    let id = ("client_id", "bank.payments");
    expect_refusal(&scene, &scene.orders, "connect", id, "client_id_denied");
    let topic = ("topic", "payments/gone");
    expect_refusal(&scene, &scene.orders, "publish", topic, "topic_denied");
}

#[test]
fn mosquitto_2042_messages_are_answered_on_the_wire() {
    let scene = bank();
    let broker = scene.broker.at();
    scene.orders.run(async move {
        for version in [4, 5] {
            let mut wire = Wire::connect(broker, version, "bank.orders").await;
            wire.publish(0, "orders/new").await;
            assert!(wire.is_open().await);
            for (qos, answer) in [(1, 0x40), (2, 0x50)] {
                wire.publish(qos, "orders/new").await;
                let heard = wire.hear().await;
                assert_eq!((heard[0], &heard[2..4]), (answer, &[0, 7][..]));
                assert!(heard.get(4).is_none_or(|code| *code < 0x80), "{heard:x?}");
            }
            wire.say(0x62, &[&[0, 7]]).await;
            assert_eq!(wire.hear().await[0], 0x70);
        }
        let mut wire = Wire::connect(broker, 5, "bank.orders").await;
        wire.publish(0, "payments/new").await;
        wire.publish(1, "payments/new").await;
        assert_eq!(wire.hear().await, [0x40, 3, 0, 7, 0x87]);
        wire.publish(2, "$SYS/new").await;
        assert_eq!(wire.hear().await, [0x50, 3, 0, 7, 0x87]);
        assert!(wire.is_open().await);
        for qos in [0, 1, 2] {
            let mut wire = Wire::connect(broker, 4, "bank.orders").await;
            wire.publish(qos, "payments/new").await;
            assert!(wire.hear().await.is_empty(), "3.1.1 is closed");
        }
    });
    expect_refusal(&scene, &scene.orders, "publish", ("topic", "$SYS/new"), "topic_denied");
}

#[test]
fn mosquitto_2042_subscriptions_are_answered_on_the_wire() {
    let scene = bank();
    let broker = scene.broker.at();
    scene.payments.run(async move {
        for (version, no) in [(4, 0x80), (5, 0x87)] {
            let mut wire = Wire::connect(broker, version, "bank.payments").await;
            for (filters, codes) in [
                (&["orders/new"][..], &[1][..]),
                (&["orders/+"], &[1]),
                (&["$share/workers/orders/+"], &[1]),
                (&["orders/#"], &[no]),
                (&["#"], &[no]),
                (&["$SYS/#"], &[no]),
                (&["payments/new"], &[no]),
                (&["$share/others/orders/new"], &[no]),
                (&["$share/workers/#"], &[no]),
                (&["#", "orders/a", "audit/a", "orders/b", "$SYS/x"], &[no, 1, no, 1, no]),
            ] {
                assert_eq!(wire.subscribe(filters).await, codes, "{filters:?}");
            }
            assert!(wire.is_open().await);
        }
    });
    expect_refusal(&scene, &scene.payments, "subscribe", ("topic", "$SYS/#"), "topic_denied");
}

fn paho(scene: &Events, pod: &Pod, version: u8, more: Value) -> EventClient {
    let client = EventClient::paho(pod);
    let id = format!("bank.{}", pod.principal().rsplit('/').next().unwrap());
    let mut order =
        json!({"host": scene.broker.host(), "port": 1883, "client_id": id, "version": version});
    order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    assert_eq!(client.done("connect", &order), "Success");
    client
}

#[test]
fn paho_is_told_in_its_own_words() {
    let scene = bank();
    let heard = paho(&scene, &scene.payments, 5, json!({}));
    let filters = json!({"filters": ["orders/new", "#"]});
    assert_eq!(heard.done("subscribe", &filters), json!(["Granted QoS 1", "Not authorized"]));
    let said = paho(&scene, &scene.orders, 5, json!({}));
    let order = json!({"topic": "orders/new", "payload": "42"});
    assert_eq!(said.done("publish", &order), "Success");
    assert_eq!(heard.done("next", &json!({}))["payload"], "42");
    // Paho goes on after a PUBREC that refuses, and tells the code of what comes then.
    for (qos, code) in [(1, "Not authorized"), (2, "Packet identifier not found")] {
        let refused = said.refused("publish", &json!({"topic": "payments/new", "qos": qos}));
        assert_eq!(refused.code, code, "{refused:?}");
    }
    let old = paho(&scene, &scene.orders, 4, json!({"client_id": "bank.orders.old"}));
    assert_eq!(old.done("publish", &order), "Success");
    assert_eq!(heard.done("next", &json!({}))["payload"], "42");
    let refused = old.refused("publish", &json!({"topic": "payments/new"}));
    assert_eq!(refused.class, "ConnectionError", "{refused:?}");
    let other = json!({"host": scene.broker.host(), "port": 1883, "client_id": "bank.payments"});
    for (version, words) in [(4, "Client identifier not valid"), (5, "Client identifier not valid")]
    {
        let mut order = other.clone();
        order["version"] = json!(version);
        assert_eq!(EventClient::paho(&scene.orders).done("connect", &order), words);
    }
}

#[test]
fn rumqttc_is_told_in_its_own_words() {
    let scene = bank();
    let host = scene.broker.pod().ipv4().to_string();
    let of_three = host.clone();
    let ended = scene.orders.run(async move {
        let (client, mut events) =
            AsyncClient::new(MqttOptions::new("bank.orders", of_three, 1883), 10);
        client.publish("payments/new", QoS::AtLeastOnce, false, "42").await.unwrap();
        let ended = async {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::PubAck(_))) => return false,
                    Ok(_) => {}
                    Err(_) => return true,
                }
            }
        };
        timeout(PATIENCE, ended).await.unwrap()
    });
    assert!(ended);
    let reason = scene.orders.run(async move {
        let (client, mut events) =
            v5::AsyncClient::new(v5::MqttOptions::new("bank.orders", host, 1883), 10);
        let qos = v5::mqttbytes::QoS::AtLeastOnce;
        client.publish("payments/new", qos, false, "42").await.unwrap();
        let answer = async {
            loop {
                let event = events.poll().await;
                match event {
                    Ok(v5::Event::Incoming(v5::mqttbytes::v5::Packet::PubAck(answer))) => {
                        return format!("{:?}", answer.reason);
                    }
                    Ok(_) => {}
                    Err(error) => return error.to_string(),
                }
            }
        };
        timeout(PATIENCE, answer).await.unwrap()
    });
    assert!(reason.contains("NotAuthorized"), "{reason}");
}

#[test]
fn cve_2021_34434_what_waits_in_a_session_is_judged_when_it_is_delivered() {
    let scene = bank();
    let said = paho(&scene, &scene.orders, 5, json!({}));
    let heard = paho(&scene, &scene.payments, 4, json!({"clean": false}));
    assert_eq!(
        heard.done("subscribe", &json!({"filters": ["orders/+"]})),
        json!(["Granted QoS 1"])
    );
    heard.done("disconnect", &json!({}));
    heard.done("end", &json!({}));
    scene.set_topics(&rules(&taking_up(&["orders/new"])));
    // A subscription to more is refused from now on; the session at the broker still has it.
    let asks = EventClient::paho(&scene.payments);
    let order = json!({"host": scene.broker.host(), "port": 1883, "client_id": "bank.payments.2"});
    wait::until("the policy to be in force", wait::PATIENCE, || {
        asks.done("connect", &order);
        let codes = asks.done("subscribe", &json!({"filters": ["orders/+"]}));
        if codes == json!(["Not authorized"]) { Ok(()) } else { Err(codes.to_string()) }
    });
    for topic in ["orders/secret", "orders/new"] {
        said.done("publish", &json!({"topic": topic, "payload": topic}));
    }
    let order = json!({"host": scene.broker.host(), "port": 1883, "client_id": "bank.payments",
        "version": 4, "clean": false});
    assert_eq!(heard.done("connect", &order), "Success");
    assert_eq!(heard.done("next", &json!({}))["topic"], "orders/new");
    let withheld = ("topic", "orders/secret");
    expect_refusal(&scene, &scene.payments, "subscribe", withheld, "topic_denied");
}

#[test]
fn whoever_loses_a_subscription_is_disconnected_and_its_will_is_not_published() {
    for version in [4, 5] {
        let scene = bank();
        let hears = paho(&scene, &scene.audit, 5, json!({}));
        let wills = json!({"filters": ["payments/+"]});
        assert_eq!(hears.done("subscribe", &wills), json!(["Granted QoS 1"]));
        let will = json!({"will": {"topic": "payments/gone", "payload": "gone", "qos": 1}});
        let loses = paho(&scene, &scene.payments, version, will);
        let filters = json!({"filters": ["orders/new"]});
        assert_eq!(loses.done("subscribe", &filters), json!(["Granted QoS 1"]));
        scene.set_topics(&rules(&taking_up(&["orders/other"])));
        let end = loses.done("end", &json!({}));
        if version == 5 {
            assert_eq!(end, "Not authorized");
        }
        wait::until("the broker to see it leave", wait::PATIENCE, || {
            let said = scene.broker.said();
            match said.contains("Client bank.payments disconnected") {
                true => Ok(()),
                false => Err(said),
            }
        });
        // What is published now is the first that is heard.
        let again = paho(&scene, &scene.payments, 5, json!({}));
        again.done("publish", &json!({"topic": "payments/done", "payload": "42"}));
        assert_eq!(hears.done("next", &json!({}))["topic"], "payments/done");
        let topic = ("topic", "orders/new");
        expect_refusal(&scene, &scene.payments, "subscribe", topic, "topic_denied");
    }
}

#[test]
fn a_will_is_published_when_its_client_is_lost() {
    let scene = bank();
    let hears = paho(&scene, &scene.audit, 5, json!({}));
    hears.done("subscribe", &json!({"filters": ["payments/+"]}));
    let will = json!({"will": {"topic": "payments/gone", "payload": "gone", "qos": 1}});
    let lost = paho(&scene, &scene.payments, 5, will);
    lost.done("vanish", &json!({}));
    assert_eq!(hears.done("next", &json!({}))["topic"], "payments/gone");
}

#[test]
fn subscribers_see_who_published_and_nobody_can_write_that() {
    let policies = rules(&taking_up(&["orders/+"]));
    let config = json!({"inbound": {"messageSource": true}});
    let scene = events_with(BrokerKind::Mosquitto, &policies, config);
    let heard = paho(&scene, &scene.payments, 5, json!({}));
    heard.done("subscribe", &json!({"filters": ["orders/+"]}));
    let said = paho(&scene, &scene.orders, 5, json!({}));
    let forged = json!([["Postern-Source", "cluster.local/ns/x/sa/y"], ["kind", "new"]]);
    let order = json!({"topic": "orders/new", "properties_of": {"UserProperty": forged}});
    assert_eq!(said.done("publish", &order), "Success");
    let message = heard.done("next", &json!({}));
    let expect = json!([["kind", "new"], ["Postern-Source", scene.orders.principal()]]);
    assert_eq!(message["user_properties"], expect);
}
