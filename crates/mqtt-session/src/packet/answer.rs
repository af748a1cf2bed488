//! The short packets: PUBACK, PUBREC, PUBREL, PUBCOMP (MQTT 5.0 §3.4 to §3.7), UNSUBACK (§3.11), PINGREQ, PINGRESP,
//! DISCONNECT (§3.14) and AUTH (§3.15).

use super::{Kind, Version};
use crate::codes::Problem;
use crate::properties::{Place, Properties};
use crate::wire::Reader;

/// Reads one of the four acknowledgments: the packet that it is about.
pub(crate) fn acknowledgment(body: &[u8], version: Version) -> Result<u16, Problem> {
    let mut reader = Reader::new(body);
    let id = reader.packet_id()?;
    if version == Version::Five {
        code_and_properties(&mut reader, Place::Answer)?;
    }
    end(&reader).map(|()| id)
}

/// Checks an UNSUBACK.
pub(crate) fn unsuback(body: &[u8], version: Version) -> Result<(), Problem> {
    let mut reader = Reader::new(body);
    reader.packet_id()?;
    match version {
        Version::Three => end(&reader),
        Version::Five => Properties::read(&mut reader, Place::Answer).map(|_| ()),
    }
}

/// Checks a PINGREQ or PINGRESP, a DISCONNECT or an AUTH.
pub(crate) fn other(kind: Kind, body: &[u8], version: Version) -> Result<(), Problem> {
    let mut reader = Reader::new(body);
    match (kind, version) {
        (Kind::Disconnect, Version::Five) => code_and_properties(&mut reader, Place::Disconnect)?,
        (Kind::Auth, Version::Five) => code_and_properties(&mut reader, Place::Auth)?,
        _ => {}
    }
    end(&reader)
}

/// The reason code and the properties, which may both be left out at the end.
fn code_and_properties(reader: &mut Reader<'_>, place: Place) -> Result<(), Problem> {
    if !reader.is_empty() {
        reader.byte()?;
    }
    if !reader.is_empty() {
        Properties::read(reader, place)?;
    }
    Ok(())
}

const fn end(reader: &Reader<'_>) -> Result<(), Problem> {
    match reader.is_empty() {
        true => Ok(()),
        false => Err(Problem::malformed("bytes behind the end of a packet")),
    }
}
