//! What clients of NATS may do at a broker with nats-server and JetStream: each row allowed and refused, and what the
//! client library makes of it.

use std::fmt::Debug;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, Context, stream};
use futures_util::StreamExt as _;
use postern_tests::{BrokerKind, raw, wait};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::event_nats::{self, Nats};
use crate::event_scene::{self, Events, events, rule, topic_policy};

fn publish(topics: &[&str]) -> Value {
    json!({"operations": ["publish"], "topics": topics})
}

fn subscribe(topics: &[&str]) -> Value {
    json!({"operations": ["subscribe"], "topics": topics})
}

/// A scene with one policy that allows these rules.
fn scene(rules: &Value) -> Events {
    events(BrokerKind::Nats, &topic_policy(BrokerKind::Nats, "bus", "ALLOW", rules))
}

/// Does something that is refused: the library tells that beside the call, which may never end.
async fn refused<T, E: Debug>(
    nats: &mut Nats,
    words: &str,
    call: impl Future<Output = Result<T, E>>,
) {
    let words = format!("permissions violation for {words}");
    tokio::select! {
        done = call => panic!("{words}: {:?}", done.err()),
        _ = nats.expect_event(&words) => {}
    }
}

/// JetStream as this client asks for it, with patience.
fn jetstream_of(nats: &Nats) -> Context {
    let mut context = jetstream::new(nats.client.clone());
    context.set_timeout(wait::PATIENCE);
    context
}

/// Publishes something that is refused.
async fn refused_publish(nats: &mut Nats, subject: &str) {
    nats.publish(subject, "x").await;
    nats.expect_event(&format!("permissions violation for publish to \"{subject}\"")).await;
}

/// Subscribes to something that is refused.
async fn refused_subscribe(nats: &mut Nats, subject: &str) {
    let _open = nats.client.subscribe(subject.to_owned()).await.unwrap();
    nats.expect_event(&format!("permissions violation for subscription to \"{subject}\"")).await;
}

#[test]
fn subjects_queues_and_wildcards() {
    let scene = scene(&json!([
        rule("orders", &[publish(&["bus.orders.*"]), subscribe(&["bus.orders.>"])]),
        rule(
            "payments",
            &[
                json!({"operations": ["subscribe"], "topics": ["bus.orders.>"], "queues": ["workers"]})
            ]
        ),
    ]));
    let server = scene.broker.at();
    let payments = scene.payments.run(Nats::connect(server, "bank", "payments"));
    let (mut work, mut payments) = scene.payments.run(async move {
        let work =
            payments.client.queue_subscribe("bus.orders.*", "workers".to_owned()).await.unwrap();
        payments.client.flush().await.unwrap();
        (work, payments)
    });
    scene.orders.run(async move {
        let mut orders = Nats::connect(server, "bank", "orders").await;
        let mut own = orders.client.subscribe("bus.orders.>").await.unwrap();
        orders.publish("bus.orders.new", "1").await;
        let message = timeout(wait::PATIENCE, own.next()).await.unwrap().unwrap();
        assert_eq!((&*message.subject, &message.payload[..]), ("bus.orders.new", &b"1"[..]));
        for subject in ["bus.payments.new", "bus.orders", "bus.orders.new.eu", "bus.orders.*"] {
            refused_publish(&mut orders, subject).await;
        }
        for subject in ["bus.>", ">", "bus.*.new", "$SYS.>", "$JS.API.>", "$MQTT.>"] {
            refused_subscribe(&mut orders, subject).await;
        }
        let _queue = orders.client.queue_subscribe("bus.orders.new", "workers".to_owned()).await;
        let words =
            "permissions violation for subscription to \"bus.orders.new\" using queue \"workers\"";
        orders.expect_event(words).await;
        // The connection is as good as before.
        orders.publish("bus.orders.new", "2").await;
        let message = timeout(wait::PATIENCE, own.next()).await.unwrap().unwrap();
        assert_eq!(&message.payload[..], b"2");
    });
    scene.payments.run(async move {
        for expect in [b"1", b"2"] {
            let message = timeout(wait::PATIENCE, work.next()).await.unwrap().unwrap();
            assert_eq!(&message.payload[..], expect);
        }
        refused_subscribe(&mut payments, "bus.payments.new").await;
        let _queue = payments.client.queue_subscribe("bus.orders.new", "others".to_owned()).await;
        payments.expect_event("using queue \"others\"").await;
        refused_publish(&mut payments, "bus.orders.new").await;
    });
}

