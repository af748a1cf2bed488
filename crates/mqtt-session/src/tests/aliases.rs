//! Topic aliases, of which each direction has its own.

use super::talk::*;

fn alias(number: u8) -> Vec<u8> {
    vec![0x23, 0, number]
}

/// The broker takes three aliases of the client.
fn talk() -> Talk {
    let rules = Rules::new().publish(&["orders/+"]).subscribe(&["orders/+"]);
    Talk::open_with(5, rules, &settings(), &[0x22, 0, 3])
}

#[test]
fn the_broker_is_told_every_topic_of_the_client_by_name() {
    let mut talk = talk();
    let named = publish(5, 1, "orders/a", &[]);
    client(&mut talk, &publish(5, 1, "orders/a", &alias(1)), &[], &named);
    client(&mut talk, &publish(5, 1, "", &alias(1)), &[], &named);
    assert_eq!(talk.rules.decided[1], ("publish orders/a".to_owned(), true));
    let with = user_property("a", "b");
    let said = [alias(1), with.clone()].concat();
    client(&mut talk, &publish(5, 2, "", &said), &[], &publish(5, 2, "orders/a", &with));
}

#[test]
fn a_message_that_its_topic_makes_too_long_is_not_sent_to_the_broker() {
    for (size, fits) in [(22, true), (21, false)] {
        let rules = Rules::new().publish(&["orders/+"]);
        let mut talk = Talk::open_with(5, rules, &settings(), &[0x22, 0, 3, 0x27, 0, 0, 0, size]);
        talk.client(&publish(5, 0, "orders/a", &alias(1))).unwrap();
        talk.said();
        let (says, named) = (publish(5, 1, "", &alias(1)), publish(5, 1, "orders/a", &[]));
        assert_eq!(named.len(), 22);
        match fits {
            true => client(&mut talk, &says, &[], &named),
            false => ends(&mut talk, &says, &[0xE0, 1, 0x95], limit),
        }
    }
}

#[test]
fn an_alias_of_a_refused_message_means_its_topic() {
    let mut talk = talk();
    let no = [0x40, 3, 0, 7, 0x87];
    client(&mut talk, &publish(5, 1, "orders/a", &alias(1)), &[], &publish(5, 1, "orders/a", &[]));
    client(&mut talk, &publish(5, 1, "payments/a", &alias(1)), &no, &[]);
    client(&mut talk, &publish(5, 1, "", &alias(1)), &no, &[]);
    let named = publish(5, 1, "payments/a", &[]);
    talk.rules = Rules::new().publish(&["payments/+"]);
    client(&mut talk, &publish(5, 1, "", &alias(1)), &[], &named);
}

#[test]
fn aliases_that_may_not_be_end_the_session() {
    for (number, topic, code) in [(4, "orders/a", 0x94), (2, "", 0x82), (0, "orders/a", 0x82)] {
        let message = publish(5, 0, topic, &alias(number));
        ends(&mut talk(), &message, &[0xE0, 1, code], malformed);
    }
    let mut none = Talk::open(5, Rules::new().publish(&["orders/+"]));
    ends(&mut none, &publish(5, 0, "orders/a", &alias(1)), &[0xE0, 1, 0x94], malformed);
    let message = publish(5, 0, "orders/a", &alias(11));
    assert!(malformed(&talk().broker(&message).unwrap_err()), "the client takes ten");
}

#[test]
fn a_client_does_not_miss_an_alias_of_a_message_that_it_did_not_get() {
    let mut talk = talk();
    let naming = publish(5, 0, "payments/a", &alias(1));
    broker(&mut talk, &naming, &[], &[]);
    broker(&mut talk, &publish(5, 0, "", &alias(1)), &[], &[]);
    talk.rules = Rules::new().subscribe(&["payments/+"]);
    broker(&mut talk, &publish(5, 0, "", &alias(1)), &naming, &[]);
    broker(&mut talk, &publish(5, 0, "", &alias(1)), &publish(5, 0, "", &alias(1)), &[]);
    // An alias that means something else by now, again unknown to the client.
    broker(&mut talk, &publish(5, 0, "orders/a", &alias(1)), &[], &[]);
    broker(&mut talk, &publish(5, 0, "", &alias(1)), &[], &[]);
    talk.rules = Rules::new().subscribe(&["orders/+"]);
    broker(&mut talk, &publish(5, 0, "", &alias(1)), &publish(5, 0, "orders/a", &alias(1)), &[]);
}

#[test]
fn the_two_directions_have_nothing_in_common() {
    let mut talk = talk();
    talk.client(&publish(5, 0, "orders/a", &alias(1))).unwrap();
    assert!(malformed(&talk.broker(&publish(5, 0, "", &alias(1))).unwrap_err()));
}
