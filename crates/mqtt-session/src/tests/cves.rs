//! What has gone wrong elsewhere: weaknesses of brokers that this session stands in front of.

use super::talk::*;

fn rules() -> Rules {
    Rules::new().publish(&["orders/#"]).subscribe(&["orders/#"])
}

/// NATS server: a client took over the session, and the messages, of another whose client id it gave.
#[test]
fn cve_2026_33215_a_session_of_another_client_is_not_taken_over() {
    let rows: [(u8, &[u8]); 2] = [(4, &[0x20, 2, 0, 2]), (5, &[0x20, 3, 0, 0x85, 0])];
    for (version, refusal) in rows {
        for id in ["bank.orders", "shop.payments", "bank.payments-2", "bank"] {
            ends(&mut Talk::new(rules()), &connect(version, id, &[]), refusal, denied);
        }
    }
}

/// NATS server: permissions were not asked about topics that the broker keeps for itself.
#[test]
fn cve_2026_33217_topics_of_the_broker_are_under_the_same_rules() {
    let all = || Rules::new().publish(&["#"]).subscribe(&["#"]);
    for topic in ["$MQTT/sess/x", "$SYS/broker", "$CONTROL/dynamic-security/v1", "$share/g/a"] {
        let mut talk = Talk::open(5, all());
        client(&mut talk, &publish(5, 1, topic, &[]), &[0x40, 3, 0, 7, 0x87], &[]);
        client(&mut talk, &subscribe(5, &[topic]), &suback(5, &[0x87]), &[]);
        broker(&mut talk, &publish(5, 0, topic, &[]), &[], &[]);
    }
}

/// A broker let everybody subscribe to everything by wildcards.
#[test]
fn cve_2026_49186_wildcards_reach_no_further_than_the_rules() {
    for version in [4, 5] {
        for filter in ["#", "+/#", "+/+", "orders", "/#", "+"] {
            let allowed = Rules::new().subscribe(&["orders/+"]);
            let code = if version == 5 { 0x87 } else { 0x80 };
            let mut talk = Talk::open(version, allowed);
            client(&mut talk, &subscribe(version, &[filter]), &suback(version, &[code]), &[]);
        }
    }
}

/// NanoMQ: lengths of five bytes were read beyond their end.
#[test]
fn cve_2026_21888_a_length_has_four_bytes() {
    let mut talk = Talk::open(5, rules());
    let says = packet(0x30, &[&text("orders/a"), &[0xFF, 0xFF, 0xFF, 0xFF, 0x01]]);
    ends(&mut talk, &says, &[0xE0, 1, 0x81], malformed);
    let mut talk = Talk::open(5, rules());
    ends(&mut talk, &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1], &[0xE0, 1, 0x81], malformed);
}

/// Mosquitto: a client id or a user's name with wildcards matched everybody's topics in patterns of the broker's rules.
#[test]
fn cve_2017_7650_a_client_id_has_no_wildcards() {
    for id in ["#", "+", "bank.payments.#", "bank.payments.+/x"] {
        for (version, refusal) in [(4, &[0x20, 2, 0, 2][..]), (5, &[0x20, 3, 0, 0x85, 0])] {
            let mut talk = Talk::new(rules().client_ids(&["*"]));
            ends(&mut talk, &connect(version, id, &[]), refusal, malformed);
        }
    }
}

/// Mosquitto: subscriptions of a session whose client was away stayed open when its permission was taken.
#[test]
fn cve_2021_34434_a_subscription_that_outlived_its_permission_delivers_nothing() {
    for version in [4, 5] {
        let mut talk = Talk::new(rules());
        talk.client(&connect(version, "bank.payments", &[])).unwrap();
        // The session goes on, with a subscription to payments that was allowed once.
        let mut resumed = connack(version, 0, &[]);
        resumed[2] = 1;
        talk.broker(&resumed).unwrap();
        talk.said();
        let answer: &[u8] = if version == 5 { &[0x40, 3, 0, 7, 0x87] } else { &[0x40, 2, 0, 7] };
        broker(&mut talk, &publish(version, 1, "payments/new", &[]), &[], answer);
    }
}

/// EMQX, issue 10192: retained messages and those in flight were delivered without a look at the rules.
#[test]
fn emqx_10192_retained_messages_and_those_sent_again_are_judged() {
    let mut talk = Talk::open(5, rules().deny(&["orders/secret"]));
    talk.client(&subscribe(5, &["orders/new"])).unwrap();
    talk.said();
    let (mut retained, mut again) =
        (publish(5, 0, "orders/secret", &[]), publish(5, 1, "orders/secret", &[]));
    retained[0] |= 1;
    again[0] |= 8;
    broker(&mut talk, &retained, &[], &[]);
    broker(&mut talk, &again, &[], &[0x40, 3, 0, 7, 0x87]);
}

