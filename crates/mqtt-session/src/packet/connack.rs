//! CONNACK (MQTT 5.0 §3.2, 3.1.1 §3.2).

use super::Version;
use crate::codes::Problem;
use crate::properties::{Place, Properties};
use crate::wire::Reader;

/// The broker's answer to a CONNECT.
pub(crate) struct Connack<'a> {
    /// Whether an earlier session goes on.
    pub(crate) flags: u8,
    /// 0: the client is connected.
    pub(crate) code: u8,
    pub(crate) properties: Properties<'a>,
}

impl<'a> Connack<'a> {
    pub(crate) fn read(body: &'a [u8], version: Version) -> Result<Self, Problem> {
        let mut reader = Reader::new(body);
        let (flags, code) = (reader.byte()?, reader.byte()?);
        let properties = match version {
            Version::Three => Properties::default(),
            Version::Five => Properties::read(&mut reader, Place::Connack)?,
        };
        match flags <= 1 && reader.is_empty() {
            true => Ok(Self { flags, code, properties }),
            false => Err(Problem::malformed("a CONNACK that is none")),
        }
    }
}
