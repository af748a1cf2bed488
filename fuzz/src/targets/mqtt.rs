//! Both sides of a connection to a MQTT broker.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use message_access::{
    AccessRequest, Judge, Operation, Output, Session, SessionEnd, SessionSettings,
};
use mqtt_session::MqttSession;

/// The longest packet of these sessions.
const PACKET_BYTES: usize = 4096;

/// A policy of few words: `orders/…` alone, under the caller's own name.
struct Orders;

impl Judge for Orders {
    fn decide(&mut self, request: &AccessRequest<'_>) -> bool {
        self.would_allow(request)
    }

    fn would_allow(&mut self, request: &AccessRequest<'_>) -> bool {
        match (request.operation, request.topic, request.client_id) {
            (Operation::Connect, None, Some(id)) => id.starts_with("shop.cart"),
            (_, Some(topic), _) => topic.starts_with("orders/") && request.group.is_none(),
            _ => false,
        }
    }

    fn principal(&self) -> Option<&str> {
        Some("cluster.local/ns/shop/sa/cart")
    }
}

/// Flags, the length of what the client says, that, and what its broker says: in whatever pieces it arrives, the same comes
/// out. Neither side gets a message that policy does not allow; little is held.
pub fn mqtt_session(data: &[u8]) {
    let [flags, high, low, said @ ..] = data else { return };
    let length = usize::from(u16::from_be_bytes([*high, *low])).min(said.len());
    let (client, broker) = said.split_at(length);
    let whole = speak(*flags, client, broker, usize::MAX);
    for size in [1, 7, 64] {
        let parts = speak(*flags, client, broker, size);
        assert_eq!(parts, whole, "in pieces of {size}");
    }
    let (result, to_broker, to_client) = whole;
    if result.is_ok() {
        judge_messages(&to_broker, *flags & 1 == 1, false);
        judge_messages(&to_client, *flags & 1 == 1, true);
    }
}

/// How it ended, what the broker got and what the client got.
type Said = (Result<(), SessionEnd>, Vec<u8>, Vec<u8>);

fn speak(flags: u8, client: &[u8], broker: &[u8], size: usize) -> Said {
    let mut session = MqttSession::new(&settings(flags & 2 == 2), 7);
    let mut output = Output::default();
    let result = introduced(&mut session, flags, &mut output).and_then(|()| {
        for piece in client.chunks(size.min(client.len().max(1))) {
            hear(&mut session, true, piece, &mut output)?;
        }
        for piece in broker.chunks(size.min(broker.len().max(1))) {
            hear(&mut session, false, piece, &mut output)?;
        }
        session.policy_changed(Duration::ZERO, &mut Orders, &mut output)?;
        while session.has_unjudged() {
            session.policy_changed(Duration::ZERO, &mut Orders, &mut output)?;
        }
        Ok(())
    });
    let text =
        |parts: &std::collections::VecDeque<Bytes>| parts.iter().flatten().copied().collect();
    (result, text(&output.to_broker), text(&output.to_client))
}

/// Unless a flag says otherwise, the client is connected already.
fn introduced(session: &mut MqttSession, flags: u8, output: &mut Output) -> Result<(), SessionEnd> {
    let (hello, answer): (&[u8], &[u8]) = match flags & 5 {
        0 => (b"\x10\x15\x00\x04MQTT\x04\x02\x00\x3c\x00\x09shop.cart", b"\x20\x02\x00\x00"),
        1 => (
            b"\x10\x19\x00\x04MQTT\x05\x02\x00\x3c\x03\x22\x00\x05\x00\x09shop.cart",
            b"\x20\x06\x00\x00\x03\x22\x00\x05",
        ),
        _ => return Ok(()),
    };
    hear(session, true, hello, output)?;
    hear(session, false, answer, output)
}

fn hear(
    session: &mut MqttSession,
    is_client: bool,
    piece: &[u8],
    output: &mut Output,
) -> Result<(), SessionEnd> {
    let before = session.held();
    let bytes = Bytes::copy_from_slice(piece);
    let heard = if is_client {
        session.client_said(bytes, Duration::ZERO, &mut Orders, output)
    } else {
        session.broker_said(bytes, Duration::ZERO, &mut Orders, output)
    };
    // Topics of aliases and names of subscriptions, beside what has just arrived.
    assert!(session.held() <= before + piece.len() * 16 + PACKET_BYTES, "{}", session.held());
    heard
}

fn settings(stamp_source: bool) -> SessionSettings {
    SessionSettings {
        message_bytes: PACKET_BYTES,
        in_flight: 16,
        subscriptions: 16,
        stamp_source,
        advertised: HashMap::new(),
        hide_servers: true,
    }
}

/// Reads packets as the other side reads them: each message is of a topic that policy allows, and says itself who it is
/// from where nobody else may.
fn judge_messages(mut packets: &[u8], five: bool, to_client: bool) {
    while let Some(first) = packets.first() {
        let digits = 1 + packets[1..].iter().position(|byte| byte & 0x80 == 0).expect("a length");
        let length = packets[1..=digits]
            .iter()
            .rev()
            .fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
        let body = &packets[1 + digits..1 + digits + length];
        packets = &packets[1 + digits + length..];
        if first >> 4 == 3 {
            let size = usize::from(u16::from_be_bytes([body[0], body[1]]));
            let topic = std::str::from_utf8(&body[2..2 + size]).expect("text");
            let by_alias = five && to_client && topic.is_empty();
            assert!(by_alias || topic.starts_with("orders/"), "{topic}");
        }
    }
}
