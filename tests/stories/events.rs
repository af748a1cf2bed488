//! What holds for the messages of every protocol: nothing is allowed by itself, limits end one connection, and what is told of
//! messages tells no topic where it does not belong.

use postern_tests::{BrokerKind, EventClient, raw, wait};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::event_nats::{self, Nats};
use crate::event_scene::{self, Events, publish, rule, subscribe, together, topic_policy};

#[test]
fn s19_missing_input_fails_closed_a_declared_port_without_a_policy() {
    let scene = event_scene::events(BrokerKind::Nats, "");
    let server = scene.broker.at();
    scene.orders.run(async move {
        let mut orders = Nats::connect(server, "bank", "orders").await;
        orders.publish("bus.orders", "1").await;
        orders.expect_event("permissions violation for publish to \"bus.orders\"").await;
        let _open = orders.client.subscribe("_INBOX.bank.orders.1").await.unwrap();
        orders.expect_event("permissions violation for subscription").await;
    });
    let scene = event_scene::events(BrokerKind::Mosquitto, "");
    let orders = EventClient::paho(&scene.orders);
    let connect = json!({"host": scene.broker.host(), "port": 1883, "client_id": "bank.orders"});
    assert_eq!(orders.done("connect", &connect), "Client identifier not valid");
}

/// A name that is nowhere else on the pages that are searched for it.
const SECRET: &str = "canary-7a31";

#[test]
fn s48_limit_and_metric_keys_no_topic_is_in_any_metric() {
    let allowed = format!("bus.{SECRET}.allowed");
    let rules = json!([
        rule("orders", &[publish(&[&allowed])]),
        rule("payments", &[subscribe(&[&allowed])]),
    ]);
    let policy = topic_policy(BrokerKind::Nats, "bus", "ALLOW", &rules);
    let scene = event_scene::events(BrokerKind::Nats, &policy);
    let server = scene.broker.at();
    let denied = format!("bus.{SECRET}.denied");
    let (topics, refused) = ((allowed.clone(), denied.clone()), denied.clone());
    scene.orders.run(async move {
        let mut orders = Nats::connect(server, "bank", "orders").await;
        orders.publish(&topics.0, "1").await;
        orders.publish(&topics.1, "2").await;
        orders.expect_event(&refused).await;
    });
    let payments = scene.payments.run(async move {
        let payments = Nats::connect(server, "bank", "payments").await;
        let open = payments.client.subscribe(allowed).await.unwrap();
        payments.client.flush().await.unwrap();
        (payments, open)
    });
    let broker = scene.broker.pod();
    let of = |operation, decision, policy| {
        let labels = [
            ("protocol", "nats"),
            ("operation", operation),
            ("decision", decision),
            ("policy", policy),
        ];
        broker.expect_metric("postern_messages_total", &labels);
    };
    of("publish", "allow", "bank/bus");
    of("subscribe", "allow", "bank/bus");
    broker.expect_metric("postern_messages_total", &[("decision", "deny")]);
    broker.expect_metric("postern_subscriptions_open", &[("protocol", "nats")]);
    let line = broker.expect_log(&[
        ("kind", "message"),
        ("protocol", "nats"),
        ("operation", "publish"),
        ("topic", &denied),
        ("decision", "deny"),
        ("reason", "topic_denied"),
        ("source_principal", &scene.orders.principal()),
    ]);
    assert_eq!(line.0["destination"], json!(server.to_string()), "{}", line.0);
    let page =
        broker.run(async { raw::http_get(([127, 0, 0, 1], 15020).into(), "/metrics").await });
    let page = page.unwrap().body;
    assert!(page.contains("postern_messages_total") && !page.contains(SECRET), "{page}");
    drop(payments);
    wait::until_true("the subscription to be gone", || {
        let metrics = broker.metrics();
        metrics.sum("postern_subscriptions_open", &[("protocol", "nats")]) < 0.5
    });
}

