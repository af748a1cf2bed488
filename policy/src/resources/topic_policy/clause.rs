//! `to[].operation` of a TopicPolicy.

use message_access::{MessageProtocol, NamePattern, Operation, TopicPattern};

use super::RuleReading;
use crate::resources::{PolicyAction, rules};
use crate::topic::{OperationSet, TopicClause};
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};

/// The keys that name things, and the protocols that have such things.
const NAMES: &[(&str, &[MessageProtocol])] = &[
    ("groups", &[MessageProtocol::Kafka, MessageProtocol::Mqtt]),
    ("queues", &[MessageProtocol::Nats]),
    ("streams", &[MessageProtocol::Nats]),
    ("reply", &[MessageProtocol::Nats]),
    ("clientIds", &[MessageProtocol::Mqtt]),
    ("transactionalIds", &[MessageProtocol::Kafka]),
];

pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    reading: RuleReading<'_>,
) -> Option<TopicClause> {
    let mut item = reader.mapping(value)?;
    let operation = item.require(reader, "operation");
    item.finish(reader);
    let value = operation?;
    let mut map = rules::non_empty_mapping(reader, value)?;
    let written = map.take("operations");
    let operations = written.map_or(Some(OperationSet::default()), |v| operations(reader, v));
    refuse_foreign_names(reader, &map, value, reading.protocol);
    let clause = TopicClause {
        operations: operations?,
        topics: topics(reader, &mut map, reading.protocol),
        groups: names(reader, &mut map, "groups"),
        queues: names(reader, &mut map, "queues"),
        streams: names(reader, &mut map, "streams"),
        client_ids: names(reader, &mut map, "clientIds"),
        transactional_ids: names(reader, &mut map, "transactionalIds"),
        reply: map.take("reply").is_some_and(|v| reader.boolean(v).unwrap_or(false)),
    };
    map.finish(reader);
    refuse_contradictions(reader, value, &clause, reading);
    Some(clause)
}

fn operations(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<OperationSet> {
    let words = Operation::WRITTEN.map(|operation| (operation.as_str(), operation));
    let items = reader.filled_list(value, words.len())?;
    let read: Vec<_> =
        items.into_iter().filter_map(|item| operation(reader, item, &words)).collect();
    (!read.is_empty()).then(|| read.into_iter().collect())
}

fn operation(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    words: &[(&str, Operation)],
) -> Option<Operation> {
    if value.is_text("describe") {
        let fix = "take it out: whoever may publish, subscribe, create, delete or administer may describe";
        reader.report_value(value, "an operation that policies name", Some(fix.to_owned()));
        return None;
    }
    if value.is_text("connect") {
        let fix = "name the client ids in `clientIds`";
        reader.report_value(value, "an operation that policies name", Some(fix.to_owned()));
        return None;
    }
    reader.choice(value, words)
}

fn topics(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    protocol: MessageProtocol,
) -> Vec<TopicPattern> {
    let expected = match protocol {
        MessageProtocol::Nats => "a NATS subject, such as orders.*.new or orders.>",
        MessageProtocol::Mqtt => "an MQTT topic filter, such as sensors/+/state or sensors/#",
        MessageProtocol::Kafka => "a Kafka topic, such as orders, or a prefix, such as orders.*",
    };
    patterns(reader, map, "topics", expected, |text| TopicPattern::parse(protocol, text))
}

fn names(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    key: &'static str,
) -> Vec<NamePattern> {
    patterns(reader, map, key, "a name, or a prefix such as orders-*", NamePattern::parse)
}

fn patterns<T, E: std::fmt::Display>(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    key: &'static str,
    expected: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Vec<T> {
    let Some(value) = map.take(key) else { return Vec::new() };
    let items = reader.filled_list(value, rules::MAX_VALUES).unwrap_or_default();
    items.into_iter().filter_map(|item| reader.parsed(item, expected, &parse)).collect()
}

/// Names of things that the protocol does not have would never be asked for.
fn refuse_foreign_names(
    reader: &mut YamlReader,
    map: &YamlMapping<'_>,
    value: YamlValue<'_>,
    protocol: MessageProtocol,
) {
    for (key, protocols) in NAMES {
        if map.has(key) && !protocols.contains(&protocol) {
            let of: Vec<_> = protocols.iter().map(|known| known.as_str()).collect();
            let found = format!("`{key}` in a policy of protocol {}", protocol.as_str());
            let expected = format!("`{key}` with protocol {}", of.join(" or "));
            let fix = match (*key, protocol) {
                ("groups", MessageProtocol::Nats) => Some("write `queues`".to_owned()),
                ("queues", _) => Some("write `groups`".to_owned()),
                ("clientIds", MessageProtocol::Kafka) => {
                    Some("take it out: a Kafka client id proves nothing".to_owned())
                }
                _ => None,
            };
            let mark = value.get(key).map_or(value.node.mark, |named| named.node.mark);
            reader.report_with_code(DiagnosticCode::Unsupported, mark, found, expected, fix);
        }
    }
}

/// What reads as if it said something and does not.
fn refuse_contradictions(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    clause: &TopicClause,
    RuleReading { protocol, action, .. }: RuleReading<'_>,
) {
    let mut refuse = |found: &str, expected: &str, fix: &str| {
        let code = DiagnosticCode::NoEffect;
        reader.report_with_code(code, value.node.mark, found, expected, Some(fix.to_owned()));
    };
    let names = clause.names_anything();
    // MQTT asks for no group by itself.
    let names_topics = match protocol {
        MessageProtocol::Mqtt => !clause.topics.is_empty(),
        MessageProtocol::Nats | MessageProtocol::Kafka => names,
    };
    let has = |operation| clause.operations.has(operation);
    let about_names =
        [Operation::Publish, Operation::Subscribe, Operation::Create, Operation::Delete];
    let about_names: OperationSet = about_names.into_iter().collect();
    match action {
        _ if clause.operations.is_empty() && (names || clause.client_ids.is_empty()) => refuse(
            "no `operations`",
            "the operations that the clause is about",
            "name some of publish, subscribe, create, delete, admin and cluster",
        ),
        PolicyAction::Allow if !names_topics && clause.operations.has_any(about_names) => refuse(
            "publish, subscribe, create or delete without `topics`, which allows nothing",
            "what it may be done with",
            "name the topics; all of them are `*` in Kafka, `>` in NATS, `#` in MQTT",
        ),
        PolicyAction::Allow if clause.reply && !has(Operation::Publish) => refuse(
            "`reply` without the operation publish",
            "operations: [publish]",
            "an answer is published: add publish",
        ),
        PolicyAction::Deny | PolicyAction::Audit if clause.reply => refuse(
            "`reply` in a policy that allows nothing",
            "`reply` with action ALLOW",
            "name the subjects in `topics`",
        ),
        PolicyAction::Deny | PolicyAction::Audit
            if !clause.client_ids.is_empty() && !clause.operations.is_empty() =>
        {
            refuse(
                "`clientIds` beside `operations`",
                "one of the two in a clause",
                "write two clauses: one about sessions under these client ids, one about operations",
            );
        }
        _ => {}
    }
}
