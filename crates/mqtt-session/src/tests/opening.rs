//! CONNECT and CONNACK.

use message_access::{Session as _, SessionEnd, SessionSettings};

use super::talk::*;

fn rules() -> Rules {
    Rules::new().publish(&["orders/#"])
}

const REJECTED: [(u8, &[u8]); 2] = [(4, &[0x20, 2, 0, 2]), (5, &[0x20, 3, 0, 0x85, 0])];
const UNAUTHORIZED: [(u8, &[u8]); 2] = [(4, &[0x20, 2, 0, 5]), (5, &[0x20, 3, 0, 0x87, 0])];

#[test]
fn a_client_connects_under_its_own_name() {
    for id in ["bank.payments", "bank.payments.0", "bank.payments.worker/1"] {
        let mut talk = Talk::new(rules());
        let hello = connect(4, id, &[]);
        client(&mut talk, &hello, &[], &hello);
        assert!(talk.session.is_established() && !talk.session.wants_more());
        broker(&mut talk, &connack(4, 0, &[]), &connack(4, 0, &[]), &[]);
        assert!(talk.session.wants_more());
        let mut talk = Talk::new(rules());
        client(&mut talk, &connect(5, id, &[]), &[], &connected(id, false));
        let bounded = connack(5, 0, &[0x27, 0, 0, 0x27, 0x10]);
        broker(&mut talk, &connack(5, 0, &[]), &bounded, &[]);
    }
}

#[test]
fn a_client_does_not_connect_under_a_name_of_others() {
    for id in ["bank.orders", "bank.payments2", "bank.payment", "Bank.payments", "x"] {
        for (version, refusal) in REJECTED {
            let mut talk = Talk::new(rules());
            ends(&mut talk, &connect(version, id, &[]), refusal, denied);
            assert_eq!(talk.rules.decided, [(format!("connect {id}"), false)]);
            // A policy may give it the name.
            let mut talk = Talk::new(rules().client_ids(&[id]));
            assert_eq!(talk.client(&connect(version, id, &[])), Ok(()));
        }
    }
    for (version, refusal) in REJECTED {
        ends(
            &mut Talk::new(Rules::new()),
            &connect(version, "bank.payments", &[]),
            refusal,
            denied,
        );
        let nobody = rules().of(None);
        ends(&mut Talk::new(nobody), &connect(version, "bank.payments", &[]), refusal, denied);
        for id in ["bank.payments.#", "bank.payments.+", "bank.payments.\u{7}"] {
            let says = connect(version, id, &[]);
            ends(&mut Talk::new(rules().client_ids(&["*"])), &says, refusal, malformed);
        }
    }
}

#[test]
fn a_client_without_an_id_is_given_one_below_its_name() {
    let given = "bank.payments.0000000000c0ffee";
    let mut talk = Talk::new(rules());
    client(&mut talk, &connect(4, "", &[]), &[], &connect(4, given, &[]));
    broker(&mut talk, &connack(4, 0, &[]), &connack(4, 0, &[]), &[]);
    let mut talk = Talk::new(rules());
    client(&mut talk, &connect(5, "", &[]), &[], &connected(given, false));
    let told = [&[0x27, 0, 0, 0x27, 0x10, 0x12][..], &text(given)].concat();
    broker(&mut talk, &connack(5, 0, &[]), &connack(5, 0, &told), &[]);
    let dotted = rules().of(Some("cluster.local/ns/bank/sa/pay.ments"));
    let given = "bank.pay_ments.0000000000c0ffee";
    client(&mut Talk::new(dotted), &connect(4, "", &[]), &[], &connect(4, given, &[]));
    // A client that may do nothing may not connect either; nor may one keep a session that has no name.
    for (version, refusal) in REJECTED {
        ends(&mut Talk::new(Rules::new()), &connect(version, "", &[]), refusal, denied);
        ends(&mut Talk::new(rules().of(None)), &connect(version, "", &[]), refusal, denied);
    }
    let mut kept = connect(4, "", &[]);
    kept[9] = 0;
    ends(&mut Talk::new(rules()), &kept, REJECTED[0].1, malformed);
    // Whoever has proved no name has the broker's choice, where policy lets it.
    let mut talk = Talk::new(rules().of(None).client_ids(&["*"]));
    client(&mut talk, &connect(5, "", &[]), &[], &connected("", false));
    let told = [&[0x12][..], &text("auto-1"), &[0x27, 0, 0, 0x27, 0x10]].concat();
    broker(&mut talk, &connack(5, 0, &told), &connack(5, 0, &told), &[]);
}

