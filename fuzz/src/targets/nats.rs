//! Both sides of a connection to a NATS broker.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use message_access::{
    AccessRequest, Judge, Operation, Output, Session, SessionEnd, SessionSettings,
};
use nats_session::NatsSession;
use serde_json::Value;

/// What a session may hold beside what has just arrived: names of what is open, answers that wait.
const HELD_BYTES: usize = 64 * 1024;

/// A policy of few words: `orders.…`, the caller's own inbox, and of the stream `S` what is below `orders.`.
struct Orders;

impl Judge for Orders {
    fn decide(&mut self, request: &AccessRequest<'_>) -> bool {
        self.would_allow(request)
    }

    fn would_allow(&mut self, request: &AccessRequest<'_>) -> bool {
        let is_order = request.topic.is_none_or(|topic| topic.starts_with("orders."));
        let is_named = request.topic.is_some() || request.stream.is_some();
        let is_own = request.stream.is_none_or(|stream| stream == "S");
        match request.operation {
            Operation::Publish => request.topic.is_some() && is_order,
            Operation::Subscribe => is_own && is_named && request.topic.is_none_or(is_receivable),
            Operation::Create => is_own && is_named && is_order,
            Operation::Describe => is_own && is_order,
            Operation::Admin => request.topic.is_none() && request.stream == Some("S"),
            _ => false,
        }
    }

    fn principal(&self) -> Option<&str> {
        Some("cluster.local/ns/shop/sa/cart")
    }
}

fn is_receivable(topic: &str) -> bool {
    topic.starts_with("orders.") || topic.starts_with("_INBOX.shop.cart.")
}

/// What a client says, a byte 0xff, and what its broker says: in whatever pieces it arrives, the same comes out. The broker
/// never gets a line that policy does not allow, nor a header that is the server's own; little is held.
pub fn nats_session(data: &[u8]) {
    let (stamp_source, data) =
        data.split_first().map_or((false, data), |(first, rest)| (first % 2 == 1, rest));
    let end = data.iter().position(|byte| *byte == 0xff).unwrap_or(data.len());
    let (client, broker) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let whole = said(stamp_source, client, broker, usize::MAX);
    if let (Ok(()), to_broker, to_client) = &whole {
        judge_what_the_server_gets(to_broker);
        judge_what_the_client_gets(to_client);
    }
    for size in [1, 7, 64] {
        let parts = said(stamp_source, client, broker, size);
        assert_eq!(parts.0.is_ok(), whole.0.is_ok(), "in pieces of {size}");
        if whole.0.is_ok() {
            assert_eq!(parts, whole, "in pieces of {size}");
        }
    }
}

/// How it ended, what the broker got and what the client got.
type Said = (Result<(), SessionEnd>, Vec<u8>, Vec<u8>);

