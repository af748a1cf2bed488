//! CONNECT and CONNACK: who the client says it is, and what the two sides may send to each other.

use message_access::{AccessRequest, Judge, Operation, Output, SessionEnd};

use super::{Introduced, MqttSession, Outcome, Phase, Stop};
use crate::aliases;
use crate::codes::{self, CLIENT_ID_NOT_VALID, Code, NOT_AUTHORIZED};
use crate::compose;
use crate::frames::Frame;
use crate::packet::Version;
use crate::packet::connack::Connack;
use crate::packet::connect::{Connect, Refused};
use crate::properties::{
    ASSIGNED_CLIENT_IDENTIFIER, AUTHENTICATION_METHOD, Edited, MAXIMUM_PACKET_SIZE, Properties,
    RESPONSE_TOPIC, SERVER_REFERENCE, SOURCE, TOPIC_ALIAS_MAXIMUM,
};
use crate::wire::{is_plain, put_text};

/// The question whether a client may have this id.
pub(super) const fn connects_as(client_id: &str) -> AccessRequest<'_> {
    let mut request = AccessRequest::new(Operation::Connect);
    request.client_id = Some(client_id);
    request
}

/// Whether answers may be asked for at this topic: whoever answers publishes there with rights of its own, so the one who
/// asks must have some itself.
pub(super) fn may_name(topic: Option<&str>, judge: &mut dyn Judge) -> bool {
    topic.is_none_or(|topic| {
        let request = AccessRequest::on_topic(Operation::Describe, topic);
        judge.would_allow(&request) || judge.decide(&request)
    })
}

