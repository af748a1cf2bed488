//! A session between a client and a broker that are bytes in a test, and the packets that they say.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use message_access::{
    AccessRequest, Dismissal, Judge, MessageProtocol, NamePattern, Operation, Output, Session,
    SessionEnd, SessionSettings, TopicPattern,
};

use crate::MqttSession;

/// What policy allows: as a TopicPolicy says it, for one caller.
#[derive(Default)]
pub(super) struct Rules {
    publish: Vec<TopicPattern>,
    subscribe: Vec<TopicPattern>,
    groups: Vec<NamePattern>,
    denied: Vec<TopicPattern>,
    /// Groups that `denied` is about; all, and what is of no group, where there are none.
    denied_groups: Vec<NamePattern>,
    client_ids: Vec<NamePattern>,
    principal: Option<&'static str>,
    /// What was asked, counted and logged.
    pub(super) decided: Vec<(String, bool)>,
    /// How many questions there were, counted or not.
    pub(super) questions: usize,
}

fn topics(texts: &[&str]) -> Vec<TopicPattern> {
    texts.iter().map(|text| TopicPattern::parse(MessageProtocol::Mqtt, text).unwrap()).collect()
}

fn names(texts: &[&str]) -> Vec<NamePattern> {
    texts.iter().map(|text| NamePattern::parse(text).unwrap()).collect()
}

impl Rules {
    /// Of the payments of the bank, and nothing else yet.
    pub(super) fn new() -> Self {
        Self { principal: Some("cluster.local/ns/bank/sa/payments"), ..Self::default() }
    }

    pub(super) fn publish(self, to: &[&str]) -> Self {
        Self { publish: topics(to), ..self }
    }

    pub(super) fn subscribe(self, to: &[&str]) -> Self {
        Self { subscribe: topics(to), ..self }
    }

    pub(super) fn groups(self, groups: &[&str]) -> Self {
        Self { groups: names(groups), ..self }
    }

    pub(super) fn deny(self, what: &[&str]) -> Self {
        Self { denied: topics(what), ..self }
    }

    pub(super) fn deny_to(self, groups: &[&str], what: &[&str]) -> Self {
        Self { denied: topics(what), denied_groups: names(groups), ..self }
    }

    pub(super) fn client_ids(self, ids: &[&str]) -> Self {
        Self { client_ids: names(ids), ..self }
    }

    pub(super) fn of(self, principal: Option<&'static str>) -> Self {
        Self { principal, ..self }
    }

    fn owns(&self, id: &str) -> bool {
        let own = self.principal.map(|principal| {
            let (namespace, account) =
                principal.split_once("/ns/").unwrap().1.split_once("/sa/").unwrap();
            format!("{namespace}.{}", account.replace('.', "_"))
        });
        own.is_some_and(|own| id == own || id.starts_with(&format!("{own}.")))
            && !(self.publish.is_empty() && self.subscribe.is_empty())
    }
}

impl Judge for Rules {
    fn decide(&mut self, request: &AccessRequest<'_>) -> bool {
        let may = self.would_allow(request);
        let AccessRequest { operation, topic, group, client_id, .. } = request;
        let named: Vec<&str> = [*topic, *group, *client_id].into_iter().flatten().collect();
        self.decided.push((format!("{} {}", operation.as_str(), named.join(" ")), may));
        may
    }

    fn would_allow(&mut self, request: &AccessRequest<'_>) -> bool {
        self.questions += 1;
        if let Some(id) = request.client_id {
            return self.owns(id) || self.client_ids.iter().any(|pattern| pattern.covers(id));
        }
        let topic = request.topic.unwrap();
        let covers = |list: &[TopicPattern]| list.iter().any(|pattern| pattern.covers(topic));
        let group = request.group.is_none_or(|group| self.groups.iter().any(|g| g.covers(group)));
        let allowed = match request.operation {
            Operation::Publish => covers(&self.publish),
            Operation::Subscribe => covers(&self.subscribe) && group,
            Operation::Describe => covers(&self.publish) || covers(&self.subscribe),
            _ => false,
        };
        let denied = self.denied.iter().any(|pattern| pattern.overlaps(topic))
            && (self.denied_groups.is_empty()
                || request.group.is_none_or(|g| self.denied_groups.iter().any(|d| d.overlaps(g))));
        allowed && !denied
    }

