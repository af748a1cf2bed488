//! Which subscriptions of this connection are open, and which requests for some wait for the broker's answer.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use message_access::{AccessRequest, MessageProtocol, Operation, TopicPattern};

use crate::codes::Code;

/// How a filter begins that members of a group share.
const SHARED: &str = "$share/";

/// A filter as policies see it: that of a shared subscription without its group (MQTT 5.0 §4.8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Filter<'a> {
    group: Option<&'a str>,
    topic: &'a str,
}

impl<'a> Filter<'a> {
    /// Reads `a/+` or `$share/group/a/+`. Brokers share subscriptions of 3.1.1 clients too.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let filter = match text.strip_prefix(SHARED) {
            Some(shared) => {
                let (group, topic) = shared.split_once('/')?;
                Self { group: Some(group), topic }
            }
            None => Self { group: None, topic: text },
        };
        let good = crate::wire::is_plain(text)
            && crate::wire::is_filter(filter.topic)
            && filter.topic.split('/').next() != Some("$share")
            && filter.group.is_none_or(|group| !group.is_empty() && !group.contains(['+', '#']));
        good.then_some(filter)
    }

    /// Whether it is shared.
    pub(crate) const fn is_shared(&self) -> bool {
        self.group.is_some()
    }

    /// The question whether the client may subscribe to it.
    pub(crate) const fn request(&self) -> AccessRequest<'a> {
        let mut request = AccessRequest::on_topic(Operation::Subscribe, self.topic);
        request.group = self.group;
        request
    }
}

/// The answer to one filter of a SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The broker is asked; the name is there where the subscription is new.
    Asked(Option<Box<str>>),
    /// Refused here, with this code.
    Refused(Code),
}

/// What is open and what waits. Everything in it is bounded by who fills it.
#[derive(Default)]
pub(crate) struct Subscriptions {
    open: BTreeSet<Box<str>>,
    bytes: usize,
    /// How many of those that are open are shared.
    shared: usize,
    waiting: HashMap<u16, Vec<Verdict>>,
    verdicts: usize,
}

impl Subscriptions {
    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// The filters that are open, behind this one in their order.
    pub(crate) fn filters(&self, behind: Option<&str>) -> impl Iterator<Item = &str> {
        let behind = behind.map_or(Bound::Unbounded, Bound::Excluded);
        self.open.range::<str, _>((behind, Bound::Unbounded)).map(|filter| &**filter)
    }

    /// Whether any of them is shared.
    pub(crate) const fn is_any_shared(&self) -> bool {
        self.shared > 0
    }

    /// The group of each that a message of this topic comes by; `None` for one that is not shared.
    pub(crate) fn groups_of(&self, topic: &str) -> impl Iterator<Item = Option<&str>> {
        let matches = |filter: &Filter<'_>| {
            let pattern = TopicPattern::parse(MessageProtocol::Mqtt, filter.topic);
            pattern.is_ok_and(|pattern| pattern.covers(topic))
        };
        self.filters(None).filter_map(Filter::read).filter(matches).map(|filter| filter.group)
    }

    /// How many bytes the names have, and the answers that wait.
    pub(crate) const fn held(&self) -> usize {
        self.bytes + self.verdicts * size_of::<Verdict>()
    }

    /// How many answers wait for the broker.
    pub(crate) const fn waiting(&self) -> usize {
        self.verdicts
    }

    pub(crate) fn contains(&self, filter: &str) -> bool {
        self.open.contains(filter)
    }

    /// A subscription is asked for: it counts as open until the broker refuses it. Gives its name back if it is new.
    pub(crate) fn insert(&mut self, filter: &str) -> Option<Box<str>> {
        let new = self.open.insert(filter.into());
        if new {
            self.bytes += filter.len();
            self.shared += usize::from(filter.starts_with(SHARED));
        }
        new.then(|| filter.into())
    }

    /// A subscription is over.
    pub(crate) fn remove(&mut self, filter: &str) {
        if self.open.remove(filter) {
            self.bytes -= filter.len();
            self.shared -= usize::from(filter.starts_with(SHARED));
        }
    }

    /// Whether a request with this id waits already.
    pub(crate) fn waits(&self, id: u16) -> bool {
        self.waiting.contains_key(&id)
    }

    /// The broker is asked for those of a request that are not refused.
    pub(crate) fn ask(&mut self, id: u16, verdicts: Vec<Verdict>) {
        self.verdicts += verdicts.len();
        self.waiting.insert(id, verdicts);
    }

    /// The broker has answered: all codes in the order that was asked in. Nothing if it was not asked so.
    pub(crate) fn answered(&mut self, id: u16, granted: &[Code]) -> Option<Vec<Code>> {
        let verdicts = self.waiting.remove(&id)?;
        self.verdicts -= verdicts.len();
        let mut granted = granted.iter().copied();
        let mut codes = Vec::with_capacity(verdicts.len());
        for verdict in verdicts {
            codes.push(match verdict {
                Verdict::Refused(code) => code,
                Verdict::Asked(name) => self.note(granted.next()?, name),
            });
        }
        granted.next().is_none().then_some(codes)
    }

    /// What the broker refuses is not open, unless it was before.
    fn note(&mut self, code: Code, name: Option<Box<str>>) -> Code {
        if let (true, Some(name)) = (code >= 0x80, name) {
            self.remove(&name);
        }
        code
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn shared_filters_fall_apart_into_group_and_filter() {
        let check = |text: &str, expect: Option<(Option<&str>, &str)>| {
            let found = Filter::read(text).map(|filter| (filter.group, filter.topic));
            assert_eq!(found, expect, "{text}");
        };
        check("a/+", Some((None, "a/+")));
        check("$share/g/a/#", Some((Some("g"), "a/#")));
        check("$share/g//a", Some((Some("g"), "/a")));
        check("$share/g/$SYS/#", Some((Some("g"), "$SYS/#")));
        for text in [
            "$share",
            "$share/",
            "$share/g",
            "$share/g/",
            "$share//a",
            "$share/+/a",
            "$share/#/a",
            "$share/g#/a",
            "$share/g/a/#/b",
            "$share/g/$share/h/a",
            "",
            "a/#/b",
            "a\u{1}",
        ] {
            check(text, None);
        }
        check("$shared/g/a", Some((None, "$shared/g/a")));
    }

    #[test]
    fn codes_are_spliced_in_the_order_of_the_filters() {
        let mut subscriptions = Subscriptions::default();
        let asked =
            |subscriptions: &mut Subscriptions, name| Verdict::Asked(subscriptions.insert(name));
        let verdicts = vec![
            Verdict::Refused(0x87),
            asked(&mut subscriptions, "a"),
            Verdict::Refused(0x87),
            asked(&mut subscriptions, "b"),
        ];
        subscriptions.ask(7, verdicts);
        assert_eq!((subscriptions.open(), subscriptions.waiting()), (2, 4));
        assert_eq!(subscriptions.answered(8, &[0, 1]), None);
        assert_eq!(subscriptions.answered(7, &[1, 0x80]).unwrap(), [0x87, 1, 0x87, 0x80]);
        assert_eq!((subscriptions.open(), subscriptions.waiting()), (1, 0));
        assert!(subscriptions.contains("a") && !subscriptions.contains("b"));
        for codes in [&[][..], &[0], &[0, 0, 0]] {
            let mut subscriptions = Subscriptions::default();
            let verdicts = vec![asked(&mut subscriptions, "a"), asked(&mut subscriptions, "b")];
            subscriptions.ask(7, verdicts);
            assert_eq!(subscriptions.answered(7, codes), None, "{codes:?}");
        }
    }
}