impl MqttSession {
    pub(super) fn connect(
        &mut self,
        frame: &Frame,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<Outcome, Stop> {
        let connect = match Connect::read(frame.body()) {
            Ok(connect) => connect,
            Err(Refused::Problem(problem)) => return Err(problem.into()),
            Err(Refused::Version(name, answer)) => {
                output.to_client.push_back(answer.into());
                return Err(SessionEnd::Version(name.to_owned()).into());
            }
        };
        self.version = connect.version;
        let mut refuse = |old, code: Code, end| {
            output.to_client.push_back(compose::connack(connect.version, old, code));
            Err(Stop::End(end))
        };
        let Some((client_id, is_assigned)) = self.client_id(&connect, judge) else {
            let end = SessionEnd::Malformed("the client sent a client id that is none".to_owned());
            return refuse(codes::old::IDENTIFIER_REJECTED, CLIENT_ID_NOT_VALID, end);
        };
        if !judge.decide(&connects_as(&client_id)) {
            let old = codes::old::IDENTIFIER_REJECTED;
            return refuse(old, CLIENT_ID_NOT_VALID, SessionEnd::Denied);
        }
        if !may_have_will(&connect, judge) {
            return refuse(codes::old::NOT_AUTHORIZED, NOT_AUTHORIZED, SessionEnd::Denied);
        }
        self.introduced = Introduced {
            client_id,
            is_assigned,
            authenticates: connect.properties.text(AUTHENTICATION_METHOD).is_some(),
            will: connect.will.as_ref().map(|will| will.topic.to_owned()),
        };
        self.phase = Phase::Asked;
        Ok(self.introduce(&connect, frame, judge.principal()))
    }

    /// The id that the client has, and whether it was given that here.
    fn client_id(&self, connect: &Connect<'_>, judge: &dyn Judge) -> Option<(String, bool)> {
        let brought = connect.client_id;
        match judge.principal().and_then(own_name) {
            _ if brought.contains(['+', '#']) || !is_plain(brought) => None,
            _ if !brought.is_empty() => Some((brought.to_owned(), false)),
            _ if connect.version == Version::Three && !connect.is_clean() => None,
            Some(own) => Some((format!("{own}.{:016x}", self.unique), true)),
            None => Some((String::new(), false)),
        }
    }

    /// The CONNECT that the broker gets.
    fn introduce(
        &mut self,
        connect: &Connect<'_>,
        frame: &Frame,
        principal: Option<&str>,
    ) -> Outcome {
        if connect.version == Version::Three && !self.introduced.is_assigned {
            return Outcome::Pass;
        }
        let mut fields = Vec::with_capacity(frame.len().min(1024) + 64);
        put_text(&mut fields, "MQTT");
        fields.push(if connect.version == Version::Three { 4 } else { 5 });
        fields.push(connect.flags);
        fields.extend_from_slice(&connect.keep_alive.to_be_bytes());
        if connect.version == Version::Five {
            self.bounded(connect.properties).put(&mut fields);
        }
        put_text(&mut fields, &self.introduced.client_id);
        let mut rest = connect.after_client_id;
        if let (Version::Five, Some(will)) = (connect.version, &connect.will) {
            let kept = will.properties.keeping(|property| !property.is_source());
            kept.source(principal.filter(|_| self.limits.stamp_source)).put(&mut fields);
            rest = will.after_properties;
        }
        Outcome::Instead(
            compose::beginning(frame.first(), &fields, rest.len()),
            frame.tail(rest.len()),
        )
    }

    /// What the client lets the broker send, and no more than passes here.
    fn bounded(&mut self, properties: Properties<'_>) -> Edited {
        let aliases = properties.number(TOPIC_ALIAS_MAXIMUM);
        self.broker.aliases.most = bounded_aliases(aliases);
        let kept = properties
            .keeping(|property| !matches!(property.id, TOPIC_ALIAS_MAXIMUM | MAXIMUM_PACKET_SIZE));
        let size = properties.number(MAXIMUM_PACKET_SIZE);
        let kept = with_size(kept, size, self.limits.message_bytes);
        with_aliases(kept, self.broker.aliases.most)
    }

    /// The broker's answer.
    pub(super) fn connack(
        &mut self,
        frame: &Frame,
        principal: Option<&str>,
    ) -> Result<Outcome, Stop> {
        let connack = Connack::read(frame.body(), self.version)?;
        self.phase = if connack.code == 0 { Phase::Open } else { Phase::Over };
        if self.version == Version::Three {
            return Ok(Outcome::Pass);
        }
        let properties = self.answered(&connack, principal);
        Ok(Outcome::Instead(compose::connack_with(&connack, &properties), bytes::Bytes::new()))
    }

    /// What the broker lets the client send, and no more than passes here; and the id that the client was given.
    fn answered(&mut self, connack: &Connack<'_>, principal: Option<&str>) -> Edited {
        let properties = connack.properties;
        self.client.aliases.most = bounded_aliases(properties.number(TOPIC_ALIAS_MAXIMUM));
        let assigns = connack.code == 0 && self.introduced.is_assigned;
        let kept = properties.keeping(|property| match property.id {
            TOPIC_ALIAS_MAXIMUM | MAXIMUM_PACKET_SIZE => false,
            SERVER_REFERENCE => !self.limits.hide_servers,
            ASSIGNED_CLIENT_IDENTIFIER => !assigns,
            _ => true,
        });
        let stamp = principal.filter(|_| self.limits.stamp_source).map_or(0, stamp_length);
        self.broker_takes = properties.number(MAXIMUM_PACKET_SIZE);
        let size = self.broker_takes.map(|size| size.saturating_sub(stamp).max(1));
        // Subscribers let the broker send what the limit is, with the stamp.
        let limit = self.limits.message_bytes.saturating_sub(usize::try_from(stamp).unwrap_or(0));
        let kept = with_size(kept, size, limit);
        let kept = with_aliases(kept, self.client.aliases.most);
        match assigns {
            true => kept.text(ASSIGNED_CLIENT_IDENTIFIER, &self.introduced.client_id),
            false => kept,
        }
    }
}

fn may_have_will(connect: &Connect<'_>, judge: &mut dyn Judge) -> bool {
    connect.will.as_ref().is_none_or(|will| {
        judge.decide(&AccessRequest::on_topic(Operation::Publish, will.topic))
            && may_name(will.properties.text(RESPONSE_TOPIC), judge)
    })
}

/// `<namespace>.<service account>` of a principal; a dot in the account's name is `_`, as in what policies know as its own.
fn own_name(principal: &str) -> Option<String> {
    let (_, workload) = principal.split_once("/ns/")?;
    let (namespace, account) = workload.split_once("/sa/")?;
    Some(format!("{namespace}.{}", account.replace('.', "_")))
}

fn bounded_aliases(offered: Option<u32>) -> u16 {
    offered.and_then(|most| u16::try_from(most).ok()).unwrap_or(0).min(aliases::MOST)
}

fn with_aliases(properties: Edited, most: u16) -> Edited {
    match most {
        0 => properties,
        most => properties.two_bytes(TOPIC_ALIAS_MAXIMUM, most),
    }
}

fn with_size(properties: Edited, offered: Option<u32>, limit: usize) -> Edited {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX).max(1);
    properties.four_bytes(MAXIMUM_PACKET_SIZE, offered.map_or(limit, |size| size.min(limit)))
}

/// By how much a message grows that says who published it: the property, and the lengths around it.
fn stamp_length(principal: &str) -> u32 {
    u32::try_from(1 + 2 + SOURCE.len() + 2 + principal.len() + 6).unwrap_or(u32::MAX)
}
