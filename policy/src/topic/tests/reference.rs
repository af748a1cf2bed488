//! The decision against a slow one that enumerates concrete topics: what an operation names is the set of topics that it
//! means, and a pattern is the set that it matches.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

/// Every subject of up to three tokens; `x` stands in no pattern.
fn universe() -> Vec<Vec<&'static str>> {
    let tokens = ["a", "b", "x"];
    let one = tokens.iter().map(|token| vec![*token]);
    let longer = |shorter: Vec<Vec<&'static str>>| -> Vec<Vec<&'static str>> {
        let pairs = shorter.iter().flat_map(|begun| tokens.iter().map(move |token| (begun, token)));
        pairs.map(|(begun, token)| [&begun[..], &[*token]].concat()).collect()
    };
    let one: Vec<_> = one.collect();
    let two = longer(one.clone());
    let three = longer(two.clone());
    let four = longer(three.clone());
    [one, two, three, four].concat()
}

/// The topics that a pattern of NATS means.
fn meant(pattern: &str) -> BTreeSet<Vec<&'static str>> {
    fn matches(pattern: &[&str], topic: &[&str]) -> bool {
        match (pattern, topic) {
            ([], []) => true,
            ([">"], topic) => !topic.is_empty(),
            ([level, pattern @ ..], [token, topic @ ..]) => {
                (*level == "*" || level == token) && matches(pattern, topic)
            }
            _ => false,
        }
    }
    let pattern: Vec<_> = pattern.split('.').collect();
    universe().into_iter().filter(|topic| matches(&pattern, topic)).collect()
}

/// The names that a pattern of names means.
fn named(pattern: &str) -> BTreeSet<&'static str> {
    let all = ["p", "pq", "pqr", "z"].into_iter();
    match pattern.strip_suffix('*') {
        Some(prefix) => all.filter(|name| name.starts_with(prefix)).collect(),
        None => all.filter(|name| *name == pattern).collect(),
    }
}

#[derive(Debug, Clone)]
struct Clause {
    operations: Vec<&'static str>,
    topics: Vec<&'static str>,
    queues: Vec<&'static str>,
    streams: Vec<&'static str>,
    reply: bool,
}

#[derive(Debug, Clone)]
struct Policy {
    action: &'static str,
    /// `None`: anybody.
    from: Option<&'static str>,
    clauses: Vec<Clause>,
}

#[derive(Debug, Clone)]
struct Asked {
    operation: Operation,
    topic: Option<&'static str>,
    queue: Option<&'static str>,
    stream: Option<&'static str>,
    reply: bool,
}

impl Clause {
    fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.queues.is_empty() && self.streams.is_empty() && !self.reply
    }

    fn allows(&self, asked: &Asked) -> bool {
        let of_streams = self.topics.is_empty() && !self.streams.is_empty();
        let topic = asked.topic.is_none_or(|topic| {
            (self.reply && asked.reply)
                || (of_streams && asked.stream.is_some())
                || self.topics.iter().any(|pattern| meant(topic).is_subset(&meant(pattern)))
        });
        let all = |patterns: &[&str], name: Option<&str>| {
            name.is_none_or(|name| patterns.iter().any(|p| named(name).is_subset(&named(p))))
        };
        let names_nothing =
            asked.topic.is_none() && asked.queue.is_none() && asked.stream.is_none();
        let of_broker = names_nothing
            && asked.operation != Operation::Publish
            && asked.operation != Operation::Subscribe;
        self.operations.contains(&asked.operation.as_str())
            && topic
            && all(&self.queues, asked.queue)
            && all(&self.streams, asked.stream)
            && (!of_broker || self.is_empty())
    }

    fn fires(&self, asked: &Asked) -> bool {
        let mut common = Vec::new();
        if let (Some(topic), false) = (asked.topic, self.topics.is_empty()) {
            common.push(self.topics.iter().any(|p| !meant(p).is_disjoint(&meant(topic))));
        }
        for (patterns, name) in [(&self.queues, asked.queue), (&self.streams, asked.stream)] {
            if let (Some(name), false) = (name, patterns.is_empty()) {
                common.push(patterns.iter().any(|p| !named(p).is_disjoint(&named(name))));
            }
        }
        self.operations.contains(&asked.operation.as_str())
            && if common.is_empty() { self.is_empty() } else { common.iter().all(|is| *is) }
    }
}