#[test]
fn a_request_is_answered_at_ones_own_inbox_and_nobody_listens_at_anothers() {
    let answers = json!({"operations": ["publish"], "reply": true});
    let scene = scene(&json!([
        rule("orders", &[publish(&["stock.get"])]),
        rule("payments", &[subscribe(&["stock.get"]), answers]),
        rule("audit", &[subscribe(&["bus.>"])]),
    ]));
    let server = scene.broker.at();
    let mut payments = scene.payments.run(Nats::connect(server, "bank", "payments"));
    let payments = scene.payments.run(async move {
        let mut asked = payments.client.subscribe("stock.get").await.unwrap();
        payments.client.flush().await.unwrap();
        let client = payments.client.clone();
        tokio::spawn(async move {
            while let Some(question) = asked.next().await {
                let reply = question.reply.unwrap();
                // Once is allowed; the second is refused, and this one counts.
                client.publish(reply.clone(), "5".into()).await.unwrap();
                client.publish(reply, "6".into()).await.unwrap();
            }
        });
        refused_publish(&mut payments, "_INBOX.bank.orders.guessed").await;
        payments
    });
    scene.audit.run(async move {
        let mut audit = Nats::connect(server, "bank", "audit").await;
        for inbox in ["_INBOX.bank.orders.>", "_INBOX.>", "_INBOX.bank.*.>", "_INBOX.bank.orders.x"]
        {
            refused_subscribe(&mut audit, inbox).await;
        }
    });
    scene.orders.run(async move {
        let mut orders = Nats::connect(server, "bank", "orders").await;
        let answer = orders.client.request("stock.get", "?".into()).await.unwrap();
        assert_eq!(&answer.payload[..], b"5");
        for reply in ["bus.orders.new", "_INBOX.bank.payments.x", "$JS.API.STREAM.DELETE.ledger"] {
            let client = orders.client.clone();
            client.publish_with_reply("stock.get", reply, "?".into()).await.unwrap();
            let words = format!("permissions violation for publish with reply of \"{reply}\"");
            orders.expect_event(&words).await;
        }
    });
    scene.payments.run(async move {
        let mut payments = payments;
        payments.expect_event("permissions violation for publish to \"_inbox.bank.orders.").await;
    });
}

/// Rules of a ledger that orders write, payments read and audit made.
fn ledger() -> Value {
    json!([
        rule(
            "audit",
            &[
                json!({"operations": ["create"], "streams": ["ledger"], "topics": ["ledger.>"]}),
                json!({"operations": ["admin"], "streams": ["ledger"]}),
            ]
        ),
        rule("orders", &[publish(&["ledger.>"])]),
        rule(
            "payments",
            &[
                json!({"operations": ["subscribe"], "streams": ["ledger"], "topics": ["ledger.orders"]})
            ]
        ),
    ])
}

fn stream(name: &str, subjects: &[&str]) -> stream::Config {
    let subjects = subjects.iter().map(|subject| (*subject).to_owned()).collect();
    stream::Config { name: name.to_owned(), subjects, ..Default::default() }
}

fn consumer(name: &str, filter: &str) -> pull::Config {
    pull::Config {
        durable_name: Some(name.to_owned()),
        filter_subject: filter.to_owned(),
        ack_policy: AckPolicy::Explicit,
        ..Default::default()
    }
}

