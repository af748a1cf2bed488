//! What a client sends after its CONNECT.

use message_access::{AccessRequest, Judge, Operation, Output, SessionEnd};

use super::opening::may_name;
use super::{MqttSession, Outcome, Phase, Stop};
use crate::codes::{
    NOT_AUTHORIZED, PACKET_ID_NOT_FOUND, PACKET_TOO_LARGE, Problem, TOPIC_NAME_INVALID,
};
use crate::compose::{self, PUBACK, PUBCOMP, PUBREC};
use crate::frames::Frame;
use crate::packet::publish::Publish;
use crate::packet::{Kind, Version, answer};
use crate::properties::{Place, RESPONSE_TOPIC, TOPIC_ALIAS};
use crate::wire::is_plain;

/// Which packets a side may send now.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    phase: Phase,
    version: Version,
    authenticates: bool,
}

impl Rules {
    pub(super) fn client_may(self, first: u8) -> Result<(), Problem> {
        let kind = Kind::read(first)?;
        let may = match (self.phase, kind) {
            (Phase::Silent, kind) => kind == Kind::Connect,
            (_, Kind::Auth) => self.authenticates,
            (Phase::Open, kind) => !matches!(
                kind,
                Kind::Connect | Kind::Connack | Kind::Suback | Kind::Unsuback | Kind::Pingresp
            ),
            (_, kind) => kind == Kind::Disconnect,
        };
        may.then_some(()).ok_or(Problem::protocol("a packet that a client may not send then"))
    }

    pub(super) fn broker_may(self, first: u8) -> Result<(), Problem> {
        let kind = Kind::read(first)?;
        let may = match (self.phase, kind) {
            (Phase::Asked | Phase::Open, Kind::Auth) => self.authenticates,
            (Phase::Asked, kind) => kind == Kind::Connack,
            (Phase::Open, Kind::Disconnect) => self.version == Version::Five,
            (Phase::Open, kind) => !matches!(
                kind,
                Kind::Connect | Kind::Connack | Kind::Subscribe | Kind::Unsubscribe | Kind::Pingreq
            ),
            (Phase::Silent | Phase::Over, _) => false,
        };
        may.then_some(()).ok_or(Problem::protocol("a packet that a broker may not send then"))
    }
}

impl MqttSession {
    pub(super) const fn rules(&self) -> Rules {
        Rules {
            phase: self.phase,
            version: self.version,
            authenticates: self.introduced.authenticates,
        }
    }

    pub(super) fn client_packet(
        &mut self,
        frame: &Frame,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<Outcome, Stop> {
        let (body, version) = (frame.body(), self.version);
        match Kind::read(frame.first())? {
            Kind::Connect => self.connect(frame, judge, output),
            Kind::Publish => self.publish(frame, judge),
            Kind::Subscribe => self.subscribe(body, judge),
            Kind::Unsubscribe => self.unsubscribe(body),
            Kind::Pubrel => {
                let id = answer::acknowledgment(body, version)?;
                Ok(match self.client.refused.remove(id) {
                    true => Outcome::Answer(compose::acknowledgment(
                        PUBCOMP,
                        version,
                        id,
                        PACKET_ID_NOT_FOUND,
                    )),
                    false => Outcome::Pass,
                })
            }
            Kind::Puback | Kind::Pubrec | Kind::Pubcomp => {
                answer::acknowledgment(body, version)?;
                Ok(Outcome::Pass)
            }
            Kind::Disconnect => {
                answer::other(Kind::Disconnect, body, version)?;
                self.end();
                Ok(Outcome::Pass)
            }
            kind => {
                answer::other(kind, body, version)?;
                Ok(Outcome::Pass)
            }
        }
    }

    /// A message. It goes on with its topic by name, so that what was judged is what the broker reads.
    fn publish(&mut self, frame: &Frame, judge: &mut dyn Judge) -> Result<Outcome, Stop> {
        let publish = Publish::read(frame.first(), frame.body(), self.version, Place::Publish)?;
        let topic = self.client.aliases.topic(&publish)?;
        if !is_plain(&topic) {
            let what = "a topic with control characters";
            return Err(Problem { code: TOPIC_NAME_INVALID, what }.into());
        }
        let may = judge.decide(&AccessRequest::on_topic(Operation::Publish, &topic))
            && may_name(publish.properties.text(RESPONSE_TOPIC), judge);
        if !may {
            return self.refuse(&publish);
        }
        if let Some(id) = publish.packet_id {
            self.client.refused.remove(id);
        }
        let stamps = self.limits.stamp_source && self.version == Version::Five;
        let source = judge.principal().filter(|_| stamps);
        if source.is_none() && publish.alias.is_none() && !publish.properties.has_source() {
            return Ok(Outcome::Pass);
        }
        let kept = publish
            .properties
            .keeping(|property| property.id != TOPIC_ALIAS && !property.is_source());
        let beginning = compose::publish(&publish, &topic, &kept.source(source));
        let length = beginning.len() + publish.payload.len();
        if self.broker_takes.is_some_and(|most| usize::try_from(most).is_ok_and(|m| length > m)) {
            let what =
                "a message that is longer than the broker takes, with the topic of its alias";
            return Err(Problem { code: PACKET_TOO_LARGE, what }.into());
        }
        Ok(Outcome::Instead(beginning, frame.tail(publish.payload.len())))
    }

    /// In 3.1.1 a message cannot be refused other than by closing (§3.3.5).
    fn refuse(&mut self, publish: &Publish<'_>) -> Result<Outcome, Stop> {
        if self.version == Version::Three {
            return Err(SessionEnd::Denied.into());
        }
        let Some(id) = publish.packet_id else { return Ok(Outcome::Drop) };
        let first = match publish.qos() {
            2 => {
                self.client.refused.insert(id);
                PUBREC
            }
            _ => PUBACK,
        };
        Ok(Outcome::Answer(compose::acknowledgment(first, self.version, id, NOT_AUTHORIZED)))
    }
}