fn said(stamp_source: bool, client: &[u8], broker: &[u8], size: usize) -> Said {
    let mut session = NatsSession::new(&settings(stamp_source));
    let mut output = Output::default();
    let said = introduced(&mut session, &mut output).and_then(|()| {
        let size = |bytes: &[u8]| size.min(bytes.len().max(1));
        for piece in client.chunks(size(client)) {
            hear(&mut session, true, piece, &mut output)?;
        }
        for piece in broker.chunks(size(broker)) {
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
    (said, text(&output.to_broker), text(&output.to_client))
}

fn introduced(session: &mut NatsSession, output: &mut Output) -> Result<(), SessionEnd> {
    hear(session, false, b"INFO {\"headers\":true,\"version\":\"2.15.1\"}\r\n", output)?;
    hear(session, true, b"CONNECT {\"verbose\":false,\"headers\":true}\r\n", output)
}

fn hear(
    session: &mut NatsSession,
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
    assert!(
        session.held() <= before + HELD_BYTES + piece.len() * 128,
        "{} are held",
        session.held()
    );
    heard
}

fn settings(stamp_source: bool) -> SessionSettings {
    SessionSettings {
        message_bytes: 64 * 1024,
        in_flight: 16,
        subscriptions: 16,
        stamp_source,
        advertised: HashMap::new(),
        hide_servers: true,
    }
}

/// Reads what the broker gets as a server reads it, in whatever case and with whatever blanks.
fn judge_what_the_server_gets(mut said: &[u8]) {
    while let Some(end) = said.iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(&said[..end]).to_string();
        said = &said[end + 1..];
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            [verb, subject, .., size] if verb.to_ascii_uppercase().ends_with("PUB") => {
                let size: usize = size.parse().expect("a length");
                let Some(payload) = said.get(..size) else { return };
                let mut body = payload;
                if verb.len() == 4 {
                    let length = words[words.len() - 2].parse().expect("a length");
                    judge_headers(&payload[..length]);
                    body = &payload[length..];
                }
                match subject.split_once(".API.").filter(|(head, _)| is_jetstream(head)) {
                    Some((_, api)) => judge_request(api, body),
                    _ if subject.starts_with("$JS.") => assert!(subject.contains(".S."), "{line}"),
                    _ => assert!(subject.starts_with("orders."), "{line}"),
                }
                said = said.get(size + 2..).unwrap_or_default();
            }
            [verb, subject, ..] if verb.eq_ignore_ascii_case("SUB") => {
                assert!(is_receivable(subject), "{line}");
            }
            [verb, ..] => {
                let known = ["CONNECT", "UNSUB", "PING", "PONG"];
                assert!(known.iter().any(|known| verb.eq_ignore_ascii_case(known)), "{line}");
            }
            [] => panic!("an empty line"),
        }
    }
}

/// `$JS`, or `$JS.<domain>`.
fn is_jetstream(head: &str) -> bool {
    head.split('.').count() <= 2 && head.split('.').next() == Some("$JS")
}

/// What a stream's consumer delivers is below `orders.`, and of `S`.
fn judge_what_the_client_gets(mut said: &[u8]) {
    while let Some(end) = said.iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(&said[..end]).to_string();
        said = &said[end + 1..];
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [verb, subject, _, rest @ .., size] = words.as_slice() else { continue };
        if !verb.to_ascii_uppercase().ends_with("MSG") {
            continue;
        }
        if let Some(reply) = rest.first().filter(|reply| reply.starts_with("$JS.ACK.")) {
            let tokens: Vec<&str> = reply.split('.').collect();
            let of_consumer = tokens.len() == 9 || tokens.len() >= 11;
            let stream = tokens.get(if tokens.len() == 9 { 2 } else { 4 });
            assert!(!of_consumer || (stream == Some(&"S") && is_receivable(subject)), "{line}");
        }
        let size: usize = size.parse().expect("a length");
        said = said.get(size + 2..).unwrap_or_default();
    }
}

/// Members of bodies that name what a request is about.
const NAMING: [&str; 9] = [
    "subjects",
    "subjects_filter",
    "filter_subject",
    "filter_subjects",
    "last_by_subj",
    "next_by_subj",
    "multi_last",
    "deliver_subject",
    "dest",
];

/// Reads a request as a server does, which takes names of members in any case.
fn judge_request(api: &str, body: &[u8]) {
    let words: Vec<&str> = api.split('.').collect();
    let lists = matches!(words.as_slice(), ["INFO"] | ["STREAM", "NAMES"]);
    assert!(lists || words.contains(&"S"), "{api}");
    assert!(!words.contains(&"*") || api.starts_with("CONSUMER.CREATE."), "{api}");
    let reads = matches!(words.as_slice(), ["STREAM", "MSG", "GET", _] | ["DIRECT", "GET", _]);
    let asks = matches!(
        words.as_slice(),
        ["STREAM", "CREATE" | "UPDATE" | "INFO" | "SNAPSHOT", _]
            | ["CONSUMER", "CREATE" | "DURABLE", ..]
    );
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        assert!(!reads, "{api}");
        return;
    };
    if reads || asks {
        judge_names("", &body);
    }
    if let (true, Value::Object(members)) = (reads, &body) {
        let has = |name: &str| members.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let next = members.get("next_by_subj").and_then(Value::as_str).unwrap_or_default();
        let by_subject = has("multi_last") || has("last_by_subj");
        let by_number = members.iter().any(|(name, value)| {
            ["seq", "start_time"].contains(&&*name.to_ascii_lowercase()) && !value.is_null()
        });
        assert!(!next.is_empty() || (by_subject && !by_number), "{api} {body}");
    }
}

fn judge_names(name: &str, value: &Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members.iter().filter(|(name, _)| *name != "metadata") {
                judge_names(&name.to_ascii_lowercase(), value);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| judge_names(name, value)),
        Value::String(text) if NAMING.contains(&name) => {
            assert!(text.is_empty() || is_receivable(text), "{name} {text}");
        }
        Value::String(text) if name == "stream_name" => assert_eq!(text, "S"),
        _ => {}
    }
}

fn judge_headers(block: &[u8]) {
    let block = String::from_utf8_lossy(block).to_ascii_lowercase();
    assert!(!block.contains("\nnats-request-info:"), "{block}");
    for line in block.lines().filter_map(|line| line.strip_prefix("nats-trace-dest:")) {
        assert!(line.trim().starts_with("orders."), "{block}");
    }
}
