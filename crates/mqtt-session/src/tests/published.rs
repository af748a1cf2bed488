//! Messages of the client.

use super::talk::*;

fn rules() -> Rules {
    Rules::new().publish(&["orders/+"]).subscribe(&["answers/#"])
}

#[test]
fn what_is_allowed_passes_as_it_came() {
    for version in [4, 5] {
        for qos in [0, 1, 2] {
            let mut talk = Talk::open(version, rules());
            let message = publish(version, qos, "orders/new", &[]);
            client(&mut talk, &message, &[], &message);
            assert_eq!(talk.rules.decided, [("publish orders/new".to_owned(), true)]);
        }
    }
}

#[test]
fn what_is_refused_closes_a_client_of_3_1_1() {
    for qos in [0, 1, 2] {
        let mut talk = Talk::open(4, rules());
        ends(&mut talk, &publish(4, qos, "payments/new", &[]), &[], denied);
        assert_eq!(talk.rules.decided, [("publish payments/new".to_owned(), false)]);
    }
}

#[test]
fn what_is_refused_is_answered_in_5() {
    let rows: [(u8, &[u8]); 3] =
        [(0, &[]), (1, &[0x40, 3, 0, 7, 0x87]), (2, &[0x50, 3, 0, 7, 0x87])];
    for (qos, answer) in rows {
        let mut talk = Talk::open(5, rules());
        client(&mut talk, &publish(5, qos, "payments/new", &[]), answer, &[]);
        let next = publish(5, 0, "orders/new", &[]);
        client(&mut talk, &next, &[], &next);
    }
}

#[test]
fn what_was_said_before_a_refusal_passes() {
    let mut talk = Talk::open(4, rules());
    let good = publish(4, 1, "orders/new", &[]);
    let said = [good.clone(), publish(4, 1, "payments/new", &[]), good.clone()].concat();
    assert!(denied(&talk.client(&said).unwrap_err()));
    assert_eq!(talk.said(), (vec![], good));
}

#[test]
fn packets_that_pass_leave_in_one_piece() {
    let mut talk = Talk::open(5, rules());
    let (good, bad) = (publish(5, 0, "orders/new", &[]), publish(5, 0, "payments/new", &[]));
    let said = [good.clone(), good.clone(), bad, good.clone(), good.clone(), good.clone()];
    talk.client(&said.concat()).unwrap();
    assert_eq!(talk.pieces_to_broker(), 2);
    assert_eq!(talk.said().1, good.repeat(5));
}

#[test]
fn the_rest_of_a_refused_message_of_qos_2_is_answered_here() {
    let mut talk = Talk::open(5, rules());
    let release = packet(0x62, &[&[0, 7]]);
    client(&mut talk, &publish(5, 2, "payments/new", &[]), &[0x50, 3, 0, 7, 0x87], &[]);
    client(&mut talk, &release, &[0x70, 3, 0, 7, 0x92], &[]);
    // The identifier is free again: what follows is the broker's.
    let good = publish(5, 2, "orders/new", &[]);
    client(&mut talk, &good, &[], &good);
    client(&mut talk, &release, &[], &release);
    client(&mut talk, &publish(5, 2, "payments/new", &[]), &[0x50, 3, 0, 7, 0x87], &[]);
    client(&mut talk, &good, &[], &good);
    client(&mut talk, &release, &[], &release);
}

#[test]
fn retained_messages_are_messages() {
    for version in [4, 5] {
        let mut talk = Talk::open(version, rules());
        let mut good = publish(version, 1, "orders/new", &[]);
        good[0] |= 1;
        client(&mut talk, &good, &[], &good);
    }
}

#[test]
fn answers_are_asked_for_where_the_client_has_rights_of_its_own() {
    let with = |topic: &str| [vec![0x08], text(topic), vec![0x09, 0, 1, 7]].concat();
    for (topic, may) in [("answers/mine", true), ("orders/x", true), ("payments/new", false)] {
        let mut talk = Talk::open(5, rules());
        let message = publish(5, 1, "orders/new", &with(topic));
        match may {
            true => client(&mut talk, &message, &[], &message),
            false => client(&mut talk, &message, &[0x40, 3, 0, 7, 0x87], &[]),
        }
    }
}

