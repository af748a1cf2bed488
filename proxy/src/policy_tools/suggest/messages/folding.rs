//! Many names that differ in one place become one pattern: never wider than what was seen by more than that place.

use std::collections::{BTreeMap, BTreeSet};

use message_access::{MessageProtocol, TopicPattern};

/// What parts the words of a name that has no levels.
const SEPARATORS: [char; 3] = ['.', '-', '_'];

/// Topics of which more than `distinct` differ in one level alone become one pattern. The first level stays: it says
/// whose topics they are. What holds a wildcard already stays as it is.
pub(super) fn topics(
    protocol: MessageProtocol,
    topics: BTreeSet<String>,
    distinct: usize,
) -> BTreeSet<String> {
    match protocol {
        MessageProtocol::Kafka => names(topics, distinct),
        MessageProtocol::Nats => levels(topics, '.', "*", distinct),
        MessageProtocol::Mqtt => levels(topics, '/', "+", distinct),
    }
}

/// Without the topics that a pattern among them covers: what was delivered by `devices/#` beside the subscription itself.
pub(super) fn without_covered(
    protocol: MessageProtocol,
    topics: BTreeSet<String>,
) -> BTreeSet<String> {
    let wild = topics.iter().filter(|topic| topic.contains(['*', '>', '+', '#']));
    let patterns: Vec<(&String, TopicPattern)> =
        wild.filter_map(|text| Some((text, TopicPattern::parse(protocol, text).ok()?))).collect();
    let is_covered = |topic: &String| {
        patterns.iter().any(|(text, pattern)| *text != topic && pattern.covers(topic))
    };
    topics.iter().filter(|topic| !is_covered(topic)).cloned().collect()
}

fn levels(
    mut topics: BTreeSet<String>,
    separator: char,
    any: &str,
    distinct: usize,
) -> BTreeSet<String> {
    let joined = separator.to_string();
    let mut alike: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for topic in &topics {
        let levels: Vec<&str> = topic.split(separator).collect();
        if levels.iter().any(|level| matches!(*level, "*" | ">" | "+" | "#")) {
            continue;
        }
        for at in 1..levels.len() {
            let folded =
                levels.iter().enumerate().map(|(n, level)| if n == at { any } else { level });
            let folded = folded.collect::<Vec<_>>().join(&joined);
            alike.entry(folded).or_default().insert(topic.clone());
        }
    }
    let mut patterns: Vec<_> = alike.into_iter().collect();
    // The pattern that stands for most is taken first; what it covers counts for no other.
    patterns.sort_by(|(one, of_one), (other, of_other)| {
        (of_other.len(), one).cmp(&(of_one.len(), other))
    });
    for (pattern, covered) in patterns {
        let left: Vec<_> = covered.iter().filter(|topic| topics.contains(*topic)).collect();
        if left.len() > distinct {
            left.into_iter().for_each(|topic| {
                topics.remove(topic);
            });
            topics.insert(pattern);
        }
    }
    topics
}

/// Names of which more than `distinct` differ after the last `.`, `-` or `_` alone become that beginning.
pub(super) fn names(mut names: BTreeSet<String>, distinct: usize) -> BTreeSet<String> {
    let mut alike: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in names.iter().filter(|name| !name.contains('*')) {
        let Some(at) = name.rfind(SEPARATORS).filter(|at| *at > 0) else { continue };
        // One byte long, whichever it is.
        let beginning = format!("{}*", &name[..=at]);
        alike.entry(beginning).or_default().insert(name.clone());
    }
    for (beginning, covered) in alike.into_iter().filter(|(_, covered)| covered.len() > distinct) {
        names.retain(|name| !covered.contains(name));
        names.insert(beginning);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(protocol: MessageProtocol, most: usize, seen: &[&str], expect: &[&str]) {
        let seen: BTreeSet<_> = seen.iter().map(|name| (*name).to_owned()).collect();
        let found: Vec<_> = topics(protocol, seen.clone(), most).into_iter().collect();
        assert_eq!(found, expect, "{seen:?}");
    }

    #[test]
    fn what_a_pattern_covers_is_not_named_beside_it() {
        for (protocol, seen, expect) in [
            (MessageProtocol::Mqtt, &["d/#", "d/1/s", "d/+/s", "e"][..], &["d/#", "e"][..]),
            (MessageProtocol::Nats, &["d.*", "d.1", "d.1.x", "d.>"], &["d.>"]),
            (MessageProtocol::Kafka, &["*", "__x", "a", "a-*"], &["*", "__x"]),
            (MessageProtocol::Mqtt, &["a", "b"], &["a", "b"]),
        ] {
            let seen: BTreeSet<_> = seen.iter().map(|name| (*name).to_owned()).collect();
            let found: Vec<_> = without_covered(protocol, seen).into_iter().collect();
            assert_eq!(found, expect);
        }
    }

    #[test]
    fn what_becomes_a_pattern() {
        use MessageProtocol::{Kafka, Mqtt, Nats};
        check(Nats, 2, &["a.1", "a.2"], &["a.1", "a.2"]);
        check(Nats, 2, &["a.1", "a.2", "a.3", "b.1"], &["a.*", "b.1"]);
        check(Nats, 2, &["a.1.x", "a.2.x", "a.3.x", "a.3.y"], &["a.*.x", "a.3.y"]);
        check(Nats, 2, &["a.1", "a.2.x", "a.3"], &["a.1", "a.2.x", "a.3"]);
        check(Nats, 1, &["a", "b", "c"], &["a", "b", "c"]);
        check(Nats, 1, &["x.a", "y.a", "z.a"], &["x.a", "y.a", "z.a"]);
        check(Nats, 1, &["a.*", "a.x", "a.y"], &["a.*"]);
        check(Nats, 1, &["a.1.x", "a.2.x", "a.1.y", "a.2.y"], &["a.*.x", "a.*.y"]);
        check(Mqtt, 2, &["s/1/t", "s/2/t", "s/3/t", "s/#"], &["s/#", "s/+/t"]);
        check(Kafka, 2, &["orders.1", "orders.2", "orders.3", "refunds"], &["orders.*", "refunds"]);
        check(Kafka, 2, &["orders1", "orders2", "orders3"], &["orders1", "orders2", "orders3"]);
        check(Kafka, 1, &["*", "a-1", "a-2"], &["*", "a-*"]);
        check(Kafka, 1, &["-1", "-2", "-3"], &["-1", "-2", "-3"]);
    }
}
