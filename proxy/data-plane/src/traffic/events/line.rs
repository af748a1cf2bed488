//! The line of one operation at a broker in the log: one that was refused, or that an AUDIT policy is about.

use std::time::SystemTime;

use message_access::{AccessRequest, MessageProtocol};
use policy::{ConnectionFacts, Decider, MessageDenyReason, MessageVerdict, NearestMiss};

use crate::connection::registry::Connection;
use crate::telemetry::log_line::LogLine;
use crate::traffic::decisions::{DecidedMessage, DecisionRecord};

/// Bytes of a name that are written; protocols allow tens of thousands.
const LONGEST: usize = 512;

/// What there is to say of an operation.
pub(super) struct MessageLine<'a> {
    pub(super) protocol: MessageProtocol,
    pub(super) request: &'a AccessRequest<'a>,
    pub(super) verdict: &'a MessageVerdict<'a>,
    /// The AUDIT rule that is about it, where this is its line.
    pub(super) audited: Option<&'a Decider>,
    /// The rule that came nearest to allowing it.
    pub(super) nearest: Option<NearestMiss>,
    /// What was refused on the connection since its last line, without one of its own.
    pub(super) unwritten: u64,
}

impl<'a> MessageLine<'a> {
    /// `allow` or `deny`.
    fn decision(&self) -> &'static str {
        if self.verdict.is_allowed() { "allow" } else { "deny" }
    }

    /// What the operation names, by the fields of the log; names are cut where they are long.
    fn names(&self) -> impl Iterator<Item = (&'static str, &'a str)> + use<'a> {
        let AccessRequest { topic, group, queue, stream, client_id, transactional_id, .. } =
            *self.request;
        let named = [
            ("topic", topic),
            ("group", group),
            ("queue", queue),
            ("stream", stream),
            ("client_id", client_id),
            ("transactional_id", transactional_id),
        ];
        named.into_iter().filter_map(|(key, name)| Some((key, cut(name?))))
    }

    /// The same for `GET /decisions`.
    pub(super) fn record(&self, time: u64, connection: &ConnectionFacts<'_>) -> DecisionRecord {
        let verdict = self.verdict;
        DecisionRecord {
            time,
            decision: self.decision(),
            reason: verdict.reason().map_or("policy_allowed", MessageDenyReason::as_str),
            policy: verdict.policy().cloned(),
            rule: verdict.decider().map(Decider::rule),
            source_principal: connection.peer.map(|id| id.without_scheme().to_owned()),
            source_ip: connection.source_ip.to_canonical().to_string(),
            destination: connection.destination.to_string(),
            sni: connection.sni.map(str::to_owned),
            method: None,
            host: None,
            path: None,
            message: Some(DecidedMessage {
                protocol: self.protocol.as_str(),
                operation: self.request.operation.as_str(),
                names: self.names().map(|(key, name)| (key, name.into())).collect(),
                reply: self.request.reply,
            }),
            nearest: self.nearest.clone(),
            would: Vec::new(),
        }
    }

    /// Writes it.
    pub(super) fn write(&self, connection: &Connection, out: &mut Vec<u8>) {
        let mut line = LogLine::begin(out, SystemTime::now(), "message");
        line.fragment(connection.fragment())
            .optional_text(
                "source_principal",
                connection.peer().map(|peer| peer.id.without_scheme()),
            )
            .word("protocol", self.protocol.as_str())
            .word("operation", self.request.operation.as_str());
        self.names().for_each(|(key, name)| {
            line.text(key, name);
        });
        if self.request.reply {
            line.json("reply", &true);
        }
        line.word("decision", self.decision());
        if let Some(decider) = self.verdict.decider() {
            line.text("policy", decider.policy()).number("rule", decider.rule());
        }
        if let Some(reason) = self.verdict.reason() {
            line.word("reason", reason.as_str());
        }
        if let Some(audited) = self.audited {
            line.text("audited_by", audited.policy());
        }
        if let Some(nearest) = &self.nearest {
            line.json("nearest", nearest);
        }
        if self.unwritten > 0 {
            line.number("unwritten", self.unwritten);
        }
        line.end();
    }
}

/// The beginning of a name.
fn cut(name: &str) -> &str {
    let end = (0..=name.len().min(LONGEST)).rev().find(|end| name.is_char_boundary(*end));
    name.get(..end.unwrap_or(0)).unwrap_or(name)
}