    fn principal(&self) -> Option<&str> {
        self.principal
    }
}

pub(super) fn settings() -> SessionSettings {
    SessionSettings {
        message_bytes: 10_000,
        in_flight: 4,
        subscriptions: 6,
        stamp_source: false,
        advertised: HashMap::new(),
        hide_servers: false,
    }
}

/// A session, and what it has said since it was last looked at.
pub(super) struct Talk {
    pub(super) session: MqttSession,
    pub(super) rules: Rules,
    output: Output,
}

const NOW: Duration = Duration::ZERO;

impl Talk {
    pub(super) fn new(rules: Rules) -> Self {
        Self::with(rules, &settings())
    }

    pub(super) fn with(rules: Rules, settings: &SessionSettings) -> Self {
        let session = MqttSession::new(settings, 0xC0FFEE);
        Self { session, rules, output: Output::default() }
    }

    /// One whose client is connected as `bank.payments`; nothing of that is left to look at.
    pub(super) fn open(version: u8, rules: Rules) -> Self {
        Self::open_with(version, rules, &settings(), &[])
    }

    /// The same with these settings, and a CONNACK with these properties.
    pub(super) fn open_with(
        version: u8,
        rules: Rules,
        settings: &SessionSettings,
        properties: &[u8],
    ) -> Self {
        let mut talk = Self::with(rules, settings);
        let offered = if version == 5 { &[0x22, 0, 10][..] } else { &[] };
        talk.client(&connect(version, "bank.payments", offered)).unwrap();
        talk.broker(&connack(version, 0, properties)).unwrap();
        talk.said();
        talk.rules.decided.clear();
        talk
    }

    pub(super) fn client(&mut self, bytes: &[u8]) -> Result<(), SessionEnd> {
        let bytes = Bytes::copy_from_slice(bytes);
        self.session.client_said(bytes, NOW, &mut self.rules, &mut self.output)
    }

    pub(super) fn broker(&mut self, bytes: &[u8]) -> Result<(), SessionEnd> {
        let bytes = Bytes::copy_from_slice(bytes);
        self.session.broker_said(bytes, NOW, &mut self.rules, &mut self.output)
    }

    pub(super) fn policy(&mut self, rules: Rules) -> Result<(), SessionEnd> {
        self.rules = rules;
        self.session.policy_changed(NOW, &mut self.rules, &mut self.output)
    }

    /// Judges again what the last change has left, in one more turn.
    pub(super) fn next_turn(&mut self) -> Result<(), SessionEnd> {
        self.session.policy_changed(NOW, &mut self.rules, &mut self.output)
    }

    pub(super) fn has_unjudged(&self) -> bool {
        self.session.has_unjudged()
    }

    pub(super) fn dismissed(&mut self, why: Dismissal) {
        self.session.dismissed(why, &mut self.output);
    }

    /// What went to the client and what to the broker.
    pub(super) fn said(&mut self) -> (Vec<u8>, Vec<u8>) {
        let Output { to_client, to_broker } = std::mem::take(&mut self.output);
        let join =
            |pieces: std::collections::VecDeque<Bytes>| pieces.into_iter().flatten().collect();
        (join(to_client), join(to_broker))
    }

    /// In how many pieces what went to the broker was.
    pub(super) fn pieces_to_broker(&self) -> usize {
        self.output.to_broker.len()
    }
}

/// Says something in the client's name and looks at what came of it, to the client and to the broker.
#[track_caller]
pub(super) fn client(talk: &mut Talk, says: &[u8], to_client: &[u8], to_broker: &[u8]) {
    let result = talk.client(says);
    let said = talk.said();
    assert_eq!((result, &said.0[..], &said.1[..]), (Ok(()), to_client, to_broker));
}

/// The same in the broker's name.
#[track_caller]
pub(super) fn broker(talk: &mut Talk, says: &[u8], to_client: &[u8], to_broker: &[u8]) {
    let result = talk.broker(says);
    let said = talk.said();
    assert_eq!((result, &said.0[..], &said.1[..]), (Ok(()), to_client, to_broker));
}

