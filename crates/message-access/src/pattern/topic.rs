//! Patterns of topics, in the syntax of the protocol they are written for.

use std::fmt;

use super::levels::{self, LevelSyntax};
use super::{NamePattern, PatternProblem};
use crate::request::MessageProtocol;

/// Which topics a policy is about, in the protocol's own syntax: `orders.*` and `orders.>` in NATS, `orders/+` and
/// `orders/#` in MQTT, `orders` and `orders-*` in Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TopicPattern(Form);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Form {
    Name(NamePattern),
    Levels(LevelSyntax, Box<str>),
}

impl TopicPattern {
    /// Reads a pattern of this protocol; that of another is refused with the right spelling.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn parse(protocol: MessageProtocol, text: &str) -> Result<Self, PatternProblem> {
        let form = match protocol {
            MessageProtocol::Kafka => kafka(text)?,
            MessageProtocol::Nats => nats(text)?,
            MessageProtocol::Mqtt => mqtt(text)?,
        };
        Ok(Self(form))
    }

    /// Whether every topic that is asked for matches: `asked` is a topic or a pattern in the same syntax, as a client
    /// writes it. What is no valid pattern is covered by nothing. Wildcards in front cover no topics of the broker's own:
    /// those with `$` in MQTT, those with `__` in Kafka.
    #[must_use]
    pub fn covers(&self, asked: &str) -> bool {
        match &self.0 {
            Form::Name(name) => {
                name.covers(asked) && (!is_internal(asked) || name.begins_with(INTERNAL))
            }
            Form::Levels(syntax, pattern) => levels::covers(*syntax, pattern, asked),
        }
    }

    /// Whether any topic that is asked for matches. What is no valid pattern is touched by everything.
    #[must_use]
    pub fn overlaps(&self, asked: &str) -> bool {
        match &self.0 {
            Form::Name(name) => name.overlaps(asked),
            Form::Levels(syntax, pattern) => levels::overlaps(*syntax, pattern, asked),
        }
    }
}

/// As it is written.
impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Name(name) => name.fmt(f),
            Form::Levels(_, pattern) => f.write_str(pattern),
        }
    }
}

/// How the topics begin that Kafka brokers keep for themselves, with the offsets of all groups and the states of all
/// transactions.
const INTERNAL: &str = "__";

fn is_internal(asked: &str) -> bool {
    asked.starts_with(INTERNAL)
}

/// Legal characters of a Kafka topic's name.
const fn is_of_kafka_topic(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

fn kafka(text: &str) -> Result<Form, PatternProblem> {
    let name = text.strip_suffix('*').unwrap_or(text);
    match () {
        () if name.len() > 249 => {
            Err(PatternProblem("longer than a Kafka topic's name, 249 characters"))
        }
        () if !name.chars().all(is_of_kafka_topic) => Err(PatternProblem(
            "not a Kafka topic: letters, digits, `.`, `_`, `-`, and one `*` at the end: `orders` or `orders-*`",
        )),
        () => NamePattern::parse(text).map(Form::Name),
    }
}

fn nats(text: &str) -> Result<Form, PatternProblem> {
    let foreign = text.split(['.', '/']).any(|token| matches!(token, "+" | "#"));
    match () {
        () if foreign => Err(PatternProblem(
            "not a NATS subject: its wildcards are `*` for one token and `>` for the rest: `orders.*`, `orders.>`",
        )),
        () if !levels::is_valid(LevelSyntax::Nats, text) => Err(PatternProblem(
            "not a NATS subject: tokens parted by `.`, none empty; `*` stands for one whole token, `>` for the rest",
        )),
        () if text.split('.').any(|token| token.len() > 1 && token.contains(['*', '>'])) => {
            Err(PatternProblem(
                "a wildcard within a token means itself in NATS: `*` and `>` stand for whole tokens",
            ))
        }
        () => Ok(Form::Levels(LevelSyntax::Nats, text.into())),
    }
}

fn mqtt(text: &str) -> Result<Form, PatternProblem> {
    match () {
        () if text.split('/').any(|level| level.contains(['*', '>'])) => Err(PatternProblem(
            "not an MQTT topic filter: its wildcards are `+` for one level and `#` for the rest: `orders/+`, `orders/#`",
        )),
        () if text.starts_with("$share/") => {
            Err(PatternProblem("the group of a shared subscription is named by `groups`"))
        }
        () if !levels::is_valid(LevelSyntax::Mqtt, text) => Err(PatternProblem(
            "not an MQTT topic filter: `+` stands for one whole level, `#` for the rest, at the end",
        )),
        () => Ok(Form::Levels(LevelSyntax::Mqtt, text.into())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn internal_topics_of_kafka_are_covered_by_their_beginning_alone() {
        for (pattern, asked, covers, overlaps) in [
            ("*", "__consumer_offsets", false, true),
            ("_*", "__consumer_offsets", false, true),
            ("*", "__*", false, true),
            ("*", "*", true, true),
            ("*", "_a", true, true),
            ("_*", "_*", true, true),
            ("__*", "__consumer_offsets", true, true),
            ("__consumer*", "__consumer_offsets", true, true),
            ("__consumer_offsets", "__consumer_offsets", true, true),
            ("__consumer_offsets", "__transaction_state", false, false),
        ] {
            let read = TopicPattern::parse(MessageProtocol::Kafka, pattern).unwrap();
            let found = (read.covers(asked), read.overlaps(asked));
            assert_eq!(found, (covers, overlaps), "{pattern} and {asked}");
        }
    }

    #[test]
    fn foreign_syntax_is_refused() {
        use MessageProtocol::{Kafka, Mqtt, Nats};
        let check = |protocol, text: &str, good: bool| {
            assert_eq!(TopicPattern::parse(protocol, text).is_ok(), good, "{protocol:?} {text}");
        };
        check(Kafka, "orders", true);
        check(Kafka, "orders.*", true);
        check(Kafka, "*", true);
        for text in ["", "orders.>", "orders/#", "a*b", "a b", "a*.b"] {
            check(Kafka, text, false);
        }
        for text in ["orders", "orders.*", "orders.*.new", "orders.>", ">", "$JS.API.>", "a.b>.c2"]
        {
            check(Nats, text, text != "a.b>.c2");
        }
        for text in [
            "",
            "orders/#",
            "orders/+",
            "orders.#",
            "orders.+.x",
            "a..b",
            ".a",
            "a.",
            "a.>.b",
            "a b",
            "ord*",
        ] {
            check(Nats, text, false);
        }
        for text in [
            "orders",
            "orders/+",
            "orders/+/new",
            "orders/#",
            "#",
            "+",
            "$SYS/#",
            "/a",
            "a//b",
            "a/",
        ] {
            check(Mqtt, text, true);
        }
        for text in ["", "orders/*", "orders/>", "a/#/b", "a#", "a+/b", "$share/g/a", "a\0"] {
            check(Mqtt, text, false);
        }
    }
}
