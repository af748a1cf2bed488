//! Changes of policy, and ends from outside.

use message_access::{Dismissal, Session as _, SessionEnd, SessionSettings};

use super::talk::*;

fn rules() -> Rules {
    Rules::new().subscribe(&["orders/#"]).publish(&["orders/#"]).groups(&["workers"])
}

fn subscribed(version: u8, filter: &str) -> Talk {
    let mut talk = Talk::open(version, rules());
    talk.client(&subscribe(version, &[filter])).unwrap();
    talk.broker(&suback(version, &[1])).unwrap();
    talk.said();
    talk
}

/// What a client gets that may not stay; to the broker it says a normal goodbye.
fn farewell(version: u8) -> (Vec<u8>, Vec<u8>) {
    (if version == 5 { vec![0xE0, 1, 0x87] } else { vec![] }, vec![0xE0, 0])
}

#[test]
fn whoever_loses_what_is_open_is_disconnected() {
    for version in [4, 5] {
        for (filter, rules) in [
            ("orders/new", rules().subscribe(&["orders/old"])),
            ("orders/+", rules().deny(&["orders/new"])),
            ("$share/workers/orders/+", rules().groups(&[])),
        ] {
            let mut talk = subscribed(version, filter);
            assert_eq!(talk.policy(rules), Err(SessionEnd::Denied), "{filter}");
            assert_eq!(talk.said(), farewell(version));
            assert!(talk.rules.decided.iter().any(|(_, may)| !may), "it is logged");
            // Nothing passes any more.
            client(&mut talk, &publish(version, 0, "orders/new", &[]), &[], &[]);
            broker(&mut talk, &publish(version, 0, "orders/new", &[]), &[], &[]);
        }
    }
}

#[test]
fn whoever_keeps_what_is_open_stays() {
    for version in [4, 5] {
        let mut talk = subscribed(version, "orders/new");
        assert_eq!(talk.policy(rules().deny(&["orders/old"])), Ok(()));
        assert_eq!(talk.said(), (vec![], vec![]));
        assert!(talk.rules.decided.is_empty(), "nothing was asked for");
        // What is no longer subscribed to is not asked about.
        talk.client(&unsubscribe(version, "orders/new")).unwrap();
        assert_eq!(talk.policy(rules().subscribe(&["orders/old"])), Ok(()));
    }
}

#[test]
fn f12_policy_tightened_or_removed_many_subscriptions_are_judged_in_turns() {
    let many = SessionSettings { subscriptions: 2000, ..settings() };
    let mut talk = Talk::open_with(4, rules(), &many, &[]);
    for number in 0..600 {
        talk.client(&subscribe(4, &[&format!("orders/{number:03}")])).unwrap();
        talk.broker(&suback(4, &[1])).unwrap();
    }
    talk.said();
    let questions = |talk: &mut Talk| std::mem::take(&mut talk.rules.questions);
    questions(&mut talk);
    // Three turns, each with the client's id; and again from the beginning.
    for _ in 0..2 {
        assert_eq!(talk.policy(rules()), Ok(()));
        assert_eq!((questions(&mut talk), talk.has_unjudged()), (257, true));
        assert_eq!(talk.next_turn(), Ok(()));
        assert_eq!((questions(&mut talk), talk.has_unjudged()), (257, true));
        assert_eq!(talk.next_turn(), Ok(()));
        assert_eq!((questions(&mut talk), talk.has_unjudged()), (89, false));
    }
    assert_eq!(talk.policy(rules().deny(&["orders/599"])), Ok(()));
    assert_eq!(talk.next_turn(), Ok(()));
    assert_eq!(talk.next_turn(), Err(SessionEnd::Denied));
    // Who takes leave has nothing left to judge.
    let mut talk = Talk::open_with(4, rules(), &many, &[]);
    for number in 0..300 {
        talk.client(&subscribe(4, &[&format!("orders/{number:03}")])).unwrap();
        talk.broker(&suback(4, &[1])).unwrap();
    }
    assert_eq!(talk.policy(rules()), Ok(()));
    assert!(talk.has_unjudged());
    talk.client(&[0xE0, 0]).unwrap();
    assert_eq!(talk.next_turn(), Ok(()));
    assert!(!talk.has_unjudged());
}

