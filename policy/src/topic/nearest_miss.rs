//! The rule that came nearest to allowing an operation, and what it failed by. Looked for after a refusal only.

use std::fmt::Display;

use message_access::AccessRequest;

use super::caller_index::TopicEntry;
use super::{ClauseField, TopicClause};
use crate::NearestMiss;
use crate::evaluate::RuleFacts;
use crate::snapshot::{SourceMiss, shortened, source_miss};

/// The most clauses of one rule that are compared.
const MOST_CLAUSES: usize = 16;
/// The most patterns of a clause that are named.
const MOST_PATTERNS: usize = 4;

/// The nearest of these rules; the first of equally near ones.
pub(super) fn among<'e>(
    entries: impl Iterator<Item = &'e TopicEntry>,
    facts: &RuleFacts<'_>,
    request: &AccessRequest<'_>,
) -> Option<NearestMiss> {
    let misses = entries.map(|entry| (entry, MessageMiss::of(entry, facts, request)));
    let (entry, miss) = misses.min_by_key(|(_, miss)| miss.distance())?;
    Some(NearestMiss {
        policy: entry.decider.policy().clone(),
        rule: entry.decider.rule(),
        missing: miss.names(),
        would_match_but_for: miss.text(request),
    })
}

/// What one rule fails by.
struct MessageMiss<'r> {
    source: SourceMiss,
    clause: Option<(&'r TopicClause, Vec<ClauseField>)>,
}

impl<'r> MessageMiss<'r> {
    fn of(entry: &'r TopicEntry, facts: &RuleFacts<'_>, request: &AccessRequest<'_>) -> Self {
        let clauses = entry.rule.to.iter().take(MOST_CLAUSES);
        let judged = clauses.map(|clause| (clause, missing(clause, request)));
        Self {
            source: source_miss(&entry.rule.from, facts),
            clause: judged.min_by_key(|(_, missing)| weight(missing)),
        }
    }

    fn fields(&self) -> &[ClauseField] {
        self.clause.as_ref().map_or(&[], |(_, missing)| missing)
    }

    /// Rules about the caller come first, then those about the operation.
    fn distance(&self) -> usize {
        self.source.distance * 4 + weight(self.fields())
    }

    fn names(&self) -> Vec<String> {
        let fields = self.fields().iter().map(|field| field.as_str().to_owned());
        self.source.names.iter().cloned().chain(fields).collect()
    }

    fn text(&self, request: &AccessRequest<'_>) -> String {
        let clause = self.clause.iter().flat_map(|(clause, missing)| {
            missing.iter().map(|field| clause.mismatch_text(*field, request))
        });
        let parts: Vec<_> = self.source.texts.iter().cloned().chain(clause).collect();
        shortened(parts.join("; "))
    }
}

fn missing(clause: &TopicClause, request: &AccessRequest<'_>) -> Vec<ClauseField> {
    let mut missing = Vec::new();
    clause.judge(request, &mut |field, holds| {
        if !holds {
            missing.push(field);
        }
        true
    });
    missing
}

/// One operation is farther from another than one topic from another.
fn weight(fields: &[ClauseField]) -> usize {
    let weight = |field: &ClauseField| match field {
        ClauseField::Operation | ClauseField::Scope => 2,
        _ => 1,
    };
    fields.iter().map(weight).sum()
}

impl ClauseField {
    fn as_str(self) -> &'static str {
        match self {
            Self::Operation => "operation",
            Self::Scope => "scope",
            Self::Topic => "topic",
            Self::Group => "group",
            Self::Queue => "queue",
            Self::Stream => "stream",
            Self::ClientId => "clientId",
            Self::TransactionalId => "transactionalId",
        }
    }
}

impl TopicClause {
    fn mismatch_text(&self, field: ClauseField, request: &AccessRequest<'_>) -> String {
        let of = |asked: Option<&str>, wanted: String| {
            format!("{} {}, and the rule names {wanted}", field.as_str(), asked.unwrap_or("(none)"))
        };
        match field {
            ClauseField::Operation => {
                let wanted: Vec<_> = self.operations.iter().map(|known| known.as_str()).collect();
                of(Some(request.operation.as_str()), listed(&wanted))
            }
            ClauseField::Scope => {
                "the broker as a whole, and the rule is about named things".to_owned()
            }
            ClauseField::Topic => of(request.topic, listed(&self.topics)),
            ClauseField::Group => of(request.group, listed(&self.groups)),
            ClauseField::Queue => of(request.queue, listed(&self.queues)),
            ClauseField::Stream => of(request.stream, listed(&self.streams)),
            ClauseField::ClientId => of(request.client_id, listed(&self.client_ids)),
            ClauseField::TransactionalId => {
                of(request.transactional_id, listed(&self.transactional_ids))
            }
        }
    }
}

fn listed<T: Display>(patterns: &[T]) -> String {
    let shown: Vec<_> = patterns.iter().take(MOST_PATTERNS).map(T::to_string).collect();
    match (patterns.len(), patterns.len() > MOST_PATTERNS) {
        (0, _) => "none".to_owned(),
        (_, false) => shown.join(", "),
        (all, true) => format!("{} and {} more", shown.join(", "), all - MOST_PATTERNS),
    }
}
