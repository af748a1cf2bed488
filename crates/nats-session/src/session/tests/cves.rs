//! What brokers let through in the past.

use super::*;

#[test]
fn cve_2026_33249_headers_that_name_a_destination_need_permission_for_it() {
    for (name, destination, allowed) in [
        ("Nats-Trace-Dest", "orders.trace", true),
        ("Nats-Trace-Dest", "payments.trace", false),
        ("nats-trace-dest", "payments.trace", false),
        ("Nats-Trace-Dest", "orders.>", false),
        ("Nats-Trace-Dest", "$JS.API.STREAM.DELETE.S", false),
        ("Nats-Trace-Dest", "$SYS.REQ.x", false),
        ("Nats-Trace-Dest", "", false),
        ("Nats-Schedule-Target", "orders.later", true),
        ("Nats-Schedule-Target", "payments.later", false),
        ("Nats-Schedule-Target", "$JS.API.STREAM.DELETE.S", false),
    ] {
        let mut connection = Connection::of(vec![allow("publish", &["orders.>"])]);
        let said = with_headers("orders.new", &format!("{name}: {destination}\r\n"), "x");
        if allowed {
            connection.passes(&said);
        } else {
            connection.refuses(&said, &no_publish(destination));
        }
    }
}

#[test]
fn cve_2026_33249_neither_twice_nor_in_a_request() {
    let mut connection = Connection::of(vec![allow("publish", &["orders.>"])]);
    let twice = "Nats-Trace-Dest: orders.a\r\nNats-Trace-Dest: orders.b\r\n";
    connection.refuses(&with_headers("orders.new", twice, "x"), &no_publish("orders.new"));
    let mut connection = Connection::of(vec![allow_streams("subscribe", &["S"])]);
    let subject = "$JS.API.CONSUMER.MSG.NEXT.S.c";
    let said = with_headers(subject, "Nats-Trace-Dest: payments.x\r\n", "1");
    connection.refuses(&said, &no_publish("payments.x"));
}

#[test]
fn cve_2026_33223_and_33246_the_servers_word_about_who_asks_is_removed() {
    let mut connection =
        Connection::of(vec![allow("publish", &["orders.>"]), allow_streams("subscribe", &["S"])]);
    for subject in ["orders.new", "$JS.API.CONSUMER.MSG.NEXT.S.c"] {
        for name in ["Nats-Request-Info", "nats-request-info", "NATS-REQUEST-INFO"] {
            let lines = format!("A: 1\r\n{name}: {{\"acc\":\"SYS\"}}\r\n{name}:x\r\nB: 2\r\n");
            let sent = connection.says(with_headers(subject, &lines, "hi")).0;
            assert_eq!(sent, with_headers(subject, "A: 1\r\nB: 2\r\n", "hi"), "{name}");
        }
    }
}

#[test]
fn cve_2026_33222_a_restore_is_of_the_stream_that_its_subject_names() {
    let clauses = || {
        vec![
            Clause { topics: vec![">"], ..allow_streams("admin", &["S"]) },
            allow("create", &["orders.>"]),
        ]
    };
    let restore = |config: &str| {
        message("$JS.API.STREAM.RESTORE.S", &format!(r#"{{"config":{config},"state":{{}}}}"#))
    };
    let mut connection = Connection::of(clauses());
    connection.passes(&restore(r#"{"name":"S","subjects":["orders.>"]}"#));
    connection.refuses(
        &restore(r#"{"name":"S","subjects":["payments.>"]}"#),
        &no_publish("$JS.API.STREAM.RESTORE.S"),
    );
    assert!(connection.client(restore(r#"{"name":"T","subjects":["orders.>"]}"#)).is_err());
}

#[test]
fn nats_2026_18_a_queue_group_is_no_way_around_the_subject() {
    // A queue that is allowed does not make up for a subject that is not, nor the other way round.
    let both = Clause { queues: vec!["workers"], ..allow("subscribe", &["jobs.>"]) };
    let mut connection = Connection::of(vec![both]);
    connection.passes("SUB jobs.a workers 1\r\n");
    for (subject, queue) in [("payments.a", "workers"), ("jobs.a", "others"), (">", "workers")] {
        let answer = format!(
            "Permissions Violation for Subscription to \"{subject}\" using queue \"{queue}\""
        );
        connection.refuses(&format!("SUB {subject} {queue} 2\r\n"), &answer);
    }
}

#[test]
fn nats_2026_mqtt_the_subjects_of_the_mqtt_gateway_are_the_servers() {
    let mut connection = Connection::of(vec![allow("publish", &[">"]), allow("subscribe", &[">"])]);
    connection.refuses(&message("$MQTT.JSA.x.y", ""), &no_publish("$MQTT.JSA.x.y"));
    let answer = "Permissions Violation for Subscription to \"$MQTT.msgs.>\"";
    connection.refuses("SUB $MQTT.msgs.> 1\r\n", answer);
}
