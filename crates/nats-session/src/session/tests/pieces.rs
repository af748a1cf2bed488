//! Whatever the pieces are in which bytes arrive, the same comes out; and junk ends a session, not the process.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn statement() -> impl Strategy<Value = String> {
    let subject = prop::sample::select(vec![
        "orders.new",
        "payments.x",
        "$JS.API.CONSUMER.MSG.NEXT.S.C",
        "orders.*",
    ]);
    let reply = prop::sample::select(vec!["", " _INBOX.shop.cart.x", " payments.y", " orders.r"]);
    let payload =
        prop::sample::select(vec!["", "x", "\r\n", "PUB orders.new 0\r\n\r\n", "hello there"]);
    let lines = prop::sample::select(vec![
        "",
        "A: b\r\n",
        "Postern-Source: x\r\n",
        "Nats-Trace-Dest: payments.x\r\n",
        "Nats-Trace-Dest: orders.x\r\n",
    ]);
    prop_oneof![
        (subject.clone(), reply.clone(), payload.clone())
            .prop_map(|(subject, reply, payload)| message(&format!("{subject}{reply}"), payload)),
        (subject.clone(), reply, lines, payload).prop_map(|(subject, reply, lines, payload)| {
            with_headers(&format!("{subject}{reply}"), lines, payload)
        }),
        (subject, 0..1000_u32)
            .prop_map(|(subject, sid)| format!("SUB {subject} s{sid}-{subject}\r\n")),
        Just("PING\r\n".to_owned()),
        Just("UNSUB 4\r\n".to_owned()),
    ]
}

fn policy() -> Vec<Clause> {
    vec![
        allow("publish", &["orders.>"]),
        allow("subscribe", &["orders.>"]),
        allow_streams("subscribe", &["S"]),
    ]
}

/// Cuts bytes at places that are given as shares of what is left.
fn cut<'a>(bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let (mut rest, mut pieces) = (bytes, Vec::new());
    for length in lengths {
        let (piece, others) = rest.split_at((*length).min(rest.len()));
        pieces.push(piece);
        rest = others;
    }
    pieces.push(rest);
    pieces
}

proptest! {
    #[test]
    fn a_clients_bytes_in_any_pieces(
        statements in vec(statement(), 1..12),
        lengths in vec(0..30_usize, 0..60),
        stamp_source: bool,
    ) {
        let said = statements.concat();
        let settings = SessionSettings { stamp_source, subscriptions: 1000, ..settings() };
        let mut whole = Connection::with(&settings, QUIET, policy());
        let ended = whole.client(&said);
        let mut parts = Connection::with(&settings, QUIET, policy());
        let mut parts_ended = Ok(());
        for piece in cut(said.as_bytes(), &lengths) {
            parts_ended = parts_ended.and_then(|()| parts.client(piece));
        }
        prop_assert_eq!(parts_ended, ended);
        prop_assert_eq!(parts.said(), whole.said());
        prop_assert_eq!(parts.asked(), whole.asked());
    }

    #[test]
    fn a_brokers_bytes_in_any_pieces(
        messages in vec((0..3_u32, "[a-z\\r\\n]{0,20}", any::<bool>()), 1..12),
        lengths in vec(0..30_usize, 0..60),
    ) {
        let said: String = messages.iter().map(|(sid, payload, headers)| {
            if *headers {
                format!("HMSG orders.x {sid} orders.r 12 {}\r\nNATS/1.0\r\n\r\n{payload}\r\n+OK\r\n", payload.len() + 12)
            } else {
                format!("MSG orders.x {sid} {}\r\n{payload}\r\nPING\r\n", payload.len())
            }
        }).collect();
        let open = || {
            let mut connection = Connection::of(policy());
            connection.client("SUB orders.> 1\r\nSUB orders.x 2\r\nUNSUB 2 3\r\n").unwrap();
            connection.said();
            connection
        };
        let (mut whole, mut parts) = (open(), open());
        whole.broker(&said).unwrap();
        for piece in cut(said.as_bytes(), &lengths) {
            parts.broker(piece).unwrap();
        }
        prop_assert_eq!(parts.said(), whole.said());
    }

    #[test]
    fn junk_of_either_side(client in vec(any::<u8>(), 0..200), broker in vec(any::<u8>(), 0..200)) {
        let mut connection = Connection::of(policy());
        let _ = connection.client(&client);
        let mut connection = Connection::of(policy());
        let _ = connection.broker(&broker);
    }

    #[test]
    fn junk_in_lines(verb in "(PUB|HPUB|SUB|UNSUB|CONNECT|MSG|HMSG|INFO|\\+OK|-ERR)", rest in "[ a-z0-9.*>{}:\"\\r\\n$]{0,60}") {
        let said = format!("{verb} {rest}\r\n");
        let mut connection = Connection::of(policy());
        let _ = connection.client(&said);
        let _ = connection.broker(&said);
    }
}

#[test]
fn memory_is_bounded_whatever_is_withheld() {
    let mut connection = Connection::of(policy());
    connection.client("SUB orders.> 1\r\n").unwrap();
    // A request that never ends is held up to its announced length, which has a limit of its own.
    assert!(connection.client("PUB $JS.API.STREAM.CREATE.S 300000\r\n").is_err());
    let mut connection = Connection::of(policy());
    let before = connection.session.held();
    connection
        .client(format!("PUB $JS.API.STREAM.CREATE.S 200000\r\n{}", "x".repeat(1000)))
        .unwrap();
    assert!(connection.session.held() >= before + 1000);
    connection.client("SUB orders.> 1").unwrap();
    let mut connection = Connection::of(policy());
    let allowed = "PUB orders.new 1000000\r\n";
    assert_eq!(connection.says(allowed).0, allowed);
    // A long payload streams through and is not held.
    let chunk = "x".repeat(100_000);
    for _ in 0..10 {
        assert_eq!(connection.says(&chunk).0.len(), chunk.len());
    }
    assert_eq!(connection.session.held(), before);
    connection.passes("\r\n");
}

#[test]
fn what_passes_is_forwarded_as_it_came() {
    let mut connection = Connection::of(policy());
    let said = Bytes::from(message("orders.new", "hello").repeat(50));
    let mut output = Output::default();
    connection
        .session
        .client_said(said.clone(), Duration::ZERO, &mut connection.policy, &mut output)
        .unwrap();
    assert_eq!(output.to_broker.len(), 1, "one slice");
    assert_eq!(output.to_broker[0].as_ptr(), said.as_ptr(), "and the same bytes");
}