#[test]
fn s48_limit_and_metric_keys_each_limit_of_messages_ends_its_connection_alone() {
    let may = json!({"operations": ["publish", "subscribe"], "topics": ["a", "b", "c", "d"]});
    let policy = topic_policy(BrokerKind::Nats, "bus", "ALLOW", &json!([rule("orders", &[may])]));
    let limits =
        json!({"natsMessageBytes": "2KiB", "eventSubscriptions": 3, "eventGreetingTimeout": "5s"});
    let scene = event_scene::events_with(BrokerKind::Nats, &policy, json!({"limits": limits}));
    let server = scene.broker.at();
    let mut other = scene.orders.run(event_nats::open(server));
    let largest = format!("PUB a 2048\r\n{}\r\n", "x".repeat(2048));
    let larger = format!("PUB a 2049\r\n{}\r\n", "x".repeat(2049));
    let rows = [
        ("the largest message", largest, true),
        ("a larger one", larger, false),
        ("three subscriptions", "SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n".to_owned(), true),
        ("one more", "SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nSUB d 4\r\n".to_owned(), false),
    ];
    for (name, words, passes) in rows {
        let heard = scene.orders.run(async move {
            let mut stream = event_nats::open(server).await;
            // It may be closed before all of it is written.
            let _ = stream.write_all(words.as_bytes()).await;
            let _ = stream.write_all(b"PING\r\n").await;
            if passes {
                return raw::hear_line(&mut stream).await;
            }
            let heard = raw::hear(&mut stream, wait::PATIENCE).await;
            assert_ne!(heard.end, raw::End::Silent, "{name}: {heard:?}");
            heard.text()
        });
        assert_eq!(heard.contains("PONG"), passes, "{name}: {heard}");
    }
    let silent = scene.orders.run(async move {
        let mut stream = TcpStream::connect(server).await.unwrap();
        raw::hear(&mut stream, wait::PATIENCE).await
    });
    assert_ne!(silent.end, raw::End::Silent, "{silent:?}");
    scene.broker.pod().expect_log(&[("kind", "connection"), ("reason", "event_limit")]);
    wait::until_true("three sessions to have met a limit", || {
        let labels = [("protocol", "nats"), ("reason", "event_limit")];
        scene.broker.pod().metrics().sum("postern_message_errors_total", &labels) > 2.5
    });
    let answer = scene.orders.run(async move { event_nats::say(&mut other, "PING\r\n").await });
    assert_eq!(answer, "PONG\r");
}

#[test]
fn explain_and_live_messages_give_the_same_verdict() {
    let rules = json!([
        rule("orders", &[publish(&["bus.orders.*"])]),
        rule(
            "payments",
            &[json!({"operations": ["subscribe"], "topics": ["bus.>"], "queues": ["payments"]})]
        ),
    ]);
    let deny = json!([{"to": [{"operation": {"topics": ["bus.orders.secret"], "operations": ["publish"]}}]}]);
    let scene = event_scene::events(
        BrokerKind::Nats,
        &together(&[
            topic_policy(BrokerKind::Nats, "bus", "ALLOW", &rules),
            topic_policy(BrokerKind::Nats, "secrets", "DENY", &deny),
        ]),
    );
    let server = scene.broker.at();
    let rows = [
        (
            "covered",
            &scene.orders,
            "PUB bus.orders.new 0\r\n\r\n",
            json!({"operation": "publish", "topic": "bus.orders.new"}),
            None,
        ),
        (
            "deeper",
            &scene.orders,
            "PUB bus.orders.a.b 0\r\n\r\n",
            json!({"operation": "publish", "topic": "bus.orders.a.b"}),
            Some(Value::Null),
        ),
        (
            "denied",
            &scene.orders,
            "PUB bus.orders.secret 0\r\n\r\n",
            json!({"operation": "publish", "topic": "bus.orders.secret"}),
            Some(json!("bank/secrets")),
        ),
        (
            "another operation",
            &scene.orders,
            "SUB bus.orders.new 1\r\n",
            json!({"operation": "subscribe", "topic": "bus.orders.new"}),
            Some(Value::Null),
        ),
        (
            "its queue",
            &scene.payments,
            "SUB bus.orders.* payments 1\r\n",
            json!({"operation": "subscribe", "topic": "bus.orders.*", "queue": "payments"}),
            None,
        ),
        (
            "another queue",
            &scene.payments,
            "SUB bus.orders.* audit 2\r\n",
            json!({"operation": "subscribe", "topic": "bus.orders.*", "queue": "audit"}),
            Some(Value::Null),
        ),
        (
            "more than is covered",
            &scene.payments,
            "SUB > payments 3\r\n",
            json!({"operation": "subscribe", "topic": ">", "queue": "payments"}),
            Some(Value::Null),
        ),
        (
            "nobody's",
            &scene.audit,
            "PUB bus.orders.new 0\r\n\r\n",
            json!({"operation": "publish", "topic": "bus.orders.new"}),
            Some(Value::Null),
        ),
    ];
    for (name, caller, words, mut message, denied) in rows {
        message["protocol"] = json!("nats");
        let question = json!({
            "source": {"principal": caller.principal(), "ip": caller.ipv4()},
            "destination": {"ip": scene.broker.pod().ipv4(), "port": 4222},
            "message": message,
        });
        let explained = scene.broker.pod().explain(&question);
        let answer = caller.run(async move {
            let mut stream = event_nats::open(server).await;
            event_nats::say(&mut stream, &format!("{words}PING\r\n")).await
        });
        match denied {
            None => {
                assert_eq!(answer, "PONG\r", "{name}");
                assert_eq!(explained["decision"], "allow", "{name}: {explained}");
                assert_eq!(explained["policy"], "bank/bus", "{name}: {explained}");
            }
            Some(policy) => {
                assert!(answer.starts_with("-ERR 'Permissions Violation for "), "{name}: {answer}");
                assert_eq!(explained["decision"], "deny", "{name}: {explained}");
                assert_eq!(explained["reason"], "topic_denied", "{name}: {explained}");
                assert_eq!(explained["policy"], policy, "{name}: {explained}");
            }
        }
    }
}

