//! The clauses that cover what one caller did, and nothing beside it but what is folded.

use std::collections::{BTreeMap, BTreeSet};

use message_access::{MessageProtocol, Operation};

use super::folding;
use crate::policy_tools::recorded::RecordedMessage;
use crate::policy_tools::suggest::yaml;

/// One `operation`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SuggestedClause {
    operations: BTreeSet<Operation>,
    topics: BTreeSet<String>,
    /// `groups`, `queues` and so on, by the key.
    names: BTreeMap<&'static str, BTreeSet<String>>,
    reply: bool,
}

/// What is named beside a topic, by the key of its list.
type Beside<'m> = BTreeMap<&'static str, &'m str>;

/// The clauses for these messages of one caller.
pub(super) fn of(
    protocol: MessageProtocol,
    messages: &BTreeSet<&RecordedMessage>,
    distinct: usize,
) -> Vec<SuggestedClause> {
    let mut found = by_what_is_beside(messages);
    match protocol {
        // Kafka asks for topics, groups and transactions one by one.
        MessageProtocol::Kafka => {
            found = joined(found, |clause| (clause.operations.clone(), clause.names_nothing()))
        }
        MessageProtocol::Nats | MessageProtocol::Mqtt => {
            for key in ["groups", "queues", "streams"] {
                found = joined(found, |clause| {
                    let mut rest = clause.clone();
                    let named = rest.names.remove(key).is_some();
                    (rest, named)
                });
            }
        }
    }
    let mut clauses: Vec<_> = without_repetitions(found);
    clauses.extend(client_ids(messages));
    for clause in &mut clauses {
        let folded = folding::topics(protocol, std::mem::take(&mut clause.topics), distinct);
        clause.topics = folding::without_covered(protocol, folded);
        for names in clause.names.values_mut() {
            *names = folding::names(std::mem::take(names), distinct);
        }
    }
    clauses.sort();
    clauses
}

/// One clause for the topics with which the same was done, and beside which the same was named.
fn by_what_is_beside(messages: &BTreeSet<&RecordedMessage>) -> Vec<SuggestedClause> {
    let mut done: BTreeMap<(Beside<'_>, Option<&str>), BTreeSet<Operation>> = BTreeMap::new();
    let mut reply = false;
    for message in messages.iter().filter(|message| message.operation != Operation::Connect) {
        match message.reply {
            true => reply = true,
            false => {
                let key = (beside(message), message.topic.as_deref());
                done.entry(key).or_default().insert(message.operation);
            }
        }
    }
    let mut alike: BTreeMap<(Beside<'_>, BTreeSet<Operation>, bool), BTreeSet<String>> =
        BTreeMap::new();
    for ((beside, topic), operations) in done {
        let topics = alike.entry((beside, operations, topic.is_some())).or_default();
        topics.extend(topic.map(str::to_owned));
    }
    let clause =
        |((beside, operations, _), topics): ((Beside<'_>, BTreeSet<Operation>, bool), _)| {
            let names =
                beside.into_iter().map(|(key, name)| (key, BTreeSet::from([name.to_owned()])));
            SuggestedClause { operations, topics, names: names.collect(), reply: false }
        };
    let answers = reply.then(|| SuggestedClause {
        operations: BTreeSet::from([Operation::Publish]),
        reply: true,
        ..SuggestedClause::default()
    });
    alike.into_iter().map(clause).chain(answers).collect()
}

fn beside(message: &RecordedMessage) -> Beside<'_> {
    let named = [
        ("groups", &message.group),
        ("queues", &message.queue),
        ("streams", &message.stream),
        ("transactionalIds", &message.transactional_id),
    ];
    named.into_iter().filter_map(|(key, name)| Some((key, name.as_deref()?))).collect()
}

fn client_ids(messages: &BTreeSet<&RecordedMessage>) -> Option<SuggestedClause> {
    let ids: BTreeSet<String> = messages.iter().filter_map(|m| m.client_id.clone()).collect();
    (!ids.is_empty()).then(|| SuggestedClause {
        names: BTreeMap::from([("clientIds", ids)]),
        ..SuggestedClause::default()
    })
}

/// Joins the clauses that are alike.
fn joined<K: Ord>(
    clauses: Vec<SuggestedClause>,
    alike: impl Fn(&SuggestedClause) -> K,
) -> Vec<SuggestedClause> {
    let mut found: BTreeMap<K, SuggestedClause> = BTreeMap::new();
    for clause in clauses {
        let into = found.entry(alike(&clause)).or_default();
        into.operations.extend(clause.operations);
        into.topics.extend(clause.topics);
        into.reply |= clause.reply;
        for (key, names) in clause.names {
            into.names.entry(key).or_default().extend(names);
        }
    }
    found.into_values().collect()
}

/// Without the clauses that another one covers: who may subscribe in a queue may subscribe without it.
fn without_repetitions(clauses: Vec<SuggestedClause>) -> Vec<SuggestedClause> {
    let covered = |clause: &SuggestedClause| {
        clauses.iter().any(|other| other != clause && other.covers(clause))
    };
    clauses.iter().filter(|clause| !covered(clause)).cloned().collect()
}

impl SuggestedClause {
    fn names_nothing(&self) -> bool {
        self.topics.is_empty() && self.names.is_empty() && !self.reply
    }

    fn covers(&self, other: &Self) -> bool {
        let names = |(key, names): (&&'static str, &BTreeSet<String>)| {
            self.names.get(key).is_some_and(|own| own.is_superset(names))
        };
        !other.names_nothing()
            && !other.reply
            && !other.topics.is_empty()
            && self.operations.is_superset(&other.operations)
            && self.topics.is_superset(&other.topics)
            && other.names.iter().all(names)
    }

    /// As people write it.
    pub(super) fn written(&self) -> String {
        let mut fields = Vec::new();
        if !self.operations.is_empty() {
            let words: Vec<_> =
                self.operations.iter().map(|operation| operation.as_str()).collect();
            fields.push(format!("operations: [{}]", words.join(", ")));
        }
        if !self.topics.is_empty() {
            fields.push(format!("topics: {}", yaml::list(&self.topics)));
        }
        let names = self.names.iter();
        fields.extend(names.map(|(key, names)| format!("{key}: {}", yaml::list(names))));
        if self.reply {
            fields.push("reply: true".to_owned());
        }
        format!("{{{}}}", fields.join(", "))
    }
}
