//! What would be decided about one operation that a client asks of a message broker.

use std::sync::Arc;

use data_plane::control::config::Config;
use data_plane::traffic::authorize::{self, OpaqueKind, ShadowDecision, ShadowSource};
use message_access::{AccessRequest, MessageProtocol, Operation};
use policy::{ConnectionFacts, Decider, MessageVerdict, PermitReason, Snapshot};
use serde::Deserialize;

use super::ExplainAnswer;
use crate::policy_tools::recorded::RecordedMessage;

/// The message of a line.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct MessageInput {
    #[serde(deserialize_with = "protocol")]
    protocol: MessageProtocol,
    #[serde(deserialize_with = "operation")]
    operation: Operation,
    topic: Option<String>,
    group: Option<String>,
    queue: Option<String>,
    stream: Option<String>,
    #[serde(alias = "client_id")]
    client_id: Option<String>,
    #[serde(alias = "transactional_id")]
    transactional_id: Option<String>,
    reply: Option<bool>,
}

/// Said of a message to a port that the configuration declares to speak something else.
const UNDECLARED: &str = "the configuration does not declare that the port speaks this protocol: unless a Service of the \
                          workload does, live messages on it are not looked at";

fn protocol<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<MessageProtocol, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_protocol(&text)
        .ok_or_else(|| serde::de::Error::custom("message.protocol is one of nats, mqtt, kafka"))
}

fn operation<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Operation, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_operation(&text).ok_or_else(|| {
        let all = "publish, subscribe, create, delete, admin, cluster, describe, connect";
        serde::de::Error::custom(format!("message.operation is one of {all}"))
    })
}

pub(crate) fn parse_protocol(text: &str) -> Option<MessageProtocol> {
    MessageProtocol::ALL.into_iter().find(|protocol| protocol.as_str() == text)
}

pub(crate) fn parse_operation(text: &str) -> Option<Operation> {
    let unwritten = [Operation::Describe, Operation::Connect];
    let all = Operation::WRITTEN.into_iter().chain(unwritten);
    all.into_iter().find(|operation| operation.as_str() == text)
}

impl MessageInput {
    /// The one that a log recorded.
    pub(super) fn recorded(seen: &RecordedMessage) -> Self {
        Self {
            protocol: seen.protocol,
            operation: seen.operation,
            topic: seen.topic.clone(),
            group: seen.group.clone(),
            queue: seen.queue.clone(),
            stream: seen.stream.clone(),
            client_id: seen.client_id.clone(),
            transactional_id: seen.transactional_id.clone(),
            reply: Some(seen.reply),
        }
    }

    fn request(&self) -> AccessRequest<'_> {
        AccessRequest {
            operation: self.operation,
            topic: self.topic.as_deref(),
            group: self.group.as_deref(),
            queue: self.queue.as_deref(),
            stream: self.stream.as_deref(),
            client_id: self.client_id.as_deref(),
            transactional_id: self.transactional_id.as_deref(),
            reply: self.reply.unwrap_or(false),
        }
    }
}

/// Decides the connection as opaque bytes, then the operation.
pub(super) fn explain(
    config: &Config,
    snapshot: &Snapshot,
    connection: &ConnectionFacts<'_>,
    message: &MessageInput,
) -> ExplainAnswer {
    let carried = authorize::opaque(snapshot, connection, OpaqueKind::Tcp);
    if carried.decision.is_err() {
        return ExplainAnswer::of(carried, None);
    }
    let declared = config.inbound.declared_protocol(connection.destination.port());
    let undeclared = declared.messages() != Some(message.protocol);
    let answer = explain_operation(snapshot, connection, message);
    ExplainAnswer { note: undeclared.then_some(UNDECLARED), ..answer }
}

/// Decides the operation alone, as if the connection were allowed.
pub(super) fn explain_operation(
    snapshot: &Snapshot,
    connection: &ConnectionFacts<'_>,
    message: &MessageInput,
) -> ExplainAnswer {
    let request = message.request();
    let verdict = authorize::message(snapshot, connection, message.protocol, &request);
    let nearest = (!verdict.is_allowed() && verdict.decider().is_none())
        .then(|| authorize::message_miss(snapshot, connection, message.protocol, &request));
    let audited = verdict.audited_by().filter(|_| verdict.is_allowed()).map(audited);
    ExplainAnswer {
        nearest: nearest.flatten(),
        would: audited.into_iter().collect(),
        ..answer(&verdict)
    }
}

fn answer(verdict: &MessageVerdict<'_>) -> ExplainAnswer {
    let answer = match verdict.reason() {
        None => ExplainAnswer::allow(PermitReason::PolicyAllowed.as_str()),
        Some(reason) => ExplainAnswer::deny(reason.as_str()),
    };
    let decider = verdict.decider();
    let policy = decider.map(|decider| Arc::clone(decider.policy()));
    ExplainAnswer { policy, rule: decider.map(Decider::rule), ..answer }
}

fn audited(decider: &Decider) -> ShadowDecision {
    ShadowDecision {
        decision: "would_deny",
        by: ShadowSource::Audit,
        reason: "policy_audited",
        policy: Some(Arc::clone(decider.policy())),
        rule: Some(decider.rule()),
    }
}
