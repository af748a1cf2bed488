//! One clause of `to`: operations, and what they may be about.

use message_access::{AccessRequest, NamePattern, Operation, TopicPattern};

/// A set of operations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OperationSet(u8);

impl OperationSet {
    pub(crate) fn has(self, operation: Operation) -> bool {
        self.0 & bit(operation) != 0
    }

    pub(crate) fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn has_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that policies name, in the order in which they are documented.
    pub(crate) fn iter(self) -> impl Iterator<Item = Operation> {
        Operation::WRITTEN.into_iter().filter(move |operation| self.has(*operation))
    }
}

impl FromIterator<Operation> for OperationSet {
    fn from_iter<I: IntoIterator<Item = Operation>>(operations: I) -> Self {
        Self(operations.into_iter().fold(0, |set, operation| set | bit(operation)))
    }
}

const fn bit(operation: Operation) -> u8 {
    match operation {
        Operation::Publish => 1,
        Operation::Subscribe => 1 << 1,
        Operation::Create => 1 << 2,
        Operation::Delete => 1 << 3,
        Operation::Admin => 1 << 4,
        Operation::Cluster => 1 << 5,
        Operation::Describe => 1 << 6,
        Operation::Connect => 1 << 7,
    }
}

/// `to[].operation` of a TopicPolicy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TopicClause {
    pub(crate) operations: OperationSet,
    pub(crate) topics: Vec<TopicPattern>,
    pub(crate) groups: Vec<NamePattern>,
    pub(crate) queues: Vec<NamePattern>,
    pub(crate) streams: Vec<NamePattern>,
    pub(crate) client_ids: Vec<NamePattern>,
    pub(crate) transactional_ids: Vec<NamePattern>,
    /// Whether answers to messages that were just delivered may be published, wherever these asked for them.
    pub(crate) reply: bool,
}

/// What a clause that allows can fail by, by the word that answers use for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClauseField {
    Operation,
    /// The operation is about the broker as a whole, the clause about named things.
    Scope,
    Topic,
    Group,
    Queue,
    Stream,
    ClientId,
    TransactionalId,
}

impl TopicClause {
    /// Whether the clause allows all that is asked.
    pub(crate) fn covers(&self, request: &AccessRequest<'_>) -> bool {
        self.judge(request, &mut |_, holds| holds)
    }

    /// Calls `go_on` with each field and whether it holds, until it returns false; `true` when it never does.
    pub(crate) fn judge(
        &self,
        request: &AccessRequest<'_>,
        go_on: &mut (impl FnMut(ClauseField, bool) -> bool + ?Sized),
    ) -> bool {
        if request.operation == Operation::Connect {
            return go_on(ClauseField::ClientId, covered(&self.client_ids, request.client_id));
        }
        go_on(ClauseField::Operation, self.operations.has(request.operation))
            && go_on(ClauseField::Scope, !is_about_broker(request) || self.is_about_broker())
            && go_on(ClauseField::Topic, self.covers_topic(request))
            && go_on(ClauseField::Group, covered(&self.groups, request.group))
            && go_on(ClauseField::Queue, covered(&self.queues, request.queue))
            && go_on(ClauseField::Stream, covered(&self.streams, request.stream))
            && go_on(
                ClauseField::TransactionalId,
                covered(&self.transactional_ids, request.transactional_id),
            )
    }

    /// A clause that names streams and no topics is about every subject of these streams.
    fn covers_topic(&self, request: &AccessRequest<'_>) -> bool {
        let Some(topic) = request.topic else { return true };
        let of_stream = self.topics.is_empty() && !self.streams.is_empty();
        (of_stream && request.stream.is_some())
            || (self.reply && request.reply)
            || self.topics.iter().any(|pattern| pattern.covers(topic))
    }

    /// Whether the clause is about any of what is asked: of the kinds of names that both have there is one, and all overlap.
    pub(crate) fn touches(&self, request: &AccessRequest<'_>) -> bool {
        if request.operation == Operation::Connect {
            let asked = request.client_id.unwrap_or_default();
            return self.client_ids.iter().any(|pattern| pattern.overlaps(asked));
        }
        if !self.operations.has(request.operation) {
            return false;
        }
        let topic = match request.topic {
            Some(topic) if !self.topics.is_empty() => {
                Some(self.topics.iter().any(|pattern| pattern.overlaps(topic)))
            }
            _ => None,
        };
        let kinds = [
            topic,
            touched(&self.groups, request.group),
            touched(&self.queues, request.queue),
            touched(&self.streams, request.stream),
            touched(&self.transactional_ids, request.transactional_id),
        ];
        let mut common = kinds.into_iter().flatten().peekable();
        match common.peek() {
            Some(_) => common.all(|overlaps| overlaps),
            None => !self.names_anything(),
        }
    }

    /// Whether it is limited to named things.
    pub(crate) fn names_anything(&self) -> bool {
        !self.topics.is_empty()
            || [&self.groups, &self.queues, &self.streams, &self.transactional_ids]
                .iter()
                .any(|names| !names.is_empty())
            || self.reply
    }

    fn is_about_broker(&self) -> bool {
        !self.names_anything()
    }
}

/// Whether the operation names nothing, and means the broker as a whole by that. To publish or subscribe without a name asks
/// whether anything may be published or received at all.
fn is_about_broker(request: &AccessRequest<'_>) -> bool {
    let AccessRequest { topic, group, queue, stream, transactional_id, .. } = request;
    let named = [topic, group, queue, stream, transactional_id];
    named.iter().all(|name| name.is_none())
        && matches!(
            request.operation,
            Operation::Create | Operation::Delete | Operation::Admin | Operation::Cluster
        )
}

fn covered(patterns: &[NamePattern], asked: Option<&str>) -> bool {
    asked.is_none_or(|asked| patterns.iter().any(|pattern| pattern.covers(asked)))
}

/// `None` where one of the two does not name this kind.
fn touched(patterns: &[NamePattern], asked: Option<&str>) -> Option<bool> {
    let asked = asked.filter(|_| !patterns.is_empty())?;
    Some(patterns.iter().any(|pattern| pattern.overlaps(asked)))
}