/// Says something in the client's name that ends the session.
#[track_caller]
pub(super) fn ends(
    talk: &mut Talk,
    says: &[u8],
    to_client: &[u8],
    expect: fn(&SessionEnd) -> bool,
) {
    let end = talk.client(says).unwrap_err();
    let said = talk.said();
    assert!(expect(&end), "{end:?}");
    assert_eq!((&said.0[..], &said.1[..]), (to_client, &[][..]));
}

pub(super) fn denied(end: &SessionEnd) -> bool {
    *end == SessionEnd::Denied
}

pub(super) fn malformed(end: &SessionEnd) -> bool {
    matches!(end, SessionEnd::Malformed(_))
}

pub(super) fn limit(end: &SessionEnd) -> bool {
    matches!(end, SessionEnd::Limit(_))
}

pub(super) fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

pub(super) fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let fields = parts.concat();
    let mut out = vec![first];
    let mut left = fields.len();
    loop {
        let low = u8::try_from(left % 128).unwrap();
        left /= 128;
        if left == 0 {
            out.push(low);
            break;
        }
        out.push(low | 0x80);
    }
    [out, fields].concat()
}

/// Properties with their length; nothing in 3.1.1.
pub(super) fn properties(version: u8, properties: &[u8]) -> Vec<u8> {
    match version {
        5 => [&[u8::try_from(properties.len()).unwrap()], properties].concat(),
        _ => Vec::new(),
    }
}

/// Keep alive of a minute, a clean start.
pub(super) fn connect(version: u8, id: &str, with: &[u8]) -> Vec<u8> {
    let with = properties(version, with);
    packet(0x10, &[&text("MQTT"), &[version, 2, 0, 60], &with, &text(id)])
}

/// The same with a will of QoS 1, and a user's name and password.
pub(super) fn connect_with_will(version: u8, topic: &str, of_will: &[u8]) -> Vec<u8> {
    let mut fields = [text("MQTT"), vec![version, 0b1100_1110, 0, 60]].concat();
    fields.extend(properties(version, &[]));
    fields.extend(text("bank.payments"));
    fields.extend(properties(version, of_will));
    for field in [topic, "gone", "user", "secret"] {
        fields.extend(text(field));
    }
    packet(0x10, &[&fields])
}

/// The CONNECT of MQTT 5 as it goes to the broker: what the client lets it send is bounded.
pub(super) fn connected(id: &str, aliases: bool) -> Vec<u8> {
    let bounded = [&[0x27, 0, 0, 0x27, 0x10][..], if aliases { &[0x22, 0, 10] } else { &[] }];
    connect(5, id, &bounded.concat())
}

pub(super) fn connack(version: u8, code: u8, with: &[u8]) -> Vec<u8> {
    packet(0x20, &[&[0, code], &properties(version, with)])
}

/// A message of this QoS, with packet identifier 7 where it has one.
pub(super) fn publish(version: u8, qos: u8, topic: &str, with: &[u8]) -> Vec<u8> {
    let id: &[u8] = if qos == 0 { &[] } else { &[0, 7] };
    packet(0x30 | qos << 1, &[&text(topic), id, &properties(version, with), b"payload"])
}

/// With packet identifier 9 and these filters, each of QoS 1.
pub(super) fn subscribe(version: u8, filters: &[&str]) -> Vec<u8> {
    let entries = filters.iter().flat_map(|filter| [text(filter), vec![1]].concat());
    packet(0x82, &[&[0, 9], &properties(version, &[]), &entries.collect::<Vec<u8>>()])
}

pub(super) fn unsubscribe(version: u8, filter: &str) -> Vec<u8> {
    packet(0xA2, &[&[0, 10], &properties(version, &[]), &text(filter)])
}

pub(super) fn suback(version: u8, codes: &[u8]) -> Vec<u8> {
    packet(0x90, &[&[0, 9], &properties(version, &[]), codes])
}

pub(super) fn user_property(name: &str, value: &str) -> Vec<u8> {
    [vec![0x26], text(name), text(value)].concat()
}
