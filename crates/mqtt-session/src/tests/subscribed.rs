//! Subscriptions.

use message_access::Session as _;

use super::talk::*;

fn rules() -> Rules {
    Rules::new().subscribe(&["orders/#"]).groups(&["workers"])
}

const fn refusal(version: u8, code: u8) -> u8 {
    if version == 5 { code } else { 0x80 }
}

#[test]
fn allowed_filters_pass_as_they_came() {
    for version in [4, 5] {
        for filters in
            [&["orders/new"][..], &["orders/#", "orders/+"], &["$share/workers/orders/+"]]
        {
            let mut talk = Talk::open(version, rules());
            let request = subscribe(version, filters);
            client(&mut talk, &request, &[], &request);
            assert_eq!(talk.session.subscriptions(), filters.len());
            let codes = suback(version, &vec![1; filters.len()]);
            broker(&mut talk, &codes, &codes, &[]);
            assert_eq!(talk.session.subscriptions(), filters.len());
        }
    }
}

#[test]
fn refused_filters_are_answered_here() {
    for version in [4, 5] {
        for (filter, code) in [
            ("#", 0x87),
            ("+/new", 0x87),
            ("payments/new", 0x87),
            ("$SYS/#", 0x87),
            ("$share/others/orders/new", 0x87),
            ("$share/workers/payments/new", 0x87),
            ("$share/workers/#", 0x87),
            ("$share/workers", 0x8F),
            ("orders/#/x", 0x8F),
            ("", 0x8F),
        ] {
            let mut talk = Talk::open(version, rules());
            let answer = suback(version, &[refusal(version, code)]);
            client(&mut talk, &subscribe(version, &[filter]), &answer, &[]);
            assert_eq!(talk.session.subscriptions(), 0, "{filter}");
        }
    }
}

#[test]
fn a_group_and_its_filter_are_asked_about_together() {
    let mut talk = Talk::open(5, rules());
    talk.client(&subscribe(5, &["$share/workers/orders/+"])).unwrap();
    assert_eq!(talk.rules.decided, [("subscribe orders/+ workers".to_owned(), true)]);
}

#[test]
fn codes_of_refused_filters_are_spliced_between_those_of_the_broker() {
    for version in [4, 5] {
        let mut talk = Talk::open(version, rules());
        let asked = subscribe(version, &["payments/a", "orders/a", "payments/b", "orders/b"]);
        client(&mut talk, &asked, &[], &subscribe(version, &["orders/a", "orders/b"]));
        let no = refusal(version, 0x87);
        let answer = suback(version, &[no, 1, no, 0x80]);
        broker(&mut talk, &suback(version, &[1, 0x80]), &answer, &[]);
        assert_eq!(talk.session.subscriptions(), 1);
    }
}

#[test]
fn properties_and_options_stay_with_the_filters() {
    let mut talk = Talk::open(5, rules());
    let with = [vec![0x0B, 5], user_property("a", "b")].concat();
    let request = |filters: &[(&str, u8)]| {
        let entries =
            filters.iter().flat_map(|(filter, options)| [text(filter), vec![*options]].concat());
        packet(0x82, &[&[0, 9], &properties(5, &with), &entries.collect::<Vec<u8>>()])
    };
    let asked = request(&[("payments/a", 0), ("orders/a", 0b10_1110)]);
    client(&mut talk, &asked, &[], &request(&[("orders/a", 0b10_1110)]));
    let said = [vec![0x1F], text("why")].concat();
    let answer = |codes: &[u8]| packet(0x90, &[&[0, 9], &properties(5, &said), codes]);
    broker(&mut talk, &answer(&[2]), &answer(&[0x87, 2]), &[]);
}