#[test]
fn streams_are_made_by_who_may_and_of_what_it_may() {
    let scene = scene(&ledger());
    let server = scene.broker.at();
    scene.audit.run(async move {
        let mut audit = Nats::connect(server, "bank", "audit").await;
        let js = jetstream_of(&audit);
        js.create_stream(stream("ledger", &["ledger.orders"])).await.unwrap();
        js.update_stream(stream("ledger", &["ledger.>"])).await.unwrap();
        let create = "publish to \"$js.api.stream.create.";
        refused(&mut audit, create, js.create_stream(stream("other", &["ledger.>"]))).await;
        refused(&mut audit, create, js.create_stream(stream("ledger", &["ledger.>", "bus.>"])))
            .await;
        refused(&mut audit, create, js.create_stream(stream("ledger", &[]))).await;
        let mut republishing = stream("ledger", &["ledger.>"]);
        republishing.republish = Some(stream::Republish {
            source: ">".to_owned(),
            destination: "bus.>".to_owned(),
            headers_only: false,
        });
        refused(&mut audit, create, js.create_stream(republishing)).await;
        let made = js.get_stream("ledger").await.unwrap();
        made.purge().await.unwrap();
        let words = "publish to \"$js.api.consumer.create.ledger";
        refused(&mut audit, words, made.create_consumer(consumer("mine", ""))).await;
    });
    scene.orders.run(async move {
        let mut orders = Nats::connect(server, "bank", "orders").await;
        let js = jetstream_of(&orders);
        let stored = js.publish("ledger.orders", "7".into()).await.unwrap().await.unwrap();
        assert_eq!(stored.stream, "ledger");
        let refused_at = |what: &str| format!("publish to \"$js.api.stream.{what}.ledger\"");
        refused(&mut orders, &refused_at("info"), js.get_stream("ledger")).await;
        refused(&mut orders, &refused_at("delete"), js.delete_stream("ledger")).await;
        refused(
            &mut orders,
            &refused_at("create"),
            js.create_stream(stream("ledger", &["ledger.>"])),
        )
        .await;
    });
    scene.audit.run(async move {
        let audit = Nats::connect(server, "bank", "audit").await;
        jetstream_of(&audit).delete_stream("ledger").await.unwrap();
    });
}

/// Makes the ledger and writes two entries.
async fn write_ledger(js: &Context) {
    js.create_stream(stream("ledger", &["ledger.>"])).await.unwrap();
    for (subject, entry) in [("ledger.orders", "1"), ("ledger.salaries", "2")] {
        js.publish(subject, entry.into()).await.unwrap().await.unwrap();
    }
}

#[test]
fn a_stream_is_read_as_far_as_filters_go() {
    let mut rules = ledger();
    let everything = json!({"operations": ["create", "publish", "subscribe"], "streams": ["ledger", "own"], "topics": ["ledger.>"]});
    rules.as_array_mut().unwrap().push(rule("audit", &[everything]));
    let scene = scene(&rules);
    let server = scene.broker.at();
    scene.audit.run(async move {
        let audit = Nats::connect(server, "bank", "audit").await;
        write_ledger(&jetstream_of(&audit)).await;
    });
    scene.payments.run(async move {
        let mut payments = Nats::connect(server, "bank", "payments").await;
        let js = jetstream_of(&payments);
        let stream = js.get_stream("ledger").await.unwrap();
        let reader: PullConsumer =
            stream.create_consumer(consumer("payments", "ledger.orders")).await.unwrap();
        let mut messages = reader.fetch().max_messages(1).messages().await.unwrap();
        let message = timeout(wait::PATIENCE, messages.next()).await.unwrap().unwrap().unwrap();
        assert_eq!((&*message.subject, &message.payload[..]), ("ledger.orders", &b"1"[..]));
        message.double_ack().await.unwrap();
        let last = stream.get_last_raw_message_by_subject("ledger.orders").await.unwrap();
        assert_eq!(&last.payload[..], b"1");
        let words = "publish to \"$js.api.consumer.create.ledger";
        for filter in ["ledger.salaries", "ledger.*", "ledger.>", ""] {
            refused(&mut payments, words, stream.create_consumer(consumer("more", filter))).await;
        }
        let words = "publish to \"$js.api.stream.msg.get.ledger\"";
        refused(&mut payments, words, stream.get_last_raw_message_by_subject("ledger.salaries"))
            .await;
        refused(&mut payments, words, stream.get_raw_message(2)).await;
        refused(
            &mut payments,
            "publish to \"$js.api.stream.purge.ledger\"",
            stream.purge().into_future(),
        )
        .await;
        for name in ["other", "payments"] {
            let words = format!("publish to \"$js.api.consumer.delete.ledger.{name}\"");
            refused(&mut payments, &words, stream.delete_consumer(name)).await;
        }
    });
    scene.orders.run(async move {
        let mut orders = Nats::connect(server, "bank", "orders").await;
        for subject in
            ["$JS.API.CONSUMER.MSG.NEXT.ledger.payments", "$JS.ACK.ledger.payments.1.1.1.1.1"]
        {
            refused_publish(&mut orders, subject).await;
        }
    });
}

/// Says something in the protocol's own words that is refused.
async fn refused_words(server: std::net::SocketAddr, words: &str, answer: &str) {
    let mut stream = event_nats::open(server).await;
    let heard = event_nats::say(&mut stream, words).await;
    assert_eq!(
        heard,
        format!("-ERR 'Permissions Violation for Publish to \"{answer}\"'\r"),
        "{words}"
    );
}

