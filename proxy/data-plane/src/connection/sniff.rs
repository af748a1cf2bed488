//! Protocol detection for ports whose protocol is not declared.
//!
//! [`classify`] is pure; [`read_ahead`] feeds it from a stream with a byte cap and deadlines (SECURITY-CASES S-20). Its
//! result never skips a check: undecided bytes on a port with HTTP rules are refused by the caller.

use std::future::poll_fn;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use crate::connection::net::{BoxedIo, poll_arrival};

/// The first bytes of an HTTP/2 client with prior knowledge (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The longest method that is taken for HTTP/1.
const MAX_METHOD: usize = 20;
/// After this many bytes nothing more is read ahead; detection needs far fewer.
const MAX_AHEAD: usize = 64;

/// What the first bytes look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolGuess {
    /// Too few bytes to decide.
    NeedMore,
    /// An HTTP/1 request line.
    Http1,
    /// The HTTP/2 preface.
    Http2,
    /// A TLS record with a handshake message.
    Tls,
    /// Anything else.
    Opaque,
}

/// Looks at the first bytes of a client.
#[must_use]
pub fn classify(bytes: &[u8]) -> ProtocolGuess {
    match bytes {
        [] => ProtocolGuess::NeedMore,
        [0x16, 0x03, ..] => ProtocolGuess::Tls,
        [0x16] => ProtocolGuess::NeedMore,
        _ if bytes.starts_with(PREFACE) => ProtocolGuess::Http2,
        _ if PREFACE.starts_with(bytes) => ProtocolGuess::NeedMore,
        _ => classify_request_line(bytes),
    }
}

fn classify_request_line(bytes: &[u8]) -> ProtocolGuess {
    let method = bytes.iter().take_while(|b| b.is_ascii_uppercase() || **b == b'-').count();
    match bytes.get(method..) {
        _ if method > MAX_METHOD => ProtocolGuess::Opaque,
        Some([]) => ProtocolGuess::NeedMore,
        Some([b' ']) if method > 0 => ProtocolGuess::NeedMore,
        // Origin, absolute and asterisk form (RFC 9112 §3.2); CONNECT's authority form for the
        // gate to refuse by name.
        Some([b' ', b'/' | b'h' | b'H' | b'*', ..]) if method > 0 => ProtocolGuess::Http1,
        Some([b' ', ..]) if &bytes[..method] == b"CONNECT" => ProtocolGuess::Http1,
        _ => ProtocolGuess::Opaque,
    }
}

/// The detected protocol, with the bytes that were read to detect it.
pub struct ReadAhead {
    /// The result. [`ProtocolGuess::NeedMore`] when the client stayed silent or stopped half-way.
    pub guess: ProtocolGuess,
    /// The bytes read so far, to be served before the rest of the stream.
    pub bytes: Bytes,
    /// The client has closed its direction.
    pub ended: bool,
}

/// Reads until the protocol is decided, `ahead` first. A client that sends nothing at all gets `silence`, one that has begun gets
/// `limit`.
///
/// # Errors
/// The stream's.
pub async fn read_ahead(
    io: &mut BoxedIo,
    ahead: Bytes,
    silence: Duration,
    limit: Duration,
) -> std::io::Result<ReadAhead> {
    let begun = Instant::now();
    let mut bytes = ahead;
    loop {
        let guess = classify(&bytes);
        if guess != ProtocolGuess::NeedMore || bytes.len() >= MAX_AHEAD {
            return Ok(ReadAhead { guess, bytes, ended: false });
        }
        let until = begun + if bytes.is_empty() { silence } else { limit };
        let arrival = poll_fn(|context| poll_arrival(io, context));
        let arrived = match tokio::time::timeout_at(until, arrival).await {
            Ok(arrived) => arrived?,
            Err(_) => {
                return Ok(ReadAhead { guess: ProtocolGuess::NeedMore, bytes, ended: false });
            }
        };
        if arrived.is_empty() {
            return Ok(ReadAhead { guess: ProtocolGuess::NeedMore, bytes, ended: true });
        }
        bytes = joined(bytes, arrived);
    }
}

/// Most clients send enough at once: nothing is copied then.
fn joined(before: Bytes, arrived: Bytes) -> Bytes {
    if before.is_empty() {
        return arrived;
    }
    let mut all = BytesMut::from(before);
    all.extend_from_slice(&arrived);
    all.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s20_protocol_sniffing_first_bytes() {
        let check =
            |bytes: &[u8], expect: ProtocolGuess| assert_eq!(classify(bytes), expect, "{bytes:?}");
        check(b"", ProtocolGuess::NeedMore);
        check(b"G", ProtocolGuess::NeedMore);
        check(b"GET ", ProtocolGuess::NeedMore);
        check(b"GET /", ProtocolGuess::Http1);
        check(b"OPTIONS *", ProtocolGuess::Http1);
        check(b"GET http://a/", ProtocolGuess::Http1);
        check(b"CONNECT a:80", ProtocolGuess::Http1);
        check(b"M-SEARCH *", ProtocolGuess::Http1);
        check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ProtocolGuess::Http2);
        check(b"PRI * HT", ProtocolGuess::NeedMore);
        check(b"PRI * HTTP/1.1", ProtocolGuess::Http1);
        check(&[0x16], ProtocolGuess::NeedMore);
        check(&[0x16, 0x03, 0x01], ProtocolGuess::Tls);
        check(&[0x16, 0x02], ProtocolGuess::Opaque);
        check(b"\x80\x2e\x01", ProtocolGuess::Opaque);
        check(b"PROXY TCP4 1.2.3.4", ProtocolGuess::Opaque);
        check(b"EHLO mail", ProtocolGuess::Opaque);
        check(b"get /", ProtocolGuess::Opaque);
        check(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ /", ProtocolGuess::Opaque);
        check(b" /", ProtocolGuess::Opaque);
    }

    #[tokio::test(start_paused = true)]
    async fn s20_protocol_sniffing_one_byte_at_a_time_and_silence() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut server: BoxedIo = Box::new(server);
        let seconds = Duration::from_secs;
        let silent =
            read_ahead(&mut server, Bytes::new(), Duration::from_millis(100), seconds(10)).await;
        assert!(
            silent.is_ok_and(|r| r.guess == ProtocolGuess::NeedMore
                && r.bytes.is_empty()
                && !r.ended)
        );
        let slow = tokio::spawn(async move {
            for byte in b"GET / HTTP/1.1" {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut client, &[*byte]).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
        let seen = read_ahead(&mut server, Bytes::new(), seconds(1), seconds(10)).await;
        assert!(seen.is_ok_and(|r| r.guess == ProtocolGuess::Http1 && &r.bytes[..] == b"GET /"));
        slow.abort();
    }
}
