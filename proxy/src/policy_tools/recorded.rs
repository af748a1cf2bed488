//! Recorded traffic: the access log, and the window that `GET /decisions` shows.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::Context;
use identity::SpiffeId;
use message_access::{MessageProtocol, Operation};
use serde::{Deserialize, Serialize, Serializer};

use crate::explain::{parse_operation, parse_protocol};

/// The longest line of a log that is read, bytes; the proxy writes no longer ones.
const MAX_LINE: usize = 1 << 20;
/// The largest log that is read, bytes: about a million requests, which are held in memory.
const MAX_LOG: u64 = 512 << 20;

/// One request, one opaque connection towards the app, or one operation of a client at a message broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordedTraffic {
    /// When it ended, as the record writes it.
    pub time: Option<String>,
    /// Who called; `None` in plaintext.
    #[serde(rename = "source_principal", serialize_with = "without_scheme")]
    pub principal: Option<SpiffeId>,
    /// The caller's address.
    pub source_ip: Option<IpAddr>,
    /// The app's address.
    pub destination: SocketAddr,
    /// The server name of the caller's TLS.
    pub sni: Option<String>,
    /// The request; `None` for opaque bytes.
    #[serde(flatten)]
    pub request: Option<RecordedRequest>,
    /// The operation at a message broker.
    #[serde(flatten)]
    pub message: Option<RecordedMessage>,
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
    /// `allow` or `deny`, where policy was asked.
    pub decision: Option<RecordedDecision>,
}

/// What a record keeps of a request. Header fields and tokens are never recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordedRequest {
    /// The method.
    pub method: String,
    /// The host, with a port that is not the default one.
    pub host: String,
    /// The canonical path, without the query.
    pub path: String,
}

/// What a record keeps of an operation at a message broker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RecordedMessage {
    /// The protocol.
    #[serde(serialize_with = "protocol_name")]
    pub protocol: MessageProtocol,
    /// What the client asked for.
    #[serde(serialize_with = "operation_name")]
    pub operation: Operation,
    /// The topic, subject or topic filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The consumer group, or the group of a shared subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The queue group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// The stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The client id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The transactional id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transactional_id: Option<String>,
    /// Whether it answered a message that was just delivered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reply: bool,
}

/// `subscribe payments (group ledger)`.
impl fmt::Display for RecordedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.operation.as_str())?;
        if let Some(topic) = &self.topic {
            write!(f, " {topic}")?;
        }
        for (what, name) in [
            ("group", &self.group),
            ("queue", &self.queue),
            ("stream", &self.stream),
            ("client id", &self.client_id),
            ("transactional id", &self.transactional_id),
        ] {
            if let Some(name) = name {
                write!(f, " ({what} {name})")?;
            }
        }
        Ok(())
    }
}

fn protocol_name<S: Serializer>(protocol: &MessageProtocol, to: S) -> Result<S::Ok, S::Error> {
    protocol.as_str().serialize(to)
}

fn operation_name<S: Serializer>(operation: &Operation, to: S) -> Result<S::Ok, S::Error> {
    operation.as_str().serialize(to)
}

/// What policy said when it was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordedDecision {
    /// It was let in.
    Allow,
    /// It was refused.
    Deny,
}

fn without_scheme<S: Serializer>(id: &Option<SpiffeId>, to: S) -> Result<S::Ok, S::Error> {
    id.as_ref().map(SpiffeId::without_scheme).serialize(to)
}

/// What was read, and what was passed over.
#[derive(Debug, Default)]
pub struct TrafficRecording {
    /// The inbound requests and connections that policy judged, in order.
    pub seen: Vec<RecordedTraffic>,
    /// Lines of the proxy's that are none: messages, outbound traffic, what ended before it was judged.
    pub others: usize,
}