#[test]
fn no_more_subscriptions_are_open_than_may_be() {
    for version in [4, 5] {
        let mut talk = Talk::open(version, rules());
        for at in 0..6 {
            talk.client(&subscribe(version, &[&format!("orders/{at}")])).unwrap();
            talk.broker(&suback(version, &[1])).unwrap();
        }
        talk.said();
        let code = refusal(version, 0x97);
        client(&mut talk, &subscribe(version, &["orders/x"]), &suback(version, &[code]), &[]);
        // One that is open may be asked for again, and one that is over makes room.
        let again = subscribe(version, &["orders/1"]);
        client(&mut talk, &again, &[], &again);
        talk.broker(&suback(version, &[1])).unwrap();
        let over = unsubscribe(version, "orders/1");
        talk.said();
        client(&mut talk, &over, &[], &over);
        let other = subscribe(version, &["orders/x"]);
        client(&mut talk, &other, &[], &other);
        assert_eq!(talk.session.subscriptions(), 6);
    }
    let mut talk = Talk::open(5, rules());
    ends(&mut talk, &subscribe(5, &["orders/x"; 7]), &[0xE0, 1, 0x97], limit);
}

#[test]
fn a_client_waits_while_many_answers_are_due() {
    let mut talk = Talk::open(4, rules());
    let request = |id: u8| packet(0x82, &[&[0, id], &text("orders/x"), &[1]]);
    let all: Vec<u8> = (1..=6).flat_map(request).collect();
    let before: Vec<u8> = (1..=4).flat_map(request).collect();
    client(&mut talk, &all, &[], &before);
    assert!(!talk.session.wants_more());
    let answer = |id: u8| vec![0x90, 3, 0, id, 1];
    broker(&mut talk, &answer(1), &answer(1), &request(5));
    broker(&mut talk, &answer(3), &answer(3), &request(6));
    assert!(!talk.session.wants_more());
    broker(&mut talk, &answer(2), &answer(2), &[]);
    assert!(talk.session.wants_more());
}

#[test]
fn what_is_no_request_ends_the_session() {
    let check = |version: u8, says: &[u8], code: u8| {
        let mut talk = Talk::open(version, rules());
        let goodbye = [0xE0, 1, code];
        ends(&mut talk, says, if version == 5 { &goodbye } else { &[] }, malformed);
    };
    for version in [4, 5] {
        let with = properties(version, &[]);
        check(version, &packet(0x82, &[&[0, 9], &with]), 0x82);
        check(version, &packet(0x82, &[&[0, 0], &with, &text("a"), &[1]]), 0x82);
        check(version, &packet(0x82, &[&[0, 9], &with, &text("a"), &[3]]), 0x81);
        check(version, &packet(0x82, &[&[0, 9], &with, &text("a"), &[0x41]]), 0x81);
        check(version, &packet(0x82, &[&[0, 9], &with, &text("a")]), 0x81);
        check(version, &packet(0x80, &[&[0, 9], &with, &text("a"), &[1]]), 0x81);
        check(version, &packet(0xA2, &[&[0, 9], &with]), 0x82);
    }
    check(4, &packet(0x82, &[&[0, 9], &text("a"), &[5]]), 0);
    check(5, &packet(0x82, &[&[0, 9, 0], &text("a"), &[0x31]]), 0x81);
    check(5, &packet(0x82, &[&[0, 9, 0], &text("$share/workers/orders/a"), &[5]]), 0x82);
    check(5, &packet(0x82, &[&[0, 9, 2, 0x0B, 0], &text("a"), &[1]]), 0x82);
    let mut talk = Talk::open(5, rules());
    talk.client(&subscribe(5, &["orders/a"])).unwrap();
    assert!(malformed(&talk.client(&subscribe(5, &["orders/b"])).unwrap_err()));
}

#[test]
fn a_broker_that_answers_what_it_was_not_asked_ends_its_session() {
    for version in [4, 5] {
        for (asks, codes) in [(false, &[1][..]), (true, &[]), (true, &[1, 1]), (true, &[3])] {
            let mut talk = Talk::open(version, rules());
            if asks {
                talk.client(&subscribe(version, &["orders/a"])).unwrap();
            }
            talk.said();
            assert!(malformed(&talk.broker(&suback(version, codes)).unwrap_err()));
            let goodbye: &[u8] = if version == 5 { &[0xE0, 1, 0x80] } else { &[] };
            assert_eq!(talk.said().0, goodbye);
        }
    }
}
