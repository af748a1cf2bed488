//! Properties of MQTT 5 packets (5.0 §2.2.2): which there are, where each may stand, and a list of them with some changed.

use crate::codes::Problem;
use crate::wire::{Reader, is_topic, put_text, put_variable};

pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
pub(crate) const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
pub(crate) const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;
pub(crate) const AUTHENTICATION_METHOD: u8 = 0x15;
const AUTHENTICATION_DATA: u8 = 0x16;
pub(crate) const SERVER_REFERENCE: u8 = 0x1C;
pub(crate) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
pub(crate) const TOPIC_ALIAS: u8 = 0x23;
const USER_PROPERTY: u8 = 0x26;
pub(crate) const MAXIMUM_PACKET_SIZE: u8 = 0x27;

/// The user property that says who published a message.
pub(crate) const SOURCE: &str = "Postern-Source";

/// Where properties stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Connect,
    Will,
    Connack,
    /// A message to the broker.
    Publish,
    /// A message to a client, which names each subscription that it is for.
    Delivery,
    Subscribe,
    Unsubscribe,
    /// PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK.
    Answer,
    Disconnect,
    Auth,
}

impl Place {
    /// Which properties may stand here, beside user properties (table 2-4).
    const fn allows(self, id: u8) -> bool {
        match self {
            Self::Connect => matches!(id, 0x11 | 0x15 | 0x16 | 0x17 | 0x19 | 0x21 | 0x22 | 0x27),
            Self::Will => matches!(id, 0x01 | 0x02 | 0x03 | 0x08 | 0x09 | 0x18),
            Self::Connack => {
                matches!(id, 0x11..=0x13 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F | 0x21 | 0x22 | 0x24 | 0x25 | 0x27..=0x2A)
            }
            Self::Publish => matches!(id, 0x01 | 0x02 | 0x03 | 0x08 | 0x09 | 0x23),
            Self::Delivery => matches!(id, 0x01 | 0x02 | 0x03 | 0x08 | 0x09 | 0x0B | 0x23),
            Self::Subscribe => id == SUBSCRIPTION_IDENTIFIER,
            Self::Unsubscribe => false,
            Self::Answer => id == 0x1F,
            Self::Disconnect => matches!(id, 0x11 | 0x1C | 0x1F),
            Self::Auth => matches!(id, 0x15 | 0x16 | 0x1F),
        }
    }

    /// Whether this may stand here more than once.
    const fn repeats(self, id: u8) -> bool {
        id == USER_PROPERTY || matches!((self, id), (Self::Delivery, SUBSCRIPTION_IDENTIFIER))
    }
}

/// What a property says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Number(u32),
    Text(&'a str),
    Binary,
    Pair(&'a str),
}

/// One property.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Property<'a> {
    pub(crate) id: u8,
    pub(crate) value: Value<'a>,
    /// All its bytes.
    raw: &'a [u8],
}

impl<'a> Property<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Problem> {
        let before = reader.rest();
        let id = u8::try_from(reader.variable()?).unwrap_or(u8::MAX);
        let value = match id {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28..=0x2A => Value::Number(reader.byte()?.into()),
            0x13 | 0x21 | TOPIC_ALIAS_MAXIMUM | TOPIC_ALIAS => {
                Value::Number(reader.two_bytes()?.into())
            }
            0x02 | 0x11 | 0x18 | MAXIMUM_PACKET_SIZE => Value::Number(reader.four_bytes()?),
            SUBSCRIPTION_IDENTIFIER => Value::Number(reader.variable()?),
            0x03
            | RESPONSE_TOPIC
            | ASSIGNED_CLIENT_IDENTIFIER
            | AUTHENTICATION_METHOD
            | 0x1A
            | SERVER_REFERENCE
            | 0x1F => Value::Text(reader.text()?),
            0x09 | AUTHENTICATION_DATA => reader.binary().map(|_| Value::Binary)?,
            USER_PROPERTY => {
                let name = reader.text()?;
                reader.text()?;
                Value::Pair(name)
            }
            _ => return Err(Problem::malformed("a property that does not exist")),
        };
        let raw = before.get(..before.len() - reader.rest().len()).unwrap_or_default();
        Ok(Self { id, value, raw })
    }

    /// Whether the value is one that this property may have.
    fn has_good_value(&self) -> bool {
        match (self.id, self.value) {
            (0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28..=0x2A, Value::Number(number)) => number <= 1,
            (0x0B | 0x21 | 0x23 | 0x27, Value::Number(number)) => number != 0,
            (RESPONSE_TOPIC, Value::Text(topic)) => is_topic(topic),
            _ => true,
        }
    }

    /// Whether it says who published the message, or looks like it to a reader who is not exact about letters.
    pub(crate) fn is_source(&self) -> bool {
        matches!(self.value, Value::Pair(name) if name.eq_ignore_ascii_case(SOURCE))
    }
}