#[test]
fn a_will_that_may_no_longer_be_published_is_not() {
    for version in [4, 5] {
        let mut talk = Talk::new(rules());
        talk.client(&connect_with_will(version, "orders/gone", &[])).unwrap();
        talk.broker(&connack(version, 0, &[])).unwrap();
        talk.said();
        assert_eq!(talk.policy(rules().publish(&["orders/new"])), Err(SessionEnd::Denied));
        assert_eq!(talk.said(), farewell(version));
    }
}

#[test]
fn a_client_id_may_be_lost() {
    for version in [4, 5] {
        let mut talk = Talk::new(rules().client_ids(&["shared"]));
        talk.client(&connect(version, "shared", &[])).unwrap();
        talk.broker(&connack(version, 0, &[])).unwrap();
        talk.said();
        assert_eq!(talk.policy(rules()), Err(SessionEnd::Denied));
        assert_eq!(talk.said(), farewell(version));
    }
}

#[test]
fn a_client_that_waits_for_the_broker_is_refused() {
    for (version, refusal) in [(4, vec![0x20, 2, 0, 5]), (5, vec![0x20, 3, 0, 0x87, 0])] {
        let mut talk = Talk::new(rules());
        talk.client(&connect(version, "bank.payments", &[])).unwrap();
        talk.said();
        assert_eq!(talk.policy(Rules::new()), Err(SessionEnd::Denied));
        assert_eq!(talk.said(), (refusal, vec![0xE0, 0]));
    }
    let mut silent = Talk::new(rules());
    assert_eq!(silent.policy(Rules::new()), Ok(()));
}

#[test]
fn a_request_that_waits_for_the_broker_is_judged_again() {
    for version in [4, 5] {
        let mut talk = Talk::open(version, rules());
        talk.client(&subscribe(version, &["orders/new"])).unwrap();
        talk.said();
        assert_eq!(talk.policy(rules().subscribe(&["orders/old"])), Err(SessionEnd::Denied));
    }
}

#[test]
fn packets_behind_a_connect_are_judged_when_the_broker_has_answered() {
    let mut talk = Talk::new(rules());
    let message = publish(4, 0, "orders/new", &[]);
    let hello = connect(4, "bank.payments", &[]);
    talk.client(&[hello.clone(), message.clone()].concat()).unwrap();
    assert_eq!(talk.said(), (vec![], hello));
    assert!(!talk.session.wants_more() && talk.session.held() > 0);
    assert_eq!(talk.policy(rules().publish(&["orders/old"])), Ok(()));
    assert!(denied(&talk.broker(&connack(4, 0, &[])).unwrap_err()));
    assert_eq!(talk.said(), (connack(4, 0, &[]), vec![]));
}

#[test]
fn whoever_is_dismissed_publishes_no_will() {
    for version in [4, 5] {
        let mut talk = subscribed(version, "orders/new");
        talk.dismissed(Dismissal::NotAllowed);
        assert_eq!(talk.said(), farewell(version));
        talk.dismissed(Dismissal::NotAllowed);
        assert_eq!(talk.said(), (vec![], vec![]), "once");
    }
}

/// "Not authorized" keeps some clients from coming again.
#[test]
fn whoever_meets_a_drain_is_told_of_that_and_not_refused() {
    for (version, told, refused) in
        [(4, vec![], vec![0x20, 2, 0, 3]), (5, vec![0xE0, 1, 0x8B], vec![0x20, 3, 0, 0x88, 0])]
    {
        let mut talk = subscribed(version, "orders/new");
        talk.dismissed(Dismissal::Ending);
        assert_eq!(talk.said(), (told, vec![0xE0, 0]), "{version}");
        let mut talk = Talk::new(rules());
        talk.client(&connect(version, "bank.payments", &[])).unwrap();
        talk.said();
        talk.dismissed(Dismissal::Ending);
        assert_eq!(talk.said(), (refused, vec![0xE0, 0]), "{version}");
    }
}