/// A line of the log or an entry of the window, as it is written; other keys are passed over. Every line that the
/// proxy writes has a time.
#[derive(Deserialize)]
struct LogEntry {
    kind: Option<String>,
    direction: Option<String>,
    source_principal: Option<String>,
    source_ip: Option<IpAddr>,
    destination: Option<SocketAddr>,
    sni: Option<String>,
    method: Option<String>,
    host: Option<String>,
    path: Option<String>,
    status: Option<u16>,
    decision: Option<RecordedDecision>,
    /// Of a window: the operation at a broker. Of a log: what a line that is no record says.
    message: Option<serde_json::Value>,
    /// Of a log: the operation at a broker.
    #[serde(flatten)]
    operation: MessageEntry,
    #[serde(alias = "timestamp")]
    time: Option<serde_json::Value>,
}

/// An operation at a broker, as it is written.
#[derive(Default, Deserialize)]
struct MessageEntry {
    protocol: Option<String>,
    operation: Option<String>,
    topic: Option<String>,
    group: Option<String>,
    queue: Option<String>,
    stream: Option<String>,
    client_id: Option<String>,
    transactional_id: Option<String>,
    reply: Option<bool>,
}

/// Reads the log or window in a file; `-` is stdin.
///
/// # Errors
/// As [`read`], with the file's name.
pub fn read_file(path: &Path) -> anyhow::Result<TrafficRecording> {
    let found = match path.as_os_str() == "-" {
        true => read(io::stdin().lock()),
        false => File::open(path).and_then(|file| read(BufReader::new(file))),
    };
    found.with_context(|| path.display().to_string())
}

/// Reads a log (JSON lines) or a window (one JSON array; its newest entry stands first).
///
/// # Errors
/// Reading fails, the log has more than 512 MiB, the array is none of decisions, or nothing in the
/// file is a record.
pub fn read(reader: impl BufRead) -> io::Result<TrafficRecording> {
    let mut reader = reader.take(MAX_LOG + 1);
    let first = reader.fill_buf()?.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    let recording = match first {
        Some(b'[') => window(&mut reader)?,
        _ => log(&mut reader)?,
    };
    if reader.limit() == 0 {
        return Err(io::Error::other("more than 512 MiB: hand in a part, such as the last day"));
    }
    if recording.seen.is_empty() && recording.others == 0 {
        return Err(io::Error::other(
            "no record in it; give the access log of the proxy, or what `GET /decisions` answered",
        ));
    }
    Ok(recording)
}

fn window(reader: impl BufRead) -> io::Result<TrafficRecording> {
    let mut entries: Vec<LogEntry> = serde_json::from_reader(reader)?;
    entries.reverse();
    let mut recording = TrafficRecording::default();
    for entry in entries {
        recording.add(entry.recorded());
    }
    Ok(recording)
}

fn log(mut reader: impl BufRead) -> io::Result<TrafficRecording> {
    let mut recording = TrafficRecording::default();
    let mut line = Vec::new();
    while let Some(line) = next_line(&mut reader, &mut line)? {
        let entry = serde_json::from_slice::<LogEntry>(line).ok();
        // What others wrote between is passed over; a file of it alone is no log.
        let Some(entry) = entry.filter(|entry| entry.time.is_some() || entry.decision.is_some())
        else {
            continue;
        };
        recording
            .add(Some(entry).filter(|entry| entry.kind.is_some()).and_then(LogEntry::recorded));
    }
    Ok(recording)
}

/// The next line that is not blank; one beyond the limit is given back empty.
fn next_line<'b>(reader: &mut impl BufRead, line: &'b mut Vec<u8>) -> io::Result<Option<&'b [u8]>> {
    use crate::explain::{LineRead, read_line};
    loop {
        line.clear();
        match read_line(reader, line, MAX_LINE)? {
            LineRead::End => return Ok(None),
            LineRead::TooLong => line.clear(),
            LineRead::Line if line.trim_ascii().is_empty() => continue,
            LineRead::Line => {}
        }
        return Ok(Some(line));
    }
}

