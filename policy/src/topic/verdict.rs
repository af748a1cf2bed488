//! What is answered about one operation.

use std::sync::Arc;

use message_access::{AccessRequest, Operation};

use crate::Decider;

/// The decision about one operation. Borrowed of the snapshot: it costs no allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a verdict that nobody asks guards nothing"]
pub struct MessageVerdict<'s> {
    denied: Option<MessageDenyReason>,
    decider: Option<&'s Decider>,
    audited: Option<&'s Decider>,
}

impl<'s> MessageVerdict<'s> {
    pub(super) fn allowed(decider: &'s Decider) -> Self {
        Self { denied: None, decider: Some(decider), audited: None }
    }

    pub(crate) fn denied(request: &AccessRequest<'_>, decider: Option<&'s Decider>) -> Self {
        Self { denied: Some(MessageDenyReason::of(request)), decider, audited: None }
    }

    /// The refusal of an operation that no policy can allow.
    pub fn never(request: &AccessRequest<'_>) -> Self {
        Self::denied(request, None)
    }

    pub(super) fn audited(self, audited: Option<&'s Decider>) -> Self {
        Self { audited, ..self }
    }

    /// Whether the operation is allowed.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.denied.is_none()
    }

    /// Why it is refused; `None` where it is allowed.
    #[must_use]
    pub fn reason(&self) -> Option<MessageDenyReason> {
        self.denied
    }

    /// The rule that decided; `None` where it is refused because no rule allows it.
    #[must_use]
    pub fn decider(&self) -> Option<&'s Decider> {
        self.decider
    }

    /// The policy that decided, `namespace/name`.
    #[must_use]
    pub fn policy(&self) -> Option<&'s Arc<str>> {
        self.decider.map(Decider::policy)
    }

    /// The first `AUDIT` rule that is about the operation.
    #[must_use]
    pub fn audited_by(&self) -> Option<&'s Decider> {
        self.audited
    }
}

/// Why an operation is refused: by what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageDenyReason {
    /// Its topic, or what else it names.
    Topic,
    /// A group alone.
    Group,
    /// It is for brokers among themselves.
    Cluster,
    /// The client id of a session.
    ClientId,
}

impl MessageDenyReason {
    fn of(request: &AccessRequest<'_>) -> Self {
        match request.operation {
            Operation::Connect => Self::ClientId,
            Operation::Cluster => Self::Cluster,
            _ if request.group.is_some() && request.topic.is_none() => Self::Group,
            _ => Self::Topic,
        }
    }

    /// The stable word for logs, metrics and `explain`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "topic_denied",
            Self::Group => "group_denied",
            Self::Cluster => "cluster_denied",
            Self::ClientId => "client_id_denied",
        }
    }
}
