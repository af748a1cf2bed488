#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod broker;
mod cves;
mod jetstream;
mod pieces;
mod publish;
mod subscribe;

use std::time::Duration;

use bytes::Bytes;
use message_access::{
    AccessRequest, Judge, MessageProtocol, Operation, Output, Session, SessionEnd, SessionSettings,
    TopicPattern,
};

use super::NatsSession;

pub(super) const CART: &str = "cluster.local/ns/shop/sa/cart";

/// One clause of a policy, in the way that policies are decided.
#[derive(Debug, Clone, Default)]
pub(super) struct Clause {
    operations: Vec<Operation>,
    topics: Vec<&'static str>,
    streams: Vec<&'static str>,
    queues: Vec<&'static str>,
    reply: bool,
}

impl Clause {
    fn covers(&self, request: &AccessRequest<'_>) -> bool {
        let topics =
            || self.topics.iter().map(|t| TopicPattern::parse(MessageProtocol::Nats, t).unwrap());
        let whole_streams = request.stream.is_some() && self.topics.is_empty();
        let implied = request.operation == Operation::Describe;
        (implied || self.operations.contains(&request.operation))
            && request.topic.is_none_or(|asked| {
                topics().any(|t| t.covers(asked)) || whole_streams || (request.reply && self.reply)
            })
            && request.stream.is_none_or(|asked| self.streams.contains(&asked))
            && request.queue.is_none_or(|asked| self.queues.contains(&asked))
    }
}

/// A policy, and what was asked of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Policy {
    pub(super) clauses: Vec<Clause>,
    pub(super) asked: Vec<String>,
    nobody: bool,
    /// Whether the caller is of another trust domain, where it has no inbox.
    stranger: bool,
}

impl Judge for Policy {
    fn decide(&mut self, request: &AccessRequest<'_>) -> bool {
        let allowed = self.would_allow(request);
        let about = [request.topic, request.queue, request.stream];
        let about: Vec<&str> = about.into_iter().flatten().collect();
        let sign = if allowed { '+' } else { '-' };
        self.asked.push(format!("{sign}{} {}", request.operation.as_str(), about.join(" ")));
        allowed
    }

    fn would_allow(&mut self, request: &AccessRequest<'_>) -> bool {
        let own = |topic: &str| {
            request.operation == Operation::Subscribe
                && topic.starts_with("_INBOX.shop.cart.")
                && !self.stranger
        };
        request.topic.is_some_and(own) || self.clauses.iter().any(|clause| clause.covers(request))
    }

    fn note_refusal(&mut self, request: &AccessRequest<'_>) {
        let topic = request.topic.or(request.stream).unwrap_or_default();
        self.asked.push(format!("!{} {topic}", request.operation.as_str()));
    }

    fn principal(&self) -> Option<&str> {
        Some(CART).filter(|_| !self.nobody)
    }
}

