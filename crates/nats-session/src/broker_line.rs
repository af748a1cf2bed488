//! What a broker says.

use message_access::SessionEnd;

use crate::line::{Arguments, Line, length, malformed, split};

/// The longest `INFO` line: it lists the servers of a cluster.
pub(crate) const INFO_LINE_BYTES: usize = 64 * 1024;

/// A control line of a broker's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BrokerLine<'a> {
    /// `INFO {…}`: what the server is, JSON.
    Info(&'a str),
    /// `MSG` and `HMSG`: a message for a subscription. Its bytes follow the line.
    Message(Message<'a>),
    /// `+OK`, which verbose clients get for each thing they do.
    Okay,
    /// `-ERR '…'`.
    Error(&'a str),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
}

/// What a broker says of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) subject: &'a str,
    pub(crate) sid: &'a str,
    pub(crate) reply: Option<&'a str>,
    /// How long it is, headers included.
    pub(crate) bytes: usize,
}

impl<'a> BrokerLine<'a> {
    /// Reads a whole line.
    ///
    /// # Errors
    /// A verb that is not a broker's, or arguments that are not the verb's.
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, SessionEnd> {
        let Line { verb, rest } = split(line)?;
        let verb_is = |name: &str| verb.eq_ignore_ascii_case(name);
        if verb_is("MSG") {
            message(rest)
        } else if verb_is("HMSG") {
            message_with_headers(rest)
        } else if verb_is("PING") {
            Ok(Self::Ping)
        } else if verb_is("PONG") {
            Ok(Self::Pong)
        } else if verb_is("+OK") {
            Ok(Self::Okay)
        } else if verb_is("-ERR") {
            Ok(Self::Error(rest.trim_matches([' ', '\t'])))
        } else if verb_is("INFO") {
            Ok(Self::Info(rest.trim_matches([' ', '\t'])))
        } else {
            Err(malformed("the broker said a verb that no broker has"))
        }
    }
}

fn message(rest: &str) -> Result<BrokerLine<'_>, SessionEnd> {
    let (subject, sid, reply, bytes) = match Arguments::of(rest)?.as_slice() {
        [subject, sid, bytes] => (*subject, *sid, None, *bytes),
        [subject, sid, reply, bytes] => (*subject, *sid, Some(*reply), *bytes),
        _ => return Err(malformed("the broker's MSG has other arguments than it should")),
    };
    Ok(BrokerLine::Message(Message { subject, sid, reply, bytes: length(bytes)? }))
}

/// `HMSG subject sid [reply] header-length length`: one argument more than any other line, so the length is cut off first.
fn message_with_headers(rest: &str) -> Result<BrokerLine<'_>, SessionEnd> {
    let wrong = || malformed("the broker's HMSG has other arguments than it should");
    let (rest, bytes) =
        rest.trim_end_matches([' ', '\t']).rsplit_once([' ', '\t']).ok_or_else(wrong)?;
    let (subject, sid, reply, header_bytes) = match Arguments::of(rest)?.as_slice() {
        [subject, sid, headers] => (*subject, *sid, None, *headers),
        [subject, sid, reply, headers] => (*subject, *sid, Some(*reply), *headers),
        _ => return Err(wrong()),
    };
    let (header_bytes, bytes) = (length(header_bytes)?, length(bytes)?);
    if header_bytes > bytes {
        return Err(malformed("the broker's HMSG has headers longer than the message"));
    }
    Ok(BrokerLine::Message(Message { subject, sid, reply, bytes }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn lines_of_brokers() {
        let message =
            |sid, reply, bytes| BrokerLine::Message(Message { subject: "a", sid, reply, bytes });
        for (line, expect) in [
            ("MSG a 1 5\r\n", message("1", None, 5)),
            ("MSG a 1 r 5\r\n", message("1", Some("r"), 5)),
            ("HMSG a 1 12 17\r\n", message("1", None, 17)),
            ("HMSG a 1 r 12 17\r\n", message("1", Some("r"), 17)),
            ("INFO {}\r\n", BrokerLine::Info("{}")),
            ("+OK\r\n", BrokerLine::Okay),
            ("-ERR 'no'\r\n", BrokerLine::Error("'no'")),
            ("PING\r\n", BrokerLine::Ping),
            ("PONG\r\n", BrokerLine::Pong),
        ] {
            assert_eq!(BrokerLine::parse(line.as_bytes()).unwrap(), expect, "{line}");
        }
        for line in [
            "MSG a 5\r\n",
            "MSG a 1 r x 5\r\n",
            "MSG a 1 -5\r\n",
            "HMSG a 1 5\r\n",
            "HMSG a 1 18 17\r\n",
            "RMSG a 1 5\r\n",
            "PUB a 5\r\n",
            "\r\n",
            "OK\r\n",
        ] {
            assert!(BrokerLine::parse(line.as_bytes()).is_err(), "{line}");
        }
    }
}