/// The properties of a packet, read once and found good.
#[derive(Clone, Copy, Default)]
pub(crate) struct Properties<'a>(&'a [u8]);

impl<'a> Properties<'a> {
    /// Reads the properties that stand at this place of a packet.
    pub(crate) fn read(reader: &mut Reader<'a>, place: Place) -> Result<Self, Problem> {
        let length = usize::try_from(reader.variable()?).unwrap_or(usize::MAX);
        let block = reader.take(length)?;
        let mut inner = Reader::new(block);
        let mut seen = 0_u64;
        while !inner.is_empty() {
            let property = Property::read(&mut inner)?;
            let (id, bit) = (property.id, 1_u64 << (property.id & 63));
            if id != USER_PROPERTY && !place.allows(id) {
                return Err(Problem::protocol("a property where it may not stand"));
            }
            if seen & bit != 0 && !place.repeats(id) {
                return Err(Problem::protocol("a property that stands there twice"));
            }
            if !property.has_good_value() {
                return Err(Problem::protocol("a property with a value that it cannot have"));
            }
            seen |= bit;
        }
        let data_alone = seen >> AUTHENTICATION_DATA & 1 > seen >> AUTHENTICATION_METHOD & 1;
        match data_alone {
            true => Err(Problem::protocol("authentication data without a method")),
            false => Ok(Self(block)),
        }
    }

    /// One after the other.
    pub(crate) fn iter(self) -> impl Iterator<Item = Property<'a>> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || {
            (!reader.is_empty()).then(|| Property::read(&mut reader).ok()).flatten()
        })
    }

    /// The number that a property says.
    pub(crate) fn number(self, id: u8) -> Option<u32> {
        self.iter().find_map(|property| match property.value {
            Value::Number(number) if property.id == id => Some(number),
            _ => None,
        })
    }

    /// The text that a property says.
    pub(crate) fn text(self, id: u8) -> Option<&'a str> {
        self.iter().find_map(|property| match property.value {
            Value::Text(text) if property.id == id => Some(text),
            _ => None,
        })
    }

    /// Whether any says who published the message.
    pub(crate) fn has_source(self) -> bool {
        self.iter().any(|property| property.is_source())
    }

    /// As they came, without their length.
    pub(crate) const fn raw(self) -> &'a [u8] {
        self.0
    }

    /// Those that are kept, as the beginning of a list that more are put to.
    pub(crate) fn keeping(self, keeps: impl Fn(&Property<'_>) -> bool) -> Edited {
        let kept = self.iter().filter(|property| keeps(property));
        Edited(kept.flat_map(|property| property.raw.iter().copied()).collect())
    }
}

/// Properties of our own making.
#[derive(Default)]
pub(crate) struct Edited(Vec<u8>);

impl Edited {
    pub(crate) fn two_bytes(mut self, id: u8, value: u16) -> Self {
        self.0.push(id);
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn four_bytes(mut self, id: u8, value: u32) -> Self {
        self.0.push(id);
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn text(mut self, id: u8, value: &str) -> Self {
        self.0.push(id);
        put_text(&mut self.0, value);
        self
    }

    /// Who published the message, where that is to be said.
    pub(crate) fn source(mut self, principal: Option<&str>) -> Self {
        let Some(principal) = principal else { return self };
        self.0.push(USER_PROPERTY);
        put_text(&mut self.0, SOURCE);
        put_text(&mut self.0, principal);
        self
    }

    /// Writes them with their length in front.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_variable(out, self.0.len());
        out.extend_from_slice(&self.0);
    }
}
