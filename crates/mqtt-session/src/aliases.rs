//! Topic aliases of one direction (MQTT 5.0 §3.3.2.3.4): a number in place of a topic that was said before.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use crate::packet::publish::Publish;

use crate::codes::{PROTOCOL_ERROR, Problem, QUOTA_EXCEEDED, TOPIC_ALIAS_INVALID};

/// How many aliases a side may have at most, whatever the other would let it have.
pub(crate) const MOST: u16 = 64;
/// How long all topics of a direction may be together.
const BYTES: usize = 256 * 1024;

/// What the aliases of one side mean.
#[derive(Default)]
pub(crate) struct Aliases {
    /// How many the side may have.
    pub(crate) most: u16,
    topics: HashMap<u16, Alias>,
    bytes: usize,
}

struct Alias {
    topic: Arc<str>,
    /// Whether the other side has been told.
    told: bool,
}

/// The topic of a message.
pub(crate) enum Topic<'a> {
    /// It stands there.
    Said(&'a str),
    /// An alias stands for it.
    Meant(Arc<str>),
}

impl Deref for Topic<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Said(topic) => topic,
            Self::Meant(topic) => topic,
        }
    }
}

impl Aliases {
    /// The topic of a message, which may give it an alias or be named by one.
    pub(crate) fn topic<'a>(&mut self, publish: &Publish<'a>) -> Result<Topic<'a>, Problem> {
        match (publish.topic, publish.alias) {
            ("", Some(alias)) => return self.get(alias).map(Topic::Meant),
            (topic, Some(alias)) => self.set(alias, topic)?,
            (_, None) => {}
        }
        Ok(Topic::Said(publish.topic))
    }

    /// A topic and an alias: from now on the one means the other.
    fn set(&mut self, alias: u16, topic: &str) -> Result<(), Problem> {
        if alias == 0 || alias > self.most {
            return Err(Problem {
                code: TOPIC_ALIAS_INVALID,
                what: "a topic alias beyond the maximum",
            });
        }
        let before = self.topics.get(&alias).map_or(0, |alias| alias.topic.len());
        self.bytes = self.bytes + topic.len() - before;
        if self.bytes > BYTES {
            return Err(Problem {
                code: QUOTA_EXCEEDED,
                what: "topic aliases for topics that are too long together",
            });
        }
        self.topics.insert(alias, Alias { topic: topic.into(), told: false });
        Ok(())
    }

    /// What an alias means.
    fn get(&self, alias: u16) -> Result<Arc<str>, Problem> {
        let known = self.topics.get(&alias).map(|alias| Arc::clone(&alias.topic));
        known.ok_or(Problem { code: PROTOCOL_ERROR, what: "a topic alias that means nothing yet" })
    }

    /// Whether the other side has been told what it means; it is by now.
    pub(crate) fn tell(&mut self, alias: u16) -> bool {
        self.topics.get_mut(&alias).is_some_and(|alias| std::mem::replace(&mut alias.told, true))
    }

    /// How many bytes the topics have.
    pub(crate) const fn held(&self) -> usize {
        self.bytes
    }
}
