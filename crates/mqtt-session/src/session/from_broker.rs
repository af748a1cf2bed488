//! What a broker sends. Each message to the client is judged: a subscription that was allowed once may have outlived its
//! permission in the broker's store.

use message_access::{AccessRequest, Judge, Operation};

use super::{MqttSession, Outcome, Stop};
use crate::codes::NOT_AUTHORIZED;
use crate::compose::{self, PUBACK, PUBCOMP, PUBREC};
use crate::frames::Frame;
use crate::packet::publish::Publish;
use crate::packet::{Kind, Version, answer};
use crate::properties::Place;

impl MqttSession {
    pub(super) fn broker_packet(
        &mut self,
        frame: &Frame,
        judge: &mut dyn Judge,
    ) -> Result<Outcome, Stop> {
        let (body, version) = (frame.body(), self.version);
        match Kind::read(frame.first())? {
            Kind::Connack => return self.connack(frame, judge.principal()),
            Kind::Publish => return self.deliver(frame, judge),
            Kind::Suback => return self.suback(body),
            Kind::Pubrel => {
                let id = answer::acknowledgment(body, version)?;
                if self.broker.refused.remove(id) {
                    let answer = compose::acknowledgment(PUBCOMP, version, id, 0);
                    return Ok(Outcome::Answer(answer));
                }
            }
            Kind::Puback | Kind::Pubrec | Kind::Pubcomp => {
                answer::acknowledgment(body, version)?;
            }
            Kind::Unsuback => answer::unsuback(body, version)?,
            Kind::Disconnect => return self.dismiss(body),
            kind => answer::other(kind, body, version)?,
        }
        Ok(Outcome::Pass)
    }

    /// A message to the client. The broker gets the acknowledgment that it waits for, of one that is refused too.
    fn deliver(&mut self, frame: &Frame, judge: &mut dyn Judge) -> Result<Outcome, Stop> {
        let publish = Publish::read(frame.first(), frame.body(), self.version, Place::Delivery)?;
        let topic = self.broker.aliases.topic(&publish)?;
        if !self.may_reach_client(&topic, judge) {
            return Ok(self.withhold(&publish));
        }
        if let Some(id) = publish.packet_id {
            self.broker.refused.remove(id);
        }
        let told = publish.alias.is_none_or(|alias| self.broker.aliases.tell(alias));
        if told || !publish.topic.is_empty() {
            return Ok(Outcome::Pass);
        }
        // The message that gave the topic its alias was withheld: this one names both.
        let beginning = compose::publish(&publish, &topic, &publish.properties.keeping(|_| true));
        Ok(Outcome::Instead(beginning, frame.tail(publish.payload.len())))
    }

    /// Whether the client may have a message of this topic. A DENY of other groups alone does not take it from a group that
    /// it came to: the broker would give it to nobody else.
    fn may_reach_client(&self, topic: &str, judge: &mut dyn Judge) -> bool {
        let request = AccessRequest::on_topic(Operation::Subscribe, topic);
        if !self.subscriptions.is_any_shared() || judge.would_allow(&request) {
            return judge.delivers(&request);
        }
        let mut groups = self.subscriptions.groups_of(topic).peekable();
        match groups.peek() {
            // Not of a group alone, or of none that is known here.
            None => judge.delivers(&request),
            Some(_) => groups.all(|group| judge.delivers(&AccessRequest { group, ..request })),
        }
    }

    fn withhold(&mut self, publish: &Publish<'_>) -> Outcome {
        let Some(id) = publish.packet_id else { return Outcome::Drop };
        let first = match publish.qos() {
            2 => {
                self.broker.refused.insert(id);
                PUBREC
            }
            _ => PUBACK,
        };
        Outcome::Answer(compose::acknowledgment(first, self.version, id, NOT_AUTHORIZED))
    }

    /// The broker takes leave, perhaps with another server's name.
    fn dismiss(&mut self, body: &[u8]) -> Result<Outcome, Stop> {
        answer::other(Kind::Disconnect, body, Version::Five)?;
        self.end();
        let code = body.first().copied().unwrap_or_default();
        Ok(match self.limits.hide_servers {
            true => compose::disconnect(self.version, code)
                .map_or(Outcome::Drop, |leave| Outcome::Instead(leave, bytes::Bytes::new())),
            false => Outcome::Pass,
        })
    }
}
