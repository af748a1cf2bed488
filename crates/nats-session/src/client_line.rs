//! What a client says.

use message_access::SessionEnd;

use crate::line::{Arguments, Line, length, malformed, split};

/// A control line of a client's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ClientLine<'a> {
    /// `CONNECT {…}`: the options, JSON.
    Connect(&'a str),
    /// `PUB` and `HPUB`.
    Publish(Publish<'a>),
    /// `SUB subject [queue] sid`.
    Subscribe { subject: &'a str, queue: Option<&'a str>, sid: &'a str },
    /// `UNSUB sid [messages]`.
    Unsubscribe { sid: &'a str, messages: Option<usize> },
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
}

/// A message that a client publishes; its bytes follow the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    pub(crate) subject: &'a str,
    pub(crate) reply: Option<&'a str>,
    /// The length of the headers, where the message has some (`HPUB`).
    pub(crate) header_bytes: Option<usize>,
    /// The length of headers and payload.
    pub(crate) bytes: usize,
}

impl<'a> ClientLine<'a> {
    /// Reads a whole line. Verbs in any case, as nats-server takes them.
    ///
    /// # Errors
    /// A verb that is not a client's, or arguments that are not the verb's.
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, SessionEnd> {
        let Line { verb, rest } = split(line)?;
        let verb_is = |name: &str| verb.eq_ignore_ascii_case(name);
        if verb_is("PUB") {
            publish(rest)
        } else if verb_is("HPUB") {
            publish_with_headers(rest)
        } else if verb_is("SUB") {
            subscribe(rest)
        } else if verb_is("UNSUB") {
            unsubscribe(rest)
        } else if verb_is("PING") && rest.is_empty() {
            Ok(Self::Ping)
        } else if verb_is("PONG") && rest.is_empty() {
            Ok(Self::Pong)
        } else if verb_is("CONNECT") {
            Ok(Self::Connect(rest.trim_matches([' ', '\t'])))
        } else {
            Err(malformed("a verb that no client has: CONNECT PUB HPUB SUB UNSUB PING PONG"))
        }
    }
}

fn publish(rest: &str) -> Result<ClientLine<'_>, SessionEnd> {
    let (subject, reply, bytes) = match Arguments::of(rest)?.as_slice() {
        [subject, bytes] => (*subject, None, *bytes),
        [subject, reply, bytes] => (*subject, Some(*reply), *bytes),
        _ => return Err(malformed("PUB takes a subject, a reply subject or none, and a length")),
    };
    let bytes = length(bytes)?;
    Ok(ClientLine::Publish(Publish { subject, reply, header_bytes: None, bytes }))
}

fn publish_with_headers(rest: &str) -> Result<ClientLine<'_>, SessionEnd> {
    let (subject, reply, header_bytes, bytes) = match Arguments::of(rest)?.as_slice() {
        [subject, headers, bytes] => (*subject, None, *headers, *bytes),
        [subject, reply, headers, bytes] => (*subject, Some(*reply), *headers, *bytes),
        _ => {
            return Err(malformed(
                "HPUB takes a subject, a reply subject or none, the length of its headers and the whole length",
            ));
        }
    };
    let (header_bytes, bytes) = (length(header_bytes)?, length(bytes)?);
    if header_bytes > bytes {
        return Err(malformed("HPUB with headers longer than the message"));
    }
    Ok(ClientLine::Publish(Publish { subject, reply, header_bytes: Some(header_bytes), bytes }))
}

fn subscribe(rest: &str) -> Result<ClientLine<'_>, SessionEnd> {
    match Arguments::of(rest)?.as_slice() {
        [subject, sid] => Ok(ClientLine::Subscribe { subject, queue: None, sid }),
        [subject, queue, sid] => Ok(ClientLine::Subscribe { subject, queue: Some(queue), sid }),
        _ => Err(malformed("SUB takes a subject, a queue group or none, and an id")),
    }
}

fn unsubscribe(rest: &str) -> Result<ClientLine<'_>, SessionEnd> {
    match Arguments::of(rest)?.as_slice() {
        [sid] => Ok(ClientLine::Unsubscribe { sid, messages: None }),
        [sid, messages] => Ok(ClientLine::Unsubscribe { sid, messages: Some(length(messages)?) }),
        _ => Err(malformed("UNSUB takes an id and a number of messages or none")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    fn message<'a>(
        subject: &'a str,
        reply: Option<&'a str>,
        header_bytes: Option<usize>,
        bytes: usize,
    ) -> ClientLine<'a> {
        ClientLine::Publish(Publish { subject, reply, header_bytes, bytes })
    }

    #[test]
    fn lines_of_clients() {
        let subscribe = |subject, queue, sid| ClientLine::Subscribe { subject, queue, sid };
        let unsubscribe = |sid, messages| ClientLine::Unsubscribe { sid, messages };
        for (line, expect) in [
            ("PUB a 0\r\n", message("a", None, None, 0)),
            ("pub  a\tr  12 \r\n", message("a", Some("r"), None, 12)),
            ("HPUB a 12 17\r\n", message("a", None, Some(12), 17)),
            ("hPub a r 12 12\r\n", message("a", Some("r"), Some(12), 12)),
            ("SUB a.* 1\r\n", subscribe("a.*", None, "1")),
            ("sub a.> q 1\r\n", subscribe("a.>", Some("q"), "1")),
            ("UNSUB 1\r\n", unsubscribe("1", None)),
            ("UNSUB 1 5\r\n", unsubscribe("1", Some(5))),
            ("PING\r\n", ClientLine::Ping),
            ("pong\r\n", ClientLine::Pong),
            ("CONNECT {\"a\": 1}\r\n", ClientLine::Connect("{\"a\": 1}")),
        ] {
            assert_eq!(ClientLine::parse(line.as_bytes()).unwrap(), expect, "{line}");
        }
    }

    #[test]
    fn everything_else_is_no_line_of_a_client() {
        for line in [
            "\r\n",
            "PUB a 5\n",
            "PUB a\r 5\r\n",
            "PUB a\r 57\n",
            "PUB a\0 5\r\n",
            "PUB a\r\n",
            "PUB a b c 5\r\n",
            "PUB a b c d 5\r\n",
            "PUB a -1\r\n",
            "PUB a +1\r\n",
            "PUB a 0x1\r\n",
            "PUB a 1234567890\r\n",
            "HPUB a 5\r\n",
            "HPUB a 13 12\r\n",
            "SUB a\r\n",
            "SUB a q 1 2\r\n",
            "UNSUB\r\n",
            "UNSUB 1 2 3\r\n",
            "UNSUB 1 -2\r\n",
            "PING x\r\n",
            "PUBLISH a 5\r\n",
            " PUB a 5\r\n",
            "MSG a 1 5\r\n",
            "INFO {}\r\n",
            "+OK\r\n",
            "-ERR 'x'\r\n",
            "RMSG $G a 5\r\n",
            "LMSG a 5\r\n",
            "A+ a\r\n",
            "RS+ $G a\r\n",
            "LS+ a\r\n",
            "GET / HTTP/1.1\r\n",
        ] {
            assert!(ClientLine::parse(line.as_bytes()).is_err(), "{line}");
        }
        assert!(ClientLine::parse(b"PUB \xff 5\r\n").is_err());
    }
}