/// EMQX, issue 8978, and mochi-mqtt, issue 503: a will was published where its client may not publish.
#[test]
fn emqx_8978_a_will_needs_the_permission_of_a_message() {
    for (version, refusal) in [(4, &[0x20, 2, 0, 5][..]), (5, &[0x20, 3, 0, 0x87, 0])] {
        for topic in ["$SYS/test", "restricted/demo"] {
            let says = connect_with_will(version, topic, &[]);
            ends(&mut Talk::new(rules()), &says, refusal, denied);
        }
    }
}

/// Moquette: a shared subscription that was answered as refused was open all the same.
#[test]
fn moquette_919_a_refused_shared_subscription_does_not_reach_the_broker() {
    let mut talk = Talk::open(5, rules());
    let filters = ["$share/g/payments/new", "$share/g/orders/new"];
    client(&mut talk, &subscribe(5, &filters), &suback(5, &[0x87, 0x87]), &[]);
}

/// Mosquitto, issue 2042: subscriptions that the rules forbid were granted, and silent.
#[test]
fn mosquitto_2042_a_refusal_is_on_the_wire() {
    for (version, code) in [(4, 0x80), (5, 0x87)] {
        let mut talk = Talk::open(version, rules());
        let asked = subscribe(version, &["orders/a", "payments/a"]);
        client(&mut talk, &asked, &[], &subscribe(version, &["orders/a"]));
        broker(&mut talk, &suback(version, &[1]), &suback(version, &[1, code]), &[]);
    }
}

/// Mosquitto: whoever said no CONNECT first got a lot of memory.
#[test]
fn cve_2023_0809_nothing_is_kept_of_a_client_that_has_not_introduced_itself() {
    for says in [&[0x30, 0xFF, 0x7F][..], &[0x82, 0xFF], &[0x30]] {
        ends(&mut Talk::new(rules()), says, &[], malformed);
    }
}

/// Mosquitto: a CONNECT as long as a length can say took as much memory.
#[test]
fn cve_2017_7651_a_length_alone_takes_no_memory() {
    for says in [&[0x10, 0xFF, 0xFF, 0xFF, 0x7F][..], &[0x10, 0x91, 0x4E]] {
        ends(&mut Talk::new(rules()), says, &[], limit);
    }
}

/// Mosquitto: topics that are no UTF-8 disconnected those who received them.
#[test]
fn cve_2017_7653_topics_are_utf_8() {
    for bad in [&[0xC3, 0x28][..], &[0xED, 0xA0, 0x80], &[0xFF], &[0xC0, 0x80]] {
        let mut talk = Talk::open(4, rules());
        let length = [0, u8::try_from(bad.len()).unwrap()];
        ends(&mut talk, &packet(0x30, &[&length, bad]), &[], malformed);
        let mut talk = Talk::open(4, rules());
        ends(&mut talk, &packet(0x82, &[&[0, 9], &length, bad, &[0]]), &[], malformed);
    }
}

/// Mosquitto: a message without a topic ended the broker.
#[test]
fn cve_2021_34432_a_message_has_a_topic() {
    for version in [4, 5] {
        let says = publish(version, 0, "", &[]);
        let goodbye: &[u8] = if version == 5 { &[0xE0, 1, 0x90] } else { &[] };
        ends(&mut Talk::open(version, rules()), &says, goodbye, malformed);
    }
}

/// Mosquitto: CONNECTs with properties of other packets leaked memory.
#[test]
fn cve_2023_3592_properties_stand_where_they_belong() {
    for with in [&[0x23, 0, 1][..], &[0x0B, 1], &[0x01, 1], &[0x18, 0, 0, 0, 1]] {
        ends(&mut Talk::new(rules()), &connect(5, "bank.payments", with), &[], malformed);
        let says = connect_with_will(5, "orders/a", with);
        if with[0] == 0x23 || with[0] == 0x0B {
            ends(&mut Talk::new(rules()), &says, &[], malformed);
        }
    }
}

/// Mosquitto: packets in an order that no client has ended the broker.
#[test]
fn cve_2024_8376_packets_have_their_order() {
    for version in [4, 5] {
        let mut talk = Talk::open(version, rules());
        let says = [
            vec![0xE0, 0],
            connect(version, "bank.payments", &[]),
            subscribe(version, &["orders/a"]),
        ];
        client(&mut talk, &says.concat(), &[], &[0xE0, 0]);
        let again = connect(version, "bank.payments", &[]);
        client(&mut talk, &again, &[], &[]);
    }
}

/// Mosquitto's client library: a SUBACK without codes was read beyond its end.
#[test]
fn cve_2024_10525_a_suback_has_codes() {
    let mut talk = Talk::open(4, rules());
    talk.client(&subscribe(4, &["orders/a"])).unwrap();
    assert!(malformed(&talk.broker(&[0x90, 2, 0, 9]).unwrap_err()));
    assert!(talk.said().0.is_empty());
}
