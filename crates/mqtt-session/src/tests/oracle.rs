//! Our reading of packets beside another's: what we take, a client library of MQTT takes too, and reads alike.

use bytes::BytesMut;
use proptest::prelude::*;
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;

use super::talk::*;
use crate::packet::Version;
use crate::packet::connect::Connect;
use crate::packet::publish::Publish;
use crate::packet::subscribe::{Suback, Subscribe};
use crate::properties::Place;

/// What both readers see of a packet: texts, a number, bytes.
type Seen = (Vec<String>, u16, Vec<u8>);

/// What the library sees of the first of these packets, which it takes away.
pub(super) fn theirs(version: Version, packets: &mut BytesMut) -> Option<Seen> {
    match version {
        Version::Three => v4::Packet::read(packets, 10_000).ok().map(of_three),
        Version::Five => v5::Packet::read(packets, Some(10_000)).ok().map(of_five),
    }
}

fn of_three(packet: v4::Packet) -> Seen {
    match packet {
        v4::Packet::Publish(publish) => (vec![publish.topic], publish.pkid, publish.payload.into()),
        v4::Packet::Connect(connect) => {
            let will = connect.last_will.map(|will| will.topic);
            (
                [Some(connect.client_id), will].into_iter().flatten().collect(),
                connect.keep_alive,
                vec![],
            )
        }
        v4::Packet::Subscribe(request) => {
            let (names, qos) = request.filters.into_iter().map(|f| (f.path, f.qos as u8)).unzip();
            (names, request.pkid, qos)
        }
        _ => Seen::default(),
    }
}

fn of_five(packet: v5::Packet) -> Seen {
    let text = |bytes: bytes::Bytes| String::from_utf8_lossy(&bytes).into_owned();
    match packet {
        v5::Packet::Publish(publish) => {
            (vec![text(publish.topic)], publish.pkid, publish.payload.into())
        }
        v5::Packet::Connect(connect, will, _) => {
            let will = will.map(|will| text(will.topic));
            (
                [Some(connect.client_id), will].into_iter().flatten().collect(),
                connect.keep_alive,
                vec![],
            )
        }
        v5::Packet::Subscribe(request) => {
            let (names, qos) = request.filters.into_iter().map(|f| (f.path, f.qos as u8)).unzip();
            (names, request.pkid, qos)
        }
        v5::Packet::SubAck(answer) => {
            (vec![], answer.pkid, vec![u8::try_from(answer.return_codes.len()).unwrap()])
        }
        _ => Seen::default(),
    }
}

/// What we see of a packet whose length takes one byte.
fn ours(version: Version, packet: &[u8]) -> Option<Seen> {
    let (first, body) = (packet[0], &packet[2..]);
    match first >> 4 {
        1 => {
            let connect = Connect::read(body).ok().filter(|connect| connect.version == version)?;
            let will = connect.will.map(|will| will.topic.to_owned());
            let texts = [Some(connect.client_id.to_owned()), will].into_iter().flatten();
            Some((texts.collect(), connect.keep_alive, vec![]))
        }
        3 => {
            let publish = Publish::read(first, body, version, Place::Delivery).ok()?;
            let id = publish.packet_id.unwrap_or_default();
            Some((vec![publish.topic.to_owned()], id, publish.payload.to_vec()))
        }
        8 => {
            let request = Subscribe::read(body, version, Place::Subscribe, 100).ok()?;
            let entries = request.entries.iter();
            let (names, qos) =
                entries.map(|entry| (entry.filter.to_owned(), entry.options & 3)).unzip();
            Some((names, request.packet_id, qos))
        }
        _ => {
            let answer = Suback::read(body, version).ok()?;
            Some((vec![], answer.packet_id, vec![u8::try_from(answer.codes.len()).unwrap()]))
        }
    }
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

fn packet_of(number: u8) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0..3_u8, "[a-c/$+#]{0,6}", with())
            .prop_map(move |(qos, topic, with)| publish(number, qos, &topic, &with)),
        "[a-c.]{0,6}".prop_map(move |id| connect(number, &id, &[])),
        "[a-c/]{1,6}".prop_map(move |topic| connect_with_will(number, &topic, &[])),
        proptest::collection::vec("[a-c/$+#]{1,6}", 1..4).prop_map(move |filters| {
            subscribe(number, &filters.iter().map(String::as_str).collect::<Vec<_>>())
        }),
        proptest::collection::vec(prop::sample::select(vec![0, 1, 2, 0x80, 0x87]), 0..4)
            .prop_map(move |codes| suback(number, &codes)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_we_take_is_read_alike(
        five in any::<bool>(),
        (three, other) in (packet_of(4), packet_of(5)),
        spoiled in spoiled(),
    ) {
        let (version, mut packet) =
            if five { (Version::Five, other) } else { (Version::Three, three) };
        for (index, byte) in &spoiled {
            let place = 2 + index.index(packet.len() - 2);
            packet[place] = *byte;
        }
        let theirs = theirs(version, &mut BytesMut::from(&packet[..]));
        // What the library is stricter about than the standard: codes of a SUBACK, passwords that are no text.
        let comparable = match packet[0] {
            0x90 => five && theirs.is_some(),
            0x10 => theirs.is_some() || packet[9] & 0b100_0000 == 0,
            _ => true,
        };
        if let Some(ours) = ours(version, &packet).filter(|_| comparable) {
            prop_assert_eq!(Some(ours), theirs);
        }
    }
}
