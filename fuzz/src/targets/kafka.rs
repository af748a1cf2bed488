//! Connections of Kafka clients.

use std::collections::HashMap;
use std::time::Duration;

use kafka_session::KafkaSession;
use message_access::{AccessRequest, Judge, Output, Session, SessionEnd, SessionSettings};

/// What is longer than this needs no more memory than what is as long.
const MESSAGE_BYTES: usize = 64 * 1024;
/// How often a session may count what it was given: names that an answer is looked up by cost more than their bytes.
const HELD_TIMES: usize = 82;
/// How much a session may hold of each side, beside what it was given.
const HELD_BYTES: usize = 4 * 1024;

/// Both sides of a connection: a byte says in which pieces they arrive, two how much of the rest is the client's. However
/// the bytes arrive, the same is passed on; the session holds no more than it was given; and a request that nothing
/// is allowed of does not reach the broker.
pub fn kafka_session(data: &[u8]) {
    let [piece, high, low, rest @ ..] = data else { return };
    let client = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
    let (client, broker) = rest.split_at(client);
    let whole = run(client, broker, usize::MAX, &mut Names);
    let pieces = run(client, broker, usize::from(*piece).max(1), &mut Names);
    assert_eq!(whole, pieces, "one verdict however the bytes arrive");
    for request in frames(client) {
        let mut nobody = Nobody { asked: 0 };
        let refused = run(request, &[], usize::MAX, &mut nobody);
        let forwarded = frames(&refused.to_broker).any(|frame| !is_metadata(frame));
        assert!(
            nobody.asked == 0 || !forwarded,
            "a request was forwarded that nothing is allowed of"
        );
    }
}

/// What a session made of both sides.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    to_client: Vec<u8>,
    to_broker: Vec<u8>,
    end: Result<(), SessionEnd>,
}

fn run(client: &[u8], broker: &[u8], piece: usize, judge: &mut dyn Judge) -> Outcome {
    let settings = SessionSettings {
        message_bytes: MESSAGE_BYTES,
        in_flight: 8,
        subscriptions: 8,
        stamp_source: false,
        advertised: HashMap::from([(1, ([127, 0, 0, 1], 19093).into())]),
        hide_servers: false,
    };
    let mut session = KafkaSession::new(&settings);
    let mut output = Output::default();
    let end = said(&mut session, client, piece, |session, bytes| {
        session.client_said(bytes, Duration::ZERO, judge, &mut output)
    });
    assert!(session.held() <= HELD_TIMES * client.len() + HELD_BYTES, "{} bytes held", session.held());
    let end = end.and_then(|()| {
        said(&mut session, broker, piece, |session, bytes| {
            session.broker_said(bytes, Duration::ZERO, judge, &mut output)
        })
    });
    let changed = session.policy_changed(Duration::ZERO, judge, &mut output);
    let collect = |bytes: &std::collections::VecDeque<bytes::Bytes>| {
        bytes.iter().flat_map(|bytes| bytes.iter().copied()).collect()
    };
    let (to_client, to_broker) = (collect(&output.to_client), collect(&output.to_broker));
    Outcome { to_client, to_broker, end: end.and(changed) }
}

fn said(
    session: &mut KafkaSession,
    bytes: &[u8],
    piece: usize,
    mut to: impl FnMut(&mut KafkaSession, bytes::Bytes) -> Result<(), SessionEnd>,
) -> Result<(), SessionEnd> {
    bytes.chunks(piece).try_for_each(|piece| to(session, bytes::Bytes::copy_from_slice(piece)))
}

/// The whole frames of one side.
fn frames(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = i32::from_be_bytes(*bytes.first_chunk::<4>()?);
        let (frame, rest) =
            bytes.split_at_checked(usize::try_from(length).ok()?.checked_add(4)?)?;
        bytes = rest;
        Some(frame)
    })
}

/// Metadata name brokers beside topics: what is allowed of nothing asks for these.
fn is_metadata(frame: &[u8]) -> bool {
    matches!(frame, [_, _, _, _, 0, 3, ..])
}

/// Allows half of all names.
struct Names;

impl Judge for Names {
    fn decide(&mut self, request: &AccessRequest<'_>) -> bool {
        self.would_allow(request)
    }

    fn would_allow(&mut self, request: &AccessRequest<'_>) -> bool {
        let names = [request.topic, request.group, request.transactional_id];
        names.into_iter().flatten().all(|name| name.len() % 2 == 1)
    }

    fn principal(&self) -> Option<&str> {
        None
    }
}

/// Allows nothing, and counts what it was asked.
struct Nobody {
    asked: usize,
}

impl Judge for Nobody {
    fn decide(&mut self, _: &AccessRequest<'_>) -> bool {
        self.asked += 1;
        false
    }

    fn would_allow(&mut self, _: &AccessRequest<'_>) -> bool {
        false
    }

    fn principal(&self) -> Option<&str> {
        None
    }
}