#[test]
fn the_broker_is_told_who_published() {
    let principal = "cluster.local/ns/bank/sa/payments";
    let (source, forged) = (user_property("Postern-Source", principal), "cluster.local/ns/x/sa/y");
    let other = user_property("kind", "new");
    #[allow(clippy::type_complexity)]
    let rows: [(bool, Option<&'static str>, &[u8], &[u8]); 7] = [
        (true, Some(principal), &[], &source),
        (true, Some(principal), &other, &[other.clone(), source.clone()].concat()),
        (true, Some(principal), &user_property("Postern-Source", forged), &source),
        (true, Some(principal), &user_property("postern-source", forged), &source),
        (true, None, &user_property("Postern-Source", forged), &[]),
        (false, Some(principal), &user_property("Postern-Source", forged), &[]),
        (false, Some(principal), &other, &other),
    ];
    for (stamp_source, principal, said, expect) in rows {
        let settings = message_access::SessionSettings { stamp_source, ..settings() };
        let rules = rules().of(principal).client_ids(&["*"]);
        let mut talk = Talk::open_with(5, rules, &settings, &[]);
        let expect = publish(5, 1, "orders/new", expect);
        client(&mut talk, &publish(5, 1, "orders/new", said), &[], &expect);
    }
    // 3.1.1 has no place for it.
    let settings = message_access::SessionSettings { stamp_source: true, ..settings() };
    let mut talk = Talk::open_with(4, rules(), &settings, &[]);
    let message = publish(4, 1, "orders/new", &[]);
    client(&mut talk, &message, &[], &message);
}

#[test]
fn what_is_no_message_ends_the_session() {
    let check = |version: u8, message: &[u8], code: u8| {
        let mut talk = Talk::open(version, rules());
        let goodbye = [0xE0, 1, code];
        ends(&mut talk, message, if version == 5 { &goodbye } else { &[] }, malformed);
    };
    for version in [4, 5] {
        check(
            version,
            &packet(0x36, &[&text("orders/new"), &[0, 7], &properties(version, &[])]),
            0x81,
        );
        check(version, &packet(0x38, &[&text("orders/new"), &properties(version, &[])]), 0x81);
        check(
            version,
            &packet(0x32, &[&text("orders/new"), &[0, 0], &properties(version, &[])]),
            0x82,
        );
        check(version, &publish(version, 0, "orders/+", &[]), 0x90);
        check(version, &publish(version, 0, "#", &[]), 0x90);
        check(version, &publish(version, 0, "", &[]), 0x90);
        check(version, &publish(version, 0, "orders/a\u{7}", &[]), 0x90);
        check(version, &publish(version, 0, "orders/a\0", &[]), 0x81);
        check(version, &packet(0x30, &[&[0, 2, 0xC3, 0x28], &properties(version, &[])]), 0x81);
        check(version, &packet(0x30, &[&[0, 99], b"orders"]), 0x81);
        check(version, &packet(0x30, &[]), 0x81);
        check(version, &[0x30, 0x80, 0], 0x81);
        check(version, &[0x00, 0], 0x81);
        check(version, &[0x41, 2, 0, 7], 0x81);
        check(version, &[0x60, 2, 0, 7], 0x81);
        check(version, &[0x40, 2, 0, 0], 0x82);
        check(version, &packet(0xC0, &[b"x"]), 0x81);
        check(version, &packet(0x20, &[&[0, 0]]), 0x82);
        check(version, &connect(version, "bank.payments", &[]), 0x82);
        check(version, &packet(0xF0, &[]), 0x82);
    }
    check(4, &packet(0xE0, &[&[0]]), 0);
    check(4, &packet(0x40, &[&[0, 7, 0]]), 0);
    for (with, code) in [
        (&[0x0B, 1][..], 0x82),
        (&[0x01, 2], 0x82),
        (&[0x01, 1, 0x01, 1], 0x82),
        (&[0x11, 0, 0, 0, 1], 0x82),
        (&[0x7E, 1], 0x81),
        (&[0x23, 0, 0], 0x82),
        (&[0x08, 0, 1, b'#'], 0x82),
        (&[0x26, 0, 1], 0x81),
    ] {
        check(5, &publish(5, 0, "orders/new", with), code);
    }
    check(5, &packet(0x30, &[&text("orders/new")]), 0x81);
}

#[test]
fn other_packets_pass_as_they_came() {
    for version in [4, 5] {
        let mut talk = Talk::open(version, rules());
        for first in [0x40, 0x50, 0x62, 0x70] {
            let answer = packet(first, &[&[0, 3]]);
            client(&mut talk, &answer, &[], &answer);
        }
        client(&mut talk, &[0xC0, 0], &[], &[0xC0, 0]);
        broker(&mut talk, &[0xD0, 0], &[0xD0, 0], &[]);
        for first in [0x40, 0x50, 0x62, 0x70] {
            let answer = packet(first, &[&[0, 3]]);
            broker(&mut talk, &answer, &answer, &[]);
        }
        client(&mut talk, &[0xE0, 0], &[], &[0xE0, 0]);
        // Nobody speaks behind a DISCONNECT.
        client(&mut talk, &publish(version, 0, "orders/new", &[]), &[], &[]);
    }
}
