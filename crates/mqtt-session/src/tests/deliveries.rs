//! Messages to the client.

use super::talk::*;

fn rules() -> Rules {
    Rules::new().subscribe(&["orders/#"]).deny(&["orders/secret"])
}

#[test]
fn what_is_allowed_passes_as_it_came() {
    for version in [4, 5] {
        for qos in [0, 1, 2] {
            let mut talk = Talk::open(version, rules());
            let message = publish(version, qos, "orders/new", &[]);
            broker(&mut talk, &message, &message, &[]);
            assert_eq!(talk.rules.decided, [("subscribe orders/new".to_owned(), true)]);
        }
        // Whoever published is named, and each subscription that the message is for.
        let with = [user_property("Postern-Source", "x"), vec![0x0B, 1, 0x0B, 2]].concat();
        let mut talk = Talk::open(5, rules());
        let message = publish(5, 0, "orders/new", &with);
        broker(&mut talk, &message, &message, &[]);
    }
}

#[test]
fn what_is_refused_is_acknowledged_and_dropped() {
    let rows: [(u8, u8, &[u8]); 6] = [
        (4, 0, &[]),
        (4, 1, &[0x40, 2, 0, 7]),
        (4, 2, &[0x50, 2, 0, 7]),
        (5, 0, &[]),
        (5, 1, &[0x40, 3, 0, 7, 0x87]),
        (5, 2, &[0x50, 3, 0, 7, 0x87]),
    ];
    for (version, qos, answer) in rows {
        for topic in ["payments/new", "orders/secret", "$SYS/x"] {
            let mut talk = Talk::open(version, rules());
            broker(&mut talk, &publish(version, qos, topic, &[]), &[], answer);
            assert_eq!(talk.rules.decided, [(format!("subscribe {topic}"), false)]);
        }
    }
}

#[test]
fn a_deny_of_another_group_takes_no_message_from_a_group() {
    let message = publish(5, 1, "orders/new", &[]);
    let refusal = [0x40, 3, 0, 7, 0x87];
    for (name, filters, passes) in [
        ("of a group", &["$share/workers/orders/#"][..], true),
        ("of the group that is denied", &["$share/billing/orders/#"], false),
        ("of two groups", &["$share/workers/orders/#", "$share/others/+/new"], true),
        ("of one that it may not be in", &["$share/workers/orders/#", "$share/no/orders/#"], true),
        ("also by itself", &["$share/workers/orders/#", "orders/new"], true),
        ("of another filter", &["$share/workers/orders/old"], false),
        ("of no filter", &[], false),
    ] {
        let rules = Rules::new().subscribe(&["orders/#"]).groups(&["workers", "others", "billing"]);
        let mut talk = Talk::open(5, rules.deny_to(&["billing"], &["orders/#"]));
        if !filters.is_empty() {
            talk.client(&subscribe(5, filters)).unwrap();
        }
        talk.said();
        let (to_client, to_broker) =
            if passes { (&message[..], &[][..]) } else { (&[][..], &refusal[..]) };
        talk.broker(&message).unwrap();
        let said = talk.said();
        assert_eq!((&said.0[..], &said.1[..]), (to_client, to_broker), "{name}");
    }
}

#[test]
fn the_rest_of_a_refused_message_of_qos_2_is_answered_here() {
    for version in [4, 5] {
        let mut talk = Talk::open(version, rules());
        let release = packet(0x62, &[&[0, 7]]);
        talk.broker(&publish(version, 2, "orders/secret", &[])).unwrap();
        talk.said();
        broker(&mut talk, &release, &[], &[0x70, 2, 0, 7]);
        let good = publish(version, 2, "orders/new", &[]);
        broker(&mut talk, &good, &good, &[]);
        broker(&mut talk, &release, &release, &[]);
    }
}

#[test]
fn a_broker_that_breaks_the_protocol_ends_its_session() {
    for version in [4, 5] {
        for says in [
            &publish(version, 0, "orders/+", &[])[..],
            &packet(0x36, &[&text("orders/new"), &[0, 7], &properties(version, &[])]),
            &packet(0x82, &[&[0, 9], &properties(version, &[]), &text("a"), &[1]]),
            &packet(0xC0, &[]),
            &connack(version, 0, &[]),
            &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1],
            &packet(0xD0, &[b"x"]),
        ] {
            let mut talk = Talk::open(version, rules());
            assert!(malformed(&talk.broker(says).unwrap_err()), "{says:x?}");
            let goodbye: &[u8] = if version == 5 { &[0xE0, 1, 0x80] } else { &[] };
            assert_eq!(talk.said(), (goodbye.to_vec(), vec![]));
        }
        let mut talk = Talk::open(version, rules());
        assert!(limit(&talk.broker(&[0x30, 0xFF, 0xFF, 0x03]).unwrap_err()));
    }
    let mut talk = Talk::open(4, rules());
    assert!(malformed(&talk.broker(&[0xE0, 0]).unwrap_err()), "3.1.1 has no such goodbye");
}

#[test]
fn a_broker_takes_leave() {
    let goodbye = packet(0xE0, &[&[0x9C], &properties(5, &[&[0x1C][..], &text("other")].concat())]);
    for (hide_servers, expect) in [(false, &goodbye[..]), (true, &[0xE0, 1, 0x9C])] {
        let settings = message_access::SessionSettings { hide_servers, ..settings() };
        let mut talk = Talk::open_with(5, rules(), &settings, &[]);
        broker(&mut talk, &goodbye, expect, &[]);
    }
}
