//! The headers of a message: those that name subjects are looked at, those that only others may write are removed.
//!
//! The block is `NATS/1.0` and a line for each header, as in HTTP. Servers look for some names in it and publish, read or
//! remove because of them, so that a message can reach more subjects than that of its control line (CVE-2026-33249).

use bytes::Bytes;
use message_access::{AccessRequest, Operation, SessionEnd};

use crate::line::malformed;

/// What begins each block.
const VERSION: &str = "NATS/1.0";

/// The header that names the principal of whoever published.
pub(crate) const SOURCE: &str = "Postern-Source";

/// Headers that a client never says: the server's own word about who asks (CVE-2026-33223), and ours.
const REMOVED: [&str; 2] = ["Nats-Request-Info", SOURCE];

/// Headers that the server acts on, each at most once.
const ACTED_ON: [&str; 9] = [
    TRACE_DESTINATION,
    EXPECTED_SUBJECT,
    ROLLUP,
    "Nats-Schedule",
    "Nats-Schedule-TTL",
    "Nats-Schedule-Time-Zone",
    "Nats-Schedule-Rollup",
    SCHEDULE_TARGET,
    SCHEDULE_SOURCE,
];
const TRACE_DESTINATION: &str = "Nats-Trace-Dest";
const EXPECTED_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";
const ROLLUP: &str = "Nats-Rollup";
const SCHEDULE_TARGET: &str = "Nats-Schedule-Target";
const SCHEDULE_SOURCE: &str = "Nats-Schedule-Source";

/// What a block says beside what passes untouched.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Headers<'a> {
    /// The headers that the server acts on, with their values.
    acted_on: Vec<(&'static str, &'a str)>,
    /// Whether a header is among them that nobody may send: one about schedules that is not known, or one that came twice.
    refused: bool,
    /// Whether a header has to be removed.
    removed: bool,
}

impl<'a> Headers<'a> {
    /// Reads a block.
    ///
    /// # Errors
    /// Bytes that are no block of headers.
    pub(crate) fn read(block: &'a [u8]) -> Result<Self, SessionEnd> {
        let mut headers = Self::default();
        for (name, value) in lines(block)? {
            headers.meet(name, value);
        }
        Ok(headers)
    }

    fn meet(&mut self, name: &str, value: &'a str) {
        if REMOVED.iter().any(|removed| removed.eq_ignore_ascii_case(name)) {
            self.removed = true;
        } else if let Some(known) = ACTED_ON.iter().find(|known| known.eq_ignore_ascii_case(name)) {
            self.refused |= self.acted_on.iter().any(|(other, _)| other == known);
            self.acted_on.push((known, value));
        } else {
            self.refused |= starts_with(name, "Nats-Schedule");
        }
    }

    /// Whether nobody may send this.
    pub(crate) const fn is_refused(&self) -> bool {
        self.refused
    }

    /// Whether the block has to be [written anew](rewritten).
    pub(crate) const fn is_changed(&self) -> bool {
        self.removed
    }

    /// Where the server itself would publish: each needs what publishing there needs.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = &'a str> {
        self.values(TRACE_DESTINATION).chain(self.values(SCHEDULE_TARGET))
    }

    /// What else the server would do, that a policy has to allow.
    pub(crate) fn requests(&self) -> impl Iterator<Item = AccessRequest<'a>> {
        let read = self.values(SCHEDULE_SOURCE).map(|source| (Operation::Subscribe, source));
        let compared = self.values(EXPECTED_SUBJECT).map(|subject| (Operation::Describe, subject));
        let removes = |value: &&str| !value.eq_ignore_ascii_case("sub");
        // All that the stream has goes, whichever stream it is that takes the subject in.
        let removed = self.values(ROLLUP).filter(removes).map(|_| (Operation::Delete, ">"));
        read.chain(compared)
            .chain(removed)
            .map(|(operation, topic)| AccessRequest::on_topic(operation, topic))
    }

    fn values(&self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.acted_on.iter().filter(move |(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// The headers of a block, in order.
fn lines(block: &[u8]) -> Result<impl Iterator<Item = (&str, &str)>, SessionEnd> {
    let wrong =
        || malformed("headers that are no block of lines `Name: value`, with `NATS/1.0` before");
    let text = std::str::from_utf8(block).map_err(|_| wrong())?;
    let text = text.strip_suffix("\r\n\r\n").ok_or_else(wrong)?;
    let mut lines = text.split("\r\n");
    let begins = lines.next().is_some_and(|first| first == VERSION);
    let clean = |c: char| c != '\0' && c != '\r' && c != '\n';
    let parted = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or_default();
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()) && value.chars().all(clean)
    };
    if !begins || !lines.clone().all(parted) {
        return Err(wrong());
    }
    Ok(lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name, value.trim_start_matches(' '))))
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
}

/// The block without the headers that a client never says, and with the principal where it is stamped.
pub(crate) fn rewritten(block: &[u8], stamp: Option<&str>) -> Result<Bytes, SessionEnd> {
    let mut text = format!("{VERSION}\r\n");
    for (name, value) in lines(block)? {
        if !REMOVED.iter().any(|removed| removed.eq_ignore_ascii_case(name)) {
            text.extend([name, ": ", value, "\r\n"]);
        }
    }
    finish(text, stamp)
}