impl TrafficRecording {
    fn add(&mut self, record: Option<RecordedTraffic>) {
        match record {
            Some(record) => self.seen.push(record),
            None => self.others += 1,
        }
    }
}

impl LogEntry {
    /// The record, when it is of inbound traffic that policy judged.
    fn recorded(self) -> Option<RecordedTraffic> {
        let inbound = self.direction.as_deref().is_none_or(|direction| direction == "inbound");
        let decision = self.decision.filter(|_| inbound)?;
        // In a log, `none` is the label of plaintext.
        let principal = match self.source_principal.as_deref() {
            None | Some("none") => None,
            Some(principal) => Some(SpiffeId::parse(&format!("spiffe://{principal}")).ok()?),
        };
        let request = match (self.method, self.host, self.path) {
            (Some(method), Some(host), Some(path)) => Some(RecordedRequest { method, host, path }),
            (None, ..) => None,
            _ => return None,
        };
        let message = match self.message {
            Some(written @ serde_json::Value::Object(_)) => {
                Some(serde_json::from_value::<MessageEntry>(written).ok()?.recorded()?)
            }
            _ if self.kind.as_deref() == Some("message") => Some(self.operation.recorded()?),
            _ => None,
        };
        Some(RecordedTraffic {
            time: self.time.map(|time| time.as_str().map_or(time.to_string(), str::to_owned)),
            principal,
            source_ip: self.source_ip,
            destination: self.destination?,
            sni: self.sni,
            request,
            message,
            status: self.status,
            decision: Some(decision),
        })
    }
}

impl MessageEntry {
    fn recorded(self) -> Option<RecordedMessage> {
        Some(RecordedMessage {
            protocol: parse_protocol(self.protocol.as_deref()?)?,
            operation: parse_operation(self.operation.as_deref()?)?,
            topic: self.topic,
            group: self.group,
            queue: self.queue,
            stream: self.stream,
            client_id: self.client_id,
            transactional_id: self.transactional_id,
            reply: self.reply.unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn what_counts_as_a_log() {
        const REQUEST: &str = r#"{"timestamp":"t","kind":"request","direction":"inbound","destination":"10.0.0.9:8080","method":"GET","host":"cart","path":"/","decision":"allow"}"#;
        const MESSAGE: &str = r#"{"timestamp":"t","level":"INFO","message":"listening"}"#;
        let check = |name: &str, text: &str, expect: Result<(usize, usize), &str>| {
            let found = read(text.as_bytes());
            match expect {
                Ok(counts) => {
                    let found = found.unwrap();
                    assert_eq!((found.seen.len(), found.others), counts, "{name}");
                }
                Err(words) => {
                    let error = found.unwrap_err().to_string();
                    assert!(error.contains(words), "{name}: {error}");
                }
            }
        };
        check("a request and a message", &format!("{REQUEST}\n{MESSAGE}\n"), Ok((1, 1)));
        const OPERATION: &str = r#"{"timestamp":"t","kind":"message","direction":"inbound","destination":"10.0.0.9:4222","source_principal":"td/ns/a/sa/b","protocol":"nats","operation":"publish","topic":"a","decision":"deny","reason":"topic_denied"}"#;
        check("an operation at a broker", OPERATION, Ok((1, 0)));
        check("one of another version", &OPERATION.replace("publish", "peek"), Ok((0, 1)));
        let window = r#"[{"decision":"deny","destination":"10.0.0.9:4222","time":1,"message":{"protocol":"mqtt","operation":"connect","client_id":"x"}}]"#;
        check("one in a window", window, Ok((1, 0)));
        check("no request yet", MESSAGE, Ok((0, 1)));
        check("another's words between", &format!("oops\n{REQUEST}\n"), Ok((1, 0)));
        check("an empty window", "[]", Err("no record in it"));
        check("an empty file", "", Err("no record in it"));
        check("a file of something else", "workload: {namespace: shop}\n", Err("no record in it"));
        check("JSON of something else", r#"{"kind":"Pod","metadata":{}}"#, Err("no record in it"));
    }
}
