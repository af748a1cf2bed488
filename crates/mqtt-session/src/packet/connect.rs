//! CONNECT (MQTT 5.0 §3.1, 3.1.1 §3.1).

use super::Version;
use crate::codes::{self, Problem, TOPIC_NAME_INVALID, UNSUPPORTED_VERSION};
use crate::properties::{Place, Properties};
use crate::wire::{Reader, is_plain, is_topic};

/// What a client introduces itself with. Has no `Debug`: a password is in it.
pub(crate) struct Connect<'a> {
    pub(crate) version: Version,
    pub(crate) flags: u8,
    pub(crate) keep_alive: u16,
    pub(crate) properties: Properties<'a>,
    pub(crate) client_id: &'a str,
    pub(crate) will: Option<Will<'a>>,
    /// What follows the client id: the will, the user's name and the password.
    pub(crate) after_client_id: &'a [u8],
}

/// The message that the broker publishes when the client is lost.
pub(crate) struct Will<'a> {
    pub(crate) properties: Properties<'a>,
    pub(crate) topic: &'a str,
    /// What follows the will's properties: its topic, its payload, and the rest of the packet.
    pub(crate) after_properties: &'a [u8],
}

/// Why a CONNECT is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A version of the protocol that is not spoken here: how it is called, and the CONNACK that says so.
    Version(&'static str, &'static [u8]),
    Problem(Problem),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

const CLEAN: u8 = 0b10;
const WILL: u8 = 0b100;
const WILL_QOS: u8 = 0b1_1000;
const WILL_RETAIN: u8 = 0b10_0000;
const PASSWORD: u8 = 0b100_0000;
const USER: u8 = 0b1000_0000;

impl<'a> Connect<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Refused> {
        let mut reader = Reader::new(body);
        let version = version(&mut reader)?;
        let flags = flags(reader.byte()?, version)?;
        let keep_alive = reader.two_bytes()?;
        let properties = match version {
            Version::Three => Properties::default(),
            Version::Five => Properties::read(&mut reader, Place::Connect)?,
        };
        let client_id = reader.text()?;
        let after_client_id = reader.rest();
        let will = match flags & WILL {
            0 => None,
            _ => Some(Will::read(&mut reader, version)?),
        };
        if flags & USER != 0 {
            reader.text()?;
        }
        if flags & PASSWORD != 0 {
            reader.binary()?;
        }
        if !reader.is_empty() {
            return Err(Problem::malformed("bytes behind the end of a CONNECT").into());
        }
        Ok(Self { version, flags, keep_alive, properties, client_id, will, after_client_id })
    }

    /// Whether no earlier session goes on.
    pub(crate) const fn is_clean(&self) -> bool {
        self.flags & CLEAN != 0
    }
}

impl<'a> Will<'a> {
    fn read(reader: &mut Reader<'a>, version: Version) -> Result<Self, Problem> {
        let properties = match version {
            Version::Three => Properties::default(),
            Version::Five => Properties::read(reader, Place::Will)?,
        };
        let after_properties = reader.rest();
        let topic = reader.text()?;
        reader.binary()?;
        match is_topic(topic) && is_plain(topic) {
            true => Ok(Self { properties, topic, after_properties }),
            false => {
                Err(Problem { code: TOPIC_NAME_INVALID, what: "a will without a topic's name" })
            }
        }
    }
}

/// The name and level of the protocol. What is answered to another is what its clients understand (5.0 §3.1.2.2).
fn version(reader: &mut Reader<'_>) -> Result<Version, Refused> {
    let name = reader.binary()?;
    let level = reader.byte()?;
    match (name, level) {
        (b"MQTT", 4) => Ok(Version::Three),
        (b"MQTT", 5) => Ok(Version::Five),
        (b"MQTT", 6..=0x7F) => {
            Err(Refused::Version("a version after MQTT 5", &[0x20, 3, 0, UNSUPPORTED_VERSION, 0]))
        }
        (b"MQIsdp", 3) => Err(Refused::Version("MQTT 3.1", OLD)),
        (b"MQTT" | b"MQIsdp", 0x80..) => Err(Refused::Version("a bridge of another broker", OLD)),
        (b"MQTT" | b"MQIsdp", _) => Err(Refused::Version("a version that does not exist", OLD)),
        _ => Err(Problem::malformed("the name of another protocol").into()),
    }
}

const OLD: &[u8] = &[0x20, 2, 0, codes::old::UNACCEPTABLE_VERSION];

/// The flags that go together (§3.1.2.3 and following).
fn flags(flags: u8, version: Version) -> Result<u8, Problem> {
    let will = flags & WILL != 0;
    let password_alone = flags & PASSWORD != 0 && flags & USER == 0;
    match () {
        () if flags & 1 != 0 => Err(Problem::malformed("a flag of CONNECT that is reserved")),
        () if !will && flags & (WILL_QOS | WILL_RETAIN) != 0 => {
            Err(Problem::malformed("how a will is published, without a will"))
        }
        () if flags & WILL_QOS == WILL_QOS => Err(Problem::malformed("a will of QoS 3")),
        () if password_alone && version == Version::Three => {
            Err(Problem::malformed("a password without a user's name"))
        }
        () => Ok(flags),
    }
}