/// Which policy decides, and whether it allows.
fn expected(policies: &[Policy], caller: &str, asked: &Asked) -> String {
    let about = |policy: &Policy| match policy.from {
        None => true,
        Some("bank") => caller.contains("/ns/bank/"),
        Some(principal) => principal == caller,
    };
    let first = |action: &str, fits: &dyn Fn(&Clause) -> bool| {
        let mut found = policies.iter().enumerate().filter(|(_, policy)| {
            policy.action == action && about(policy) && policy.clauses.iter().any(fits)
        });
        found.next().map(|(at, _)| at)
    };
    let audited = first("AUDIT", &|clause| clause.fires(asked)).map_or("", |_| " audited");
    match (first("DENY", &|clause| clause.fires(asked)), first("ALLOW", &|c| c.allows(asked))) {
        (Some(at), _) => format!("topic_denied by p{at}{audited}"),
        (None, Some(at)) => format!("p{at}{audited}"),
        (None, None) => format!("topic_denied by -{audited}"),
    }
}

fn written(policy: &Policy) -> String {
    let mut text = format!("{{protocol: nats, action: {}, rules: [{{", policy.action);
    match policy.from {
        None => {}
        Some("bank") => text.push_str("from: [{source: {namespaces: [bank]}}], "),
        Some(principal) => {
            let _ = write!(text, "from: [{{source: {{principals: [{principal}]}}}}], ");
        }
    }
    let list = |key: &str, values: &[&str]| match values {
        [] => String::new(),
        values => format!(", {key}: ['{}']", values.join("', '")),
    };
    let clause = |clause: &Clause| {
        format!(
            "{{operation: {{operations: [{}]{}{}{}{}}}}}",
            clause.operations.join(", "),
            list("topics", &clause.topics),
            list("queues", &clause.queues),
            list("streams", &clause.streams),
            if clause.reply { ", reply: true" } else { "" }
        )
    };
    let clauses: Vec<_> = policy.clauses.iter().map(clause).collect();
    let _ = write!(text, "to: [{}]}}]}}", clauses.join(", "));
    text
}

const TOPICS: [&str; 12] =
    ["a", "b", "a.b", "a.a", "*", "*.*", "a.*", "*.b", "a.>", ">", "*.>", "a.*.b"];
const NAMES: [&str; 4] = ["p", "pq", "p*", "*"];

fn some_clause(action: &'static str) -> impl Strategy<Value = Clause> {
    let operations = subsequence(vec!["publish", "subscribe", "delete", "admin"], 1..4);
    let topics = subsequence(TOPICS.to_vec(), 0..3);
    let names = || subsequence(NAMES.to_vec(), 0..2);
    (operations, topics, names(), names(), any::<bool>()).prop_map(
        move |(mut operations, mut topics, queues, streams, reply)| {
            // What the reader refuses: an answer is published, and an ALLOW clause about names has some.
            let reply = reply && action == "ALLOW";
            if reply && !operations.contains(&"publish") {
                operations.push("publish");
            }
            let about_broker = operations.iter().all(|operation| *operation == "admin");
            if action == "ALLOW"
                && topics.is_empty()
                && queues.is_empty()
                && streams.is_empty()
                && !reply
                && !about_broker
            {
                topics.push("a");
            }
            Clause { operations, topics, queues, streams, reply }
        },
    )
}

fn some_policy() -> impl Strategy<Value = Policy> {
    let from = select(vec![None, Some("bank"), Some(ORDERS), Some(OTHER)]);
    select(vec!["ALLOW", "ALLOW", "DENY", "AUDIT"]).prop_flat_map(move |action| {
        let clauses = prop::collection::vec(some_clause(action), 1..3);
        (from.clone(), clauses).prop_map(move |(from, clauses)| Policy { action, from, clauses })
    })
}

fn some_request() -> impl Strategy<Value = Asked> {
    let operation =
        select(vec![Operation::Publish, Operation::Subscribe, Operation::Delete, Operation::Admin]);
    let topic = prop::option::weighted(0.9, select(TOPICS.to_vec()));
    let name = || prop::option::weighted(0.3, select(vec!["p", "pq", "z"]));
    (operation, topic, name(), name(), any::<bool>()).prop_map(
        |(operation, topic, queue, stream, reply)| {
            let reply = reply && operation == Operation::Publish;
            Asked { operation, topic, queue, stream, reply }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_decision_is_that_of_the_topics_one_by_one(
        policies in prop::collection::vec(some_policy(), 0..6),
        requests in prop::collection::vec(some_request(), 1..8),
        caller in select(vec![ORDERS, OTHER, "cluster.local/ns/bank/sa/audit"]),
    ) {
        let texts: Vec<_> = policies.iter().map(written).collect();
        let snapshot = snapshot(&texts.iter().map(|text| &**text).collect::<Vec<_>>());
        for request in &requests {
            let Asked { operation, topic, queue, stream, reply } = request.clone();
            let facts = AccessRequest { topic, queue, stream, reply, ..AccessRequest::new(operation) };
            let found = asked(&snapshot, caller, MessageProtocol::Nats, &facts);
            prop_assert_eq!(found, expected(&policies, caller, request), "{:?}", request);
        }
    }
}
