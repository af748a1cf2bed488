//! PUBLISH (MQTT 5.0 §3.3, 3.1.1 §3.3).

use super::Version;
use crate::codes::{Problem, TOPIC_NAME_INVALID};
use crate::properties::{Place, Properties, TOPIC_ALIAS};
use crate::wire::{Reader, is_topic};

/// A message.
#[derive(Clone, Copy)]
pub(crate) struct Publish<'a> {
    /// The first byte: DUP, QoS, RETAIN.
    pub(crate) first: u8,
    /// Empty where an alias stands for it.
    pub(crate) topic: &'a str,
    /// Where QoS is 1 or 2.
    pub(crate) packet_id: Option<u16>,
    pub(crate) properties: Properties<'a>,
    pub(crate) alias: Option<u16>,
    pub(crate) payload: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Reads one of a client ([`Place::Publish`]) or of a broker ([`Place::Delivery`]).
    pub(crate) fn read(
        first: u8,
        body: &'a [u8],
        version: Version,
        place: Place,
    ) -> Result<Self, Problem> {
        let mut reader = Reader::new(body);
        let topic = reader.text()?;
        let packet_id = match first >> 1 & 3 {
            0 if first & 8 != 0 => return Err(Problem::malformed("a message of QoS 0 sent again")),
            0 => None,
            3 => return Err(Problem::malformed("a message of QoS 3")),
            _ => Some(reader.packet_id()?),
        };
        let properties = match version {
            Version::Three => Properties::default(),
            Version::Five => Properties::read(&mut reader, place)?,
        };
        let alias = match properties.raw().is_empty() {
            true => None,
            false => properties.number(TOPIC_ALIAS).and_then(|alias| u16::try_from(alias).ok()),
        };
        let has_alias_alone = topic.is_empty() && alias.is_some();
        match has_alias_alone || is_topic(topic) {
            true => Ok(Self { first, topic, packet_id, properties, alias, payload: reader.rest() }),
            false => {
                Err(Problem { code: TOPIC_NAME_INVALID, what: "a message without a topic's name" })
            }
        }
    }

    /// 0, 1 or 2.
    pub(crate) const fn qos(&self) -> u8 {
        self.first >> 1 & 3
    }
}
