//! Our reading of packets beside another's: what we take, a library of MQTT takes too, and reads alike.

use std::sync::Arc;

use mqtt_protocol_core::mqtt::packet::{v3_1_1, v5_0};
use proptest::prelude::*;

use super::talk::*;
use crate::packet::Version;
use crate::packet::connect::Connect;
use crate::packet::publish::Publish;
use crate::packet::subscribe::{Suback, Subscribe};
use crate::properties::Place;

fn spoil(says: &mut [u8], spoiled: &[(prop::sample::Index, u8)]) {
    for (index, byte) in spoiled {
        let place = index.index(says.len());
        says[place] = *byte;
    }
}

/// The body of a packet whose length takes one byte.
fn body(packet: &[u8]) -> Vec<u8> {
    packet[2..].to_vec()
}

fn spoiled() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)
}

fn with() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec![
        vec![],
        vec![0x01, 1],
        [vec![0x08], text("a/b"), vec![0x09, 0, 1, 7]].concat(),
        [vec![0x23, 0, 1], user_property("a", "b")].concat(),
        [vec![0x02, 0, 0, 0, 9, 0x03], text("json")].concat(),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn messages(qos in 0..3_u8, topic in "[a-c/$+#]{0,6}", with in with(), spoiled in spoiled()) {
        for (version, number) in [(Version::Three, 4), (Version::Five, 5)] {
            let mut bytes = body(&publish(number, qos, &topic, &with));
            spoil(&mut bytes, &spoiled);
            let first = 0x30 | qos << 1;
            let Ok(ours) = Publish::read(first, &bytes, version, Place::Delivery) else { continue };
            let data: Arc<[u8]> = bytes.clone().into();
            let (topic, id, payload) = match version {
                Version::Three => {
                    let (theirs, _) = v3_1_1::Publish::parse(qos << 1, data).unwrap();
                    (theirs.topic_name().to_owned(), theirs.packet_id(), theirs.payload().as_slice().to_vec())
                }
                Version::Five => {
                    let (theirs, _) = v5_0::Publish::parse(qos << 1, data).unwrap();
                    (theirs.topic_name().to_owned(), theirs.packet_id(), theirs.payload().as_slice().to_vec())
                }
            };
            prop_assert_eq!((ours.topic, ours.packet_id, ours.payload), (&*topic, id, &*payload));
        }
    }

    #[test]
    fn introductions(will in any::<bool>(), id in "[a-c.]{0,6}", spoiled in spoiled()) {
        for number in [4, 5] {
            let mut bytes = match will {
                true => body(&connect_with_will(number, "a/b", &[])),
                false => body(&connect(number, &id, &[])),
            };
            spoil(&mut bytes, &spoiled);
            let Ok(ours) = Connect::read(&bytes) else { continue };
            let (id, topic) = match ours.version {
                Version::Three => {
                    let (theirs, _) = v3_1_1::Connect::parse(&bytes).unwrap();
                    (theirs.client_id().to_owned(), theirs.will_topic().map(str::to_owned))
                }
                Version::Five => {
                    // MQTT 5 allows a password without a name, which the other does not.
                    let Ok((theirs, _)) = v5_0::Connect::parse(&bytes) else {
                        prop_assert_eq!(ours.flags & 0xC0, 0x40);
                        continue;
                    };
                    (theirs.client_id().to_owned(), theirs.will_topic().map(str::to_owned))
                }
            };
            let of_will = ours.will.as_ref().map(|will| will.topic.to_owned());
            prop_assert_eq!((ours.client_id, of_will), (&*id, topic));
        }
    }

    #[test]
    fn subscriptions(filters in proptest::collection::vec("[a-c/$+#]{1,6}", 1..4), spoiled in spoiled()) {
        let names: Vec<&str> = filters.iter().map(String::as_str).collect();
        for (version, number) in [(Version::Three, 4), (Version::Five, 5)] {
            let mut bytes = body(&subscribe(number, &names));
            spoil(&mut bytes, &spoiled);
            let Ok(ours) = Subscribe::read(&bytes, version, Place::Subscribe, 100) else { continue };
            let ours: Vec<(&str, u8)> =
                ours.entries.iter().map(|entry| (entry.filter, entry.options & 3)).collect();
            let theirs: Vec<(String, u8)> = match version {
                Version::Three => {
                    let Ok((theirs, _)) = v3_1_1::Subscribe::parse(&bytes) else { continue };
                    theirs.entries().iter().map(|e| (e.topic_filter().to_owned(), e.sub_opts().qos() as u8)).collect()
                }
                Version::Five => {
                    let Ok((theirs, _)) = v5_0::Subscribe::parse(&bytes) else { continue };
                    theirs.entries().iter().map(|e| (e.topic_filter().to_owned(), e.sub_opts().qos() as u8)).collect()
                }
            };
            let theirs: Vec<(&str, u8)> = theirs.iter().map(|(name, qos)| (&**name, *qos)).collect();
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn answers(codes in proptest::collection::vec(any::<u8>(), 0..4), spoiled in spoiled()) {
        let mut bytes = body(&suback(5, &codes));
        spoil(&mut bytes, &spoiled);
        if let Ok(ours) = Suback::read(&bytes, Version::Five) {
            // Codes that the other does not know are the broker's affair.
            if let Ok((theirs, _)) = v5_0::Suback::parse(&bytes) {
                let theirs: Vec<u8> = theirs.reason_codes().iter().map(|code| *code as u8).collect();
                prop_assert_eq!((ours.packet_id, ours.codes), (u16::from_be_bytes([bytes[0], bytes[1]]), &*theirs));
            }
        }
    }
}
