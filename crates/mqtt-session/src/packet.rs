//! The packets of MQTT, as far as their fields decide anything: each is read whole, and refused where the standard does.

pub(crate) mod answer;
pub(crate) mod connack;
pub(crate) mod connect;
pub(crate) mod publish;
pub(crate) mod subscribe;

use crate::codes::Problem;

/// Which standard a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// 3.1.1.
    Three,
    /// 5.
    Five,
}

/// What a packet is (5.0 §2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Connect,
    Connack,
    Publish,
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
    Subscribe,
    Suback,
    Unsubscribe,
    Unsuback,
    Pingreq,
    Pingresp,
    Disconnect,
    Auth,
}

impl Kind {
    /// Reads the first byte of a packet, flags included (§2.1.3).
    pub(crate) const fn read(first: u8) -> Result<Self, Problem> {
        let kind = match first >> 4 {
            1 => Self::Connect,
            2 => Self::Connack,
            3 => Self::Publish,
            4 => Self::Puback,
            5 => Self::Pubrec,
            6 => Self::Pubrel,
            7 => Self::Pubcomp,
            8 => Self::Subscribe,
            9 => Self::Suback,
            10 => Self::Unsubscribe,
            11 => Self::Unsuback,
            12 => Self::Pingreq,
            13 => Self::Pingresp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return Err(Problem::malformed("a packet of type 0")),
        };
        let flags = match kind {
            Self::Publish => return Ok(kind),
            Self::Pubrel | Self::Subscribe | Self::Unsubscribe => 2,
            _ => 0,
        };
        match first & 15 == flags {
            true => Ok(kind),
            false => Err(Problem::malformed("flags that are reserved")),
        }
    }
}