fn with_headers(subject: &str, lines: &str) -> String {
    let block = format!("NATS/1.0\r\n{lines}\r\n");
    format!("HPUB {subject} {0} {0}\r\n{block}\r\n", block.len())
}

#[test]
fn cve_2026_33249_a_header_is_no_way_to_another_subject() {
    let scene = scene(&json!([rule(
        "orders",
        &[publish(&["bus.orders.*"]), subscribe(&["bus.orders.*"])]
    )]));
    let server = scene.broker.at();
    scene.orders.run(async move {
        for name in ["Nats-Trace-Dest", "nats-trace-dest", "Nats-Schedule-Target"] {
            let words = with_headers("bus.orders.new", &format!("{name}: bus.payments.new\r\n"));
            refused_words(server, &words, "bus.payments.new").await;
        }
        let twice = "Nats-Trace-Dest: bus.orders.a\r\nNats-Trace-Dest: bus.orders.b\r\n";
        refused_words(server, &with_headers("bus.orders.new", twice), "bus.orders.new").await;
        refused_words(server, "PUB bus.orders.* 2\r\nhi\r\n", "bus.orders.*").await;
        // What is allowed traces.
        let orders = Nats::connect(server, "bank", "orders").await;
        let mut traces = orders.client.subscribe("bus.orders.trace").await.unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Trace-Dest", "bus.orders.trace");
        orders.client.publish_with_headers("bus.orders.new", headers, "x".into()).await.unwrap();
        let trace = timeout(wait::PATIENCE, traces.next()).await.unwrap().unwrap();
        assert!(trace.payload.starts_with(b"{\"server\""), "{trace:?}");
    });
}

#[test]
fn cve_2026_33223_who_asks_is_said_by_the_mesh_alone() {
    let rules =
        json!([rule("orders", &[publish(&["bus.orders.*"]), subscribe(&["bus.orders.*"])])]);
    let policy = topic_policy(BrokerKind::Nats, "bus", "ALLOW", &rules);
    let scene = event_scene::events_with(
        BrokerKind::Nats,
        &policy,
        json!({"inbound": {"messageSource": true}}),
    );
    let server = scene.broker.at();
    let principal = scene.orders.principal();
    scene.orders.run(async move {
        let orders = Nats::connect(server, "bank", "orders").await;
        let mut own = orders.client.subscribe("bus.orders.new").await.unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("Postern-Source", "somebody");
        headers.insert("Nats-Request-Info", "{\"acc\":\"SYS\"}");
        headers.insert("Kept", "1");
        orders.client.publish_with_headers("bus.orders.new", headers, "x".into()).await.unwrap();
        orders.client.publish("bus.orders.new", "y".into()).await.unwrap();
        for kept in [Some("1"), None] {
            let message = timeout(wait::PATIENCE, own.next()).await.unwrap().unwrap();
            let headers = message.headers.unwrap();
            let says =
                |name: &str| headers.get_all(name).map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(says("Postern-Source"), [&*principal]);
            assert_eq!(says("Nats-Request-Info"), [""; 0]);
            assert_eq!(headers.get("Kept").map(AsRef::as_ref), kept);
        }
    });
}

#[test]
fn what_is_no_word_of_a_client_ends_its_connection_alone() {
    let scene = scene(&json!([rule("orders", &[publish(&["bus.orders.*"])])]));
    let server = scene.broker.at();
    scene.orders.run(async move {
        let mut kept = event_nats::open(server).await;
        for words in [
            "RS+ $G bus.orders.new\r\n",
            "LMSG bus.orders.new 0\r\n\r\n",
            "INFO {}\r\n",
            "PUB bus.orders.new\r 5\n",
        ] {
            let mut stream = event_nats::open(server).await;
            let heard = event_nats::say(&mut stream, words).await;
            assert!(heard.starts_with("-ERR '"), "{words}: {heard}");
            let end = raw::hear(&mut stream, wait::PATIENCE).await;
            assert_ne!(end.end, raw::End::Silent, "{words}: {end:?}");
        }
        assert_eq!(event_nats::say(&mut kept, "PING\r\n").await, "PONG\r");
    });
    let reason = [("protocol", "nats"), ("reason", "event_malformed")];
    scene.broker.pod().expect_metric("postern_message_errors_total", &reason);
}
