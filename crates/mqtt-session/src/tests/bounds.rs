//! Properties of the session for all input: pieces make no difference, junk does no harm, memory is bounded.

use bytes::BytesMut;
use message_access::{AccessRequest, Judge as _, Operation, Session as _};
use proptest::prelude::*;

use super::oracle::theirs;
use super::talk::*;
use crate::packet::Version;

fn rules() -> Rules {
    Rules::new()
        .publish(&["orders/+"])
        .subscribe(&["orders/+", "payments/#"])
        .groups(&["workers"])
        .deny(&["payments/secret"])
}

/// What a client of this version may say, good and refused, and what the broker says to it meanwhile.
fn conversation(version: u8) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let answers = |first: u8| packet(first, &[&[0, 7]]);
    let mut client = vec![
        publish(version, 0, "orders/a", &[]),
        publish(version, 2, "orders/a", &[]),
        subscribe(version, &["orders/a", "secret/#", "$share/workers/payments/+"]),
        answers(0x62),
        unsubscribe(version, "orders/a"),
        vec![0xC0, 0],
        answers(0x40),
    ];
    let mut broker = vec![
        publish(version, 1, "orders/a", &[]),
        publish(version, 2, "payments/secret", &[]),
        answers(0x62),
        publish(version, 0, "payments/a", &[]),
        vec![0xD0, 0],
    ];
    if version == 5 {
        client.push(publish(5, 2, "secret/a", &[]));
        client.push(answers(0x62));
        client.push(publish(5, 1, "orders/b", &[0x23, 0, 1]));
        client.push(publish(5, 1, "", &[0x23, 0, 1]));
        client.push(publish(5, 1, "orders/c", &user_property("Postern-Source", "forged")));
        broker.push(publish(5, 0, "secret/a", &[0x23, 0, 1]));
        broker.push(publish(5, 0, "", &[0x23, 0, 1]));
    }
    (client, broker)
}

fn open(version: u8) -> Talk {
    let settings = message_access::SessionSettings { stamp_source: true, ..settings() };
    let properties: &[u8] = if version == 5 { &[0x22, 0, 3] } else { &[] };
    Talk::open_with(version, rules(), &settings, properties)
}

const fn on(operation: Operation, topic: &str) -> AccessRequest<'_> {
    AccessRequest::on_topic(operation, topic)
}

/// The topics of all messages in these packets, as another reader of MQTT reads them.
fn topics(version: u8, packets: &[u8]) -> Vec<String> {
    let version = if version == 5 { Version::Five } else { Version::Three };
    let mut packets = BytesMut::from(packets);
    let mut found = Vec::new();
    while let Some(first) = packets.first().copied() {
        let length = 2 + usize::from(packets[1]);
        assert!(length < 130, "all of them are short");
        let mut one = packets.split_to(length);
        if first >> 4 == 3 {
            found.extend(theirs(version, &mut one).unwrap().0);
        }
    }
    found
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        five in any::<bool>(),
        order in Just((0..12_usize).collect::<Vec<_>>()).prop_shuffle(),
        cuts in proptest::collection::vec(1..40_usize, 1..60),
    ) {
        let version = if five { 5 } else { 4 };
        let (client, broker) = conversation(version);
        let stream = |packets: &[Vec<u8>]| {
            order.iter().filter_map(|at| packets.get(*at)).flatten().copied().collect::<Vec<u8>>()
        };
        for (says, of_client) in [(stream(&client), true), (stream(&broker), false)] {
            let mut whole = open(version);
            let say = |talk: &mut Talk, bytes: &[u8]| match of_client {
                true => talk.client(bytes),
                false => talk.broker(bytes),
            };
            let end = say(&mut whole, &says);
            let mut pieces = open(version);
            let (mut result, mut left) = (Ok(()), &says[..]);
            for cut in cuts.iter().cycle() {
                let (piece, rest) = left.split_at((*cut).min(left.len()));
                result = say(&mut pieces, piece);
                left = rest;
                if left.is_empty() || result.is_err() {
                    break;
                }
            }
            prop_assert_eq!(end, result);
            prop_assert_eq!(whole.said(), pieces.said());
            prop_assert_eq!(whole.rules.decided, pieces.rules.decided);
        }
    }

    #[test]
    fn junk_does_no_harm(
        five in any::<bool>(),
        packets in proptest::collection::vec(
            (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..80)), 0..20),
        connected in any::<bool>(),
        turns in any::<u32>(),
    ) {
        let mut talk = if connected { open(if five { 5 } else { 4 }) } else { Talk::new(rules()) };
        for (at, (first, body)) in packets.iter().enumerate() {
            let says = packet(*first, &[body]);
            let _ = match turns >> (at % 32) & 1 {
                0 => talk.client(&says),
                _ => talk.broker(&says),
            };
            prop_assert!(talk.session.held() <= 3 * settings().message_bytes);
        }
    }

    #[test]
    fn a_packet_that_was_spoiled_does_no_harm(
        five in any::<bool>(),
        at in 0..12_usize,
        spoiled in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let version = if five { 5 } else { 4 };
        let (client, broker) = conversation(version);
        for (packets, of_client) in [(client, true), (broker, false)] {
            let mut says = packets[at % packets.len()].clone();
            for (index, byte) in &spoiled {
                let place = index.index(says.len());
                says[place] = *byte;
            }
            let mut talk = open(version);
            let _ = if of_client { talk.client(&says) } else { talk.broker(&says) };
            // Whatever it became: no message passes that the rules refuse.
            let (to_client, to_broker) = talk.said();
            for topic in topics(version, &to_broker) {
                prop_assert!(talk.rules.would_allow(&on(Operation::Publish, &topic)), "{}", topic);
            }
            for topic in topics(version, &to_client).iter().filter(|topic| !topic.is_empty()) {
                prop_assert!(talk.rules.would_allow(&on(Operation::Subscribe, topic)), "{}", topic);
            }
        }
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let most = settings().message_bytes;
    let mut talk = Talk::open(5, rules());
    // A message that never ends.
    talk.client(&[0x30, 0xF0, 0x4D]).unwrap();
    for _ in 0..9_000 {
        talk.client(b"x").unwrap();
        assert!(talk.session.held() <= most);
    }
    // Names of subscriptions.
    let all = Rules::new().subscribe(&["#"]);
    let mut talk = Talk::open(4, all);
    for at in 0..6 {
        let name = format!("{}{at}", "n".repeat(4_000));
        talk.client(&subscribe(4, &[&name])).unwrap();
        let asked = !talk.said().1.is_empty();
        assert_eq!(asked, at < 2);
        if asked {
            talk.broker(&suback(4, &[1])).unwrap();
        }
        assert!(talk.session.held() <= most);
    }
    // Topics of aliases.
    let settings = message_access::SessionSettings { message_bytes: 70_000, ..settings() };
    let mut talk = Talk::open_with(5, Rules::new().publish(&["#"]), &settings, &[0x22, 0xFF, 0xFF]);
    for alias in 1..=4 {
        talk.client(&publish(5, 0, &"t".repeat(60_000), &[0x23, 0, alias])).unwrap();
    }
    talk.said();
    let one_more = publish(5, 0, &"t".repeat(60_000), &[0x23, 0, 5]);
    ends(&mut talk, &one_more, &[0xE0, 1, 0x97], limit);
}
