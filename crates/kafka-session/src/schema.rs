//! Tables of the fields of messages: what stands where, by version. They are what the message definitions of Kafka say,
//! as far as the versions that are supported go.

/// What a field is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// A number, or a truth, of so many bytes.
    Number(usize),
    /// 16 bytes.
    Id,
    /// Text; whether it may be null.
    Text { nullable: bool },
    /// Bytes, records included; null is allowed.
    Bytes,
    /// Records of these fields, one after the other.
    Array { fields: &'static [Field], nullable: bool },
    /// Values of one primitive kind, one after the other: without tags.
    Values { element: &'static [Field; 1] },
    /// One record of these fields, or null.
    Optional(&'static [Field]),
    /// One record of these fields.
    Record(&'static [Field]),
}

/// One field of a message, for the versions that have it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    /// Its name, unique within its record.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) kind: Kind,
    /// What a number is in an answer that does not say it.
    pub(crate) default: i64,
    first: i16,
    last: i16,
}

impl Field {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, default: 0, first: 0, last: i16::MAX }
    }

    /// Only from this version on.
    pub(crate) const fn since(mut self, version: i16) -> Self {
        self.first = version;
        self
    }

    /// Only up to this version.
    pub(crate) const fn until(mut self, version: i16) -> Self {
        self.last = version;
        self
    }

    /// This number where an answer does not say it.
    pub(crate) const fn or(mut self, default: i64) -> Self {
        self.default = default;
        self
    }

    /// Whether messages of this version have it.
    pub(crate) const fn is_in(&self, version: i16) -> bool {
        self.first <= version && version <= self.last
    }
}

pub(crate) const fn boolean(name: &'static str) -> Field {
    Field::new(name, Kind::Number(1))
}

pub(crate) const fn int8(name: &'static str) -> Field {
    Field::new(name, Kind::Number(1))
}

pub(crate) const fn int16(name: &'static str) -> Field {
    Field::new(name, Kind::Number(2))
}

pub(crate) const fn int32(name: &'static str) -> Field {
    Field::new(name, Kind::Number(4))
}

pub(crate) const fn int64(name: &'static str) -> Field {
    Field::new(name, Kind::Number(8))
}

pub(crate) const fn id(name: &'static str) -> Field {
    Field::new(name, Kind::Id)
}

pub(crate) const fn text(name: &'static str) -> Field {
    Field::new(name, Kind::Text { nullable: false })
}

pub(crate) const fn nullable_text(name: &'static str) -> Field {
    Field::new(name, Kind::Text { nullable: true })
}

pub(crate) const fn bytes(name: &'static str) -> Field {
    Field::new(name, Kind::Bytes)
}

pub(crate) const fn array(name: &'static str, fields: &'static [Field]) -> Field {
    Field::new(name, Kind::Array { fields, nullable: false })
}

pub(crate) const fn nullable_array(name: &'static str, fields: &'static [Field]) -> Field {
    Field::new(name, Kind::Array { fields, nullable: true })
}

pub(crate) const fn values(name: &'static str, element: &'static [Field; 1]) -> Field {
    Field::new(name, Kind::Values { element })
}

pub(crate) const fn optional(name: &'static str, fields: &'static [Field]) -> Field {
    Field::new(name, Kind::Optional(fields))
}

pub(crate) const fn record(name: &'static str, fields: &'static [Field]) -> Field {
    Field::new(name, Kind::Record(fields))
}

/// What decides how fields are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// Of the message.
    pub(crate) version: i16,
    /// Whether this version has compact lengths, and tagged fields at the end of each record.
    pub(crate) flexible: bool,
}