/// `allow("publish", &["orders.>"])`.
pub(super) fn allow(operation: &str, topics: &[&'static str]) -> Clause {
    let named = |one: &&Operation| one.as_str() == operation;
    Clause {
        operations: vec![*Operation::WRITTEN.iter().find(named).unwrap()],
        topics: topics.to_vec(),
        ..Clause::default()
    }
}

pub(super) fn allow_streams(operation: &str, streams: &[&'static str]) -> Clause {
    Clause { streams: streams.to_vec(), ..allow(operation, &[]) }
}

pub(super) fn settings() -> SessionSettings {
    SessionSettings {
        message_bytes: 1024 * 1024,
        in_flight: 64,
        subscriptions: 16,
        stamp_source: false,
        advertised: Default::default(),
        hide_servers: false,
    }
}

/// A connection under test.
pub(super) struct Connection {
    pub(super) session: NatsSession,
    pub(super) policy: Policy,
    pub(super) now: Duration,
    output: Output,
}

pub(super) const QUIET: &str = "CONNECT {\"verbose\":false,\"headers\":true}\r\n";
pub(super) const INFO: &str = "INFO {\"headers\":true,\"version\":\"2.15.1\"}\r\n";

impl Connection {
    pub(super) fn fresh(settings: &SessionSettings, clauses: Vec<Clause>) -> Self {
        let policy = Policy { clauses, ..Policy::default() };
        let session = NatsSession::new(settings);
        Self { session, policy, now: Duration::ZERO, output: Output::default() }
    }

    /// One that has said INFO and CONNECT.
    pub(super) fn of(clauses: Vec<Clause>) -> Self {
        Self::with(&settings(), QUIET, clauses)
    }

    pub(super) fn with(settings: &SessionSettings, connect: &str, clauses: Vec<Clause>) -> Self {
        let mut connection = Self::fresh(settings, clauses);
        assert!(!connection.session.wants_more());
        connection.broker(INFO).unwrap();
        assert!(connection.session.wants_more() && !connection.session.is_established());
        connection.client(connect).unwrap();
        assert!(connection.session.is_established());
        connection.output = Output::default();
        connection
    }

    pub(super) fn client(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), SessionEnd> {
        let bytes = Bytes::copy_from_slice(bytes.as_ref());
        self.session.client_said(bytes, self.now, &mut self.policy, &mut self.output)
    }

    pub(super) fn broker(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), SessionEnd> {
        let bytes = Bytes::copy_from_slice(bytes.as_ref());
        self.session.broker_said(bytes, self.now, &mut self.policy, &mut self.output)
    }

    pub(super) fn change(&mut self, clauses: Vec<Clause>) {
        self.policy.clauses = clauses;
        self.session.policy_changed(self.now, &mut self.policy, &mut self.output).unwrap();
        while self.session.has_unjudged() {
            self.session.policy_changed(self.now, &mut self.policy, &mut self.output).unwrap();
        }
    }

    /// What has been said since the last time: to the broker, and to the client.
    pub(super) fn said(&mut self) -> (String, String) {
        let Output { to_client, to_broker } = std::mem::take(&mut self.output);
        let text = |parts: std::collections::VecDeque<Bytes>| {
            String::from_utf8(parts.iter().flatten().copied().collect()).unwrap()
        };
        (text(to_broker), text(to_client))
    }

    /// The client says something: what it and the broker then get.
    pub(super) fn says(&mut self, bytes: impl AsRef<[u8]>) -> (String, String) {
        self.client(bytes).unwrap();
        self.said()
    }

    /// The client says something that passes, with no answer.
    pub(super) fn passes(&mut self, bytes: &str) {
        assert_eq!(self.says(bytes), (bytes.to_owned(), String::new()));
    }

    /// The client says something that is refused, with this answer.
    pub(super) fn refuses(&mut self, bytes: &str, answer: &str) {
        assert_eq!(self.says(bytes), (String::new(), format!("-ERR '{answer}'\r\n")), "{bytes}");
    }

    /// The broker delivers something: what the client gets.
    pub(super) fn delivers(&mut self, bytes: &str) -> String {
        self.broker(bytes).unwrap();
        self.said().1
    }

    pub(super) fn asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.policy.asked)
    }
}

/// A message with headers, and its control line.
pub(super) fn with_headers(subject_and_reply: &str, lines: &str, payload: &str) -> String {
    let block = format!("NATS/1.0\r\n{lines}\r\n");
    let (head, all) = (block.len(), block.len() + payload.len());
    format!("HPUB {subject_and_reply} {head} {all}\r\n{block}{payload}\r\n")
}

/// A message.
pub(super) fn message(subject_and_reply: &str, payload: &str) -> String {
    format!("PUB {subject_and_reply} {}\r\n{payload}\r\n", payload.len())
}

/// Refused as a publication.
pub(super) fn no_publish(subject: &str) -> String {
    format!("Permissions Violation for Publish to \"{subject}\"")
}
