//! Packets of the session's own, and packets of a peer with something changed.

use bytes::Bytes;

use crate::codes::{self, Code};
use crate::packet::Version;
use crate::packet::connack::Connack;
use crate::packet::publish::Publish;
use crate::packet::subscribe::{Suback, Subscribe};
use crate::properties::Edited;
use crate::wire::{put_text, put_variable};

/// A packet of these fields that another piece follows.
pub(crate) fn beginning(first: u8, fields: &[u8], following: usize) -> Bytes {
    let mut out = Vec::with_capacity(fields.len() + 5);
    out.push(first);
    put_variable(&mut out, fields.len() + following);
    out.extend_from_slice(fields);
    out.into()
}

/// A packet of these fields.
fn whole(first: u8, fields: &[u8]) -> Bytes {
    beginning(first, fields, 0)
}

/// A CONNACK that refuses.
pub(crate) fn connack(version: Version, old: u8, code: Code) -> Bytes {
    match version {
        Version::Three => whole(0x20, &[0, old]),
        Version::Five => whole(0x20, &[0, code, 0]),
    }
}

/// A CONNACK of the broker with other properties.
pub(crate) fn connack_with(connack: &Connack<'_>, properties: &Edited) -> Bytes {
    let mut fields = vec![connack.flags, connack.code];
    properties.put(&mut fields);
    whole(0x20, &fields)
}

/// One of the four acknowledgments; the code is of MQTT 5 alone.
pub(crate) fn acknowledgment(first: u8, version: Version, id: u16, code: Code) -> Bytes {
    let [high, low] = id.to_be_bytes();
    match (version, code) {
        (Version::Three, _) | (Version::Five, 0) => whole(first, &[high, low]),
        (Version::Five, code) => whole(first, &[high, low, code]),
    }
}

/// The first bytes of the acknowledgments.
pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const PUBREC: u8 = 0x50;
pub(crate) const PUBCOMP: u8 = 0x70;

/// A SUBACK of the session's own.
pub(crate) fn suback(version: Version, id: u16, codes: &[Code]) -> Bytes {
    let mut fields = id.to_be_bytes().to_vec();
    if version == Version::Five {
        fields.push(0);
    }
    fields.extend_from_slice(codes);
    whole(0x90, &fields)
}

/// A SUBACK of the broker with the codes of what it was not asked.
pub(crate) fn suback_with(suback: &Suback<'_>, version: Version, codes: &[Code]) -> Bytes {
    let mut fields = suback.packet_id.to_be_bytes().to_vec();
    if version == Version::Five {
        put_variable(&mut fields, suback.properties.raw().len());
        fields.extend_from_slice(suback.properties.raw());
    }
    fields.extend_from_slice(codes);
    whole(0x90, &fields)
}

/// How a subscription is refused.
pub(crate) const fn suback_code(version: Version, code: Code) -> Code {
    match version {
        Version::Three => codes::old::FAILURE,
        Version::Five => code,
    }
}

/// A SUBSCRIBE for some of the filters of one.
pub(crate) fn subscribe(
    subscribe: &Subscribe<'_>,
    version: Version,
    keeps: impl Fn(usize) -> bool,
) -> Bytes {
    let mut fields = subscribe.packet_id.to_be_bytes().to_vec();
    if version == Version::Five {
        put_variable(&mut fields, subscribe.properties.raw().len());
        fields.extend_from_slice(subscribe.properties.raw());
    }
    for (_, entry) in subscribe.entries.iter().enumerate().filter(|(at, _)| keeps(*at)) {
        fields.extend_from_slice(entry.raw);
    }
    whole(0x82, &fields)
}

/// The beginning of a message of MQTT 5 with this topic and these properties; its payload follows.
pub(crate) fn publish(publish: &Publish<'_>, topic: &str, properties: &Edited) -> Bytes {
    let mut fields = Vec::with_capacity(topic.len() + 64);
    put_text(&mut fields, topic);
    if let Some(id) = publish.packet_id {
        fields.extend_from_slice(&id.to_be_bytes());
    }
    properties.put(&mut fields);
    beginning(publish.first, &fields, publish.payload.len())
}

/// A DISCONNECT to the client, which only MQTT 5 has.
pub(crate) fn disconnect(version: Version, code: Code) -> Option<Bytes> {
    (version == Version::Five).then(|| whole(0xE0, &[code]))
}

/// A DISCONNECT to the broker in the client's name: no will is published (§3.14).
pub(crate) const LEAVE: Bytes = Bytes::from_static(&[0xE0, 0]);