/// Runs `postern-proxy` with the broker's configuration on the broker's own log.
fn on_its_log(scene: &Events, arguments: &str) -> String {
    let pod = scene.broker.pod();
    let program = postern_tests::binary("postern-proxy");
    let script = format!(
        "cd {} && {} {arguments} --config proxy.yaml --log proxy.out",
        pod.directory().display(),
        program.display()
    );
    pod.command("sh", &["-c", &script]).ok()
}

/// A day on which everything is allowed and written down, and the policy that is made of it.
#[test]
fn from_an_audited_day_to_least_privilege_at_a_broker() {
    let kind = BrokerKind::Nats;
    let all = json!({"operations": ["publish", "subscribe"], "topics": [">"], "queues": ["*"]});
    let everybody = json!([{
        "from": [{"source": {"namespaces": ["bank"]}}], "to": [{"operation": all}],
    }]);
    let open = topic_policy(kind, "open", "ALLOW", &everybody);
    let watched = topic_policy(kind, "watched", "AUDIT", &json!([{}]));
    let scene = event_scene::events(kind, &together(&[open, watched]));
    let server = scene.broker.at();
    let day = move |account: &'static str, words: &'static str| async move {
        let mut stream = event_nats::open(server).await;
        (account, event_nats::say(&mut stream, &format!("{words}PING\r\n")).await)
    };
    let ordinary = [
        (&scene.orders, "orders", "PUB bus.orders.new 0\r\n\r\n"),
        (&scene.payments, "payments", "SUB bus.orders.* payments 1\r\n"),
        (&scene.payments, "payments", "PUB bus.payments 0\r\n\r\n"),
        (&scene.audit, "audit", "SUB bus.> 1\r\n"),
    ];
    let expect_ordinary = || {
        for (pod, account, words) in ordinary {
            assert_eq!(pod.run(day(account, words)), (account, "PONG\r".to_owned()), "{words}");
        }
    };
    expect_ordinary();
    scene.broker.pod().expect_log(&[("audited_by", "bank/watched"), ("topic", "bus.>")]);
    let suggested = on_its_log(&scene, "policy suggest --name bus");
    assert!(suggested.contains("kind: TopicPolicy"), "{suggested}");
    assert!(suggested.contains("cluster.local/ns/bank/sa/payments"), "{suggested}");
    scene.set_topics(&suggested);
    wait::until("the suggested policy to act", wait::PATIENCE, || {
        let (_, heard) = scene.audit.run(day("audit", "PUB bus.orders.new 0\r\n\r\n"));
        if heard.starts_with("-ERR 'Permissions Violation") { Ok(()) } else { Err(heard) }
    });
    expect_ordinary();
    let strange = [
        (&scene.orders, "SUB bus.orders.new 1\r\n"),
        (&scene.payments, "PUB bus.orders.new 0\r\n\r\n"),
        (&scene.payments, "SUB bus.orders.* audit 1\r\n"),
        (&scene.audit, "SUB > 1\r\n"),
    ];
    for (pod, words) in strange {
        let (_, heard) = pod.run(day("", words));
        assert!(heard.starts_with("-ERR 'Permissions Violation"), "{words}: {heard}");
    }
}