#[test]
fn a_will_is_a_message() {
    for (version, refusal) in UNAUTHORIZED {
        let mut talk = Talk::new(rules());
        let hello = connect_with_will(version, "orders/gone", &[]);
        assert_eq!(talk.client(&hello), Ok(()));
        let passed = talk.said().1;
        assert!(passed.ends_with(&hello[hello.len() - 40..]));
        assert_eq!(talk.rules.decided[1], ("publish orders/gone".to_owned(), true));
        for topic in ["payments/gone", "$SYS/gone"] {
            let says = connect_with_will(version, topic, &[]);
            ends(&mut Talk::new(rules()), &says, refusal, denied);
        }
        for topic in ["", "orders/+", "#", "orders/\u{7}"] {
            let says = connect_with_will(version, topic, &[]);
            ends(&mut Talk::new(rules()), &says, &[], malformed);
        }
    }
    let answers =
        |topic| connect_with_will(5, "orders/gone", &[&[0x08][..], &text(topic)].concat());
    assert_eq!(Talk::new(rules()).client(&answers("orders/a")), Ok(()));
    ends(&mut Talk::new(rules()), &answers("payments/a"), UNAUTHORIZED[1].1, denied);
}

#[test]
fn a_will_says_who_left_it() {
    let with = |of_will: &[u8]| {
        let whole = connect_with_will(5, "orders/gone", of_will);
        // Behind the properties of the connection, which are bounded.
        whole[13..].to_vec()
    };
    let forged = [user_property("postern-source", "x"), vec![0x18, 0, 0, 0, 9]].concat();
    let source = user_property("Postern-Source", "cluster.local/ns/bank/sa/payments");
    for (stamp_source, expect) in
        [(false, vec![0x18, 0, 0, 0, 9]), (true, [vec![0x18, 0, 0, 0, 9], source].concat())]
    {
        let mut talk = Talk::with(rules(), &SessionSettings { stamp_source, ..settings() });
        talk.client(&connect_with_will(5, "orders/gone", &forged)).unwrap();
        assert!(talk.said().1.ends_with(&with(&expect)[1..]));
    }
}

#[test]
fn other_versions_are_refused_in_their_own_words() {
    let check = |name: &str, level: u8, answer: &[u8]| {
        let says = packet(0x10, &[&text(name), &[level, 2, 0, 60], &text("bank.payments")]);
        let mut talk = Talk::new(rules());
        ends(&mut talk, &says, answer, |end| matches!(end, SessionEnd::Version(_)));
    };
    check("MQIsdp", 3, &[0x20, 2, 0, 1]);
    check("MQTT", 3, &[0x20, 2, 0, 1]);
    check("MQTT", 6, &[0x20, 3, 0, 0x84, 0]);
    check("MQTT", 0x84, &[0x20, 2, 0, 1]);
    check("MQIsdp", 0x83, &[0x20, 2, 0, 1]);
}

#[test]
fn what_is_no_connect_ends_the_session() {
    let flags = |version: u8, flags: u8| {
        let mut says = connect(version, "bank.payments", &[]);
        says[9] = flags;
        says
    };
    for version in [4, 5] {
        let mut longer = connect(version, "bank.payments", &[]);
        longer[1] += 1;
        longer.push(0);
        for says in [
            flags(version, 0b11),
            flags(version, 0b10_0010),
            flags(version, 0b1_1110),
            flags(version, 0b1010),
            flags(version, 0b1000_0010),
            flags(version, 0b100_0010),
            longer,
            packet(0x10, &[&text("HTTP"), &[version, 2, 0, 60, 0, 0]]),
            packet(0x10, &[&text("MQTT"), &[version]]),
            vec![0x11, 0],
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            publish(version, 0, "orders/new", &[]),
            vec![0xC0, 0],
        ] {
            let mut talk = Talk::new(rules());
            ends(&mut talk, &says, &[], malformed);
        }
    }
    for with in [&[0x21, 0, 0][..], &[0x27, 0, 0, 0, 0], &[0x16, 0, 0], &[0x23, 0, 1], &[0x19, 2]] {
        ends(&mut Talk::new(rules()), &connect(5, "bank.payments", with), &[], malformed);
    }
}

