//! SUBSCRIBE, SUBACK and UNSUBSCRIBE (MQTT 5.0 §3.8 to §3.10, 3.1.1 the same).

use super::Version;
use crate::codes::{Code, Problem, QUOTA_EXCEEDED};
use crate::properties::{Place, Properties};
use crate::wire::Reader;

/// What a client wants to receive, or no longer.
pub(crate) struct Subscribe<'a> {
    pub(crate) packet_id: u16,
    pub(crate) properties: Properties<'a>,
    pub(crate) entries: Vec<Entry<'a>>,
}

/// One filter of it.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) filter: &'a str,
    /// 0 where no options stand: in an UNSUBSCRIBE.
    pub(crate) options: u8,
    /// All its bytes.
    pub(crate) raw: &'a [u8],
}

impl<'a> Subscribe<'a> {
    /// Reads a SUBSCRIBE, or an UNSUBSCRIBE at [`Place::Unsubscribe`], of no more filters than these.
    pub(crate) fn read(
        body: &'a [u8],
        version: Version,
        place: Place,
        most: usize,
    ) -> Result<Self, Problem> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let properties = match version {
            Version::Three => Properties::default(),
            Version::Five => Properties::read(&mut reader, place)?,
        };
        let mut entries = Vec::new();
        while !reader.is_empty() {
            if entries.len() >= most {
                return Err(Problem {
                    code: QUOTA_EXCEEDED,
                    what: "more filters in a request than subscriptions may be open",
                });
            }
            entries.push(Entry::read(&mut reader, version, place == Place::Subscribe)?);
        }
        match entries.is_empty() {
            true => Err(Problem::protocol("a request without a filter")),
            false => Ok(Self { packet_id, properties, entries }),
        }
    }
}

impl<'a> Entry<'a> {
    fn read(reader: &mut Reader<'a>, version: Version, options: bool) -> Result<Self, Problem> {
        let before = reader.rest();
        let filter = reader.text()?;
        let options = if options { reader.byte()? } else { 0 };
        let reserved = match version {
            Version::Three => options & !3,
            Version::Five => options & 0b1100_0000,
        };
        if reserved != 0 || options & 3 == 3 || options & 0b11_0000 == 0b11_0000 {
            return Err(Problem::malformed("options of a subscription that do not exist"));
        }
        let raw = before.get(..before.len() - reader.rest().len()).unwrap_or_default();
        Ok(Self { filter, options, raw })
    }

    /// Whether messages of the client's own are not wanted.
    pub(crate) const fn is_without_own(&self) -> bool {
        self.options & 0b100 != 0
    }
}

/// The broker's answer.
pub(crate) struct Suback<'a> {
    pub(crate) packet_id: u16,
    pub(crate) properties: Properties<'a>,
    /// One for each filter.
    pub(crate) codes: &'a [Code],
}

impl<'a> Suback<'a> {
    pub(crate) fn read(body: &'a [u8], version: Version) -> Result<Self, Problem> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let properties = match version {
            Version::Three => Properties::default(),
            Version::Five => Properties::read(&mut reader, Place::Answer)?,
        };
        let codes = reader.rest();
        match codes.is_empty() || codes.iter().any(|code| (3..0x80).contains(code)) {
            true => {
                Err(Problem::malformed("a SUBACK without codes, or with some that do not exist"))
            }
            false => Ok(Self { packet_id, properties, codes }),
        }
    }
}