/// A block with nothing but the principal.
pub(crate) fn stamp_alone(principal: &str) -> Result<Bytes, SessionEnd> {
    finish(format!("{VERSION}\r\n"), Some(principal))
}

fn finish(mut text: String, stamp: Option<&str>) -> Result<Bytes, SessionEnd> {
    if let Some(principal) = stamp {
        if principal.chars().any(char::is_control) {
            return Err(malformed("a principal with control characters"));
        }
        text.extend([SOURCE, ": ", principal, "\r\n"]);
    }
    text.push_str("\r\n");
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn only_a_block_of_lines_is_one() {
        for (block, good) in [
            ("NATS/1.0\r\n\r\n", true),
            ("NATS/1.0\r\nA: b\r\n\r\n", true),
            ("NATS/1.0\r\nA:b\r\nA:  ü \r\nC:\r\n\r\n", true),
            ("NATS/1.0\r\nA: b\r\n", false),
            ("NATS/1.0\r\n", false),
            ("NATS/1.1\r\n\r\n", false),
            ("NATS/1.0 503\r\n\r\n", false),
            ("nats/1.0\r\n\r\n", false),
            ("NATS/1.0\r\nA b\r\n\r\n", false),
            ("NATS/1.0\r\n: b\r\n\r\n", false),
            ("NATS/1.0\r\n A: b\r\n\r\n", false),
            ("NATS/1.0\r\nA : b\r\n\r\n", false),
            ("NATS/1.0\r\nA: b\nNats-Trace-Dest: c\r\n\r\n", false),
            ("NATS/1.0\r\nA: b\rc\r\n\r\n", false),
            ("NATS/1.0\r\nA: b\r\n\r\nC: d\r\n\r\n", false),
            ("", false),
        ] {
            assert_eq!(Headers::read(block.as_bytes()).is_ok(), good, "{block:?}");
        }
    }

    #[test]
    fn what_the_server_acts_on() {
        let named = |lines: &str| {
            let block = format!("NATS/1.0\r\n{lines}\r\n");
            let headers = Headers::read(block.as_bytes()).unwrap();
            let destinations: Vec<String> = headers.destinations().map(str::to_owned).collect();
            let requests: Vec<(Operation, String)> = headers
                .requests()
                .map(|request| (request.operation, request.topic.unwrap().to_owned()))
                .collect();
            (destinations, requests, headers.is_refused())
        };
        let topic = |operation, topic: &str| vec![(operation, topic.to_owned())];
        let none = Vec::<(Operation, String)>::new;
        for (lines, destinations, requests, refused) in [
            ("A: b\r\n", vec![], none(), false),
            ("Nats-Trace-Dest: x\r\n", vec!["x"], none(), false),
            ("nats-trace-dest:x\r\n", vec!["x"], none(), false),
            ("Nats-Trace-Dest: x\r\nNats-Trace-Dest: y\r\n", vec!["x", "y"], none(), true),
            ("Nats-Trace-Dest: x\r\nNATS-TRACE-DEST: y\r\n", vec!["x", "y"], none(), true),
            ("Nats-Schedule: @at x\r\nNats-Schedule-Target: t\r\n", vec!["t"], none(), false),
            ("Nats-Schedule-Source: s\r\n", vec![], topic(Operation::Subscribe, "s"), false),
            ("Nats-Schedule-Next: purge\r\n", vec![], none(), true),
            ("Nats-Scheduler: x\r\n", vec![], none(), true),
            ("nats-schedule-new: x\r\n", vec![], none(), true),
            ("Nats-Rollup: sub\r\n", vec![], none(), false),
            ("Nats-Rollup: all\r\n", vec![], topic(Operation::Delete, ">"), false),
            (
                "Nats-Expected-Last-Subject-Sequence-Subject: e.>\r\n",
                vec![],
                topic(Operation::Describe, "e.>"),
                false,
            ),
        ] {
            let destinations = destinations.into_iter().map(str::to_owned).collect();
            assert_eq!(named(lines), (destinations, requests, refused), "{lines}");
        }
    }

    #[test]
    fn cve_2026_33223_who_asks_is_never_the_clients_word() {
        let block = b"NATS/1.0\r\nA: 1\r\nNats-Request-Info: {}\r\nnats-request-info:{}\r\nPOSTERN-SOURCE: me\r\nB: 2\r\n\r\n";
        assert!(Headers::read(block).unwrap().is_changed());
        assert_eq!(rewritten(block, None).unwrap(), "NATS/1.0\r\nA: 1\r\nB: 2\r\n\r\n");
        assert_eq!(
            rewritten(block, Some("t/ns/a/sa/b")).unwrap(),
            "NATS/1.0\r\nA: 1\r\nB: 2\r\nPostern-Source: t/ns/a/sa/b\r\n\r\n"
        );
    }
}