#[test]
fn what_either_side_lets_the_other_send_is_bounded() {
    let offered = [&[0x22, 0xFF, 0xFF, 0x27, 0, 0, 1, 0][..], &user_property("a", "b")].concat();
    let mut talk = Talk::new(rules());
    let expect = [&user_property("a", "b")[..], &[0x27, 0, 0, 1, 0, 0x22, 0, 64]].concat();
    client(
        &mut talk,
        &connect(5, "bank.payments", &offered),
        &[],
        &connect(5, "bank.payments", &expect),
    );
    broker(&mut talk, &connack(5, 0, &offered), &connack(5, 0, &expect), &[]);
    // Who is told who published takes less of the client than the broker would.
    let settings = SessionSettings { stamp_source: true, ..settings() };
    let mut talk = Talk::with(rules(), &settings);
    talk.client(&connect(5, "bank.payments", &[])).unwrap();
    talk.said();
    let told = connack(5, 0, &[0x27, 0, 0, 3, 0xAE]);
    broker(&mut talk, &connack(5, 0, &[0x27, 0, 0, 3, 0xE8]), &told, &[]);
    // The same where the broker names no size: what others are sent is no longer than they were told.
    let mut talk = Talk::with(rules(), &settings);
    talk.client(&connect(5, "bank.payments", &[])).unwrap();
    talk.said();
    broker(&mut talk, &connack(5, 0, &[]), &connack(5, 0, &[0x27, 0, 0, 0x26, 0xD6]), &[]);
}

#[test]
fn a_broker_may_refuse() {
    for (version, code) in [(4, 5), (5, 0x86)] {
        let mut talk = Talk::new(rules());
        talk.client(&connect(version, "bank.payments", &[])).unwrap();
        talk.broker(&connack(version, code, &[])).unwrap();
        let bounded = [0x27, 0, 0, 0x27, 0x10];
        assert_eq!(talk.said().0, connack(version, code, &bounded));
        client(&mut talk, &publish(version, 0, "orders/new", &[]), &[], &[]);
    }
}

#[test]
fn a_broker_does_not_speak_first() {
    for says in [connack(4, 0, &[]), publish(4, 0, "orders/new", &[])] {
        assert!(malformed(&Talk::new(rules()).broker(&says).unwrap_err()));
    }
    let mut talk = Talk::new(rules());
    talk.client(&connect(4, "bank.payments", &[])).unwrap();
    assert!(malformed(&talk.broker(&publish(4, 0, "orders/new", &[])).unwrap_err()));
}

#[test]
fn both_prove_who_they_are_where_the_client_began_so() {
    let method = [vec![0x15], text("SCRAM")].concat();
    let data = [method.clone(), vec![0x16, 0, 1, 7]].concat();
    let auth = packet(0xF0, &[&[0x18], &properties(5, &data)]);
    let mut talk = Talk::new(rules());
    talk.client(&connect(5, "bank.payments", &method)).unwrap();
    talk.said();
    assert!(talk.session.wants_more());
    broker(&mut talk, &auth, &auth, &[]);
    client(&mut talk, &auth, &[], &auth);
    // Until the broker has answered there is nothing else to say.
    let mut early = Talk::new(rules());
    early.client(&connect(5, "bank.payments", &method)).unwrap();
    early.said();
    ends(&mut early, &publish(5, 0, "orders/new", &[]), &[], malformed);
    talk.broker(&connack(5, 0, &method)).unwrap();
    talk.said();
    client(&mut talk, &auth, &[], &auth);
    // Without a method there is no such packet.
    let mut talk = Talk::open(5, rules());
    ends(&mut talk, &auth, &[0xE0, 1, 0x82], malformed);
}

#[test]
fn a_server_that_the_broker_names_is_withheld_where_that_is_asked_for() {
    let named = [vec![0x1C], text("other:1883")].concat();
    for (hide_servers, expect) in [(false, &named[..]), (true, &[])] {
        let mut talk = Talk::with(rules(), &SessionSettings { hide_servers, ..settings() });
        talk.client(&connect(5, "bank.payments", &[])).unwrap();
        talk.said();
        let expect = connack(5, 0x9C, &[expect, &[0x27, 0, 0, 0x27, 0x10]].concat());
        broker(&mut talk, &connack(5, 0x9C, &named), &expect, &[]);
    }
}
